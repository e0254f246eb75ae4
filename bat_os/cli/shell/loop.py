"""The event loop that each command needs: one that can wait for ZeroMQ's sockets."""

from __future__ import annotations

import asyncio
import sys


def prefer_sockets() -> None:
    """On Windows take the loop that waits for sockets; the usual one there cannot wait for ours."""
    if sys.platform == "win32":
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
