"""dnntrain beside what its users would take instead: the same work in one run, in alternation. See `__main__`."""
