"""The host process of one MCP server: ``python -m bat_os.world.mcp.host``.

    kernel ══ frames ══ this process ── SDK ── the server, in its cage, or one origin by HTTP

It alone imports the SDK, which costs 60 MB and a second. It holds one server and ends with it: when
the server ends, when the kernel's pipe closes, or when nothing was asked for ten minutes. What a
server asks of its client (models, questions to the person, folders) is refused: the SDK offers none
of that unless it is given functions for it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import os
import shutil
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from bat_os import __version__
from bat_os.errors import ArgumentsError, BatError, FrameError, ServerError, TooLargeError
from bat_os.world import confined
from bat_os.world.mcp import frames
from bat_os.world.mcp import tools as tool_list

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from mcp.client import Client

NO_SDK: Final = "the package mcp is not installed; batos setup --all installs it"
MAX_LINE: Final = 4 << 20  # bytes of one message of a server
MAX_LINES: Final = 20_000  # messages of a server between two answers
MAX_BODY: Final = 8 << 20  # bytes of one answer over HTTP
MAX_TEXT: Final = 1 << 20  # of one answer, as the kernel takes it
MAX_LISTED: Final = 400  # tools; the kernel takes fewer, and says so
MAX_MEMORY: Final = 2 << 30  # bytes of address space of this process
LIMITS: Final = {"memory": 2 << 30, "file": 1 << 30, "seconds": 3_600}  # of a server in its cage
SAID: Final = 20  # lines of standard error that are kept
SAID_LINE: Final = 500
PATH: Final = "/usr/local/bin:/usr/bin:/bin"


class Host:
    """One server, and the calls that the kernel makes."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._said: deque[str] = deque(maxlen=SAID)
        self._asked: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tools: list[dict[str, Any]] = []
        self._pins: dict[str, str] = {}  # SHA-256 of each tool, as the kernel reckons it
        self._changed = False
        self._lines = 0
        self._calls: set[asyncio.Task[None]] = set()

    async def run(self, opening: Mapping[str, Any]) -> str:
        """Serve until the server or the kernel ends; return why."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(loop,), daemon=True).start()
        try:
            from mcp.client import Client
            from mcp_types import Implementation
        except ImportError:
            return NO_SDK
        transport = self._connect() if "url" in self._config else self._start()
        who = Implementation(name="batos", version=__version__)
        try:
            async with asyncio.timeout(opening["seconds"]) as limit:
                async with Client(
                    transport, message_handler=self._hear, client_info=who, cache=None
                ) as client:
                    await self._list(client)
                    _send({"id": opening["id"], "tools": self._tools})
                    limit.reschedule(None)
                    return await self._serve(client)
        except TimeoutError:
            return f"it did not start within {opening['seconds']:.0f} s"
        except Exception as error:  # noqa: BLE001 - one child process: whatever its server did
            return self._lost.result() if self._lost.done() else _words(error)

    async def _serve(self, client: Client) -> str:
        while True:
            getting = asyncio.ensure_future(self._asked.get())
            waited: set[asyncio.Future[Any]] = {getting, self._lost}
            done, _ = await asyncio.wait(
                waited, timeout=self._config["idle"], return_when=asyncio.FIRST_COMPLETED
            )
            if getting not in done:
                getting.cancel()
                if self._lost in done:
                    return self._lost.result()
                if self._calls:
                    continue
                return "nothing was asked for a while"
            call = asyncio.create_task(self._answer(client, getting.result() or {}))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _answer(self, client: Client, asked: Mapping[str, Any]) -> None:
        seconds, tool = float(asked["seconds"]), str(asked.get("call", "the list of tools"))
        answer: dict[str, Any] = {"id": asked["id"]}
        try:
            async with asyncio.timeout(seconds):
                if self._changed or "look" in asked:
                    self._changed = False
                    await self._list(client)
                if "look" in asked:
                    answer["tools"] = self._tools
                elif self._pins.get(tool) == asked["sha256"]:
                    key = {"batos/key": asked["key"]} if asked["key"] else None
                    result = await client.call_tool(tool, dict(asked["arguments"]), meta=key)  # type: ignore[arg-type]  # any map
                    answer |= _plain(result)
                else:
                    answer |= {"error": "changed", "tools": self._tools}
        except TimeoutError:
            text = f"{tool} did not answer within {seconds:.0f} s"
            answer |= {"error": "deadline", "text": text}
        except TooLargeError as error:
            answer |= {"error": "limit", "text": f"{tool}: {error}"}
        except Exception as error:  # noqa: BLE001 - one request: whatever the server answered
            if self._lost.done():
                return
            answer |= {"error": "raised", "text": f"{tool}: {_words(error)}"}
        self._lines = 0
        answer["said"] = [*self._said]
        try:
            _send(answer)
        except (FrameError, TooLargeError) as error:
            text = f"{tool}: its answer cannot be taken: {error}"
            _send({"id": asked["id"], "error": "limit", "text": text})

    async def _list(self, client: Client) -> None:
        self._tools = await _list(client)
        self._pins = {}
        with contextlib.suppress(ArgumentsError):  # the kernel will say what is wrong with them
            known = tool_list.read_tools(self._tools).values()
            self._pins = {tool["name"]: tool["sha256"] for tool in known}

    async def _hear(self, message: Any) -> None:
        """Note that the server has other tools now; they are listed before the next call."""
        if type(message).__name__ == "ToolListChangedNotification":
            self._changed = True
        await asyncio.sleep(0)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take what the kernel asks; when it is gone, so is this process, whatever it does."""
        with contextlib.suppress(BatError):
            while (message := frames.read(sys.stdin.buffer)) is not None:
                loop.call_soon_threadsafe(self._asked.put_nowait, message)
        shutil.rmtree(self._config["scratch"], ignore_errors=True)
        _end_all()

    @contextlib.asynccontextmanager
    async def _start(self) -> AsyncIterator[Any]:
        """Start a server, and read its lines, no longer ones and not endlessly many."""
        command, environment = _command(self._config)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                cwd=self._config["scratch"],
                limit=MAX_LINE,
            )
        except OSError as error:
            raise ServerError(
                f"{command[0]} cannot be started: {error.strerror}", kind="died"
            ) from error
        _limit_memory()  # not before: node, for one, reserves far more than it uses
        import anyio
        from mcp.shared.message import SessionMessage

        into, messages = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, wanted = anyio.create_memory_object_stream[SessionMessage](0)
        work = [
            asyncio.create_task(self._read(process, into)),
            asyncio.create_task(_write(process, wanted)),
            asyncio.create_task(self._read_errors(process)),
        ]
        try:
            yield messages, outgoing
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            for task in work:
                task.cancel()
            for stream in (into, messages, outgoing, wanted):
                stream.close()

    async def _read(self, process: asyncio.subprocess.Process, into: Any) -> None:
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        why = ""
        try:
            while line := await process.stdout.readline():
                self._lines += 1
                if self._lines > MAX_LINES:
                    why = f"it wrote over {MAX_LINES} messages that nobody asked for"
                    break
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    continue  # some print to standard output
                await into.send(SessionMessage(message))
        except ValueError:
            why = f"it wrote a line of over {MAX_LINE >> 20} MB"
        if not why:
            await asyncio.sleep(0.05)  # its last words, and its status
            code = process.returncode
            over = confined.limit_over(code) if code is not None and self._config["caged"] else ""
            why = "it ended" + (f" with exit status {code}" if code is not None else "")
            why = f"it took more than it may: {over}" if over else why
        self._lose(why)
        into.close()

    async def _read_errors(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # noqa: S101 - for the type checker: it is a pipe
        rest = b""
        while data := await process.stderr.read(16 << 10):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-SAID_LINE:]
            kept = [line[:SAID_LINE].decode("utf-8", "replace") for line in lines[-SAID:]]
            self._said.extend(line for line in kept if line.strip())
        if rest.strip():
            self._said.append(rest.decode("utf-8", "replace"))

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Any]:
        """Speak streamable HTTP with one origin; the SDK follows a redirect only within it."""
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        variable = self._config.get("token", "")
        token = os.environ.get(variable, "") if variable else ""
        if variable and not token:
            raise ServerError(
                f"the variable {variable} of the daemon's environment has no token", kind="died"
            )
        _limit_memory()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            httpx2.AsyncClient(
                headers=headers,
                timeout=httpx2.Timeout(30.0, read=300.0),
                event_hooks={"response": [_bound]},
                trust_env=False,
            ) as client,
            streamable_http_client(self._config["url"], http_client=client) as streams,
        ):
            yield streams

    def _lose(self, why: str) -> None:
        if not self._lost.done():
            self._lost.set_result(why)

    def last_words(self, why: str) -> dict[str, Any]:
        """Return the last message to the kernel."""
        return {"ended": why, "said": [*self._said]}


