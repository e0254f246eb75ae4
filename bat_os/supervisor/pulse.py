"""The kernel's heartbeat, and the rule that says from it whether a kernel lives.

    kernel   loop > token > datagram to a port of the loopback interface, every second
    watchdog drains the port at every look:

    last beat < 5 s ago   well
              5 to 15 s   suspect: the kernel writes the stacks of its threads into its log
              over 15 s   lost: it is killed
    not serving 300 s after its start: late, killed too

The loop itself sends, so a loop that is blocked falls silent; a thread or the C part of a
library would go on beating. A datagram never makes the kernel wait, whatever the watchdog or
the disk does. The token, new for each kernel, keeps other programs from beating in its name.
A loop that turns can do nothing for a disk. So each beat is followed by a report: why nothing can
be stored now, or why the kernel waits and does not serve yet; mostly, it is empty. A kernel that
waits is not late.

With each beat the kernel restarts a timer of ``faulthandler``: when it runs out, the stacks of
all threads go to standard error, which is the kernel's log, even while the loop is blocked.

A kernel that never beats (an older program) is watched by its exit and the start-up limit only.
Time in which the watchdog itself did not run, asleep or stopped, does not count.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import hmac
import secrets
import socket
import sys
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


VARIABLE: Final = "BATOS_BEAT"  # 127.0.0.1:PORT:TOKEN, set by the watchdog for its kernel
EVERY: Final = 1.0
LARGEST: Final = 2_000  # bytes read of a datagram
LONGEST: Final = 500  # characters of a report
MOST: Final = 1_000  # datagrams taken at one look


class Vital(Enum):
    """What the pulse of a kernel says."""

    WELL = "well"
    SUSPECT = "suspect"
    LOST = "lost"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class PulseLimits:
    """The limits, in seconds."""

    suspect: float = 5.0  # without a beat for this long, the kernel may hang
    lost: float = 15.0  # without one for this long, it does
    startup: float = 300.0  # by then it has to serve
    nap: float = 4.0  # a look that comes this much later than the one before means that we slept


LIMITS: Final = PulseLimits()


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is known of one life of a kernel; all times are monotonic seconds."""

    born: float  # when it was started
    looked: float  # when we last looked
    heard: float | None = None  # when its last beat came, or None before the first one
    serving: float | None = None  # since when it serves, or None

    @classmethod
    def begin(cls, now: float) -> Pulse:
        """Return the pulse of a kernel that is started now."""
        return cls(now, now)

    def look(self, now: float, limits: PulseLimits, *, beat: bool, waits: bool = False) -> Pulse:
        """Return the pulse after a look at ``now``.

        ``beat`` says that one has come since, ``waits`` that the kernel reports why it waits.
        """
        slept = now - self.looked if now - self.looked > limits.nap else 0.0
        heard = self.heard
        if beat:
            heard = now
        elif heard is not None:
            heard += slept
        born = now if waits and self.serving is None else self.born + slept
        return replace(self, born=born, looked=now, heard=heard)

    def judge(self, limits: PulseLimits) -> Vital:
        """Return what it says as of the last look."""
        if self.serving is None and self.looked - self.born > limits.startup:
            return Vital.LATE
        silence = 0.0 if self.heard is None else self.looked - self.heard
        if silence > limits.lost:
            return Vital.LOST
        return Vital.SUSPECT if silence > limits.suspect else Vital.WELL


class BeatListener:
    """The watchdog's end. Without a loopback interface it never hears a beat.

    Attributes:
        report: The last one: why the kernel cannot store anything, or waits; "" if it can.
    """

    def __init__(self) -> None:
        """Open the port."""
        self.report = ""
        self._token = ""
        self._socket: socket.socket | None = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind(("127.0.0.1", 0))
        except OSError:
            self._socket.close()
            self._socket = None
        else:
            self._socket.setblocking(False)

    def invite(self) -> dict[str, str]:
        """Return the environment for the next kernel; beats of earlier ones no longer count."""
        if self._socket is None:
            return {}
        self._token, self.report = secrets.token_hex(16), ""
        port = self._socket.getsockname()[1]
        return {VARIABLE: f"127.0.0.1:{port}:{self._token}"}

    def drain(self) -> bool:
        """Return True if a beat has come since the last call; never waits."""
        beaten = False
        if self._socket is None:
            return beaten
        for _ in range(MOST):
            try:
                token, gap, report = self._socket.recv(LARGEST).partition(b" ")
            except BlockingIOError:
                break
            except OSError:  # on Windows: the answer to an earlier datagram, or one too long
                continue
            if not hmac.compare_digest(token, self._token.encode()):
                continue
            beaten = True
            if gap:
                self.report = " ".join(report.decode("utf-8", "replace").split())[:LONGEST]
        return beaten

    def close(self) -> None:
        """Close the port. Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Heart:
    """The kernel's end: what each beat reports besides."""

    def __init__(self) -> None:
        self._troubles: dict[str, str] = {}

    def say(self, what: str, trouble: str) -> None:
        """Report a trouble with ``what`` from now on; "" if that has gone."""
        self._troubles[what] = trouble

    @property
    def report(self) -> str:
        """Return all troubles in one line; "" if there are none."""
        return "; ".join(filter(None, self._troubles.values()))


@contextlib.asynccontextmanager
async def beating(invitation: str) -> AsyncIterator[Heart]:
    """Beat for as long as the block lasts, from the running loop; yield what says how it is."""
    heart = Heart()
    host, _, rest = invitation.partition(":")
    port, _, token = rest.partition(":")
    if host != "127.0.0.1" or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        yield heart
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.setblocking(False)
        beats = _beat(heart, line, (host, int(port)), token)
        task = asyncio.create_task(beats, name="beat")
        try:
            yield heart
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            faulthandler.cancel_dump_traceback_later()


async def _beat(heart: Heart, line: socket.socket, address: tuple[str, int], token: str) -> None:
    while True:
        faulthandler.dump_traceback_later(LIMITS.suspect, file=sys.stderr)
        with contextlib.suppress(OSError):  # the watchdog is gone; the closed pipe ends us
            line.sendto(token.encode(), address)  # by itself: an older watchdog reads no report
            report = f"{token} {heart.report[:LONGEST]}"
            line.sendto(report.encode("utf-8", "replace"), address)
        await asyncio.sleep(EVERY)
