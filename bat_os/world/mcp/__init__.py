"""MCP servers as objects: their tools are messages, and each server runs apart from the kernel."""
