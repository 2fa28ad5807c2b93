"""A run's settings: validated, and named by their digest."""
