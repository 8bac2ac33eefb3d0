"""Several processes that train together: how they find each other, start and end."""
