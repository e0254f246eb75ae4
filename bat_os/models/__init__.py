"""Which models there are, which fit this machine, and which are in memory."""
