"""Effects on the world: performed once they are committed, in order, and accounted for."""
