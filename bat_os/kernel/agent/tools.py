"""The tools of the moment: what each live grant lets be done, as one thing to choose.

    notes_obj may read ~/notes, work_obj may read ~/work   >   files.read(path), files.names(path)
    time_obj is a server of tools                          >   time.get_current_time(timezone)

Grants of one driver are one set of tools: which object a step goes to, its argument says. What a
server says of a tool is compared with requests by meaning, by words, and by how likely a model
finds the request after it; no model is asked to follow it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from persistent.mapping import PersistentMapping

from bat_os.core.digest import digest
from bat_os.errors import BatError, ModelError
from bat_os.image import grants
from bat_os.image.objects import UvmObject, ref_of, tree_of
from bat_os.kernel.agent.arguments import value_of
from bat_os.kernel.agent.choosing import (
    NEAR,
    SURE,
    Offer,
    all_served,
    compared,
    context_of,
    kind_of,
    lead,
    plain,
    rank,
    things_in,
    weigh,
)
from bat_os.natives import table as natives
from bat_os.ports import READ, Prompt, Sampling, ServerDriver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence

    from bat_os.image.grants import Grant
    from bat_os.kernel.agent.choosing import Ranked
    from bat_os.kernel.context import KernelContext
    from bat_os.ports import Driver
    from bat_os.sentence.reading import Sentence

    Root = MutableMapping[str, Any]

log = logging.getLogger(__name__)

MAX_TOOLS: Final = 64
SECONDS: Final = 20.0  # for the likelihoods of a request; loading the model is in it
MAX_REMEMBERED: Final = 64  # requests
EXAMPLES: Final = "tool_examples"  # in the root: name of a tool -> requests that it served
MAX_EXAMPLES: Final = 20  # of one tool; the oldest goes
MAX_EXAMPLE: Final = 300  # characters
MAX_ABOUT: Final = 200  # characters of what a server says of a tool
HOLDER: Final = "genesis_obj"
# What the operations of our own drivers do, and requests for them.
_SAID: Final[Mapping[str, tuple[str, ...]]] = {
    "files.read": (
        "read a text file and return what is in it", "what does the file say?",
        "show me the contents of the file", "open the file", "what is written in the file?",
    ),
    "files.names": (
        "list the names of the files in a folder", "which files are in the path?",
        "what do I have in the folder?", "show the directory", "list everything in the path",
    ),
    "files.facts": (
        "say when a file was changed last, how many bytes it has, whether it is a folder",
        "when was the file changed?", "how large is the file?", "how many bytes has the file?",
        "when did I edit the file last?", "is the path a folder or a file?",
        "what is the size of the file?", "how old is the file?",
    ),
    "files.find": (
        "find files by a pattern of their names", "find the files called the files in the path",
        "which files in the path end in .txt?", "find all markdown files in the path",
    ),
    "files.search": (
        "find the lines that contain a text in the files of a folder",
        "which files mention a word?", "where in the path does it say a word?",
        "search the path for a word",
    ),
    "files.write": ("write a text into a file", "write a text into the file"),
    "files.append": ("add a line at the end of a file", "add a text to the file"),
    "files.remove": ("delete a file", "delete the file"),
    "web.fetch": (
        "fetch a web page and return its text", "what does the web page say?", "get the web page",
    ),
    "web.links": ("list the links of a web page", "which links are on the web page?"),
    "web.json": ("read the data of a web page in JSON", "what is the value at the web page?"),
    "web.facts": (
        "say what the title of a web page is, and how many bytes it has",
        "what is the title of the web page?", "how large is the web page?",
    ),
}  # fmt: skip
# Without which an operation of ours is not what was meant, although it could be called.
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "files.read": ("path",), "files.facts": ("path",), "web.fetch": ("url",),
    "web.links": ("url",), "web.json": ("url",), "web.facts": ("url",),
}  # fmt: skip
_UNUSED: Final = frozenset({"start"})


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing that can be done, through one grant or several."""

    name: str  # "files.read"
    selector: str
    takes: tuple[str, ...]  # names of the parameters, in order
    needs: tuple[str, ...]  # those without which it is not called
    said: tuple[str, ...]  # what it does, then requests that it served
    changes: bool  # it does more than read
    driver: str
    grants: tuple[Grant, ...] = field(repr=False)
    slots: Mapping[str, str] = field(default_factory=dict, repr=False)  # oid -> slot of HOLDER
    schema: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of a server's parameters
    kept: tuple[str, ...] = ()  # requests that a person said it is for; they are in ``said``, too