async def _write(process: asyncio.subprocess.Process, wanted: Any) -> None:
    assert process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
    with contextlib.suppress(OSError):
        async for message in wanted:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            process.stdin.write(text.encode() + b"\n")
            await process.stdin.drain()


async def _list(client: Client) -> list[dict[str, Any]]:
    """Return the tools of the server, page by page, up to a few more than the kernel takes."""
    tools: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools[: MAX_LISTED + 1 - len(tools)]:
            hints = tool.annotations
            tools.append(
                {
                    "name": tool.name,
                    "description": tool.description or "",
                    "schema": tool.input_schema,
                    "hints": hints.model_dump(by_alias=True, exclude_none=True) if hints else {},
                }
            )
        cursor = page.next_cursor
        if not cursor or not page.tools or len(tools) > MAX_LISTED:
            return tools


def _plain(result: Any) -> dict[str, Any]:
    """Return the answer of a tool as plain data: its structured form, else its texts.

    A form whose one part is the result, or the text beside it, is that.

    Images and other binary parts are bytes; with texts beside them, a list of both.
    """
    texts = [part.text for part in result.content if getattr(part, "type", "") == "text"]
    if sum(map(len, texts)) > MAX_TEXT:
        raise TooLargeError(f"it answered over {MAX_TEXT >> 20} MB")
    if result.is_error:
        return {"error": "raised", "text": "\n".join(texts)[:1000] or "the tool failed"}
    found: Any = result.structured_content
    if found is None:
        binary = [
            _decode(part.data)
            for part in result.content
            if getattr(part, "type", "") in ("image", "audio")
        ]
        parts = ["\n".join(texts), *binary] if any(texts) or not binary else binary
        found = parts if len(parts) > 1 else parts[0]
    elif isinstance(found, dict) and (
        set(found) == {"result"} or [*found.values()] == ["\n".join(texts)]
    ):
        (found,) = found.values()
    return {"value": found}


