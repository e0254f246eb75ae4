"""What a wish in words speaks of, and when two wishes are one."""
