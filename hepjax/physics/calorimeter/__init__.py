"""Calorimeter showers: their physics as array functions, comparisons, figures, inspector."""
