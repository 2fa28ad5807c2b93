"""Learning-rate schedules: each is one function of the iteration and of the validation losses so far."""
