"""Requests that are answered step by step, with the tools that a person granted."""
