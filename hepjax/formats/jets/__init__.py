"""Files of jet, photon and electron images: Parquet, HDF5, npz, TFRecord, TFDS."""
