"""Trains populations: the loop, the network, batches, evaluation, health."""