class Toolbox:
    """The tools of one moment, and how near requests are to them."""

    def __init__(self, mind: KernelContext, tools: Sequence[Tool]) -> None:
        self._mind = mind
        self.tools = {tool.name: tool for tool in tools}

    async def rank(self, sentence: Sentence, *, is_question: bool) -> list[Ranked]:
        """Return the tools, the nearest to a request first."""
        values = things_in(sentence)
        text = plain(sentence.text, values)
        (row,) = await self._mind.catalog.embed([text])
        near = await self.reaching(sentence) or self.tools.values()
        offers = [await self._offer(tool) for tool in near]
        return rank(text, row, values, offers, is_question=is_question)

    async def reaching(self, sentence: Sentence) -> list[Tool]:
        """Return the tools whose grants reach all whole paths that a request names; [] if none."""
        named = [value_of(one) for one in things_in(sentence) if kind_of(one) in ("file", "path")]
        paths = [path for path in named if PurePath(path).is_absolute()]

        def look() -> list[Tool]:
            return [tool for tool in self.tools.values() if all(map(self._reach(tool), paths))]

        return await asyncio.to_thread(look) if paths else []

    def _reach(self, tool: Tool) -> Callable[[str], bool]:
        reaches = self._mind.drivers[tool.driver].reaches
        return lambda path: any(reaches(grant.scope, path) for grant in tool.grants)

    async def weigh(
        self, persona: str, sentence: Sentence, ranked: Sequence[Ranked]
    ) -> list[Ranked]:
        """Return the nearest tools again, weighed by the persona's model where none leads.

        They are as they were if the model cannot say how likely a text is, or not in time.
        """
        mind, near = self._mind, ranked[:NEAR]
        if lead(ranked) >= SURE or len(near) < 2 or not _may_weigh(mind, persona):
            return [*ranked]
        text = plain(sentence.text, things_in(sentence))
        (row,) = await mind.catalog.embed([text])
        offers = [await self._offer(self.tools[one.name]) for one in near]
        alike = all_served(offers)
        prompts = [Prompt((), context_of(offer, row, alike=alike)) for offer in offers]
        # The mission that follows asks the same once more.
        key = digest("\0".join([text, *(prompt.prefill for prompt in prompts)]))
        if key not in mind.likelihoods:
            how = Sampling(given=f" {text}", seconds=SECONDS)
            try:
                drawn = await mind.roster.generate(persona, prompts, how)
            except BatError as error:  # no model: then the person is asked
                log.info("no likelihoods: %s", error)
                return [*ranked]
            if not all(one.finished for one in drawn):
                return [*ranked]
            while len(mind.likelihoods) >= MAX_REMEMBERED:
                del mind.likelihoods[next(iter(mind.likelihoods))]
            mind.likelihoods[key] = [one.likelihood for one in drawn]
        return weigh(near, mind.likelihoods[key])

    async def _offer(self, tool: Tool) -> Offer:
        return Offer(
            tool.name, tool.needs, tool.takes, tool.said,
            # A tool at a time: the catalog remembers the vectors of so few texts.
            await self._mind.catalog.embed([compared(tool.name, tool.said[0]), *tool.said[1:]]),
            tool.changes,
        )  # fmt: skip

    async def step(self, tool: Tool, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a step that calls a tool, through the grant that reaches what it names."""
        grant = await asyncio.to_thread(self.grant_for, tool, given)
        # Messages take their arguments in order: what stands before a given one is given, too.
        last = max((tool.takes.index(each) for each in given), default=-1)
        empty = None if tool.driver == "mcp" else ""
        return {
            "tool": tool.name, "oid": grant.oid, "slot": tool.slots.get(grant.oid, ""),
            "selector": tool.selector, "changes": tool.changes,
            "args": [given.get(each, empty) for each in tool.takes[: last + 1]],
        }  # fmt: skip

    def grant_for(self, tool: Tool, args: Mapping[str, Any]) -> Grant:
        """Return the grant of the object that a call goes to: the one that reaches what it names.

        Blocks: to be called in a thread.
        """
        driver = self._mind.drivers[tool.driver]
        named = [value for value in args.values() if isinstance(value, str)]
        for value in named:
            for grant in tool.grants:
                if driver.reaches(grant.scope, value):
                    return grant
        return tool.grants[0]


def _may_weigh(mind: KernelContext, persona: str) -> bool:
    try:
        return mind.roster.scores(persona)
    except ModelError:  # it has none
        return False


async def open_toolbox(mind: KernelContext, once: Sequence[tuple[str, str, str]] = ()) -> Toolbox:
    """Return the tools that the grants of this moment give, and those given for one request."""
    stands_in = {oid for kind, _, oid in once if kind == "grant"}

    def look(root: Root) -> list[Tool]:
        now = time.time()
        named = [g for g in grants.live(root, now) if g.name or g.oid in stands_in]
        live = [g for g in named if grants.is_usable(grants.links(root, g.oid), once)]
        examples = root.get(EXAMPLES, {})
        return list(_tools(mind.drivers, live, _slots(root), examples))[:MAX_TOOLS]

    return Toolbox(mind, await mind.image.transact(look, note="look at the tools"))


def is_kept(tool: Tool, sentence: Sentence) -> bool:
    """Return whether a person has said that this very request is one for a tool."""
    return plain(sentence.text, things_in(sentence))[:MAX_EXAMPLE] in tool.kept


async def keep_example(mind: KernelContext, tool: str, sentence: Sentence) -> None:
    """Keep a request as one that a tool is for: a person has said so."""
    text = plain(sentence.text, things_in(sentence))[:MAX_EXAMPLE]

    def work(root: Root) -> None:
        tree = tree_of(root, EXAMPLES)
        for name, kept in tree.items():
            if name != tool and text in kept["texts"]:  # it was thought to be for another one
                kept["texts"] = [one for one in kept["texts"] if one != text]
        kept = tree.setdefault(tool, PersistentMapping({"texts": []}))
        kept["texts"] = [*(one for one in kept["texts"] if one != text), text][-MAX_EXAMPLES:]

    await mind.image.transact(work, note=f"keep an example of {tool}"[:70])


def _tools(
    drivers: Mapping[str, Driver],
    live: Sequence[Grant],
    slots: Mapping[str, str],
    examples: Mapping[str, Any],
) -> Iterator[Tool]:
    groups: dict[tuple[str, str], list[Grant]] = defaultdict(list)
    for grant in live:
        if grant.driver in drivers:
            server = isinstance(drivers[grant.driver], ServerDriver)
            group = slots.get(grant.oid) or grant.name if server else grant.driver
            groups[group, grant.driver].append(grant)
    for (group, driver_name), held in groups.items():
        driver = drivers[driver_name]
        for selector in dict.fromkeys(each for grant in held for each in grant.operations):
            mine = tuple(grant for grant in held if selector in grant.operations)
            known = driver.operations(mine[0].scope).get(selector)
            name = f"{group}.{selector}"
            described = _describe(driver, mine[0], selector, name)
            if known is None or described is None:
                continue
            takes, needs, said = described
            kept = tuple(examples[name]["texts"]) if name in examples else ()
            yield Tool(
                name, selector, takes, needs, (*said, *kept), known.kind != READ, driver_name,
                mine, {grant.oid: slots[grant.oid] for grant in mine if grant.oid in slots},
                _schema_of(driver, mine[0], selector), kept,
            )  # fmt: skip


def _describe(
    driver: Driver, grant: Grant, selector: str, name: str
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] | None:
    """Return what an operation takes, what it needs, and what it does, in words."""
    if isinstance(driver, ServerDriver):
        tool = grant.scope["tools"].get(selector)
        if tool is None:
            return None
        listed = [(own, needed) for own, _, needed in tool["parameters"]]
        words = selector.replace("_", " ")
        about = str(tool["description"]).partition("\n")[0][:MAX_ABOUT]
        said = (about.strip() or words,)
        return tuple(n for n, _ in listed), tuple(n for n, needed in listed if needed), said
    return describe_own(f"{driver.name}.{selector}") if name in _SAID else None


def _schema_of(driver: Driver, grant: Grant, selector: str) -> dict[str, Any]:
    """Return the JSON Schema of each parameter of a server's tool; {} for a tool of ours."""
    if not isinstance(driver, ServerDriver):
        return {}
    tool = grant.scope["tools"][selector]
    properties = tool["schema"].get("properties", {})
    return {own: properties.get(asked, {}) for own, asked, _ in tool["parameters"]}


def describe_own(name: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return what an operation of ours takes, what it needs, and what it does, in words."""
    driver, _, selector = name.partition(".")
    takes, needs = _parameters(f"{driver}_obj.{selector}")
    return takes, (*needs, *(n for n in _NEEDED.get(name, ()) if n not in needs)), _SAID[name]


@cache
def _parameters(primitive: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    given = natives.signature_of(primitive).parameters.values()
    takes = tuple(each.name for each in given if each.name not in _UNUSED)
    return takes, tuple(each.name for each in given if each.default is each.empty)


def _slots(root: Mapping[str, Any]) -> dict[str, str]:
    """Return the slots of HOLDER by the oid of what they refer to."""
    holder = root["objects"].get(HOLDER)
    held = holder.slots.items() if holder is not None else ()
    return {
        ref_of(value).oid: name
        for name, value in held
        if type(value) is UvmObject and not name.startswith("_")
    }
