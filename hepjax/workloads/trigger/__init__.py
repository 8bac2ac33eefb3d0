"""Networks for the trigger: quantised, pruned, a whole curve against size at once."""
