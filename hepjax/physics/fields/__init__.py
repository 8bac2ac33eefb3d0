"""Cosmic fields: spectra, absorption, what is in files, and the report."""
