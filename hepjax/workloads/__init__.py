"""The reference workloads: a folder each, and the one list of them in table.py."""
