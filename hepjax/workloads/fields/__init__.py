"""Fields of gas from fields of dark matter, by a periodic U-Net in three dimensions."""
