"""The zygote as the kernel sees it: a process that forks children on request.

Requests go over a socket that keeps their order, and so do the answers; a child comes as a
pidfd and the other end of its own socket. What main.py says at its start decides whether
it is confined enough to be used at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import socket
import zoneinfo
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ormsgpack

from bat_os.errors import BusyError, CellUnavailableError
from bat_os.method.guardian import SAFE_MODULES

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 2.0
_REQUESTS: Final = 32  # to the zygote at once; more would overrun its socket
_NO_DESCRIPTOR: Final = (
    "the kernel has no file descriptor left to start learned code with; ask again when other "
    "clients have gone"
)
_PATH: Final = Path(__file__).resolve()
_MSGPACK: Final = str(Path(ormsgpack.__file__).resolve().parents[1])


@dataclass(slots=True, eq=False)
class Child:
    """A confined process that waits for its call."""

    pid: int
    handle: int  # pidfd: never another process, even when the pid is used again
    channel: socket.socket

    def kill(self) -> None:
        """Kill the process and let go of it. Idempotent."""
        self.channel.close()
        if self.handle >= 0:
            _kill(self.handle)
            self.handle = -1


def _zone_folders() -> list[str]:
    """Return where time zones are; the package is for machines that have none."""
    package = importlib.util.find_spec("tzdata")
    places = package.submodule_search_locations or () if package else ()
    return [*zoneinfo.TZPATH, *(f"{place}/zoneinfo" for place in places)]


def _kill_all(handles: list[int]) -> None:
    for handle in handles:
        _kill(handle)


def _kill(handle: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)


class Zygote:
    """The process that forks, and the requests to it in order.

    Attributes:
        process: The process that was started; the zygote itself, or its keeper.
        hello: What it said about its confinement.
        gone: It has ended, and its children with it.
    """

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self.process = process
        self.hello: dict[str, Any] = {}
        self.gone = False
        self._control = control
        self._waiting: deque[asyncio.Future[tuple[bytes, list[int]]]] = deque()
        self._room = asyncio.Semaphore(_REQUESTS)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(control.fileno(), self._on_reply)

    @classmethod
    async def start(cls, python: str, zone: str) -> Zygote:
        """Return a zygote that is confined and ready to fork.

        Raises:
            CellUnavailableError: It did not start, or could not be confined.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        config = {
            "control": theirs.fileno(),
            "path": [str(_PATH.parents[3]), _MSGPACK],
            "modules": sorted(SAFE_MODULES),
            "zones": _zone_folders(),
        }
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *(python, "-I", "-S", "-E", str(_PATH.with_name("main.py"))),
                    json.dumps(config),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    env={"TZ": zone} if zone else {},
                    cwd="/",
                    pass_fds=(theirs.fileno(),),
                )
        except OSError as error:  # no such interpreter, no process or memory left
            ours.close()
            raise CellUnavailableError(f"the cell did not start: {error}") from error
        zygote = cls(process, ours)
        try:
            await zygote._greet()
        except BaseException:
            await zygote.stop()
            raise
        return zygote

    async def _greet(self) -> None:
        """Wait for the hello, and see that what it tells is enough."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                self.hello = json.loads((await self._reply())[0])
        except (ConnectionError, TimeoutError) as error:
            self._kill()
            said = await self.process.stderr.read() if self.process.stderr else b""
            last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise CellUnavailableError(f"the cell did not start: {last or error}") from error
        lacking = [name for name in ("landlock", "seccomp") if not self.hello.get(name)]
        if lacking:
            raise CellUnavailableError(
                f"this machine cannot confine learned code: no {' and no '.join(lacking)}; "
                "a Linux kernel of 5.13 or later with both is needed",
                lacking=lacking,
            )

    async def fork(self) -> Child:
        """Return a fresh child.

        Raises:
            BusyError: This process has no file descriptor left for it.
            ConnectionError: The zygote is gone.
        """
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise BusyError(_NO_DESCRIPTOR) from error
        ours.setblocking(False)
        try:
            with theirs:
                text, handles = await self._request(b"fork", theirs.fileno())
        except BaseException:
            ours.close()
            raise
        if not handles:  # the system drops one that it has no number for
            ours.close()  # the child hears of that, and ends
            raise BusyError(_NO_DESCRIPTOR)
        return Child(int(text), handles[0], ours)

    async def wait(self, pid: int) -> int:
        """Return how a killed or ended child ended, and forget it.

        Raises:
            ConnectionError: The zygote is gone.
        """
        return int((await self._request(f"wait {pid}".encode()))[0])

    async def stop(self) -> None:
        """End the zygote and every child of it. Idempotent."""
        self._on_end()
        with contextlib.suppress(TimeoutError):
            # With its control socket closed it goes by itself, and leaves no orphan zombies.
            async with asyncio.timeout(_STOP_SECONDS if self.hello else 0):
                await self.process.wait()
        self._kill()
        # Reading to the end closes the pipe; the zygote has closed its side long ago.
        await self.process.communicate()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def _request(self, text: bytes, *descriptors: int) -> tuple[bytes, list[int]]:
        async with self._room:
            if self.gone:
                raise ConnectionResetError("the zygote is gone")
            try:
                socket.send_fds(self._control, [text], list(descriptors))
            except OSError as error:
                self._on_end()
                raise ConnectionResetError("the zygote is gone") from error
            future = self._reply()
            try:
                return await future
            except asyncio.CancelledError:
                # The answer may have come just before; nobody else knows of that child.
                if future.done() and not future.cancelled() and future.exception() is None:
                    _kill_all(future.result()[1])
                raise

    def _reply(self) -> asyncio.Future[tuple[bytes, list[int]]]:
        future = self._loop.create_future()
        self._waiting.append(future)
        return future

    def _on_reply(self) -> None:
        try:
            text, descriptors, _, _ = socket.recv_fds(
                self._control, 4096, 1, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            text, descriptors = b"", []
        if not text or not self._waiting:
            self._on_end()
            return
        future = self._waiting.popleft()
        if future.done():  # who asked has been cancelled
            _kill_all(descriptors)
        else:
            future.set_result((text, descriptors))

    def _on_end(self) -> None:
        if self.gone:
            return
        self.gone = True
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        for future in self._waiting:
            if not future.done():
                future.set_exception(ConnectionResetError("the zygote is gone"))
        self._waiting.clear()
