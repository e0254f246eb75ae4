"""A client of the kernel: DEALER socket, own clock, the same key on every retry.

The kernel writes where it listens into ``run/endpoint.json`` of its home directory. A request
with a key survives a restart of the kernel: the client connects to the new kernel and asks
again, and the key makes sure that nothing runs twice.

Over TCP nothing is sent before the kernel has proved its key, and all of it is encrypted. The key
is in ``run/endpoint.json`` too; a kernel on another machine needs a file of ``batos keys make``,
and the keys identify both sides.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import zmq
import zmq.asyncio
from zmq.utils.monitor import parse_monitor_message

from bat_os.client.keys import ClientKey, check_key, make_pair
from bat_os.core.protocol import decode_reply, encode_request
from bat_os.errors import KernelUnreachableError, RemoteError, SettingsError, ShuttingDownError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Listener = Callable[[str, Mapping[str, Any]], None]
    _Said = tuple[str, str, dict[str, Any]]  # of a reply: type, re and body

ENDPOINT_FILE: Final = "run/endpoint.json"
# A killed kernel is usually back within a second: short steps at first, longer ones later.
BACKOFF: Final = (0.05, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0)
PING_AFTER: Final = 1.0
GLANCE: Final = 0.25  # between two looks whether the connection has ended
LOST_AFTER: Final = 15.0
# With several kernels: one that does not answer for so long is left, and asked again later.
LEAVE_AFTER: Final = 5.0
BACK_AFTER: Final = 60.0
CONNECT_MS: Final = 1000
REMOTE_MS: Final = 5000
_NEWS: Final[_Said] = ("", "", {})  # nothing for the one who reads; the daemon lives
_WATCHED: Final = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
_REFUSED: Final = zmq.EVENT_CONNECT_RETRIED  # libzmq would go on; another place is asked instead


@dataclass(frozen=True, slots=True)
class Address:
    """Where a kernel listens, and how it is known there."""

    endpoint: str
    token: str = ""  # what each request has to carry, or ""
    key: ClientKey | None = None  # for CURVE; None where it is not spoken
    boot: str = ""  # of the kernel that wrote it; "" where none did


class Places:
    """Where the kernels of one image listen; one of them is asked, and the next if it has gone.

    Attributes:
        at: Which of them is asked.
        count: How many there are.
        moved: Whether it has yet to see what another one has answered.
    """

    def __init__(self, finds: Sequence[Callable[[], Address]]) -> None:
        """Begin with the first; each of ``finds`` raises KernelUnreachableError where none is."""
        self._finds = finds
        self.at = 0
        self.count = len(finds)
        self._since = 0.0
        self.moved = False

    def find(self) -> Address:
        """Return where to connect now: to the first again, BACK_AFTER seconds after it had gone."""
        if self.at and time.monotonic() - self._since > BACK_AFTER:
            self._move(0)
        return self._finds[self.at]()

    def leave(self, at: int) -> None:
        """Ask the next one from now on, unless another request has left this one already."""
        if at == self.at:
            self._move((at + 1) % len(self._finds))

    def _move(self, at: int) -> None:
        self.moved = self.moved or at != self.at
        self.at, self._since = at, time.monotonic()

    @classmethod
    def of(cls, where: str, keys: str, home: Path) -> Places:
        """Return the places that settings name, apart by commas.

        Args:
            where: Homes on this machine, or ``tcp://HOST:PORT`` each; "" takes those of the keys.
            keys: Key files, one for each ``tcp://`` in order.
            home: A relative place is in its parent folder.

        Raises:
            SettingsError: An address or a key is missing, or cannot be used.
        """
        files = [ClientKey.read(Path(file.strip())) for file in filter(None, keys.split(","))]
        named = [each.strip() for each in where.split(",") if each.strip()]
        finds: list[Callable[[], Address]] = []
        waiting = list(files)
        for each in named or [key.connect for key in files]:
            if "://" not in each and named:
                finds.append(partial(find_kernel, home.parent / each))
                continue
            if not each.startswith("tcp://"):
                raise SettingsError(f"BATOS_CONNECT={each!r} is invalid; write tcp://HOST:PORT")
            if not waiting:
                raise SettingsError(
                    f"BATOS_CONNECT={each!r} needs a key: run `batos keys make NAME` on the "
                    "daemon's machine, and set BATOS_KEY_FILE to the file it writes"
                )
            key = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            finds.append(lambda each=each, key=key: Address(each, "", key))  # type: ignore[misc] # mypy cannot infer a lambda with a default
        return cls(finds)


def find_kernel(home: Path, file: str | Path = ENDPOINT_FILE) -> Address:
    """Return where the kernel of a home listens.

    Raises:
        KernelUnreachableError: None serves it.
    """
    try:
        data = json.loads((home / file).read_text(encoding="utf-8"))
        ipc, tcp, key, boot = (str(data.get(part) or "") for part in ("ipc", "tcp", "key", "boot"))
        if ipc or (tcp and not key):  # with neither, the key is refused
            return Address(ipc or tcp, boot=boot)
        token = (home / "run" / "token").read_text(encoding="utf-8").strip()
        return Address(tcp, token, ClientKey(*make_pair(), check_key(key)), boot)
    except (OSError, ValueError, AttributeError, SettingsError) as error:
        raise KernelUnreachableError(
            f"no daemon serves {home}; start one with ./run.sh (or batos-watchdog start)"
        ) from error


def set_curve(socket: zmq.Socket[Any], key: ClientKey) -> None:
    """Have a socket prove its key, and accept no kernel but the one with the key's."""
    socket.set(zmq.CURVE_SERVERKEY, key.server.encode())
    socket.set(zmq.CURVE_PUBLICKEY, key.public.encode())
    socket.set(zmq.CURVE_SECRETKEY, key.secret.encode())


