"""Background jobs on top of the kernel; each is optional."""
