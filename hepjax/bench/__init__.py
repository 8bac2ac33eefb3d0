"""The repeatable benchmark: fixed data, fixed seed, a report that hep-score reads."""
