"""What the image can say about itself: abilities, what it learned, why an answer is what it is."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.errors import BatError
from bat_os.image.history.entries import learned
from bat_os.image.objects import Method, find
from bat_os.image.shipped import library_names
from bat_os.natives.table import describe
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]

MOST: Final = 10  # methods that are named


async def answer(
    mind: KernelContext, name: str, values: Mapping[str, Any], now: dt.datetime, language: str
) -> Answer | None:
    """Return the answer to a question about the image itself, or None."""
    if name == "abilities":
        return await _abilities(mind, language)
    if name in ("learned", "history"):
        return await _learned(mind, now, language)
    if name in ("why", "undo"):  # of a conversation that has no last answer
        return Answer("unable", text(language, "self.nothing_before"), language=language)
    return None


async def _abilities(mind: KernelContext, language: str) -> Answer:
    def count(root: Root) -> tuple[int, int]:
        shipped = library_names(root)
        methods = sum(
            isinstance(held, Method)
            for name in shipped
            for held in root["objects"][name].slots.values()
        )
        return methods, sum(1 for _ in learned(root))

    methods, own = await mind.image.transact(count, note="count what is known")
    said = text(language, "self.abilities", methods=methods, learned=own)
    return Answer("said", said, language=language)


async def _learned(mind: KernelContext, now: dt.datetime, language: str) -> Answer:
    """Return the methods that came today, the newest first."""
    since = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()

    def look(root: Root) -> list[tuple[float, str, str]]:
        found = []
        for holder, method in learned(root):
            origin = method.version.provenance
            if float(origin.get("created", 0.0)) >= since:
                name = f"{holder.name}.{method.selector}"
                found.append((float(origin["created"]), name, str(method.status)))
        return sorted(found, reverse=True)

    today = await mind.image.transact(look, note="look what was learned")
    if not today:
        return Answer("recalled", text(language, "self.learned_nothing"), [], language=language)
    names = [name for _, name, _ in today]
    shown = ", ".join(f"{name} ({status})" for _, name, status in today[:MOST])
    said = text(language, "self.learned", count=len(names), names=shown)
    sources = tuple(
        {"kind": "method", "title": name, "text": status, "at": at} for at, name, status in today
    )
    return Answer("recalled", said, names, sources=sources[:MOST], language=language)


async def explain_last(mind: KernelContext, last: Mapping[str, Any], language: str) -> Answer:
    """Return why the last answer is what it is."""
    if sources := last.get("sources"):
        return Answer("recalled", text(language, "self.why_told", source=sources), language=language)
    if "call" not in last:
        return Answer("unable", text(language, "self.nothing_before"), language=language)
    call = last["call"]
    target, selector = str(call["target"]), str(call["selector"])

    def look(root: Root) -> tuple[str, str]:
        holder = find(root, target)
        method = holder.lookup(selector)
        if not isinstance(method, Method):
            return "slot", ""
        if method.primitive and method.current < 0:
            native = "." in method.primitive
            return ("shipped", describe(method.primitive)["about"]) if native else ("primitive", "")
        source = method.version.source
        return str(method.status), source.partition('"""')[2].partition('"""')[0]

    try:
        status, wish = await mind.image.transact(look, note=f"explain {selector}"[:70])
    except BatError:
        return Answer("unable", text(language, "self.nothing_before"), language=language)
    said = text(
        language, "self.why", said=last["text"], reading=last["reading"], method=wish or selector,
        status=text(language, f"status.{status}"), object=target, selector=selector,
    )  # fmt: skip
    source = {"kind": "method", "title": f"{target}.{selector}", "text": wish}
    return Answer("recalled", said, sources=(source,), language=language)
