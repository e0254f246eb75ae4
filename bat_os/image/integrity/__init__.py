"""Is what is stored what was committed? Look, name it, and set it aside."""
