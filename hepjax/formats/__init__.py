"""Reading and writing files: the only code of hepjax that opens data."""
