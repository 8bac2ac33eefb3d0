"""How right: simulations and trained models against third-party events."""
