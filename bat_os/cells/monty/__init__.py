"""The cell where there is no seccomp: Monty, an interpreter of a part of Python."""
