"""Proton collisions with pile-up in a CMS-like detector, for particle flow."""
