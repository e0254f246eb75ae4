"""The routes of the gateway, as a table; each asks the kernel one thing.

    Guard > route > link.request(verb, ...) > JSON, or 202 and where the mission is

``POST /message`` is the form that clients of AURA speak. Objects are resources; every verb that is
safe from outside can be asked for by its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from bat_os.core.digest import digest
from bat_os.core.program_verbs import MAX_MOMENTS, MAX_PAGE
from bat_os.core.scopes import covers
from bat_os.core.verbs import REQUESTS, SCOPE_OF
from bat_os.errors import (
    ArgumentsError,
    BatError,
    HttpError,
    NotFoundError,
    UnauthorizedError,
    UnknownTypeError,
)
from bat_os.gateway.assets import Assets
from bat_os.gateway.completions import Completions
from bat_os.gateway.guard import Guard
from bat_os.gateway.metrics import Metrics
from bat_os.gateway.owner import Owner
from bat_os.gateway.problems import STATUS, to_json
from bat_os.gateway.requests import (
    answer_error,
    body_of,
    caller_of,
    demand,
    identity_of,
    key_of,
    moment_of,
    reply,
    serial_of,
    tagged,
    wait_of,
    whole,
)
from bat_os.gateway.streams import EventStream, Hub, Streams, follow_mission, follow_verb
from bat_os.gateway.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from bat_os.client.tokens import TokenRing
    from bat_os.gateway.guard import App, Receive, Scope, Send, Site
    from bat_os.gateway.link import KernelLink
    from bat_os.gateway.mcp.server import HttpDoor

ROOTS: Final = ("genesis_obj", "system", "")  # names of AURA's first object, and none
_ENVELOPE: Final = ("target", "selector", "args", "kwargs", "body")
_BRIEF: Final = ("text", "examples", "mode", "persona_id", "fresh")
_SLOTS: Final = {"PUT": "setSlot", "DELETE": "removeSlot"}


class Gateway:
    """The routes, over one link to a kernel.

    Attributes:
        link: Carries requests to the kernel.
        ring: Who may come in.
        hub: What happens, for streams.
        streams: How many are open.
        mcp: The Model Context Protocol.
        metrics: What a monitor asks for.
    """

    def __init__(
        self, link: KernelLink, ring: TokenRing, home: Path, *, with_agents: bool = False
    ) -> None:
        """Serve a home; ``with_agents`` adds the door for other agents (A2A)."""
        self.link = link
        self.ring = ring
        self.with_agents = with_agents
        self.hub = Hub(link)
        self.streams = Streams()
        self.assets = Assets()
        self.owner = Owner(link, ring, self.streams, home)
        self.mcp = McpDoor(link, self.hub, self.streams)
        self.metrics = Metrics(link)

    def routes(self) -> list[Route]:
        """Return the table of routes."""
        return [  # the router tries one after the other: what is asked most comes first
            Route("/objects/{name}/{selector}", self.send, methods=["POST"]),
            Route("/verbs/{verb}", self.verb, methods=["POST"]),
            Route("/", self.assets.page, methods=["GET"]),
            Route("/page/{name:path}", self.assets.asset, methods=["GET"]),
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/healthz", self.alive, methods=["GET"]),
            Route("/health", self.health, methods=["GET"]),
            Route("/metrics", self.metrics.answer, methods=["GET"], name="metrics"),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/errors", self.errors, methods=["GET"]),
            Route("/message", self.message, methods=["POST"]),
            Route("/missions", self.missions, methods=["GET"]),
            Route("/missions/{id}", self.mission, methods=["GET"]),
            Route("/missions/{id}", self.cancel, methods=["DELETE"]),
            Route("/missions/{id}/events", self.mission_events, methods=["GET"]),
            Route("/events", self.events, methods=["GET"]),
            Route("/graph", self.graph, methods=["GET"]),
            Route("/moments", self.moments, methods=["GET"]),
            Route("/objects", self.objects, methods=["GET"]),
            Route("/objects/{name}", self.object, methods=["GET"]),
            Route("/objects/{name}/methods/{selector}", self.why, methods=["GET"]),
            Route("/objects/{name}/slots/{slot}", self.slot, methods=["PUT", "DELETE"]),
            *Completions(self.link, self.streams).routes(),
            Route("/uploads", Uploads(self.link).take, methods=["POST"], name="uploads"),
            Route("/owner/{deed}", self.owner.take, methods=["POST"], name="owner"),
            Route("/mcp", self.mcp),
            *self._agents(),
        ]

    def _agents(self) -> list[Route]:
        if not self.with_agents:
            return []
        from bat_os.gateway.a2a import Agent  # few open it

        return Agent(self.link, self.streams).routes()

    async def close(self) -> None:
        """End all streams and sessions, and the command that runs."""
        self.owner.close()
        await self.hub.close()
        await self.mcp.close()

    async def message(self, request: Request) -> Response:
        """Answer a message in AURA's form: 200 with the result if it is understood.

        Else it is learned: 202 once that is stored, or 200 within ``Prefer: wait=N`` seconds.
        """
        may = demand(request, "send").scope
        said = await body_of(request)
        target = str(said.get("target_object_id") or "").removeprefix("UvmObjects/")
        selector = said.get("method_name") or said.get("selector")
        if isinstance(selector, list) and selector:  # an original client sends all of its words
            selector = selector[0]
        kwargs = said.get("kwargs") or said.get("payload") or {}
        fields = {
            "target": ROOTS[0] if target in ROOTS else target,
            "selector": selector,
            "args": said.get("args") or [],
            "kwargs": kwargs if isinstance(kwargs, dict) else {"text": kwargs},
            "body": {name: said[name] for name in _BRIEF if name in said},
        }
        if not covers(may, "learn"):
            return reply(request, await self.ask(request, "send", **fields))
        return await self._send_or_learn(request, fields)

    async def _send_or_learn(self, request: Request, fields: Mapping[str, Any]) -> Response:
        """Answer with the result, or with the mission once it is stored if that comes first."""
        accepted: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def hear(kind: str, body: Mapping[str, Any]) -> None:
            if kind == "accepted" and not accepted.done():
                accepted.set_result(str(body["brief_id"]))

        key = key_of(request) or f"http:{caller_of(request).name}:{secrets.token_hex(12)}"
        asked = self.link.request("send", hear, ik=key, **identity_of(request), **fields)
        asking = asyncio.ensure_future(asked)
        # The mission goes on if the client leaves, and somebody has to hear how it ends.
        asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.wait((asking, accepted), return_when=asyncio.FIRST_COMPLETED)
        wait = wait_of(request)
        if wait and not asking.done():
            await asyncio.wait((asking,), timeout=wait)
        if not accepted.done() or (wait and asking.done()):  # understood, or learned in time
            body, headers = await asking, {"preference-applied": f"wait={wait:g}"} if wait else {}
            return reply(request, body, headers=headers)
        mission = accepted.result()
        place = f"/missions/{mission}"
        body = {
            "status": "Message accepted for processing.", "brief_id": mission, "mission": place,
            "events": f"{place}/events",
        }  # fmt: skip
        return reply(request, body, 202, {"location": place})

    async def missions(self, request: Request) -> Response:
        """List missions, the newest first."""
        demand(request, "read")
        query = request.query_params
        body = {name: query[name] for name in ("state", "before") if name in query}
        limit = whole(request, "limit", 50, least=1, most=200)
        return reply(request, await self.ask(request, "missions", body=body | {"limit": limit}))

    async def mission(self, request: Request) -> Response:
        """Return one mission; its version is how far it has come."""
        demand(request, "read")
        told = await self.ask(request, "brief.get", body={"brief_id": request.path_params["id"]})
        done = told["answer"] is not None
        tag = f"{told['brief_id']}.{told['seq']}.{int(done)}"
        return tagged(request, told | {"done": done}, tag)

    async def cancel(self, request: Request) -> Response:
        """Withdraw a mission."""
        demand(request, "learn")
        body = {"brief_id": request.path_params["id"]}
        return reply(request, await self.ask(request, "cancel", body=body))

    async def mission_events(self, request: Request) -> Response:
        """Send the events of one mission, from ``Last-Event-ID`` on, until it has ended."""
        caller = demand(request, "read")
        last = request.headers.get("last-event-id", "")
        after = int(last) if last.isascii() and last.isdigit() and len(last) < 9 else 0
        mission = request.path_params["id"]
        await self.ask(request, "brief.get", body={"brief_id": mission})  # 404 before the stream
        events = follow_mission(self.link, mission, after, f"http:{caller.name}:{mission}")
        return EventStream(self.streams, caller.name, events)

    async def events(self, request: Request) -> Response:
        """Send what happens: missions and commits, from ``Last-Event-ID`` on."""
        caller = demand(request, "read")
        events = self.hub.read(request.headers.get("last-event-id", "")[:60])
        return EventStream(self.streams, caller.name, events)

    async def objects(self, request: Request) -> Response:
        """List the objects, a page at a time."""
        return reply(request, await self._page(request, "list"))

    async def graph(self, request: Request) -> Response:
        """Return what refers to what, a page at a time; its version is what it says."""
        page = await self._page(request, "graph")
        return tagged(request, page, digest(to_json(page))[:16])

    async def _page(self, request: Request, verb: str) -> dict[str, Any]:
        demand(request, "read")
        limit = whole(request, "limit", 500, least=1, most=MAX_PAGE)
        body = {"after": request.query_params.get("after", "")[:200], "limit": limit}
        return await self.ask(request, verb, body=body | moment_of(request))

    async def moments(self, request: Request) -> Response:
        """List what was committed, the newest first."""
        demand(request, "read")
        limit = whole(request, "limit", 50, least=1, most=MAX_MOMENTS)
        body = {"before": request.query_params.get("before", "")[:16], "limit": limit}
        return reply(request, await self.ask(request, "moments", body=body))

    async def object(self, request: Request) -> Response:
        """Return one object; its version is its serial, and what else the answer says."""
        demand(request, "read")
        fields = {"target": request.path_params["name"], "body": moment_of(request)}
        found = await self.ask(request, "inspect", **fields)
        # Notes beside the methods, as that one fails, change without a new serial.
        return tagged(request, found, f"{found['serial']}.{digest(to_json(found))[:8]}")

    async def why(self, request: Request) -> Response:
        """Return a method: its source, and where it comes from."""
        demand(request, "read")
        number = whole(request, "version", 0)
        path = request.path_params
        body = moment_of(request) | ({"version": number} if number else {})
        fields = {"target": path["name"], "selector": path["selector"], "body": body}
        return reply(request, await self.ask(request, "why", **fields))

    async def slot(self, request: Request) -> Response:
        """Set a slot to ``value``, or remove it, if the object is as ``If-Match`` says.

        Every change demands it, so that nobody overwrites what they have not seen; ``*`` means it.
        """
        demand(request, "teach")
        seen = serial_of(request)
        path = request.path_params
        args = [path["slot"]]
        if request.method == "PUT":
            body = await body_of(request)
            if "value" not in body:
                raise ArgumentsError('the body is {"value": ...}')
            args.append(body["value"])
        fields = {"target": path["name"], "selector": _SLOTS[request.method], "args": args}
        done = await self.ask(request, "send", body={"if_serial": seen} if seen else {}, **fields)
        now = await self.ask(request, "inspect", target=path["name"], selector=path["slot"])
        return reply(request, done, headers={"etag": f'"{now["serial"]}"'})

    async def send(self, request: Request) -> Response:
        """Answer a message; with an idempotency key, at most once."""
        demand(request, "send")
        said, path = await body_of(request), request.path_params
        known = {"args", "kwargs", "at", *_BRIEF}
        if unknown := sorted(said.keys() - known):
            raise ArgumentsError(f"{unknown[0][:60]!r} is not known here; {sorted(known)} are")
        fields = {
            "target": path["name"], "selector": path["selector"], "args": said.get("args"),
            "kwargs": said.get("kwargs"),
            "body": {name: said[name] for name in ("at", *_BRIEF) if name in said},
        }  # fmt: skip
        return reply(request, await self.ask(request, "send", **fields))

    async def verb(self, request: Request) -> Response:
        """Ask for a verb by its name, with the fields of the wire's envelope.

        A caller who accepts events gets what it reports while it works, and then ``result``.
        """
        verb = REQUESTS.get(request.path_params["verb"])
        scope = None if verb is None else SCOPE_OF.get(verb.name)
        if verb is None or scope is None:
            shown = request.path_params["verb"][:60]
            raise UnknownTypeError(f"{shown!r} cannot be asked for from here; see batos --help")
        caller = caller_of(request)
        if scope == "person" and not covers(caller.scope, scope):
            raise HttpError(
                403,
                UnauthorizedError(
                    f"only the owner may do this, at the daemon's machine: batos {verb.name} ..."
                ),
            )
        demand(request, scope)
        said = await body_of(request)
        if unknown := sorted(said.keys() - {*_ENVELOPE}):
            raise ArgumentsError(f"{unknown[0][:60]!r} is not a field; there are {list(_ENVELOPE)}")
        if "text/event-stream" not in request.headers.get("accept", ""):
            return reply(request, await self.ask(request, verb.name, **said))
        events = follow_verb(partial(self.link.request, verb.name, **_sent(request, said)))
        return EventStream(self.streams, caller.name, events)

    async def health(self, request: Request) -> Response:
        """Return the kernel's report of itself."""
        demand(request, "read")
        return reply(request, await self.ask(request, "health"))

    async def openapi(self, request: Request) -> Response:
        """Return the OpenAPI document."""
        demand(request, "read")
        from bat_os.gateway.openapi import document  # few ask for it

        return reply(request, document(self.routes()))

    async def errors(self, request: Request) -> Response:
        """List the codes of problems; the page that their types point to."""
        rows = [{"code": code, "status": status} for code, status in sorted(STATUS.items())]
        return reply(request, {"errors": rows})

    async def alive(self, request: Request) -> Response:
        """Say that this process lives, and nothing else."""
        return reply(request, {"ok": True})

    async def login(self, request: Request) -> Response:
        """Give the page that has a code its cookie and its secret."""
        code = (await body_of(request)).get("code")
        proof = self.ring.redeem(code) if isinstance(code, str) else None
        if proof is None:
            raise HttpError(401, UnauthorizedError("this code is used up; run batos open again"))
        answer = reply(request, {"secret": proof.secret})
        self._set_cookie(request, answer, proof.cookie, 12 * 3600)
        return answer

    async def logout(self, request: Request) -> Response:
        """Close all pages."""
        demand(request, "person")
        self.ring.close_pages()
        answer = reply(request, {"ok": True})
        self._set_cookie(request, answer, "", 0)
        return answer

    @staticmethod
    def _set_cookie(request: Request, answer: Response, value: str, seconds: int) -> None:
        site: Site = request.scope["state"]["site"]
        answer.set_cookie(
            site.cookie, value, max_age=seconds, path="/", secure=site.secure, httponly=True,
            samesite="strict",
        )  # fmt: skip

    async def ask(self, request: Request, kind: str, **fields: Any) -> dict[str, Any]:
        """Ask the kernel for a verb, in the caller's session and with its key."""
        return await self.link.request(kind, **_sent(request, fields))


