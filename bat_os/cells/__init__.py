"""Adapters for the port ``Cell``: where learned code runs."""
