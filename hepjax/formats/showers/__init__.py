"""Files of calorimeter showers: the CLIC layouts and those of the CaloChallenge."""
