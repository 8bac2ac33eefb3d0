"""Slow studies: one script for each table of the documentation, ``python -m``."""
