"""Agent to Agent: a card, and four methods of JSON-RPC, for other agents and other minds.

    text                               > ``say``: a message back, or a task if it is learned
    {"target", "selector", "args"}     > a brief, whose mission is the task
    {"text": what batos export wrote}  > a skill, which is imported (scope ``teach``)
    {"export": "OBJECT.SELECTOR"}      > that skill, as the artifact of a task

Version 1.0 names them ``SendMessage``, ``SendStreamingMessage``, ``GetTask`` and ``CancelTask``;
before it they were ``message/send``, ``message/stream``, ``tasks/get`` and ``tasks/cancel``. A URL
of the caller's is never opened, so there are no push notifications and no files by address.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

import bat_os
from bat_os.core.program_verbs import MAX_PAGE
from bat_os.errors import ArgumentsError, BatError, RemoteError
from bat_os.gateway.chats import in_words
from bat_os.gateway.completions import may_at_most
from bat_os.gateway.problems import JSON, describe, to_json
from bat_os.gateway.requests import body_of, caller_of, demand, identity_of, reply
from bat_os.gateway.streams import EventStream
from bat_os.gateway.tasks import (
    CANCELED,
    COMPLETED,
    FAILED,
    SUBMITTED,
    WANTS,
    WORKING,
    Dialect,
    Task,
    Words,
    ended,
    task_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from bat_os.gateway.guard import Site
    from bat_os.gateway.link import KernelLink
    from bat_os.gateway.streams import Streams

    Tell = Callable[[Task], None]

CARD: Final = "/.well-known/agent-card.json"
OLD_EXTENDED: Final = "/agent/authenticatedExtendedCard"
SECONDS: Final = 240.0  # that an answer is waited for; the task goes on after them
ALIVE: Final = 10.0
MAX_PARTS: Final = 20
MAX_NAME: Final = 100  # characters of a messageId or contextId
MAX_SKILLS: Final = 200
MAX_KEPT: Final = 1_000  # tasks that are no missions, and contexts of missions
_NAMES: Final = {
    "SendMessage": "send", "message/send": "send",
    "SendStreamingMessage": "stream", "message/stream": "stream",
    "GetTask": "get", "tasks/get": "get", "CancelTask": "cancel", "tasks/cancel": "cancel",
    "GetExtendedAgentCard": "card", "agent/getAuthenticatedExtendedCard": "card",
}  # fmt: skip
UNREAD, NO_METHOD, WRONG, OURS, NO_TASK, NO_PUSH = -32600, -32601, -32602, -32603, -32001, -32003
_DATA: Final = (
    'data is {"target", "selector", "args", "kwargs", "examples"}, {"text": what batos export '
    'wrote} or {"export": "OBJECT.SELECTOR"}'
)


@dataclass(frozen=True, slots=True)
class Said:
    """A message to us, checked."""

    key: str
    context: str
    text: str
    data: Mapping[str, Any] | None


class Agent:
    """The card and the methods."""

    def __init__(self, link: KernelLink, streams: Streams) -> None:
        self._link = link
        self._streams = streams
        self._kept: OrderedDict[tuple[str, str], Task] = OrderedDict()

    def routes(self) -> list[Route]:
        """Return the table of routes."""
        return [
            Route(CARD, self.card, methods=["GET"]),
            Route(OLD_EXTENDED, self.extended_card, methods=["GET"]),
            Route("/a2a", self.call, methods=["POST"]),
        ]

    async def card(self, request: Request) -> Response:
        """Return what anybody may know: a name, a version, and where to ask with a token."""
        return reply(request, _card(request, []))

    async def extended_card(self, request: Request) -> Response:
        """Return the card with the skills."""
        return reply(request, await self._whole_card(request))

    async def _whole_card(self, request: Request) -> dict[str, Any]:
        demand(request, "read")
        page = await self._link.request("graph", body={"limit": MAX_PAGE}, **_own(request))
        skills = [
            {"id": f"{node['name']}.{selector}", "name": selector.replace("_", " "),
             "description": f"{selector} of {node['name']}, {status}", "tags": [status]}
            for node in page["nodes"] for selector, status in node["methods"]
        ]  # fmt: skip
        return _card(request, skills[:MAX_SKILLS])

    async def call(self, request: Request) -> Response:
        """Answer one call; an error is one of JSON-RPC, with the wire's code as its data."""
        asked = await body_of(request)
        named, given, params = asked.get("id"), str(asked.get("method")), asked.get("params") or {}
        dialect, method = Dialect("/" in given), _NAMES.get(given)
        if asked.get("jsonrpc") != "2.0" or not isinstance(params, dict):
            return reply(request, _refusal(named, UNREAD, "this is not a request of JSON-RPC 2.0"))
        if method is None:
            is_push = "pushnotification" in given.lower().replace("_", "")
            text = f"no method {given[:60]!r}; there are {', '.join(_NAMES)}"
            if is_push:
                text = "no address of others is ever called; use a stream, or ask again"
            return reply(request, _refusal(named, NO_PUSH if is_push else NO_METHOD, text))
        try:
            if method == "stream":
                return self._stream(request, named, _read(request, params), dialect)
            found = await self._run(request, method, params, dialect)
        except BatError as error:
            status, problem = _problem(named, error)
            return reply(request, problem, status)
        return reply(request, result(named, found))

    async def _run(
        self, request: Request, method: str, params: Mapping[str, Any], dialect: Dialect
    ) -> dict[str, Any]:
        if method == "card":
            return await self._whole_card(request)
        if method == "send":
            options = params.get("configuration") or {}
            waits = options.get("blocking") is not False and not options.get("returnImmediately")
            found = await self._answer(request, _read(request, params), waits)
            return dialect.answer(found)
        task = str(params.get("id") or "")[:60]
        if method == "cancel":
            demand(request, "learn")
            ended_by = await self._ask(request, "cancel", body={"brief_id": task})
            if ended_by["cancelled"]:  # its record says so in a moment
                context = (await self._look(request, task)).context
                return dialect.task(Task(task, context, CANCELED))
        return dialect.task(await self._look(request, task))

    async def _look(self, request: Request, task: str) -> Task:
        """Return a task of the caller's, or a mission as a task."""
        caller = demand(request, "read").name
        known = self._kept.get((caller, task))
        if known is not None and not known.is_open:
            return known
        found = await self._ask(request, "brief.get", body={"brief_id": task})
        return task_of(known.context if known else task, found)

    async def _answer(
        self, request: Request, said: Said, waits: bool, tell: Tell = lambda task: None
    ) -> Task | Words:
        """Return what a message gets; a mission goes on if nobody waits for it."""
        began: asyncio.Future[Task] = asyncio.get_running_loop().create_future()

        def hear(task: Task) -> None:
            self._keep(request, task)
            if not began.done():
                began.set_result(task)
            tell(task)

        asking = asyncio.ensure_future(self._work(request, said, hear))
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        first = (asking,) if waits else (asking, began)
        await asyncio.wait(first, timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            return asking.result()
        if began.done():
            return began.result()
        return Words("still thinking; ask again", said.context)

    async def _work(self, request: Request, said: Said, hear: Tell) -> Task | Words:
        data = said.data
        if data is None:
            return await self._say(request, said, hear)
        if isinstance(data.get("export"), str):
            demand(request, "read")
            target, _, selector = data["export"].partition(".")
            found = await self._ask(request, "export", target=target, selector=selector)
            shown = f"{found['name']}, as BAT OS imports it"
            return self._done(request, said, shown, found)
        if isinstance(data.get("text"), str) and "selector" not in data:
            demand(request, "teach")
            into = {"target": data["into"]} if isinstance(data.get("into"), str) else {}
            found = await self._ask(request, "import", **into, body={"text": data["text"]})
            names = ", ".join(f"{one['selector']} ({one['status']})" for one in found["methods"])
            return self._done(request, said, f"{found['object']} has {names}", found)
        if not isinstance(data.get("selector"), str):
            raise ArgumentsError(_DATA)
        return await self._send(request, said, data, hear)

    def _done(self, request: Request, said: Said, text: str, found: Mapping[str, Any]) -> Task:
        task = Task(f"task-{secrets.token_hex(8)}", said.context, COMPLETED, text, found)
        self._keep(request, task)
        return task

    async def _say(self, request: Request, said: Said, hear: Tell) -> Task | Words:
        """Have a sentence answered; what is learned for it is a task."""
        demand(request, "send")
        heard = _Listening(said.context, hear)
        own = _own(request) | {"session": f"a2a:{caller_of(request).name}:{said.context}"}
        body = {"text": said.text}
        found = await self._link.request("say", heard.hear, ik=said.key, body=body, **own)
        text = in_words(said.text, found)
        if not heard.task:
            return Words(text, said.context)
        state = {"asked": WANTS, "unable": FAILED}.get(str(found["kind"]), COMPLETED)
        facts = {"result": found.get("value"), "kind": found["kind"]}
        task = Task(heard.task, said.context, state, text, facts)
        self._keep(request, task)
        return task

    async def _send(
        self, request: Request, said: Said, data: Mapping[str, Any], hear: Tell
    ) -> Task:
        """Have a message answered by a mission, which is the task."""
        demand(request, "learn")
        heard = _Listening(said.context, hear)
        fields = {"target": "genesis_obj"} | {
            name: data[name] for name in ("target", "selector", "args", "kwargs") if name in data
        }
        body = {"examples": data["examples"]} if "examples" in data else {}
        body |= {"text": said.text} if said.text else {}
        try:
            found = await self._link.request(
                "brief", heard.hear, ik=said.key, body=body, **_own(request), **fields
            )
        except RemoteError as error:
            if not heard.task:
                raise
            return ended(heard.task, said.context, "error", error.body)
        return ended(heard.task or str(found["brief_id"]), said.context, "result", found)

    def _keep(self, request: Request, task: Task) -> None:
        self._kept[caller_of(request).name, task.id] = task
        self._kept.move_to_end((caller_of(request).name, task.id))
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    async def _ask(self, request: Request, verb: str, **fields: Any) -> dict[str, Any]:
        return await self._link.request(verb, **_own(request), **fields)

    def _stream(self, request: Request, named: Any, said: Said, dialect: Dialect) -> Response:
        events = self._events(request, named, said, dialect)
        return EventStream(self._streams, demand(request, "send").name, events)

    async def _events(
        self, request: Request, named: Any, said: Said, dialect: Dialect
    ) -> AsyncGenerator[bytes]:
        """Yield how the task of a message goes on, to its end."""
        waiting: asyncio.Queue[Task | None] = asyncio.Queue()
        asking = asyncio.ensure_future(self._answer(request, said, True, waiting.put_nowait))
        asking.add_done_callback(lambda _: waiting.put_nowait(None))
        begun = False
        try:
            while True:
                try:
                    async with asyncio.timeout(ALIVE):
                        task = await waiting.get()
                except TimeoutError:
                    yield b": working\n\n"
                    continue
                if task is None:
                    break
                for each in dialect.update(task) if begun else [dialect.answer(task)]:
                    yield _event(result(named, each))
                begun = True
            try:
                found = asking.result()
            except BatError as error:
                yield _event(_problem(named, error)[1])
                return
            last = (
                dialect.update(found)
                if begun and isinstance(found, Task)
                else [dialect.answer(found)]
            )
            for each in last:
                yield _event(result(named, each))
        finally:
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError, BatError):
                await asking


