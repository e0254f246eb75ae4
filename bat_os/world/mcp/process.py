"""The kernel's end of one MCP server: its host process, and the calls that wait for an answer.

    start > open > tools      call > value | error      the host ends > every waiting call fails

The host imports the SDK of MCP and runs the server; this module does neither. Nothing that the
server does can hurt the kernel: frames are bounded, each call has a deadline, and a host that does
not answer is killed. The host ends by itself when its pipe closes, so it outlives no kernel.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.printable import show_control
from bat_os.errors import FrameError, ServerError, TooLargeError
from bat_os.world.mcp import frames

if TYPE_CHECKING:
    from collections.abc import Mapping

START_SECONDS: Final = 60.0  # some servers take 18 on a busy machine
CALL_SECONDS: Final = 20.0
SLACK: Final = 3.0  # for the host, which watches the same deadlines, to say so itself
IDLE_SECONDS: Final = 600.0
MAX_WAITING: Final = 8  # calls of one server at once
MAX_LATE: Final = 2  # calls in a row without an answer, after which the server is started anew
_ROOT: Final = Path(__file__).resolve().parents[3]


class ServerHost:
    """One MCP server in a process of its own; make another one when it has ended.

    Use it from any thread.

    Attributes:
        name: Of the server, for people.
        tools: What the server says its tools are, since it last listed them.
        said: The last lines that the server wrote to its standard error.
        ended: Why it has ended; "" while it runs.
    """

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        """Start it; ``open`` waits until it serves."""
        self.name, self.tools = name, list[Any]()
        self.said: list[str] = []
        self.ended = ""
        self._config = config
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._late = 0
        self._is_gone = False
        self._lock = threading.Lock()
        self._scratch = tempfile.mkdtemp(prefix="batos-mcp-")
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bat_os.world.mcp.host"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=_ROOT,
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise ServerError(f"{name} did not start: {error.strerror}", kind="died") from error
        for work in (self._listen, self._write):
            threading.Thread(target=work, name=f"mcp {name}", daemon=True).start()

    def open(self) -> None:
        """Wait until the server serves and has listed its tools.

        Raises:
            ServerError: It does not.
        """
        config = {**self._config, "scratch": self._scratch, "idle": IDLE_SECONDS}
        self._ask({"open": config, "seconds": START_SECONDS}, START_SECONDS)

    def look(self) -> None:
        """Have the server list its tools again.

        Raises:
            ServerError: It does not.
        """
        self._ask({"look": True, "seconds": CALL_SECONDS}, CALL_SECONDS)

    def call(self, tool: Mapping[str, Any], arguments: Mapping[str, Any], key: str) -> Any:
        """Return what a tool answers.

        Raises:
            ServerError: It fails, does not answer in time, or ends; of the kind ``changed``: the
                server says something else of the tool now.
        """
        asked = {
            "call": tool["name"], "sha256": tool["sha256"], "arguments": arguments, "key": key,
            "seconds": CALL_SECONDS,
        }  # fmt: skip
        return self._ask(asked, CALL_SECONDS).get("value")

    def close(self, why: str = "it was ended") -> None:
        """End the server and its host. Idempotent."""
        self._end(why)
        with self._lock, contextlib.suppress(OSError):
            if self._is_gone:
                return
            # The host leads a group of its own, and a server without a cage is in it.
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def _ask(self, message: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        number = next(self._numbers)
        with self._lock:
            if self.ended:
                raise ServerError(self._words(self.ended), kind="died")
            if len(self._waiting) >= MAX_WAITING:
                text = f"{self.name} has {MAX_WAITING} calls to answer already"
                raise ServerError(text, kind="limit")
            self._waiting[number] = answers
        try:
            self._outgoing.put(frames.pack({**message, "id": number}))
            answer = answers.get(timeout=seconds + SLACK)
        except TooLargeError as error:
            raise ServerError(f"{self.name}: the arguments are too long", kind="limit") from error
        except queue.Empty:
            self.close(f"it did not answer within {seconds:.0f} s")
            raise ServerError(self._words(self.ended), kind="deadline") from None
        finally:
            self._waiting.pop(number, None)
        kind = answer.get("error")
        self._late = self._late + 1 if kind == "deadline" else 0
        if self._late >= MAX_LATE:
            self.close(f"it left {MAX_LATE} calls in a row without an answer")
        if kind is None:
            return answer
        text = str(answer.get("text", ""))
        raise ServerError(
            show_control(text if kind == "raised" else self._words(text))[:1000], kind=str(kind)
        )

    def _write(self) -> None:
        """Hand the frames to the host one by one; a host that does not read stops only this."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        with contextlib.suppress(OSError, ValueError), self._process.stdin as stream:
            while (frame := self._outgoing.get()) is not None:
                stream.write(frame)
                stream.flush()

    def _listen(self) -> None:
        """Hand each answer to the call that waits for it, until the host ends."""
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        why = "its process was killed"
        try:
            while (message := frames.read(self._process.stdout)) is not None:
                self.said = message.get("said") or self.said
                self.tools = message.get("tools") or self.tools
                if "ended" in message:
                    why = str(message["ended"])
                elif (answers := self._waiting.get(message.get("id", 0))) is not None:
                    answers.put(message)
        except (FrameError, OSError, ValueError) as error:
            why = f"its host process wrote what it must not: {error}"
        self.close(why)
        with self._lock:
            self._is_gone = True  # from here on its number may be another's
        self._outgoing.put(None)
        self._process.wait()
        self._process.stdout.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _end(self, why: str) -> None:
        with self._lock:
            self.ended = self.ended or why
            waiting = list(self._waiting.values())
        for answers in waiting:
            answers.put({"error": "died", "text": self.ended})

    def _words(self, why: str) -> str:
        """Return why a call failed, with the last line that the server wrote about it."""
        last = f"; it said last: {show_control(self.said[-1].strip())[:200]}" if self.said else ""
        return f"the MCP server {self.name}: {why}{last}"


class Deaths:
    """When a server ended by itself: one that does so again and again is left alone."""

    MOST: Final = 3
    WITHIN: Final = 60.0  # seconds

    def __init__(self) -> None:
        self._moments: list[float] = []

    def add(self) -> None:
        """Note that it has ended."""
        self._moments = [*self._moments, time.monotonic()][-self.MOST :]

    def check(self, name: str) -> None:
        """Raise a ServerError if it has ended too often."""
        since = time.monotonic() - self.WITHIN
        if sum(moment > since for moment in self._moments) >= self.MOST:
            text = f"the MCP server {name} has ended {self.MOST} times within a minute"
            raise ServerError(f"{text}; it is left alone for a minute", kind="died")
