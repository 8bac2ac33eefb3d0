"""Flax layers for several workloads, with the semantics of Keras where it matters."""
