"""Trigger networks judged: accuracy or anomalies found against the size of the network."""
