"""The tools that BAT OS gives to other programs: each learned or taught method, and a few for all.

    graph > methods > one tool for each source, with its receivers > the most used of them
    a call > ``send``, or what a general tool asks of the kernel > plain data

A caller sees the tools that their scope allows. What names, descriptions and values say was written
by people and models: it is cut and cleaned, and no more than text.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shlex
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.core.printable import CONTROL
from bat_os.core.program_verbs import MAX_PAGE
from bat_os.core.scopes import covers
from bat_os.core.verbs import REQUESTS
from bat_os.errors import ArgumentsError, BatError, NotFoundError
from bat_os.gateway.mcp.signatures import describe
from bat_os.gateway.problems import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.gateway.link import KernelLink

    Tell = Callable[[float, str], None]  # percent, and what is being done
    Given = Mapping[str, Any]

MAX_TOOLS: Final = 64  # hosts pay for each in every prompt; ``find`` and ``send`` reach the others
MAX_LOOKED: Final = 400  # methods that are looked at
MAX_PAGES: Final = 5
AT_ONCE: Final = 4  # methods that are asked about at a time
MAX_NAME: Final = 64  # what OpenAI and Anthropic take, narrower than the protocol's own rule
MAX_TEXT: Final = 300
PATIENCE: Final = 45.0  # seconds; a host gives up after 60 as a rule
_ODD: Final = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as the kernel knows them, and the key under which the call is answered once."""

    name: str
    scope: str
    key: str = ""

    def fields(self, may: str = "") -> dict[str, Any]:
        """Return the envelope's part of who asks, perhaps with a smaller scope."""
        least = may if may and covers(self.scope, may) else self.scope
        own = "own" if covers(least, "own") else least  # the owner's yes is given elsewhere
        return {"session": f"mcp:{self.name}", "by": f"http:{self.name}", "may": own}

    def once(self, may: str = "") -> dict[str, Any]:
        """Return the same with the key: asked again, also of the next kernel, it is done once."""
        key = self.key or f"http:{self.name}:{secrets.token_hex(12)}"
        return self.fields(may) | {"ik": key}


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool, as a host lists it."""

    name: str
    text: str
    takes: Mapping[str, Any]
    scope: str
    reads: bool = False
    destroys: bool = False
    again: bool = False  # calling it twice is as calling it once
    title: str = ""
    gives: Mapping[str, Any] | None = None
    selector: str = ""  # of a method's tool, with who understands it
    receivers: tuple[str, ...] = ()


def _takes(*needed: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(needed),
        "additionalProperties": False,
    }  # fmt: skip


_TEXT: Final = {"type": "string"}
_METHOD: Final = {"object": _TEXT, "selector": _TEXT}
GENERAL: Final = (
    Tool("ask", "Say in words what you want. A known skill answers; if none does, one may be "
         "learned, which takes up to minutes. `conversation` names the talk it belongs to.",
         _takes("sentence", sentence=_TEXT, conversation=_TEXT), "send"),
    Tool("find", "Find skills by what they do.",
         _takes("text", text=_TEXT, limit={"type": "integer", "minimum": 1, "maximum": 50}),
         "read", reads=True),
    Tool("send", "Send a message to an object: selector and arguments.",
         _takes("object", "selector", **_METHOD, args={"type": "array"},
                kwargs={"type": "object"}), "send", destroys=True),
    Tool("why", "Where a method comes from: its source, examples and status.",
         _takes("object", "selector", **_METHOD), "read", reads=True),
    Tool("search", "Search the documents and notes that are kept.",
         _takes("text", text=_TEXT, limit={"type": "integer", "minimum": 1, "maximum": 50}),
         "read", reads=True),
    Tool("mission", "How far a mission has come that `ask` began, and its answer.",
         _takes("brief_id", brief_id=_TEXT), "read", reads=True),
    Tool("teach", "Install a method that you wrote: Python source, one def, self first. `examples`:"
         ' maps such as {"args": [2], "result": 6}.',
         _takes("object", "source", object=_TEXT, source=_TEXT, examples={"type": "array"}),
         "teach", destroys=True, again=True),
    Tool("unlearn", "Take a method back. Every change is kept, so that it can be undone.",
         _takes("object", "selector", **_METHOD), "teach", destroys=True, again=True),
)  # fmt: skip
_TOLD_BY_WHY: Final = ("object", "selector", "version", "status", "source", "origin", "examples",
                       "uses", "tainted")  # fmt: skip
_TOLD_BY_ASK: Final = ("kind", "text", "value", "reading", "needs", "choices", "sources", "learned")


@dataclass(slots=True)
class _Known:
    """A method as it was when its object had that serial."""

    serial: str
    sha256: str
    used: int
    tool: Tool


@dataclass(slots=True)
class Toolbox:
    """The tools of one kernel; for one event loop."""

    link: KernelLink
    _known: dict[tuple[str, str], _Known] = field(default_factory=dict)
    _tools: dict[str, Tool] = field(default_factory=dict)

    async def tools(self, scope: str) -> list[Tool]:
        """Return the tools for a scope: those for all, then methods, the most used first."""
        general = [tool for tool in GENERAL if covers(scope, tool.scope)]
        if not covers(scope, "send"):
            return general
        learned = await self._learned()
        self._tools = {tool.name: tool for tool in learned}
        return [*general, *learned[: MAX_TOOLS - len(GENERAL)]]

    async def _learned(self) -> list[Tool]:
        methods = await self._methods()
        gate = asyncio.Semaphore(AT_ONCE)

        async def look(name: str, selector: str, serial: str) -> None:
            known = self._known.get((name, selector))
            if known is not None and known.serial == serial:
                return
            async with gate:
                try:
                    why = await self.link.request("why", target=name, selector=selector, may="read")
                except BatError:  # it has just been unlearned, or cannot be read
                    self._known.pop((name, selector), None)
                else:
                    self._known[name, selector] = _known(why, serial)

        await asyncio.gather(*(look(*method) for method in methods))
        for gone in self._known.keys() - {(name, selector) for name, selector, _ in methods}:
            del self._known[gone]
        return _together(self._known)

    async def _methods(self) -> list[tuple[str, str, str]]:
        """Return object, selector and serial of each learned or taught method, newest first."""
        found, after = [], ""
        for _ in range(MAX_PAGES):
            body = {"after": after, "limit": MAX_PAGE}
            page = await self.link.request("graph", body=body, may="read")
            found += [
                (node["serial"], node["name"], selector)
                for node in page["nodes"] for selector, status in node["methods"]
                if status != "shipped"
            ]  # fmt: skip
            after = page["next"]
            if not after:
                break
        newest = sorted(found, reverse=True)[:MAX_LOOKED]
        return [(name, selector, serial) for serial, name, selector in newest]

    async def call(self, name: str, given: Given, asker: Asker, tell: Tell) -> dict[str, Any]:
        """Return what a tool answers, as plain data that JSON knows.

        Raises:
            NotFoundError: The caller has no tool of that name.
            BatError: The kernel refuses, or the method failed.
        """
        general = next((tool for tool in GENERAL if tool.name == name), None)
        if general is None and covers(asker.scope, "send") and name not in self._tools:
            await self.tools(asker.scope)  # it may be new
        tool = general or self._tools.get(name)
        if tool is None or not covers(asker.scope, tool.scope):
            raise NotFoundError(f"there is no tool {name[:MAX_NAME]!r}; it may have been unlearned")
        _check(tool, given)
        if general is None:
            told = await self._send_learned(tool, given, asker)
        elif name == "ask":
            told = await self._ask(given, asker, tell)
        else:
            told = await self._ask_verb(name, given, asker)
        answer: dict[str, Any] = json.loads(to_json(told))
        return answer

    async def _send_learned(self, tool: Tool, given: Given, asker: Asker) -> dict[str, Any]:
        kwargs, target = dict(given), tool.receivers[0]
        if len(tool.receivers) > 1:
            target = str(kwargs.pop(_RECEIVER, target))
        # With this scope a method that is gone by now is not learned anew.
        told = await self.link.request(
            "send", target=target, selector=tool.selector, kwargs=kwargs, **asker.once("send")
        )
        printed = {"printed": told["printed"]} if told.get("printed") else {}
        return {"result": told["result"], **printed}

    async def _ask(self, given: Given, asker: Asker, tell: Tell) -> dict[str, Any]:
        sentence, mission = str(given["sentence"]), ""

        def hear(_: str, body: Given) -> None:
            nonlocal mission
            mission = str(body.get("brief_id") or mission)
            if "state" in body:
                tell(float(body.get("pct", 0)), f"{body['state']}: {body['does']}")

        fields = asker.once()
        if named := str(given.get("conversation") or ""):
            fields["session"] += f":{named[:60]}"
        asking = asyncio.ensure_future(
            self.link.request("say", hear, body={"text": sentence}, **fields)
        )
        asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        done, _ = await asyncio.wait((asking,), timeout=PATIENCE)
        if not done:
            text = "still thinking; ask the tool `mission` for the answer"
            return {"kind": "running", "brief_id": mission, "text": text}
        body = asking.result()
        told = {key: body[key] for key in _TOLD_BY_ASK if body.get(key) not in (None, "", [])}
        if body.get("needs") == "grant":
            told["owner"] = f"Only the owner can allow this, by: batos ask {shlex.quote(sentence)}"
            told.pop("choices", None)
        return told

    async def _ask_verb(self, name: str, given: Given, asker: Asker) -> dict[str, Any]:
        """Ask for the verb of a general tool."""
        verb, body = _VERBS[name]
        rest = {key: given[key] for key in body if key in given}
        fields: dict[str, Any] = {"body": rest} if body else {}
        if "object" in given:
            fields["target"] = given["object"]
        fields |= {key: given[key] for key in ("selector", "args", "kwargs") if key in given}
        who = asker.fields() if REQUESTS[verb].access != "writes" else asker.once()
        told = await self.link.request(verb, **fields, **who)
        return {key: told[key] for key in _TOLD_BY_WHY if key in told} if name == "why" else told


_RECEIVER: Final = "object"
_VERBS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "find": ("find", ("text", "limit")), "search": ("search", ("text", "limit")),
        "mission": ("brief.get", ("brief_id",)), "send": ("send", ()), "why": ("why", ()),
        "teach": ("teach", ("source", "examples")), "unlearn": ("unlearn", ()),
    }
)  # fmt: skip
_TYPES: Final[Mapping[str, type]] = MappingProxyType(
    {"string": str, "array": list, "object": dict, "integer": int}
)


def _check(tool: Tool, given: Given) -> None:
    """Refuse arguments that the tool does not take; what a method takes, it says itself.

    Raises:
        ArgumentsError: One is missing, unknown or of another kind.
    """
    known = tool.takes.get("properties", {})
    missing = [name for name in tool.takes.get("required", ()) if name not in given]
    unknown = [] if tool.takes.get("additionalProperties", True) else sorted({*given} - {*known})
    if missing or unknown:
        what = f"{missing[0]} is missing" if missing else f"{unknown[0][:60]!r} is not known"
        raise ArgumentsError(f"{what}; {tool.name} takes {', '.join(known) or 'nothing'}")
    for name, value in given.items():
        kind = known.get(name, {}).get("type", "")
        if not tool.selector and kind in _TYPES and type(value) is not _TYPES[kind]:
            raise ArgumentsError(f"{name} is of the type {kind}")
    among = known.get(_RECEIVER, {}).get("enum")
    if among is not None and given.get(_RECEIVER, among[0]) not in among:
        raise ArgumentsError(f"{_RECEIVER} is one of {', '.join(among)}")


def _known(why: Mapping[str, Any], serial: str) -> _Known:
    """Return what counts of a method's origin."""
    target, selector = str(why["object"]), str(why["selector"])
    examples = [one for one in why.get("examples") or () if isinstance(one, dict)]
    told = describe(why["source"], selector, examples)
    goal = (why.get("origin") or {}).get("goal") or (why.get("brief") or {}).get("text") or ""
    about = clean(told.doc or goal) or selector.replace("_", " ")
    marks = [target, why["status"], f"version {why['version']}"]
    marks += ["written from text of others"] if why.get("tainted") else []
    tool = Tool(
        name_of(target, selector), f"{about} [{clean(', '.join(marks))}]", told.takes, "send",
        reads=told.reads, title=clean(f"{target}.{selector}"), gives=told.gives,
        selector=selector, receivers=(target,),
    )  # fmt: skip
    return _Known(serial, why["sha256"], int((why.get("uses") or {}).get("count") or 0), tool)


