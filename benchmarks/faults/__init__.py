"""How it breaks: trainings killed, cut off and damaged, and what is left of them."""
