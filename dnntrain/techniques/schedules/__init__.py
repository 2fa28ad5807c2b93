"""Learning-rate schedules: each is one function of the iteration and of one validation metric so far."""