@dataclass(slots=True, eq=False)
class _Inbox:
    """What came for one request while another one was reading."""

    replies: deque[_Said] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)  # look again


class KernelClient:
    """One connection to one kernel; use as an async context manager.

    Several requests may wait at once: one of them reads, and hands the others what is theirs.

    Attributes:
        session: Identifies this client to the kernel, across reconnections.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        home: Path | None = None,
        file: str | Path = ENDPOINT_FILE,
        expects: Callable[[], bool] = lambda: True,
        key: ClientKey | None = None,
        places: Places | None = None,
    ) -> None:
        """Do not connect yet. While ``expects()``, wait for a kernel that is gone.

        With several ``places`` the next kernel is asked instead, with the same key.
        """
        self.session = secrets.token_hex(8)
        self._endpoint = endpoint
        self._token = ""
        self._home = home
        self._file = file
        self._expects = expects
        self._key = key
        self._places = places
        self._context = zmq.asyncio.Context()
        self._socket: zmq.asyncio.Socket | None = None
        self._changes: zmq.asyncio.Socket | None = None
        self._boot = ""
        self._connecting = asyncio.Lock()
        self._inboxes: dict[str, _Inbox] = {}
        self._is_read = False

    @classmethod
    def remote(cls, key: ClientKey, connect: str = "") -> KernelClient:
        """Return a client of the kernel of a key file, at ``connect`` or the file's address.

        Raises:
            SettingsError: The address is missing or invalid.
        """
        endpoint = connect or key.connect
        if not endpoint.startswith("tcp://"):
            raise SettingsError(f"BATOS_CONNECT={endpoint!r} is invalid; write tcp://HOST:PORT")
        return cls(endpoint, key=key)

    @classmethod
    def at(
        cls,
        home: Path,
        expects: Callable[[], bool] = lambda: True,
        *,
        file: str | Path = ENDPOINT_FILE,
    ) -> KernelClient:
        """Return a client of the kernel of this home, looked up with the first request."""
        return cls("", home=home, file=file, expects=expects)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection. Idempotent."""
        self._disconnect()
        self._context.term()

    async def request(
        self,
        kind: str,
        *,
        timeout: float | None = 10.0,  # noqa: ASYNC109 - it spans reconnections
        on_event: Listener | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Send one request and return the body of its last reply.

        Args:
            kind: The verb.
            timeout: Seconds to wait for the last reply, reconnections included; None waits
                as long as the kernel runs.
            on_event: Called with (type, body) for ``accepted`` and each ``event``, and with
                (``lost``, {}) if the kernel has gone and the request will be sent to the next one.
            fields: More of the envelope: target, selector, args, kwargs, ik, body.

        Raises:
            RemoteError: The kernel answered with an error.
            KernelUnreachableError: No kernel, or no answer in time.
        """
        end = None if timeout is None else time.monotonic() + timeout
        envelope = {"type": kind, "session": self.session, "id": secrets.token_hex(8)} | fields
        again = "ik" in fields or kind in ("health", "hello", "ping", "list", "inspect")
        for delay in (*BACKOFF, None):
            try:
                return await self._try(envelope, end, on_event)
            except KernelUnreachableError:
                left = None if end is None else end - time.monotonic()
                if left is None or left > 0 or not self._inboxes:  # else others wait, who have time
                    self._disconnect()
                if delay is None or not (again and self._expects()):
                    raise
                if left is not None and left <= delay:
                    raise
                if on_event is not None:
                    on_event("lost", {})
                await asyncio.sleep(delay)
        raise KernelUnreachableError("no daemon answers")

    async def _try(
        self, envelope: Mapping[str, Any], end: float | None, on_event: Listener | None
    ) -> dict[str, Any]:
        """Ask the kernel whose turn it is; leave it if it does not answer, or goes down."""
        if (places := self._places) is None:
            return await self._ask(envelope, end, on_event)
        at = await self._reach(places)
        try:
            # It first sees all that the last kernel has answered.
            answer = await self._ask({**envelope, "catch_up": places.moved}, end, on_event)
        except KernelUnreachableError:
            places.leave(at)
            raise
        except RemoteError as error:
            if error.body.get("code") != ShuttingDownError.code:
                raise
            places.leave(at)
            raise KernelUnreachableError(str(error)) from error
        places.moved = False
        return answer

    async def _reach(self, places: Places) -> int:
        """Connect to the next place that answers, where nothing was sent yet; return which."""
        for _ in range(places.count):
            at = places.at
            try:
                async with self._connecting:
                    await self._connect()
                break
            except KernelUnreachableError:
                self._disconnect()
                places.leave(at)
        return places.at

    async def _ask(
        self, envelope: Mapping[str, Any], end: float | None, on_event: Listener | None
    ) -> dict[str, Any]:
        async with self._connecting:
            socket, changes = await self._connect()
        inbox = self._inboxes[str(envelope["id"])] = _Inbox()
        try:
            await self._deliver(socket, envelope)
            heard = asked = time.monotonic()
            while True:
                now = time.monotonic()
                if end is not None and now >= end:
                    raise KernelUnreachableError("the daemon did not answer in time")
                if now - heard > (LOST_AFTER if self._places is None else LEAVE_AFTER):
                    raise KernelUnreachableError("the daemon has stopped answering")
                wait = GLANCE if end is None else min(GLANCE, end - now)
                reply = await self._next(socket, inbox, wait)
                if reply is None:
                    asked = await self._look_after(socket, changes, max(heard, asked))
                    continue
                heard = time.monotonic()
                kind, re, body = reply
                if kind == "pong":
                    self._check_boot(str(body.get("boot")))
                if re != envelope["id"] and not (kind == "error" and not re):
                    continue
                if kind == "error":
                    raise RemoteError(body)
                if kind not in ("accepted", "event"):
                    return body
                if on_event is not None:
                    on_event(kind, body)
        finally:
            del self._inboxes[str(envelope["id"])]

    async def _next(self, socket: zmq.asyncio.Socket, inbox: _Inbox, wait: float) -> _Said | None:
        """Return the next reply for one request, or one for nobody; None if none came in time."""
        if inbox.replies:
            return inbox.replies.popleft()
        if socket is not self._socket:
            raise KernelUnreachableError("the daemon has gone")
        if self._is_read:
            return await _hear_of(inbox, wait)
        self._is_read = True
        try:
            socket.set(zmq.RCVTIMEO, int(wait * 1000) + 1)
            reply = decode_reply(await socket.recv_multipart())
        except zmq.Again:
            return None
        except asyncio.CancelledError:
            if socket.closed and not _is_cancelled():  # another request has dropped the connection
                raise KernelUnreachableError("the daemon has gone") from None
            raise
        finally:
            self._is_read = False
            self._wake()
        owner = self._inboxes.get(reply[1])
        if owner is None or owner is inbox:
            return reply
        owner.replies.append(reply)
        return _NEWS

    def _wake(self) -> None:
        """Have those who wait look again: for what came, and whether to read themselves."""
        for each in self._inboxes.values():
            each.news.set()

    async def _look_after(
        self, socket: zmq.asyncio.Socket, changes: zmq.asyncio.Socket, since: float
    ) -> float:
        """See that the connection holds; ping after silence. Return since when there is silence."""
        # In this order: its last message arrives before the news that it has gone.
        if await _has_gone(changes) and not await socket.poll(0):
            raise KernelUnreachableError("the daemon has gone")
        if time.monotonic() - since < PING_AFTER:
            return since
        await self._deliver(socket, {"type": "ping", "id": "ping"})
        return time.monotonic()

    async def _deliver(self, socket: zmq.asyncio.Socket, envelope: Mapping[str, Any]) -> None:
        try:
            await socket.send_multipart(encode_request({"token": self._token} | dict(envelope)))
        except zmq.Again:  # libzmq has given up the connection
            raise KernelUnreachableError("the daemon has gone") from None

    def _check_boot(self, boot: str) -> None:
        """Notice that the socket reconnected to another kernel, which does not know the request."""
        if self._boot and boot != self._boot:
            raise KernelUnreachableError("the daemon was restarted")
        self._boot = boot

    def _doubt(self) -> str:
        """Return what may be wrong with the address, and what to do."""
        if self._home is not None:
            return f", which {self._home / self._file} names; start one with ./run.sh"
        if self._key is not None:
            return "; is it running (batos status on its machine), and is this key authorised?"
        return "; is it running?"

    async def _connect(self) -> tuple[zmq.asyncio.Socket, zmq.asyncio.Socket]:
        """Return the connection, and the socket on which libzmq reports its end.

        With ZMQ_IMMEDIATE a send would fail without a listener, but libzmq would then discard
        the last unread messages of a kernel that has gone.
        """
        if self._changes is not None and await _has_gone(self._changes):
            self._disconnect()
        if self._socket is None or self._changes is None:
            if self._places is not None or self._home is not None:
                there = (
                    self._places.find()
                    if self._places is not None
                    else find_kernel(self._home or Path(), self._file)
                )
                self._endpoint, self._token, self._key, self._boot = (
                    there.endpoint, there.token, there.key, there.boot,
                )  # fmt: skip
            self._socket = self._context.socket(zmq.DEALER)
            self._socket.set(zmq.LINGER, 0)
            self._socket.set(zmq.SNDTIMEO, CONNECT_MS)
            if self._key is not None:
                set_curve(self._socket, self._key)
            watched = _WATCHED if self._places is None else _WATCHED | _REFUSED
            self._changes = self._socket.get_monitor_socket(watched)
            self._socket.connect(self._endpoint)
            patience = CONNECT_MS if self._home is not None or self._key is None else REMOTE_MS
            if not await self._changes.poll(patience) or await _has_gone(self._changes):
                raise KernelUnreachableError(
                    f"no daemon answers at {self._endpoint}{self._doubt()}"
                )
        return self._socket, self._changes

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close(0)
        if self._changes is not None:
            self._changes.close(0)
        self._socket = self._changes = None
        self._boot = ""
        self._wake()


async def _hear_of(inbox: _Inbox, wait: float) -> _Said | None:
    """Wait for the one who reads; None if nothing came in time."""
    inbox.news.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait):
            await inbox.news.wait()
            return _NEWS
    return None


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _has_gone(changes: zmq.asyncio.Socket) -> bool:
    """Return True if libzmq has reported the end of the connection, or that nobody listens."""
    while int(changes.get(zmq.EVENTS)) & zmq.POLLIN:
        event = parse_monitor_message(await changes.recv_multipart())["event"]
        if event in (zmq.EVENT_DISCONNECTED, _REFUSED):
            return True
    return False
