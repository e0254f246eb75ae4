"""monty."""
