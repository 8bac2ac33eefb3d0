"""How fast: updates, layers, generation, readers, beside PyTorch and ONNX Runtime."""