def _decode(data: str) -> bytes:
    try:
        image = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise TooLargeError("it answered an image that cannot be read") from error
    if len(image) > MAX_TEXT:
        raise TooLargeError(f"it answered an image of over {MAX_TEXT >> 20} MB")
    return image


async def _bound(response: Any) -> None:
    """Let one answer over HTTP have MAX_BODY bytes; a stream of events has as many per event."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return
    import httpx2

    class Bounded(httpx2.AsyncByteStream):  # its base is the SDK's own dependency
        def __init__(self, stream: Any) -> None:
            self._stream, self._left = stream, MAX_BODY

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for chunk in self._stream:
                self._left -= len(chunk)
                if self._left < 0:
                    raise ServerError(f"it answered over {MAX_BODY >> 20} MB", kind="died")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    response.stream = Bounded(response.stream)


def _command(config: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return what starts the server, in its cage where this machine has one, and its environment.

    Of the daemon's environment it gets the variables that the grant names, and no others.
    """
    program, scratch = list(config["program"]), config["scratch"]
    environment = {"PATH": PATH, "HOME": scratch, "TMPDIR": scratch, "LANG": "C.UTF-8"}
    if sys.platform == "win32":
        environment = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT", "TEMP", "TMP")}
    named = {key: os.environ[key] for key in config["environment"] if key in os.environ}
    if config["caged"]:
        program = confined.command(
            program,
            read=[*config["code"], *config["read"]],
            write=[scratch, *config["write"]],
            ports=config["ports"],
            closed=config["closed"],
            limits=LIMITS,
        )
    return program, environment | named


def _limit_memory() -> None:
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _words(error: BaseException) -> str:
    """Return what went wrong; of a group its first error."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return (str(error) or "it failed without saying why")[:1000]


def _send(message: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(frames.pack(message))
    sys.stdout.buffer.flush()


def _end_all() -> None:
    """End this process and all of its group: a server without a cage is in it."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
            os.killpg(0, 9)
    os._exit(0)


async def _host(opening: Mapping[str, Any]) -> None:
    host = Host(opening["open"])
    why = await host.run(opening)
    with contextlib.suppress(OSError, BatError):
        _send(host.last_words(why))


def main() -> None:
    """Serve one server, until it or the kernel ends."""
    logging.disable()  # the SDK logs what servers do wrong; standard error is closed
    opening = frames.read(sys.stdin.buffer)
    if opening is not None:
        asyncio.run(_host(opening))
    time.sleep(0.05)
    _end_all()


if __name__ == "__main__":
    main()
