"""What talks to a kernel over its socket."""
