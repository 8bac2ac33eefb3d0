"""Tracks from hits: candidate edges, connected hits, and how many particles are found."""
