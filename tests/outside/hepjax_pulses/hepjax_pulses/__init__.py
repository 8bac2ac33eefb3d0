"""Pulses of a detector channel: a workload for hepjax, in a package of its own."""
