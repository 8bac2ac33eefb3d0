"""Neural simulation-based inference: density ratios of processes to a reference sample."""
