"""Waveforms of a dual-phase xenon detector: their layout, HDF5 files, packed sets, streams."""
