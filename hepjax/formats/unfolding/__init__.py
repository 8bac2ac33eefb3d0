"""Measured and simulated events for unfolding, and the weights that come of it."""
