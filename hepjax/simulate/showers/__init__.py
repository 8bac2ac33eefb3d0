"""Electromagnetic showers in a sampling calorimeter."""
