"""Many trainings as one: seeds, folds, searches, genetic training, populations, tournaments."""
