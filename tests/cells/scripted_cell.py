"""A cell for tests: runs Python callables that it is given, in a thread, unconfined.

Everything but the confinement is real: the same frames, the same ``self``, the same checks.
The source of a call is not looked at; its selector picks the callable. What needs a process
of its own is missing: prints are not kept, ``seed`` and ``now`` do nothing, and a callable that
never returns keeps its thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any, NoReturn

from bat_os.cells.call_protocol import Conversation
from bat_os.cells.zygote.child import open_call, perform
from bat_os.cells.zygote.receiver import Channel
from bat_os.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.ports import Call, RunResult, Sender


class ScriptedCell:
    """Adapter of ``ports.Cell`` whose methods are Python callables.

    Attributes:
        methods: Selector -> callable; its first argument is the receiver, as in a method.
        calls: Every call that was run, oldest first.
    """

    def __init__(self, methods: Mapping[str, Callable[..., Any]]) -> None:
        self.methods = dict(methods)
        self.calls: list[Call] = []
        self._closed = False

    async def run(self, call: Call, send: Sender) -> RunResult:
        """Run the callable of the call's selector; see ``ports.Cell.run``."""
        self.calls.append(call)
        if self._closed:
            raise CellError("the cell is closed", kind="died")
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        asyncio.get_running_loop().run_in_executor(None, self._play, theirs)
        try:
            return await Conversation(ours, call, send).run()
        except (EOFError, OSError) as error:
            raise CellError("ended without an answer", kind="died") from error
        finally:
            ours.close()

    async def self_test(self) -> dict[str, Any]:
        """Return that nothing was tried: a script is trusted."""
        return {"ok": True, "held": [], "through": []}

    def stats(self) -> dict[str, Any]:
        """Return what this is, and how many calls there were."""
        return {"kind": "scripted", "confinement": {}, "calls": len(self.calls)}

    async def close(self) -> None:
        """Take no more calls. Idempotent."""
        self._closed = True

    def _play(self, theirs: socket.socket) -> None:
        """Play the child of one call."""
        with theirs, contextlib.suppress(SystemExit, OSError):
            channel = _ThreadChannel(theirs.fileno())
            _, selector, world, (args, kwargs, _, _) = open_call(channel)

            def work() -> Any:
                if selector not in self.methods:
                    raise NameError(f"the script has no method {selector!r}")
                return self.methods[selector](world.receiver, *args, **kwargs)

            perform(channel, world, work, str)


class _ThreadChannel(Channel):
    """A channel that ends its thread, where the real one ends its process."""

    def leave(self) -> NoReturn:
        raise SystemExit
