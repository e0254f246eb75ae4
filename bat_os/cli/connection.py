"""How a client reaches a kernel, sends a message, withdraws it, and reports what went wrong.

    Ctrl-C          the waiting task is cancelled, the kernel cancels the mission
    Ctrl-C again    the process leaves at once (the chat stays)

A message without a key whose method is known is a turn: short, and there is nothing to withdraw.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import os
import re
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bat_os.cli.environment import load, require
from bat_os.client.client import KernelClient, Places
from bat_os.client.keys import ClientKey
from bat_os.core.protocol import error_body
from bat_os.errors import (
    BatError,
    KernelUnreachableError,
    ProtocolError,
    RemoteError,
    SettingsError,
)
from bat_os.supervisor.home import Home, is_held, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from types import FrameType

    from bat_os.cli.console import Screen
    from bat_os.client.client import Listener

T = TypeVar("T")
EXIT_ERROR: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_KERNEL: Final = 3
EXIT_INTERRUPTED: Final = 130
RETRY: Final = 1.0  # seconds until a kernel that did not come back is tried again
GRACE: Final = 0.5  # seconds for the kernel to say that a message has become a mission
PATIENCE: Final = 2.0  # seconds for the kernel to cancel one, and for a guess
# In the arguments of a cancellation: the kernel has ended what was waited for.
WITHDRAWN: Final = object()
# The codes of a message that no method understands, or whose method refuses these arguments.
_NOT_LEARNED: Final = frozenset(
    ("SANDBOX_FAILED", "AUDIT_REJECTED", "EXAMPLE_WANTED", "MODEL_UNAVAILABLE", "NOT_UNDERSTOOD")
)
_ALIKE: Final = 0.75  # all names of objects end in _obj, which makes any two a little alike
_HEAD: Final = re.compile(r"def \w+\(self(?:, *)?([^)]*)\)")


def connect(home: Path, expects: Callable[[], bool] | None = None) -> KernelClient:
    """Return a client that waits for a kernel only if one was killed or is starting.

    With ``BATOS_KEY_FILE`` it is a client of the remote kernel that the key is for. With several
    places in ``BATOS_CONNECT``, or in the setting ``connect``, it is one of all these kernels.

    Args:
        home: Whose kernel is meant.
        expects: Overrides the rule above: whether a kernel that does not answer may come back.

    Raises:
        SettingsError: The key file, or ``BATOS_CONNECT``, cannot be used.
    """
    file = os.environ.get("BATOS_KEY_FILE", "")
    elsewhere = os.environ.get("BATOS_CONNECT", "") or _other_places(home)
    if "," in elsewhere + file:
        return KernelClient("", places=Places.of(elsewhere, file, home))
    if file:
        return KernelClient.remote(ClientKey.read(Path(file)), elsewhere)
    if elsewhere:
        raise SettingsError(
            f"BATOS_CONNECT={elsewhere!r} needs a key: run `batos keys make NAME` on the daemon's "
            "machine, and set BATOS_KEY_FILE to the file it writes"
        )
    there = Home(home)
    if expects is None:
        require(home)
    return KernelClient.at(
        home, expects or (lambda: there.endpoint.exists() or is_held(there.lock))
    )


def _other_places(home: Path) -> str:
    try:
        return load(home, {}).settings.connect
    except SettingsError:  # said by what needs the settings; the doctor looks at the rest
        return ""


def may_come(home: Home) -> bool:
    """Return True if a silent kernel may answer yet: it lives, or a watchdog starts one."""
    if is_held(home.lock):
        return True
    endpoint = read_json(home.endpoint)
    pid = endpoint.get("pid")
    if type(pid) is not int:
        return bool(endpoint)
    from psutil import pid_exists  # only if a kernel does not answer

    return bool(pid_exists(pid))


async def send(
    kernel: KernelClient,
    screen: Screen,
    fields: Mapping[str, Any],
    show: Listener = lambda _kind, _body: None,
    returns: Callable[[], bool] = lambda: False,
    *,
    verb: str = "send",
) -> dict[str, Any]:
    """Return the body of the answer to one message; cancels its mission when cancelled.

    Raises:
        RemoteError: The kernel answered with an error.
        KernelUnreachableError: No kernel answers, and none is expected.
    """
    accepted: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def hear(kind: str, body: Mapping[str, Any]) -> None:
        if kind == "accepted" and not accepted.done():
            accepted.set_result(str(body["brief_id"]))
        show(kind, body)

    async def ask() -> dict[str, Any]:
        while True:
            try:
                return await kernel.request(verb, timeout=None, on_event=hear, **fields)
            except KernelUnreachableError:
                if not returns():
                    raise
            await asyncio.sleep(RETRY)

    asking = asyncio.ensure_future(ask())
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        key = fields.get("ik", "")
        withdrawing = _withdraw(kernel, screen, asking, accepted, key)
        if await asyncio.shield(asyncio.ensure_future(withdrawing)):
            raise asyncio.CancelledError(WITHDRAWN) from None
        raise


async def _withdraw(
    kernel: KernelClient,
    screen: Screen,
    asking: asyncio.Future[dict[str, Any]],
    accepted: asyncio.Future[str],
    key: str,
) -> bool:
    """Cancel what was sent; return True if a mission ended with it."""
    if not key:
        either: set[asyncio.Future[Any]] = {asking, accepted}
        await asyncio.wait(either, timeout=GRACE, return_when=asyncio.FIRST_COMPLETED)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    if not (key or accepted.done()):
        return False
    which = {"ik": key} if key else {"body": {"brief_id": accepted.result()}}
    try:
        return bool((await kernel.request("cancel", timeout=PATIENCE, **which))["cancelled"])
    except RemoteError:  # it never arrived
        return False
    except KernelUnreachableError:
        screen.note("the daemon is down; the mission may resume when it restarts (batos missions)")
        return False


def run_interruptible(doing: Coroutine[Any, Any, T], screen: Screen) -> T:
    """Return what ``doing`` returns; after Ctrl-C, say whether its mission was cancelled too.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """

    async def run() -> T:
        with _between_steps():
            return await doing

    try:
        return asyncio.run(run())
    except asyncio.CancelledError as stopped:
        if screen.at_terminal:  # it has written ^C
            screen.note("")
        if WITHDRAWN in stopped.args:
            screen.note("cancelled")
        raise KeyboardInterrupt from None


@contextlib.contextmanager
def _between_steps() -> Iterator[None]:
    """Let Ctrl-C cancel this task between two steps of the running loop, not within one.

    ``asyncio.run`` cancels in the signal handler. That may strike between the look at a future and
    its result, and who sets the result then fails: pyzmq as an answer arrives, for one. And once
    the task has ended, it raises in the loop, which then cannot be closed. A second Ctrl-C leaves
    at once.
    """
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGINT)
    task = asyncio.current_task()
    is_main = threading.current_thread() is threading.main_thread()
    if task is None or not callable(before) or not is_main:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        loop.call_soon_threadsafe(task.cancel)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def refuse(screen: Screen, error: BatError) -> int:
    """Show an error and return its exit status."""
    screen.error(error.body if isinstance(error, RemoteError) else error_body(error))
    if isinstance(error, KernelUnreachableError):
        return EXIT_NO_KERNEL
    return EXIT_USAGE if isinstance(error, (ProtocolError, SettingsError)) else EXIT_ERROR


async def suggest(kernel: KernelClient, error: RemoteError, target: str, selector: str) -> str:
    """Return which name was probably meant, or how the message is written; "" without a guess."""
    if not target or "did you mean" in str(error):
        return ""
    try:
        if error.body.get("code") == "NOT_FOUND":
            return await _guess_name(kernel, target, selector)
        if error.body.get("code") in _NOT_LEARNED and selector:
            return await _guess_message(kernel, error, target, selector)
    except (BatError, KeyError, TypeError):  # then there is no guess
        pass
    return ""


async def _guess_name(kernel: KernelClient, target: str, selector: str) -> str:
    objects = (await kernel.request("list", timeout=PATIENCE))["objects"]
    known = [str(obj["name"]) for obj in objects]
    if target not in known:
        near = difflib.get_close_matches(target, known, n=1, cutoff=_ALIKE)
        return f"did you mean {near[0]!r}?" if near else ""
    facts = await kernel.request("inspect", timeout=PATIENCE, target=target)
    return _nearest(selector, [*facts["methods"], *facts["inherited"]])


async def _guess_message(
    kernel: KernelClient, error: RemoteError, target: str, selector: str
) -> str:
    """Return how to write a message that was misspelt, or whose arguments do not fit."""
    facts = await kernel.request("inspect", timeout=PATIENCE, target=target)
    messages = [*facts["methods"], *facts["inherited"]]
    if selector not in messages:
        return _nearest(selector, messages)
    facts = await kernel.request("inspect", timeout=PATIENCE, target=target, selector=selector)
    details = error.body.get("details", {})
    wrong = str(details.get("text", "")).startswith(f"{selector}() ")
    if details.get("type") != "TypeError" or not wrong:
        return ""
    head = _HEAD.search(str(facts["methods"].get(selector, {}).get("source", "")))
    takes = f"({head[1].strip()})" if head else ""
    return f"write it as {selector}{takes}" if takes else ""


def _nearest(selector: str, messages: list[str]) -> str:
    near = difflib.get_close_matches(selector, messages, n=1)
    return f"did you mean {near[0]!r}?" if near and near[0] != selector else ""
