"""What is on disk, the writer of each format next to its reader."""
