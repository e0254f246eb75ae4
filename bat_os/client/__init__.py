"""A client of the wire: finds the kernel, speaks to it, and has its keys and tokens."""