def _together(known: Mapping[tuple[str, str], _Known]) -> list[Tool]:
    """Return one tool for each source: clones have copies of the methods."""
    groups: dict[tuple[str, str], list[_Known]] = {}
    for (_, selector), one in sorted(known.items()):
        groups.setdefault((selector, one.sha256), []).append(one)
    by_use = sorted(groups.values(), key=lambda group: -sum(one.used for one in group))
    return [_of_group(group) for group in by_use]


def _of_group(group: list[_Known]) -> Tool:
    first = group[0].tool
    if len(group) == 1 or _RECEIVER in first.takes.get("properties", {}):
        return first
    receivers = tuple(one.tool.receivers[0] for one in group)
    which = {"type": "string", "enum": list(receivers), "default": receivers[0],
             "description": "who is to answer"}  # fmt: skip
    properties = {**first.takes.get("properties", {}), _RECEIVER: which}
    return replace(first, takes={**first.takes, "properties": properties}, receivers=receivers)


def name_of(target: str, selector: str) -> str:
    """Return the name of a method's tool: what the narrowest host takes.

    >>> name_of("genesis_obj", "double")
    'genesis_obj__double'
    """
    name = f"{target}__{selector}"
    safe = _ODD.sub("_", name)
    if safe == name and len(name) <= MAX_NAME:
        return name
    return f"{safe[: MAX_NAME - 9]}_{digest(name)[:8]}"


def clean(text: str) -> str:
    """Return text of others for a host's model: one line, cut, without control characters."""
    line = " ".join(CONTROL.sub(" ", text).split())
    return line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1]}…"
