"""MLPF: particle flow by graph networks over hashed bins of detector elements."""
