"""Pairs of true and measured events for unfolding: Gaussians, and toy jets beside a Z boson."""
