"""The Linux cell: learned code in a forked, confined process of its own, one per call.

The kernel never runs learned code and never forks itself. It starts one bare interpreter, the
zygote (main.py), which confines itself and forks a child for every call; a few children
wait ahead. The frames of a call are in call_protocol.py.

    ZygoteCell.run > a spare child, or a fresh one > Conversation > child killed, spare forked

Requests to the zygote go over a socket that keeps their order, and so do the answers; a child
comes as a pidfd and the other end of its own socket. If the zygote's hello does not report both
seccomp and Landlock, nothing runs at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import signal
import socket
import sys
import zoneinfo
from collections import deque
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ormsgpack

from bat_os.cells.call_protocol import Conversation
from bat_os.cells.choice import run_attacks
from bat_os.cells.prefork import Spares
from bat_os.cells.zygote.main import NO_MEMORY
from bat_os.errors import BusyError, CellError, CellUnavailableError
from bat_os.method.guardian import SAFE_MODULES

if TYPE_CHECKING:
    from bat_os.ports import Call, Nested, NestedReply, RunResult, Sender

log = logging.getLogger(__name__)

# Ending a process and forking the next use a processor that the caller needs for the answer.
_ANSWER_FIRST: Final = 0.005  # seconds
MAX_HELD: Final = 1 << 30  # bytes of all methods that wait for a nested answer
SMALL: Final = 64 << 20  # a method that holds less is never refused for what others hold
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 2.0
_REQUESTS: Final = 32  # to the zygote at once; more would overrun its socket
_NO_DESCRIPTOR: Final = (
    "the kernel has no file descriptor left to start learned code with; try again when other "
    "clients have disconnected"
)
_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_PATH: Final = Path(__file__).resolve()
_MSGPACK: Final = str(Path(ormsgpack.__file__).resolve().parents[1])


class ZygoteCell:
    """Runs learned methods in confined processes; adapter of ``ports.Cell``.

    A call costs about a millisecond with a spare child ready, a fork more without. Use it
    from one event loop, in a thread that lives as long as the cell.
    """

    def __init__(self, *, python: str = sys.executable, spares: int = 2, zone: str = "") -> None:
        """Make a cell; nothing starts yet.

        Args:
            python: The interpreter to run the children with.
            spares: Children that wait ahead.
            zone: Time zone as in the TZ variable; "" takes the machine's.
        """
        self._python = python
        self._zone = zone
        self._zygote: Zygote | None = None
        self._spares = Spares(spares, self._fork, _drop)
        self._running: set[Child] = set()
        self._held: dict[Child, int] = {}  # bytes of the children that wait for a nested answer
        self._starting = asyncio.Lock()
        self._calls = self._failed = self._starts = 0

    async def start(self) -> None:
        """Start the zygote and its spares, unless they are there."""
        await self._ensure()
        await self._spares.fill()

    async def run(self, call: Call, send: Sender) -> RunResult:
        """Run one method; see ``ports.Cell.run``."""
        self._calls += 1
        try:
            result = await self._attempt(call, send) or await self._attempt(call, send)
        except CellError:
            self._failed += 1
            raise
        if result is None:
            self._failed += 1
            raise CellError("the zygote died twice", kind="died")
        return result

    def stats(self) -> dict[str, Any]:
        """Return what confines the children, and how many calls there were."""
        hello = self._zygote.hello if self._zygote else {}
        return {
            "kind": "zygote",
            "confinement": {
                "landlock": hello.get("landlock", 0),
                "seccomp": hello.get("seccomp", False),
                "namespaces": hello.get("namespaces", ""),
                "unprivileged": hello.get("unprivileged", False),
            },
            "running": self._zygote is not None and not self._zygote.gone,
            "pid": self._zygote.process.pid if self._zygote else 0,
            "spares": len(self._spares),
            "calls": self._calls,
            "failed": self._failed,
            "starts": self._starts,
        }

    async def self_test(self) -> dict[str, Any]:
        """Return how a handful of attacks fared: ``{"ok": bool, "held": [], "through": []}``."""
        return await run_attacks(self, "python")

    async def close(self) -> None:
        """Kill the zygote and all children. Idempotent."""
        async with self._starting:
            for child in self._running:
                child.kill()
            if self._zygote is not None:
                await self._zygote.stop()
                self._zygote = None
            await self._spares.close()

    async def _attempt(self, call: Call, send: Sender) -> RunResult | None:
        """Return the result; None when the zygote died before the method did anything."""
        zygote = self._zygote
        if zygote is None or zygote.gone or self._starting.locked():
            zygote = await self._ensure()
        try:
            child = self._spares.take() or await zygote.fork()
        except ConnectionError:
            return None
        talk = Conversation(child.channel, call, partial(self._hold, child, send))
        self._running.add(child)
        pause = 0.0
        try:
            result = await talk.run()
            pause = _ANSWER_FIRST if len(self._spares) else 0.0
        except (EOFError, OSError) as error:
            child.kill()
            try:
                status = await zygote.wait(child.pid)
            except ConnectionError:
                if talk.messages == 0:
                    return None
                status = -signal.SIGKILL
            raise _explain(status) from error
        else:
            return result
        finally:
            if pause:
                asyncio.get_running_loop().call_later(pause, self._clear_up, child)
            else:
                self._clear_up(child)

    async def _hold(self, child: Child, send: Sender, nested: Nested) -> NestedReply:
        """Send a nested message, unless the methods that wait for theirs hold too much memory.

        Each child has a limit of its own, but a turn nests sixteen deep, and many turns run.
        """
        mine = child.memory()
        self._held[child] = mine
        try:
            if mine > SMALL and sum(self._held.values()) > MAX_HELD:
                text = f"methods that wait for an answer hold over {MAX_HELD >> 20} MB of memory"
                raise CellError(text, kind="limit")
            return await send(nested)
        finally:
            self._held.pop(child, None)

    def _clear_up(self, child: Child) -> None:
        child.kill()
        self._running.discard(child)
        self._spares.fill_later()

    async def _ensure(self) -> Zygote:
        """Return the zygote, started if there is none."""
        if sys.platform != "linux":
            raise CellUnavailableError("this cell needs Linux: seccomp and Landlock confine it")
        async with self._starting:
            if self._zygote is not None and not self._zygote.gone:
                return self._zygote
            await self._spares.empty()
            if self._zygote is not None:
                log.warning("the zygote died; starting another")
                await self._zygote.stop()
            self._zygote = await Zygote.start(self._python, self._zone)
            self._starts += 1
            return self._zygote

    async def _fork(self) -> Child | None:
        """Return a spare; None when there is no zygote to fork it, or no descriptor for it."""
        try:
            return await self._zygote.fork() if self._zygote else None
        except (ConnectionError, BusyError):
            return None


async def _drop(child: Child) -> None:
    child.kill()


def _explain(status: int) -> CellError:
    """Return the error for a child that ended by itself."""
    if status == NO_MEMORY:
        return CellError("used too much memory", kind="limit")
    if status >= 0:
        return CellError("ended without an answer", kind="died", status=status)
    name = signal.Signals(-status).name
    if -status == signal.SIGXCPU:
        return CellError("used too much processor time", kind="limit")
    return CellError(f"crashed ({name})", kind="died", signal=name)


@dataclass(slots=True, eq=False)
class Child:
    """A confined process that waits for its call."""

    pid: int
    handle: int  # pidfd: never another process, even when the pid is used again
    channel: socket.socket

    def memory(self) -> int:
        """Return the bytes that the process holds in memory; 0 if that cannot be seen."""
        try:
            # Its own pid may be that of another namespace.
            facts = Path(f"/proc/self/fdinfo/{self.handle}").read_text(encoding="ascii")
            pid = int(facts.partition("Pid:")[2].split()[0])
            pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, ValueError, IndexError):
            return 0
        return int(pages) * _PAGE

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
        """Return a zygote that is confined and ready to fork."""
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
        """Wait for the hello, and check that it reports enough confinement."""
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
        if not handles:  # the system drops a descriptor if we have no number left for it
            ours.close()  # the child hears of that, and ends
            raise BusyError(_NO_DESCRIPTOR)
        return Child(int(text), handles[0], ours)

    async def wait(self, pid: int) -> int:
        """Return how a killed or ended child ended, and forget it."""
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
                # The answer may have come just before; no other code knows of that child.
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
