"""The server of the Model Context Protocol, over HTTP at ``/mcp`` and over standard input.

    host <── SDK ──> handlers here ──> Toolbox ──> the kernel
    a commit ──> are the tools other ones? ──> tools/list_changed, in both eras of the protocol

Until 2025-11-25 a host shakes hands and has a session; from 2026-07-28 on each request stands alone
and ``subscriptions/listen`` has the changes. The SDK serves both. It is imported here alone, since
that takes longer than all the rest of the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

import mcp_types as types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ToolsListChanged,
)
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError

from bat_os import __version__
from bat_os.core.personas import PERSONAS
from bat_os.core.scopes import covers
from bat_os.errors import BatError, NotFoundError, RemoteError, UnauthorizedError
from bat_os.gateway.mcp.toolbox import Asker, Toolbox, clean
from bat_os.gateway.problems import describe, to_json
from bat_os.gateway.requests import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mcp.server.context import ServerRequestContext
    from mcp.server.models import InitializationOptions
    from mcp.server.session import ServerSession

    from bat_os.gateway.guard import Receive, Scope, Send, Site
    from bat_os.gateway.link import KernelLink
    from bat_os.gateway.mcp.toolbox import Tool
    from bat_os.gateway.streams import Hub

    Context = ServerRequestContext[Any, Any]

log = logging.getLogger(__name__)
logging.getLogger("mcp").setLevel(logging.WARNING)  # it logs the names of sessions

OBJECTS, DOCUMENTS = "batos://objects/", "batos://documents/"
PAGE: Final = 200  # resources of one answer
MAX_SESSIONS: Final = 64
MAX_PER_TOKEN: Final = 8  # sessions; one more ends the one that was not used for longest
IDLE: Final = 1800.0  # seconds until a session that nobody uses ends
MAX_BODY: Final = 1 << 20
TOGETHER: Final = 0.1  # seconds in which many commits are one notice
INSTRUCTIONS: Final = (
    "A living image: objects with methods that were learned or taught, and a memory. Use `ask` for "
    "anything in words, `find` before you teach. What needs leave, its owner allows elsewhere: "
    "pass the command on that the answer names."
)
_SESSION: Final = b"mcp-session-id"
_CHANGES: Final = NotificationOptions(tools_changed=True, resources_changed=True)


class _Server(Server[Any]):
    """A server that says in both eras that its lists change."""

    def create_initialization_options(
        self, notification_options: NotificationOptions | None = None, *args: Any, **more: Any
    ) -> InitializationOptions:
        """Return what a handshake tells."""
        return super().create_initialization_options(
            notification_options or _CHANGES, *args, **more
        )


class McpServer:
    """The handlers, over one link to a kernel; for one event loop."""

    def __init__(self, link: KernelLink, hub: Hub, who: Callable[[Context], Asker]) -> None:
        """Serve; ``who`` says who asks."""
        self._link = link
        self._hub = hub
        self._who = who
        self._toolbox = Toolbox(link)
        self._bus = InMemorySubscriptionBus()
        self._listening = ListenHandler(self._bus, max_subscriptions=MAX_SESSIONS)
        # Of hosts of the old era; a notice to one that has gone is dropped by the SDK.
        self._sessions: deque[ServerSession] = deque(maxlen=MAX_SESSIONS)
        self._seen: tuple[list[Tool], list[str]] | None = None
        self._looking: asyncio.Task[None] | None = None
        self.server: Server[Any] = _Server(
            "batos", version=__version__, title="BAT OS", instructions=INSTRUCTIONS,
            on_list_tools=self.list_tools, on_call_tool=self.call_tool,
            on_list_resources=self.list_resources, on_read_resource=self.read_resource,
            on_list_resource_templates=self.list_templates, on_list_prompts=self.list_prompts,
            on_get_prompt=self.get_prompt, on_subscriptions_listen=self._listening,
        )  # fmt: skip
        self.server.add_notification_handler(
            "notifications/initialized", types.NotificationParams, self._shaken
        )
        hub.on_change.append(self._hear)

    async def close(self) -> None:
        """End what listens."""
        self._hub.on_change.remove(self._hear)
        self._listening.close()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def list_tools(self, ctx: Context, _: Any) -> types.ListToolsResult:
        """Return the tools that the caller may use."""
        tools = await self._asked(self._toolbox.tools(self._who(ctx).scope))
        return types.ListToolsResult(
            tools=[_as_tool(tool) for tool in tools], ttl_ms=0, cache_scope="private"
        )

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """Return what a tool answers; an error of the kernel is for the host's model to read."""
        telling: set[asyncio.Task[None]] = set()

        def tell(percent: float, does: str) -> None:
            task = asyncio.ensure_future(ctx.session.report_progress(percent, 100.0, does))
            telling.add(task)
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            task.add_done_callback(telling.discard)

        asker, given = self._who(ctx), params.arguments or {}
        try:
            told = await self._toolbox.call(params.name, given, asker, tell)
        except NotFoundError as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from None
        except BatError as error:
            _, _, body = describe(error)
            return types.CallToolResult(content=[_text(to_json(body).decode())], is_error=True)
        shown = told["text"] if "text" in told else json.dumps(told, ensure_ascii=False)
        if owner := told.get("owner"):
            shown += f"\n{owner}"
        return types.CallToolResult(content=[_text(shown)], structured_content=told)

    async def list_resources(
        self, ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """Return a page of the objects, and after the last one the documents."""
        asker, cursor = self._who(ctx).fields(), (params and params.cursor) or ""
        body = {"after": cursor[:200], "limit": PAGE}
        page = await self._asked(self._link.request("list", body=body, **asker))
        found = [
            types.Resource(uri=OBJECTS + one["name"], name=one["name"],
                           description=_about(one), mime_type="application/json")
            for one in page["objects"]
        ]  # fmt: skip
        if not page.get("next"):
            kept = await self._asked(self._link.request("documents", **asker))
            found += [
                types.Resource(uri=DOCUMENTS + one["doc_id"], name=clean(one["title"]),
                               description=f"{one['kind']}, {one['passages']} passages",
                               mime_type="application/json")
                for one in kept["documents"][:PAGE]
            ]  # fmt: skip
        return types.ListResourcesResult(
            resources=found, next_cursor=page.get("next") or None, ttl_ms=0, cache_scope="private"
        )

    async def list_templates(self, ctx: Context, _: Any) -> types.ListResourceTemplatesResult:
        """Return how resources are named."""
        shapes = (("object", OBJECTS + "{name}{?at}", "an object: slots, methods, parents"),
                  ("document", DOCUMENTS + "{id}", "the passages of a document"))  # fmt: skip
        made = [types.ResourceTemplate(name=name, uri_template=shape, description=about,
                                       mime_type="application/json")
                for name, shape, about in shapes]  # fmt: skip
        return types.ListResourceTemplatesResult(
            resource_templates=made, ttl_ms=3_600_000, cache_scope="private"
        )

    async def read_resource(
        self, ctx: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Return an object, perhaps as it was, or what a document says."""
        uri, asker = str(params.uri), self._who(ctx).fields()
        if uri.startswith(OBJECTS):
            name, _, at = uri.removeprefix(OBJECTS).partition("?at=")
            body = {"at": at} if at else {}
            told = await self._asked(self._link.request("inspect", target=name, body=body, **asker))
        elif uri.startswith(DOCUMENTS):
            named = uri.removeprefix(DOCUMENTS)
            kept = await self._asked(self._link.request("documents", **asker))
            about = next((one for one in kept["documents"] if one["doc_id"] == named), None)
            if about is None:
                raise MCPError(types.INVALID_PARAMS, f"there is no document {named[:60]!r}")
            asked = {"text": about["title"][:200], "limit": 100}
            near = await self._asked(self._link.request("search", body=asked, **asker))
            told = about | {"found": [one for one in near["passages"] if one["doc_id"] == named]}
        else:
            raise MCPError(types.INVALID_PARAMS, f"a resource begins with {OBJECTS} or {DOCUMENTS}")
        content = types.TextResourceContents(
            uri=uri, mime_type="application/json", text=to_json(told).decode()
        )
        return types.ReadResourceResult(contents=[content], ttl_ms=0, cache_scope="private")

    async def list_prompts(self, ctx: Context, _: Any) -> types.ListPromptsResult:
        """Return the personas as prompts, and a question to the mind."""
        question = types.PromptArgument(name="question", required=True)
        made = [types.Prompt(name=one.name.lower(), description=one.role, arguments=[question])
                for one in PERSONAS.values()]  # fmt: skip
        made.append(types.Prompt(name="question", arguments=[question],
                                 description="a question, answered by the tool ask"))  # fmt: skip
        return types.ListPromptsResult(prompts=made, ttl_ms=3_600_000, cache_scope="private")

    async def get_prompt(
        self, ctx: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        """Return a prompt with the question in it."""
        question = (params.arguments or {}).get("question", "")
        persona = PERSONAS.get(params.name.upper())
        if persona is None and params.name != "question":
            raise MCPError(types.INVALID_PARAMS, f"there is no prompt {params.name[:60]!r}")
        first = (
            persona.system_prompt if persona else "Answer with what the tool `ask` of batos says."
        )
        message = types.PromptMessage(role="user", content=_text(f"{first}\n\n{question}"))
        return types.GetPromptResult(messages=[message])

    async def _shaken(self, ctx: Context, _: types.NotificationParams | None) -> None:
        self._sessions.append(ctx.session)

    async def _asked(self, asking: Any) -> Any:
        """Return what the kernel says; an error is one of the protocol."""
        self._hub.listen()
        try:
            return await asking
        except BatError as error:
            _, _, body = describe(error)
            about = {"code": body["code"], "retryable": body["retryable"]}
            raise MCPError(types.INTERNAL_ERROR, body["message"], about) from None

    def _hear(self, _: Mapping[str, Any]) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Tell hosts if there are other tools or objects than before."""
        await asyncio.sleep(TOGETHER)
        try:
            tools = await self._toolbox.tools("own")
            page = await self._link.request("list", body={"limit": PAGE}, may="read")
        except (BatError, RemoteError) as error:
            log.info("the tools are not known: %s", error)
            return
        before, names = self._seen, [one["name"] for one in page["objects"]]
        self._seen = tools, names
        if before is None or before[0] != tools:
            await self._bus.publish(ToolsListChanged())
            for session in list(self._sessions):
                await session.send_tool_list_changed()
        if before is None or before[1] != names:
            await self._bus.publish(ResourcesListChanged())
            for session in list(self._sessions):
                await session.send_resource_list_changed()


class HttpDoor:
    """``/mcp``: requests that the guard has let in."""

    def __init__(self, link: KernelLink, hub: Hub, site: Site) -> None:
        self._mcp = McpServer(link, hub, _who_asks)
        self._manager = StreamableHTTPSessionManager(
            app=self._mcp.server, max_request_body_size=MAX_BODY, session_idle_timeout=IDLE,
            max_sessions=MAX_SESSIONS,
            security_settings=TransportSecuritySettings(
                enable_dns_rebinding_protection=True, allowed_hosts=sorted(site.hosts),
                allowed_origins=sorted(site.origins),
            ),
        )  # fmt: skip
        self._sessions: OrderedDict[str, str] = OrderedDict()  # name -> token's, the last used last
        self._ending = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Be ready for requests."""
        ready = asyncio.Event()

        async def run() -> None:
            async with self._manager.run():
                ready.set()
                await self._ending.wait()

        self._running = asyncio.create_task(run())
        await ready.wait()

    async def close(self) -> None:
        """End all sessions."""
        await self._mcp.close()
        self._ending.set()
        if self._running is not None:
            await self._running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        caller = scope["state"]["caller"]
        # A session belongs to the token that began it.
        proof = AccessToken(token="", client_id=caller.name, scopes=[caller.scope])
        scope = {**scope, "user": AuthenticatedUser(proof)}
        named = dict(scope["headers"]).get(_SESSION, b"").decode("latin-1")
        if named in self._sessions:
            self._sessions.move_to_end(named)
        begun: list[str] = []

        async def hear(message: Any) -> None:
            if message["type"] == "http.response.start" and not named:
                found = dict(message["headers"]).get(_SESSION, b"").decode("latin-1")
                begun[:] = [found] if found else []
            await send(message)

        await self._manager.handle_request(scope, receive, hear)
        if scope["method"] == "DELETE":
            self._sessions.pop(named, None)
        for each in begun:
            await self._admit(each, caller.name, scope)

    async def _admit(self, session: str, owner: str, scope: Scope) -> None:
        """Note a new session; end those of the same token that nobody used for longest."""
        self._sessions[session] = owner
        own = [name for name, whose in self._sessions.items() if whose == owner]
        for name in own[:-MAX_PER_TOKEN]:
            del self._sessions[name]
            headers = [pair for pair in scope["headers"] if pair[0] in (b"host", b"origin")]
            headers.append((_SESSION, name.encode("latin-1")))
            ending = {**scope, "method": "DELETE", "headers": headers}
            with contextlib.suppress(BatError):
                await self._manager.handle_request(ending, _nothing, _unheard)


async def _nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _unheard(_: Any) -> None:
    """Send nothing."""


def _who_asks(ctx: Context) -> Asker:
    caller = ctx.request.scope["state"]["caller"] if ctx.request is not None else None
    if caller is None or ctx.request is None:
        raise UnauthorizedError("nobody is known to ask")
    scope = "own" if covers(caller.scope, "own") else caller.scope
    return Asker(caller.name, scope, key_of(ctx.request))


async def serve_stdio(link: KernelLink, hub: Hub, asker: Asker) -> None:
    """Serve the host that started this process, until it closes standard input."""
    mcp = McpServer(link, hub, lambda ctx: asker)
    try:
        async with stdio_server() as (reading, writing):
            await mcp.server.run(reading, writing, mcp.server.create_initialization_options())
    finally:
        await mcp.close()
        with contextlib.suppress(BatError):
            await hub.close()


def _as_tool(tool: Tool) -> types.Tool:
    hints = types.ToolAnnotations(
        read_only_hint=tool.reads, destructive_hint=tool.destroys or (not tool.reads),
        idempotent_hint=tool.again or tool.reads, open_world_hint=False,
    )  # fmt: skip
    return types.Tool(
        name=tool.name, title=tool.title or None, description=tool.text,
        input_schema=dict(tool.takes), output_schema=dict(tool.gives) if tool.gives else None,
        annotations=hints,
    )  # fmt: skip


def _about(one: Mapping[str, Any]) -> str:
    known = ", ".join(one["selectors"][:8]) or "no method of its own"
    return clean(f"{one['slots']} slots; {known}")


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)
