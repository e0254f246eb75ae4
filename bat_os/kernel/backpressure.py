"""Who asks how much at one door, and who does not read what it is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from bat_os.errors import BusyError

MAX_REQUESTS: Final = 1024
MAX_PER_PEER: Final = 512
# So long after an answer found no room, among a thousand unread, what its peer asks is dropped:
# it could not be answered either, and working on it would take the time of the others.
DEAF_SECONDS: Final = 0.02


class Peers:
    """Counts the requests that are being answered, by peer; for one event loop."""

    def __init__(self) -> None:
        self._asking: Counter[bytes] = Counter()
        self._all = 0
        self._deaf: set[bytes] = set()

    def enter(self, peer: bytes) -> None:
        """Count one request more.

        Raises:
            BusyError: Too many are being answered, of this peer or in all.
        """
        if self._all >= MAX_REQUESTS:
            raise BusyError(f"{MAX_REQUESTS} requests are being answered", 500)
        if self._asking[peer] >= MAX_PER_PEER:
            raise BusyError(f"{MAX_PER_PEER} requests of yours are being answered", 500)
        self._asking[peer] += 1
        self._all += 1

    def leave(self, peer: bytes) -> None:
        """Count one request less."""
        self._all -= 1
        self._asking[peer] -= 1
        if not self._asking[peer]:
            del self._asking[peer]

    def is_deaf(self, peer: bytes) -> bool:
        """Return True for a peer that had no room for an answer a moment ago."""
        return peer in self._deaf

    def note_deaf(self, peer: bytes) -> None:
        """Remember for a moment that a peer has no room for more answers."""
        if not self._deaf:
            asyncio.get_running_loop().call_later(DEAF_SECONDS, self._deaf.clear)
        self._deaf.add(peer)
