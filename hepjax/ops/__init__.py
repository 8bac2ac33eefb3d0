"""Hot array functions in pure JAX, no Flax and no files."""
