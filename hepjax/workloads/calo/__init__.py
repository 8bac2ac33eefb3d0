"""Two-stage conditional generators of calorimeter showers."""
