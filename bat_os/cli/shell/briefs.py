"""One message that may become a brief: sent, shown while it runs, withdrawn at Ctrl-C.

    Ctrl-C          the waiting task is cancelled, the kernel is told, and the mission ends
    Ctrl-C again    the process leaves at once (asyncio.run sees to that; the chat stays)

A message without a key that is understood is a turn: short, and nothing that could be withdrawn.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bat_os.cli.chatroom.waiting import Waiting
from bat_os.errors import KernelUnreachableError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from bat_os.cli.console import Screen
    from bat_os.client.client import KernelClient, Listener

T = TypeVar("T")
AGAIN: Final = 1.0  # seconds until a kernel that did not come is asked for again
GRACE: Final = 0.5  # seconds for the kernel to say that a message has become a brief
PATIENCE: Final = 2.0  # seconds for the kernel to withdraw one
# In the arguments of a cancellation: the kernel has ended what was waited for.
WITHDRAWN: Final = object()


async def request(
    kernel: KernelClient,
    screen: Screen,
    fields: Mapping[str, Any],
    returns: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Return the body of the answer to one message, as ``send``, and show its states.

    Args:
        kernel: Answers.
        screen: Where states and notes go.
        fields: The message, with its key: asked for again, it runs once.
        returns: Says whether to go on waiting for a kernel that has gone.

    Raises:
        RemoteError: The kernel answered with an error.
        KernelUnreachableError: There is none, and none will come.
    """
    with Waiting(screen, fields) as waiting:
        return await send(kernel, screen, fields, waiting.show, returns)


async def send(
    kernel: KernelClient,
    screen: Screen,
    fields: Mapping[str, Any],
    show: Listener = lambda _kind, _body: None,
    returns: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Return the body of the answer to one message; withdraws its brief when cancelled.

    Args:
        kernel: Answers.
        screen: Where it is said that a brief could not be withdrawn.
        fields: The message.
        show: Takes the replies before the last one.
        returns: As in ``request``.

    Raises:
        RemoteError: The kernel answered with an error.
        KernelUnreachableError: There is none, and none will come.
    """
    accepted: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def hear(kind: str, body: Mapping[str, Any]) -> None:
        if kind == "accepted" and not accepted.done():
            accepted.set_result(str(body["brief_id"]))
        show(kind, body)

    asking = asyncio.ensure_future(_ask(kernel, fields, hear, returns))
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        key = fields.get("ik", "")
        withdrawing = _withdraw(kernel, screen, asking, accepted, key)
        if await asyncio.shield(asyncio.ensure_future(withdrawing)):
            raise asyncio.CancelledError(WITHDRAWN) from None
        raise


async def _ask(
    kernel: KernelClient, fields: Mapping[str, Any], hear: Listener, returns: Callable[[], bool]
) -> dict[str, Any]:
    while True:
        try:
            return await kernel.request("send", timeout=None, on_event=hear, **fields)
        except KernelUnreachableError:
            if not returns():
                raise
        await asyncio.sleep(AGAIN)


async def _withdraw(
    kernel: KernelClient,
    screen: Screen,
    asking: asyncio.Future[dict[str, Any]],
    accepted: asyncio.Future[str],
    key: str,
) -> bool:
    """End what was asked for; return True when a brief ended with it."""
    if not key:
        told: set[asyncio.Future[Any]] = {asking, accepted}
        await asyncio.wait(told, timeout=GRACE, return_when=asyncio.FIRST_COMPLETED)
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
        screen.note("no kernel could be told; the next one may go on with it (batos missions)")
        return False


async def interruptible(doing: Coroutine[Any, Any, T], screen: Screen) -> T:
    """Return what ``doing`` returns; where Ctrl-C ends it, say in a line if its work ended too."""
    try:
        return await doing
    except asyncio.CancelledError as stopped:
        if screen.notes.is_terminal:  # it has written ^C
            screen.note("")
        if WITHDRAWN in stopped.args:
            screen.note("cancelled")
        raise
