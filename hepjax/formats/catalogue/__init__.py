"""Public data sets by name: the catalogue, and the only code that fetches anything."""
