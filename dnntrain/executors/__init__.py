"""Where populations are trained: jobs, workers, and the planner that groups runs."""
