"""Recorded runs as models that need no dnntrain: plain torch, safetensors, ONNX."""
