"""Trained models out of hepjax: ONNX, StableHLO, model repositories, what host programs want."""
