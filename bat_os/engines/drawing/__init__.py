"""Draws texts from a transformers model: rows, their ends, what was read."""
