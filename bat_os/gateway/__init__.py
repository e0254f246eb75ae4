"""HTTP in front of a kernel: a process of its own, a client of the wire."""
