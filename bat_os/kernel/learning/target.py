"""What is known before a method is written: the receiver, and a skill for the same wish."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bat_os.core.brief import goal, kinds, parameters
from bat_os.core.digest import digest
from bat_os.core.prompts import SAME_SCHEMA, ask_same, read_same
from bat_os.errors import ApprovalWantedError, ArgumentsError, NotUnderstoodError
from bat_os.image.history import marks
from bat_os.image.objects import Method, UvmObject, find, kept_examples, merge_examples, tree_of
from bat_os.image.shipped import library_names
from bat_os.kernel.learning.likeness import OPEN, REUSE, Written, weigh
from bat_os.kernel.snapshot import snapshot_of
from bat_os.kernel.whereabouts import say_here
from bat_os.method.adapt import Form
from bat_os.method.text import parse_method
from bat_os.natives.context import SLOTS
from bat_os.natives.table import describe

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.core.settings import Settings
    from bat_os.image.catalog import Passage
    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]

NEAREST: Final = 3  # skills that are looked at
JUDGED: Final = "judged_pairs"  # in the root: digest of judge and pair -> yes, no or ask
MAX_JUDGED: Final = 10_000
DOOR_WORDS: Final = {
    "files": {"file", "files", "folder", "path"},
    "web": {"web", "page", "url", "site"},
    "shell": {"shell", "command", "program"},
    "context": {"here", "holiday", "holidays", "today", "place", "city", "country", "zone"},
}
MAX_REACH: Final = 8  # calls that a writer is shown
SAME_TOKENS: Final = 16
# What every object, or every persona, inherits from: models write nothing there.
SHARED: Final = frozenset({"traits_obj", "pLLM_obj"})
ALIKE: Final = 0.8  # from here on a message counts as another one, misspelt
STEWARD: Final = "ALFRED"  # writes if the object names no other persona


class Replaced(NamedTuple):
    """The version that a new one would replace: number, 0 for none, and source."""

    number: int = 0
    source: str = ""


class Waiting(NamedTuple):
    """A version that waits for approval: name of its holder, and number; 0 for none."""

    holder: str = ""
    number: int = 0

    def refuse(self, selector: str) -> None:
        """Refuse a message that will be understood after the Architect's yes."""
        if self.number:
            raise self.wanted(selector)

    def wanted(self, selector: str, does: str = "", guess: str = "") -> ApprovalWantedError:
        """Return the error for a message that is sent before the yes.

        ``guess`` is the answer of a method that nobody ordered.
        """
        wants = f"; in the world it {does}" if does else ""
        said = (
            f"{selector} waits for the Architect's yes: batos approve {self.holder} {selector}"
            f"{wants}"
        )
        if guess:
            said = (
                f"a guess for {selector} is {guess}; it is kept only after a yes: "
                f"batos approve {self.holder} {selector}{wants}"
            )
        return ApprovalWantedError(said, object=self.holder, selector=selector, version=self.number)


@dataclass(frozen=True, slots=True)
class Target:
    """The receiver of a brief."""

    persona: str  # who writes for it
    own_slots: tuple[str, ...]  # names of its own slots, in their order; no methods
    slots: frozenset[str]  # the same with inherited ones
    selectors: frozenset[str]  # messages that it understands
    # those of the brief, then those that came with earlier versions
    examples: tuple[Mapping[str, Any], ...]
    replaced: Replaced  # what a new version would replace
    waiting: Waiting  # a version of the wanted method that waits for approval
    # calls of objects that its slots refer to: ``self.units.convert(number, unit, to)``
    reach: tuple[str, ...] = ()
    here: str = ""  # about the person, for the writer

    def form_for(self, brief: Brief) -> Form:
        """Return what a method for this brief has to look like."""
        params = (*parameters(brief), *brief.kwargs)
        return Form(brief.selector, params, goal(brief), self.own_slots)


