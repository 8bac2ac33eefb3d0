"""The embedded default data, written in the published file layouts."""
