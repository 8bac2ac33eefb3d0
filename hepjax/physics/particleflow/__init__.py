"""Particle-flow events: scores of candidates against the truth, figures, inspector."""
