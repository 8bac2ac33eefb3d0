"""Electrons and photons behind a tracker, as images of crystals."""
