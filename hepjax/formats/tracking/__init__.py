"""Hits of charged particles in tracking detectors: the detector, events, their files."""
