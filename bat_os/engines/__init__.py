"""Adapters for the ports ``ModelEngine`` and ``Embedder``."""
