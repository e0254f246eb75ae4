"""The Model Context Protocol: learned methods as the tools of other programs."""
