"""The forge: an adapter trained from what the mind has learned, and the gates before its use."""
