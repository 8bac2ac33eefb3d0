"""Images of jets, photons and electrons: scores of taggers, baselines, figures, inspector."""
