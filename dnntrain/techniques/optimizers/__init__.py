"""Optimizers: each is one update step for P members at once, each member with its own learning rate."""
