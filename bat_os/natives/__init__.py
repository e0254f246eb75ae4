"""Trusted functions over well-kept libraries: they become methods of shipped objects."""
