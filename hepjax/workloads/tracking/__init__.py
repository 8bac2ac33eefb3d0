"""Graph tracking: an interaction network that says which edges between hits are on a particle."""
