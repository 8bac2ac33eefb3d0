"""Anomalous waveforms: a variational autoencoder with a Poisson likelihood."""
