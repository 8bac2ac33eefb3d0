"""Signal, background and their interference with known densities, for inference."""
