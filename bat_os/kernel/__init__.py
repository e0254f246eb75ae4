"""The asyncio shell: sockets in, ports out."""
