"""Boxes of dark matter and gas, and counts with the parameters of their universe."""