def _sent(request: Request, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the kernel gets: the fields of a verb, who asks, and their key."""
    key = key_of(request)
    return {**identity_of(request), **fields, **({"ik": key} if key else {})}


class McpDoor:
    """``/mcp``, whose package is imported with the first request: it is the largest of all."""

    def __init__(self, link: KernelLink, hub: Hub, streams: Streams) -> None:
        self._link = link
        self._hub = hub
        self._streams = streams
        self._opening: asyncio.Task[HttpDoor] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(scope["state"]["site"]))
        try:
            door = await asyncio.shield(self._opening)
        except ImportError:
            self._opening = None
            missing = "the package mcp is not installed; batos setup --all installs it"
            raise HttpError(503, NotFoundError(missing)) from None
        if scope["method"] != "GET":  # a standing stream of the older protocol
            await door(scope, receive, send)
            return
        with self._streams.enter(scope["state"]["caller"].name):
            await door(scope, receive, send)

    async def close(self) -> None:
        """End all sessions."""
        if self._opening is not None and not self._opening.cancelled():
            with contextlib.suppress(ImportError):
                await (await self._opening).close()

    async def _open(self, site: Site) -> HttpDoor:
        module = await asyncio.to_thread(importlib.import_module, "bat_os.gateway.mcp.server")
        door: HttpDoor = module.HttpDoor(self._link, self._hub, site)
        await door.open()
        return door


def build(gateway: Gateway, site: Site) -> App:
    """Return the application behind its guard."""
    handlers: dict[Any, Any] = dict.fromkeys((HTTPException, BatError, Exception), answer_error)
    inner = Starlette(routes=gateway.routes(), exception_handlers=handlers)
    inner.router.redirect_slashes = False
    return Guard(inner, site, gateway.ring)
