"""Sinks: where what was read could leave, checked in one place before it does.

    label of the run > flows to the sink? > the act        else GRANT_WANTED, and no act

The label of a run is the set of grants that had a say in what it knows. Sinks are effects, reads
that leave this machine, and the prompts of personas that write methods. An act that comes with the
commit is checked a second time there: what the run has read since had a say in it, too.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Final

from bat_os.core import syntax
from bat_os.errors import GrantWantedError
from bat_os.image import flows, grants
from bat_os.image.objects import find, object_of, ref_of
from bat_os.ports import READ, STAGE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.image.catalog import Passage
    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import KernelContext
    from bat_os.ports import Driver, Operation

    Root = MutableMapping[str, Any]
    Once = Collection[tuple[str, str, str]]


QUOTED: Final = 40  # characters of a literal, from which it is text and not a word


class Sinks:
    """Admits the acts of one run, or refuses them."""

    def __init__(
        self,
        image: ImageStore,
        drivers: Mapping[str, Driver],
        label: Collection[str],
        once: Once = (),
    ) -> None:
        self._image = image
        self._drivers = drivers
        self._label = label
        self._once = once
        self._staged: set[str] = set()

    async def admit(self, sink: str, operation: Operation) -> None:
        """Let an operation through the grant ``sink``; an oid.

        Raises:
            GrantWantedError: The run knows something that may not go there.
        """
        if operation.kind == READ and not operation.outward:
            return
        if operation.kind == STAGE:
            self._staged.add(sink)
        if self._label:
            await self._image.transact(lambda root: self._check(root, sink), note="look at flows")

    def settle(self, root: Root) -> None:
        """Check what was staged once more, with all that the run knows by its commit."""
        for sink in sorted(self._staged):
            self._check(root, sink)

    def _check(self, root: Root, sink: str) -> None:
        check(root, self._drivers, self._label, sink, self._once)


def check(
    root: Mapping[str, Any],
    drivers: Mapping[str, Driver],
    label: Iterable[str],
    sink: str,
    once: Once = (),
) -> None:
    """Raise GrantWantedError unless all of a label may go to a sink.

    The error names the first pair that lacks a flow, as ``batos allow`` takes it.
    """
    wanting = flows.lacking(root, label, sink, once)
    if not wanting:
        return
    source = wanting[0]
    read, sent = (describe(root, drivers, oid) for oid in (source, sink))
    raise GrantWantedError(
        f"this would send something read from {read} to {sent}; allow it: "
        f"batos allow {name_of(root, source)} {name_of(root, sink)}",
        flow={"source": source, "sink": sink, "read": read, "sent": sent},
    )


def describe(root: Mapping[str, Any], drivers: Mapping[str, Driver], oid: str) -> str:
    """Return what a grant reaches, or the name of an object without one, for a person."""
    links = grants.links(root, oid)
    driver = drivers.get(links[0].driver) if links else None
    return driver.describe(links[0].scope) if driver else name_of(root, oid)


def name_of(root: Mapping[str, Any], oid: str) -> str:
    """Return the name of an object, or its oid; of a grant of another image no more is known."""
    obj = object_of(root, oid)
    return obj.name if obj is not None and obj.name else oid


async def admit_prompt(mind: KernelContext, brief: Brief, persona: str) -> None:
    """Let a labelled request into the prompts of a mission.

    Raises:
        GrantWantedError: Nothing lets it through to one of the personas that would read it.
    """

    def look(root: Root) -> None:
        for reader in readers_of(mind, brief, persona):
            check(root, mind.drivers, brief.label, sink_of(root, reader))

    await mind.image.transact(look, note="look at flows")


async def let_through(
    mind: KernelContext, found: Sequence[Passage], readers: Collection[str]
) -> tuple[list[Passage], list[tuple[str, str]]]:
    """Return the passages that may stand in prompts of all these personas, and what lacks a flow.

    That is pairs of what was read and a persona, as ``batos allow`` takes them.
    """
    if not any(one.label for one in found):
        return [*found], []

    def look(root: Root) -> tuple[list[Passage], list[tuple[str, str]]]:
        sinks, allowed, wanting = [sink_of(root, each) for each in sorted(readers)], [], []
        for one in found:
            lacking = [(source, sink) for sink in sinks
                       for source in flows.lacking(root, one.label, sink)]  # fmt: skip
            allowed += [] if lacking else [one]
            wanting += [(name_of(root, source), name_of(root, sink)) for source, sink in lacking]
        return allowed, [*dict.fromkeys(wanting)]

    return await mind.image.transact(look, note="look at flows")


def readers_of(mind: KernelContext, brief: Brief, persona: str) -> set[str]:
    """Return who reads what a mission asks: who plans, who writes, in a cascade all."""
    return {persona, "BRICK", *(mind.personas if brief.mode else ())}


def quotes(source: str, texts: Collection[str]) -> bool:
    """Return whether a long literal of a method stands in one of some texts from outside."""
    literals = (
        " ".join(node.value.split())
        for node in ast.walk(syntax.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    plain = [" ".join(text.split()) for text in texts]
    return any(len(one) >= QUOTED and any(one in text for text in plain) for one in literals)


def sink_of(root: Mapping[str, Any], persona: str) -> str:
    """Return the oid of a persona's prototype."""
    name = persona.partition(":")[0].lower()
    return ref_of(find(root, f"{name}_obj")).oid
