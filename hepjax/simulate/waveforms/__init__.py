"""S2 pulses of a dual-phase xenon detector, normal ones and six planted anomalies."""
