"""Hits of charged particles in the TrackML detector: exact helices, scattering, noise."""
