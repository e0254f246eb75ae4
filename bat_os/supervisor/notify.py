"""Tells systemd that the watchdog is ready, alive or stopping, if systemd asks for it.

The protocol of ``sd_notify``: datagrams of ``NAME=VALUE`` lines to the Unix socket that
``NOTIFY_SOCKET`` names. It is small enough not to install a library for it.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Notifier:
    """The socket of the service manager that started us, if any."""

    def __init__(self, address: str = "", every: float = 0.0) -> None:
        """Remember the socket.

        Args:
            address: Of the socket; "" if there is none.
            every: Seconds within which the manager expects a sign of life; 0 for none.
        """
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every = every / 2
        self._ready = False
        self._next = 0.0

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], pid: int) -> Notifier:
        """Return a notifier as ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` say."""
        every, wanted = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(pid))
        seconds = int(every) / 1e6 if every.isdecimal() and wanted == str(pid) else 0.0
        return cls(environ.get("NOTIFY_SOCKET", ""), seconds)

    def state(self, state: str, reason: str = "") -> None:
        """Report what the watchdog is doing: a state of ``status.json``."""
        lines = [f"STATUS={state}" + (f": {' '.join(reason.split())}" if reason else "")]
        if state in ("running", "waiting") and not self._ready:  # a wait has no limit
            lines.append("READY=1")
            self._ready = True
        if state == "stopping":
            lines.append("STOPPING=1")
        self._send("\n".join(lines))

    def alive(self) -> None:
        """Report that the watchdog itself still runs; cheap enough for every look."""
        now = time.monotonic()
        if self._every and now >= self._next:
            self._next = now + self._every
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.connect(self._address)
            line.send(text.encode("utf-8", "replace"))
