"""Unfolding and inference: observables, exact answers of simple cases, scores, reports."""
