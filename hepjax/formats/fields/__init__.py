"""Boxes of cosmic fields: dark matter and gas on a mesh, and counts with their parameters."""
