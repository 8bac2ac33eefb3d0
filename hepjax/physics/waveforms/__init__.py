"""Waveforms: noise, scores and their background, baselines, ceiling, inspector, report."""
