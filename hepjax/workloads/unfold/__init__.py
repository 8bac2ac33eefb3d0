"""OmniFold: unfolding without bins by two classifiers in turns (UniFold, MultiFold, OmniFold)."""
