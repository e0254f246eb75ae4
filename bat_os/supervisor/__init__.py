"""Start, watch and restart the kernel process."""