async def read_target(context: KernelContext, brief: Brief) -> Target:
    """Return the receiver of a brief as it is now.

    Raises:
        ArgumentsError: What others inherit from it must not come from a model.
    """

    def read(root: Root) -> Target:
        target = find(root, brief.target)
        if target.name in SHARED:
            raise ArgumentsError(
                f"{target.name} is a parent of other objects, and a method there runs with their "
                "private slots: send to another object, or write the method yourself (batos teach)"
            )
        seen = snapshot_of(target, {})
        persona = brief.persona or seen.slots.get("persona")
        if brief.persona and brief.persona not in context.cast.personas:
            known = ", ".join(context.cast.personas)
            raise ArgumentsError(f"persona_id must be one of {known}, not {brief.persona[:60]!r}")
        return Target(
            persona if type(persona) is str and persona in context.cast.personas else STEWARD,
            tuple(n for n, value in target.slots.items() if not isinstance(value, Method)),
            frozenset(seen.slots),
            seen.selectors,
            merge_examples(brief.examples, kept_examples(target, brief.selector)),
            find_replaced(root, brief),
            _find_waiting(root, target, brief),
            _reach(target, goal(brief)),
            say_here(root, context.options) if knows_person(root, context.options) else "",
        )

    return await context.image.transact(read, note="read the target")


def knows_person(root: Root, options: Settings) -> bool:
    """Return whether a person has said anything of where they are."""
    obj = root["objects"].get("context_obj")
    said = obj is not None and not obj.slots.keys().isdisjoint(SLOTS)
    return said or bool(options.place or options.zone or options.country or options.locale)


def _reach(target: UvmObject, wish: str) -> tuple[str, ...]:
    """Return the calls of objects that own slots refer to, those that share words first."""
    words = set(re.findall(r"[a-z]{3,}", wish.casefold()))
    calls: list[tuple[int, str]] = []
    for slot, held in target.slots.items():
        if type(held) is not UvmObject or slot.startswith("_"):
            continue
        if held.name == f"{slot}_obj" and not words & DOOR_WORDS.get(slot, words):
            continue  # a way into the world that nobody speaks of
        for selector in snapshot_of(held, {}).selectors:
            method = held.slots.get(selector)  # what all objects inherit is no news
            if isinstance(method, Method) and not selector.startswith("_"):
                shared = len(words & {*selector.split("_"), slot})
                calls.append((-shared, f"self.{slot}.{_call_of(method)}"))
    return tuple(call for _, call in sorted(calls)[:MAX_REACH])


def _call_of(method: Method) -> str:
    if method.primitive and method.current < 0:
        known = "." in method.primitive
        return str(describe(method.primitive)["signature"]) if known else f"{method.selector}(...)"
    parsed = parse_method(method.version.source, method.selector)
    names = [] if parsed is None else [each.arg for each in parsed[1].args.args[1:]]
    return f"{method.selector}({', '.join(names)})"


def doubt_name(root: Root, brief: Brief) -> Brief:
    """Return the brief of a message that is not understood, tentative if it may be misspelt.

    A shipped object says what it understands: another name, without an example or a wish in
    words, is as likely a typing error as an order.

    Raises:
        NotUnderstoodError: It is nearly a message of a shipped object; nobody wants that learned.
    """
    target = root["objects"].get(brief.target)
    if target is None or brief.target not in library_names(root):
        return brief
    doubted = brief if brief.text or brief.examples else replace(brief, tentative=True)
    if brief.selector in target.slots:
        return doubted
    near = difflib.get_close_matches(brief.selector, list(target.slots), n=1, cutoff=ALIKE)
    if near:
        raise NotUnderstoodError(
            f"{brief.target} does not understand {brief.selector!r}; did you mean {near[0]!r}?",
            target=brief.target,
        )
    return doubted


