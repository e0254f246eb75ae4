"""What the cognitive cycle does in its single states."""
