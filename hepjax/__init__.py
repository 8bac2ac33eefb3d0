"""hepjax: reference deep-learning workloads of high-energy physics, from one JAX code."""

__version__ = "0.1.0"
