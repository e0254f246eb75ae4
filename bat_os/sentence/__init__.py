"""sentence."""
