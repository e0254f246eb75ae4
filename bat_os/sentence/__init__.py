"""An English sentence in, a message out; and when two requests ask for the same."""
