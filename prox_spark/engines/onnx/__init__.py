"""Token classifiers on onnxruntime: their graphs are built from safetensors when an engine opens, without torch."""
