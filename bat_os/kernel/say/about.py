"""What the image says about itself: abilities, what it learned, why it answered so, undo."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.errors import ConflictError, NotFoundError
from bat_os.image.history.entries import learned
from bat_os.image.objects import Method, examples_of, find
from bat_os.image.store import watch_commits
from bat_os.kernel.effects.account import numbers_of, take_back
from bat_os.kernel.naming import Named, find_named
from bat_os.kernel.undoing import undo_transaction
from bat_os.natives.table import describe
from bat_os.sentence.periods import find_period
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]

EXAMPLES: Final = ("calculate", "remember", "list", "date")  # of the texts ``self.example_*``
MOST: Final = 10  # methods that are named
# What is said in a conversation that has no last answer.
LONELY: Final[Mapping[str, str]] = {"why": "self.why_nothing", "undo": "self.undo_nothing"}
WHY: Final[Mapping[str, str]] = {
    "shipped": "self.why_shipped", "taught": "self.why_taught", "verified": "self.why_verified",
    "provisional": "self.why_drafted",
}  # fmt: skip

UNSHOWN: Final = "self.why_tested"  # verified by tests that a persona wrote, without an example

# How a method came to be trusted, or that it is not yet.
STATUS: Final[Mapping[str, str]] = {
    status: f"self.status_{status}" for status in ("taught", "verified", "approved", "provisional")
}


async def answer(
    mind: KernelContext, name: str, values: Mapping[str, Any], now: dt.datetime, language: str
) -> Answer | None:
    """Return the answer to a question about the image itself, or None."""
    if name == "abilities":
        return await _abilities(mind, language)
    if name in ("learned", "history"):
        return await _learned(mind, str(values.get("when") or ""), now, language)
    if name in LONELY:
        return Answer("unable", text(language, LONELY[name]), language=language)
    return None


async def _abilities(mind: KernelContext, language: str) -> Answer:
    examples = [f'"{text(language, f"self.example_{name}")}"' for name in EXAMPLES]
    own = await mind.image.transact(
        lambda root: [method.selector for _, method in learned(root)], note="count what is known"
    )
    said = text(language, "self.abilities", examples=examples)
    if own:
        skills = text(language, "self.learned_all", count=len(own), names=own[:MOST])
        said = f"{said} {skills}"
    return Answer("said", said, language=language)


async def _learned(mind: KernelContext, when: str, now: dt.datetime, language: str) -> Answer:
    """Return the methods that came in a period, the newest first; of all time without one."""
    span = find_period(when, now, language) if when else None
    days = span or (dt.date.min, dt.date.max)

    def look(root: Root) -> list[tuple[float, str, str]]:
        found = []
        for holder, method in learned(root):
            at = float(method.version.provenance.get("created", 0.0))
            day = dt.datetime.fromtimestamp(at, dt.UTC).astimezone(now.tzinfo).date()
            if days[0] <= day <= days[1]:
                found.append((at, f"{holder.name}.{method.selector}", str(method.status)))
        return sorted(found, reverse=True)

    found = await mind.image.transact(look, note="look what was learned")
    names = [name for _, name, _ in found]
    key = "self.learned" if span else "self.learned_all"
    if not found:
        key = "self.learned_nothing" if span else "self.learned_none"
    shown = [f"{name} ({text(language, STATUS[status])})" if status in STATUS else name
             for _, name, status in found]  # fmt: skip
    said = text(language, key, count=len(names), when=when, names=shown[:MOST])
    sources = tuple(
        {"kind": "method", "title": name, "text": status, "at": at} for at, name, status in found
    )
    return Answer("recalled", said, names, sources=sources[:MOST], language=language)


async def find_learned(mind: KernelContext, words: str, language: str) -> Named[tuple[str, str]]:
    """Return target and selector of the learned methods that some words name."""
    known = await mind.image.transact(
        lambda root: [(holder.name, method.selector) for holder, method in learned(root)],
        note="look what was learned",
    )
    names = {one: ".".join(one) for one in known}
    exact = find_named(words, names, language)
    selectors = {one: one[1].replace("_", " ") for one in known}
    return exact if exact.whole else find_named(words.replace("_", " "), selectors, language)


async def explain_last(mind: KernelContext, last: Mapping[str, Any], language: str) -> Answer:
    """Return why the last answer is what it is."""
    if sources := last.get("sources"):
        return _explain_told(sources[0], language)
    if last["kind"] == "acted":
        said = text(language, "self.why_acted", text=last["text"])
        return Answer("recalled", said, language=language)
    if "call" not in last:
        return Answer("unable", text(language, "self.why_nothing"), language=language)
    target, selector = str(last["call"]["target"]), str(last["call"]["selector"])

    def look(root: Root) -> tuple[str, str, int]:
        held = find(root, target).lookup(selector)
        method = held[1] if held is not None else None
        if not isinstance(method, Method):
            return "", "", 0
        if method.primitive and method.current < 0:
            native = "." in method.primitive
            return "shipped", describe(method.primitive)["about"] if native else "", 0
        docstring = method.version.source.partition('"""')[2].partition('"""')[0]
        shown = len(examples_of(method, method.version))
        return str(method.status), docstring.strip(), shown

    status, wish, count = await mind.image.transact(look, note=f"explain {selector}"[:70])
    key = UNSHOWN if status == "verified" and not count else WHY.get(status, "")
    why = text(language, key, count=count) if key else ""
    said = text(language, "self.why_computed", reading=last["reading"], source=why).strip()
    source = {"kind": "method", "title": f"{target}.{selector}", "text": wish}
    return Answer("recalled", said, sources=(source,), language=language)


def _explain_told(source: Mapping[str, Any], language: str) -> Answer:
    if source["kind"] == "fact":
        when = dt.datetime.fromtimestamp(source["at"], dt.UTC).astimezone().date()
        said = text(language, "self.why_recalled", when=when, text=source["text"])
    else:
        said = text(
            language, "self.why_recalled_document", title=source["title"], text=source["text"]
        )
    return Answer("recalled", said, sources=(source,), language=language)


async def undo(mind: KernelContext, last: Mapping[str, Any], language: str) -> Answer:
    """Take back the last act that ``last`` names, unless what it made was changed since.

    What it answers names the transaction of the undoing, so "undo that" again does it anew.
    """
    last = last.get("act") or last
    transaction = str(last.get("transaction") or "")
    undone: list[str] = []
    try:
        with watch_commits() as commits:
            if transaction:
                undone = await undo_transaction(mind, transaction)
    except (ConflictError, NotFoundError):
        return Answer("unable", text(language, "self.undo_failed"), language=language)
    outside = last.get("effects") or await numbers_of(mind, transaction)
    taken = await take_back(mind, outside)
    if not undone and not outside:
        return Answer("unable", text(language, "self.undo_nothing"), language=language)
    if taken.left:
        told = text(language, "self.undo_left", what="; ".join(taken.left))
        if taken.texts:  # some steps of a request could be taken back, and others not
            back = text(language, "self.undone", text="; ".join(taken.texts))
            told = f"{back} {told}"
        return Answer("unable", told, language=language)
    tid = commits[-1] if commits and transaction else ""
    noted = {"transaction": tid, "undone": transaction, "effects": taken.numbers}
    said = str(last.get("said") or last.get("text") or "")
    return Answer(
        "acted", text(language, "self.undone", text=said), undo="undo that", language=language,
        memory=noted,
    )  # fmt: skip
