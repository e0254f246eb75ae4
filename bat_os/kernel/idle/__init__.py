"""What the mind does for itself while nobody needs it."""
