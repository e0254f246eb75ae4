"""The engine on PyTorch: safetensors, GPUs, adapters, constrained decoding."""
