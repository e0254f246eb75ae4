"""A sentence in four languages in, a message out; and when two requests ask for the same."""
