"""Files of particle-flow events: the published pickles, TFDS data sets, HDF5."""
