"""ROOT trees: read through a data card that maps branches to columns of a layout, and written."""