class _Listening:
    """What the kernel says of a mission while it runs, as a task."""

    def __init__(self, context: str, tell: Tell) -> None:
        self._context = context
        self._tell = tell
        self.task = ""

    def hear(self, kind: str, body: Mapping[str, Any]) -> None:
        """Tell of the mission's task."""
        named = str(body.get("brief_id") or "")
        if named and not self.task:
            self.task = named
            self._tell(Task(named, self._context, SUBMITTED))
        if self.task and "state" in body and body["state"] not in ("COMPLETE", "FAILED"):
            text = f"{str(body['state']).lower()}: {body.get('does', '')}"
            self._tell(Task(self.task, self._context, WORKING, text))


def _card(request: Request, skills: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the card, in the words of both versions."""
    site: Site = request.scope["state"]["site"]
    host = request.headers["host"].lower()
    url = next(f"{o}/a2a" for o in sorted(site.origins) if o.endswith(f"://{host}"))
    doors = [{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": version}
             for version in ("1.0", "0.3")]  # fmt: skip
    return {
        "name": "BAT OS", "description": "A living image: objects that learn methods.",
        "version": bat_os.__version__, "supportedInterfaces": doors, "url": url,
        "preferredTransport": "JSONRPC", "protocolVersion": "0.3.0",
        "capabilities": {
            "streaming": True, "pushNotifications": False, "extendedAgentCard": True,
        },
        "supportsAuthenticatedExtendedCard": True,
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        "security": [{"bearer": []}],
        "defaultInputModes": ["text/plain", JSON], "defaultOutputModes": ["text/plain", JSON],
        "skills": skills,
    }  # fmt: skip


def _read(request: Request, params: Mapping[str, Any]) -> Said:
    """Return the message of a call.

    Raises:
        ArgumentsError: Something in it is wrong, or cannot be had here.
    """
    message = params.get("message")
    options = params.get("configuration") or {}
    if not isinstance(message, dict) or not isinstance(options, dict):
        raise ArgumentsError("params.message is missing")
    if "taskPushNotificationConfig" in options or "pushNotificationConfig" in options:
        raise ArgumentsError("no address of others is ever called; use a stream, or ask again")
    parts = message.get("parts")
    if not isinstance(parts, list) or not 0 < len(parts) <= MAX_PARTS:
        raise ArgumentsError(f"a message has 1 to {MAX_PARTS} parts")
    texts, data = [], None
    for part in parts:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part, dict) and isinstance(part.get("data"), dict) and data is None:
            data = part["data"]
        else:
            raise ArgumentsError(f"a part is text, or one map of data; files are not. {_DATA}")
    text = "\n".join(texts).strip()
    if not text and data is None:
        raise ArgumentsError("the message is empty")
    named, context = message.get("messageId"), message.get("contextId")
    if not isinstance(named, str) or not 0 < len(named) <= MAX_NAME:
        raise ArgumentsError(f"a message has a messageId of at most {MAX_NAME} characters")
    if context is not None and (not isinstance(context, str) or len(context) > MAX_NAME):
        raise ArgumentsError(f"a contextId has at most {MAX_NAME} characters")
    key = f"http:{caller_of(request).name}:a2a:{named}"
    return Said(key, context or secrets.token_hex(8), text, data)


def _own(request: Request) -> dict[str, Any]:
    """Return who asks, with no more than a token may have: the owner's yes is given elsewhere."""
    return identity_of(request) | may_at_most(request, "own")


def result(named: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reply to a call."""
    return {"jsonrpc": "2.0", "id": named, "result": found}


def _problem(named: Any, error: BatError) -> tuple[int, dict[str, Any]]:
    """Return the status and the reply for an error; who may not ask sees it in the status, too."""
    status, _, body = describe(error)
    code = {"NOT_FOUND": NO_TASK, "INVALID_ARGS": WRONG}.get(body["code"], OURS)
    about = {"code": body["code"], "retryable": body["retryable"]} | (body.get("details") or {})
    return status if status in (401, 403, 429) else 200, _refusal(
        named, code, body["message"], about
    )


def _refusal(named: Any, code: int, text: str, data: Any = None) -> dict[str, Any]:
    error = {"code": code, "message": text} | ({"data": [data]} if data else {})
    return {"jsonrpc": "2.0", "id": named, "error": error}


def _event(body: Mapping[str, Any]) -> bytes:
    return b"data: " + to_json(body) + b"\n\n"
