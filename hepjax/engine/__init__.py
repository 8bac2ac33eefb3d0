"""Compiles a workload over a device mesh, feeds it, checkpoints it and keeps its records."""
