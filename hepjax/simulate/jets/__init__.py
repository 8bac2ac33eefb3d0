"""Images of jets from Pythia and a CMS-like detector, or from a toy."""
