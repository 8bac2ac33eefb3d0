"""CosmoFlow: parameters of a universe from counts of its matter, by a 3-D network."""
