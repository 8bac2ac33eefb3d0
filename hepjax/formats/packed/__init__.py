"""Packed sets: sparse events in Parquet shards with a manifest and checksums."""
