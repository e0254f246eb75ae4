"""The cell of Linux: a confined process for each call, forked from one that waits."""