def find_replaced(root: Mapping[str, Any], brief: Brief) -> Replaced:
    """Return the version that a brief replaces; none unless it is fresh.

    Only a learned method of the receiver's own is replaced: a fresh brief for what is
    inherited, built in or a slot is answered as any other. The new version has to be another
    text, and to reproduce every example that was kept.
    """
    method = find(root, brief.target).slots.get(brief.selector) if brief.fresh else None
    if not isinstance(method, Method) or method.current < 0:
        return Replaced()
    marks.refuse_pinned(root, method)
    return Replaced(method.version.number, method.version.source)


def waiting_version(root: Root, holder: UvmObject, selector: str) -> int:
    """Return the number of an object's own version that waits for approval, or 0."""
    method = holder.slots.get(selector)
    return int(marks.waiting(root, method).get("version", 0)) if isinstance(method, Method) else 0


def _find_waiting(root: Root, target: UvmObject, brief: Brief) -> Waiting:
    for holder in target.lineage():
        if number := waiting_version(root, holder, brief.selector):
            return Waiting(holder.name or brief.target, number)
    return Waiting()


@dataclass(frozen=True, slots=True)
class Known:
    """A learned method that serves the wish."""

    holder: str  # name of the object that has it
    selector: str  # its message
    wish: str  # what it was learned for
    similarity: float  # how likely it is that the two wishes are one


async def find_known(context: KernelContext, brief: Brief) -> Known | None:
    """Return the learned method that serves the wish of ``brief``, or None.

    The trained scorer decides, and the arguments have to be of the same kinds. What it leaves open,
    a model decides that was measured to tell requests apart.
    """
    hits = await context.catalog.search((goal(brief),), top_k=NEAREST, kind="method")
    serving = await context.image.transact(
        lambda root: [_serving(root, brief, hit) for hit in hits], note="look for a known skill"
    )
    written = [
        Written(hit.wish, hit.signature, one[1]) for hit, one in zip(hits, serving, strict=True)
    ]
    chances = await weigh(context, brief, written)
    ranked = sorted(zip(chances, hits, serving, strict=True), key=lambda each: -each[0])
    for chance, hit, (holder, _) in ranked:
        if not holder or chance < OPEN:
            continue
        if chance >= REUSE or (
            context.ability_of(STEWARD).tells_apart
            and await _is_judged_same(context, goal(brief), hit.wish)
        ):
            return Known(*holder, hit.wish, chance)
    return None


async def _is_judged_same(context: KernelContext, wish: str, known: str) -> bool:
    """Return True if the model says that both requests are one; each pair is asked about once."""
    key = digest(f"{context.roster.digest_of(STEWARD)}\n{wish}\n{known}")
    said = await context.image.transact(
        lambda root: root.get(JUDGED, {}).get(key), note="look up a judgement"
    )
    if said is None:
        prompt = ask_same(wish, known, context.cast.personas[STEWARD].system_prompt)
        sampling = replace(
            context.cast.assigned[STEWARD].sampling,
            temperature=0.0,
            max_tokens=SAME_TOKENS,
            schema=SAME_SCHEMA,
        )
        said = read_same((await context.roster.generate(STEWARD, [prompt], sampling))[0].text)

        def keep(root: Root) -> None:
            judged = tree_of(root, JUDGED)
            if len(judged) >= MAX_JUDGED:
                del judged[judged.minKey()]
            judged[key] = said

        await context.image.transact(keep, note="keep a judgement")
    return bool(said == "yes")


def _serving(
    root: Root, brief: Brief, hit: Passage
) -> tuple[tuple[str, str] | None, Sequence[str]]:
    """Return object and message of a method, None if it cannot serve, and what it was made for."""
    meta: dict[str, Any] = root["knowledge_catalog"].meta(hit.doc_id)
    holder, selector = meta.get("object", ""), meta.get("selector", "")
    made_for = meta.get("kinds") or ()
    owner = root["objects"].get(holder)
    method = owner.lookup(selector) if owner is not None else None
    if method is None or meta.get("kinds") != kinds(brief):
        return None, made_for
    reached = meta.get("pure") or find(root, brief.target).lookup(selector) == method
    return (holder, selector) if reached else None, made_for
