"""The agenda of an idle mind: what there is to do, read from the image, most urgent first."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief, goal
from bat_os.core.syntax import parse_literal
from bat_os.errors import BatError, DraftsError, ExampleWantedError
from bat_os.image import missions
from bat_os.image.history import entries, marks, staleness
from bat_os.image.history.entries import REHEARSAL
from bat_os.image.history.faults import failing, faults_of
from bat_os.image.history.golden import calls_in, shown_in
from bat_os.image.history.uses import USES, uses_of
from bat_os.image.objects import Method, UvmObject, examples_of, find, ref_of
from bat_os.image.proposals import is_quiet
from bat_os.kernel.canary.replaying import read_calls
from bat_os.kernel.idle.doubting import doubt
from bat_os.kernel.idle.works import (
    DAY,
    LOOK_DAYS,
    SLOW_CALLS,
    SLOW_SHARE,
    UNUSED_DAYS,
    Skill,
    Work,
    look_back,
    look_round,
    mend,
    practise,
    shadowed,
    slow,
    unused,
    verify,
)
from bat_os.kernel.learning.target import SHARED
from bat_os.method.text import is_pure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping

    from bat_os.image.proposals import Proposal

    Root = MutableMapping[str, Any]

LOOKED_AT: Final = 500  # missions, the newest first
PER_KIND: Final = 20  # works of one kind on an agenda
_LEFT: Final = ("unlearn", "recall", "turn down")  # of versions that nobody wants back
_FAILED: Final = frozenset({DraftsError.code, ExampleWantedError.code})


def read_agenda(root: Root, now: float, done: Callable[[str], bool]) -> list[Work]:
    """Return what is to be done, most urgent first, without what ``done`` says is done.

    To be called inside ``ImageStore.transact``; the works are used outside of it.
    """
    skills = [_skill(root, *found) for found in entries.learned(root)]
    kinds: tuple[tuple[str, Iterator[Work]], ...] = (
        ("practice", _failed(root)),
        ("doubt", _provisional(root, skills)),
        ("mend", _failing(root, skills)),
        ("canary", _renewed(root, skills)),
        (
            "duplicate",
            iter([look_round(int(now // (LOOK_DAYS * DAY)), [*_seen(root, skills, now)])]),
        ),
        ("stale", _stale(root, now)),
    )
    works: list[Work] = []
    for kind, found in kinds:
        if not is_quiet(root, kind, now):
            works += islice((work for work in found if not done(work.key)), PER_KIND)
    return works


def _failed(root: Root) -> Iterator[Work]:
    seen = set()
    newest = islice(reversed(list(root["missions"].keys())), LOOKED_AT)
    for mission_id in newest:
        try:
            record = missions.read(root, mission_id)
        except BatError:
            continue
        brief, answer = record.mission.brief, record.answer or {}
        wish = goal(brief)
        if answer.get("body", {}).get("code") not in _FAILED or wish in seen:
            continue
        seen.add(wish)
        if brief.mode or brief.label or record.session == REHEARSAL or not _is_open(root, brief):
            continue
        yield practise(brief, mission_id, [one["result"] for one in brief.examples])


def _is_open(root: Root, brief: Brief) -> bool:
    """Return whether a wish can still be learned where it was asked for."""
    try:
        target = find(root, brief.target)
    except BatError:
        return False
    return target.name not in SHARED and target.lookup(brief.selector) is None


def _skill(root: Root, holder: UvmObject, method: Method) -> tuple[Method, Skill]:
    version = method.versions[method.current]
    asked = version.provenance.get("brief")
    uses = uses_of(root, method)
    faults = faults_of(root, method, version.number)
    return method, Skill(
        holder.name or ref_of(holder).oid,
        method.selector,
        version.number,
        version.source,
        Brief.from_plain(asked) if asked is not None else None,
        uses=uses["versions"].get(version.number, 0),
        faults=len(faults),
        failed=tuple(fault["asked"] for fault in faults if fault.get("asked")),
        examples=examples_of(method, version),
        adapted=bool(version.provenance.get("adapted_from")),
    )


def _here(skill: Skill, brief: Brief) -> Brief:
    """Return the brief of a method as one to the object that has it, without what it let happen."""
    return Brief(skill.holder, skill.selector, brief.args, brief.kwargs, goal(brief))


def _provisional(root: Root, skills: list[tuple[Method, Skill]]) -> Iterator[Work]:
    found = [
        (method, skill)
        for method, skill in skills
        if method.status == "provisional" and skill.brief is not None and not skill.brief.mode
        and not method.versions[method.current].provenance.get("effects")
    ]  # fmt: skip
    for _, skill in sorted(found, key=lambda pair: -pair[1].uses):
        if skill.brief is not None:
            yield doubt(skill, _here(skill, skill.brief))


def _failing(root: Root, skills: list[tuple[Method, Skill]]) -> Iterator[Work]:
    for method, skill in skills:
        if not failing(root, method) or skill.brief is None or marks.pinned(root, method):
            continue
        calls = []
        for asked in skill.failed:
            try:
                args, kwargs = parse_literal(asked)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
            calls.append((args, kwargs))
        if calls:
            yield mend(skill, _here(skill, skill.brief), calls)


def _renewed(root: Root, skills: list[tuple[Method, Skill]]) -> Iterator[Work]:
    """Yield the look back at new versions, where nothing spoke against the one before."""
    for method, skill in skills:
        before = skill.version - 1
        if not before or skill.version < len(method.versions) or marks.pinned(root, method):
            continue
        left = any(
            move["version"] == before and move["what"] in _LEFT
            for move in marks.moves(root, method)
        )
        if not (left or faults_of(root, method, before)):
            calls = read_calls(root, find(root, skill.holder), method, before)
            yield look_back(skill, before, calls)


def _seen(root: Root, skills: list[tuple[Method, Skill]], now: float) -> Iterator[Proposal]:
    """Yield what a look without a model sees of methods that are not pinned."""
    for method, skill in skills:
        if skill.brief is None or marks.pinned(root, method):
            continue
        slow_calls = _count_slow(root, method, skill.version)
        made = float(method.versions[method.current].provenance.get("created", now))
        if above := _hidden_by(root, skill, made):
            yield shadowed(skill, *above)
        elif skill.uses >= SLOW_CALLS and slow_calls * SLOW_SHARE > skill.uses:
            yield slow(skill, slow_calls)
        elif max(made, float(uses_of(root, method)["last"])) < now - UNUSED_DAYS * DAY:
            yield unused(skill)


def _count_slow(root: Mapping[str, Any], method: Method, number: int) -> int:
    """Return how many calls of a version took over ``store.SLOW`` seconds."""
    uses = root.get(USES, {}).get(method._p_oid.hex(), {})
    return int(uses.get("slow", {}).get(number, 0))


def _hidden_by(root: Root, skill: Skill, made: float) -> tuple[str, str] | None:
    """Return (object, source) of a method that came later and that this one hides."""
    for obj in islice(find(root, skill.holder).lineage(), 1, None):
        below = obj.slots.get(skill.selector)
        if isinstance(below, Method) and below.current >= 0:
            version = below.versions[below.current]
            came = float(version.provenance.get("created", 0.0))
            return (obj.name or ref_of(obj).oid, version.source) if came > made else None
    return None


def _stale(root: Root, now: float) -> Iterator[Work]:
    for row in staleness.stale(root, now):
        if row["tainted"] or not row["changes"]:
            continue  # a person has to look at what is tainted
        holder = find(root, row["object"])
        method = holder.slots[row["selector"]]
        _, skill = _skill(root, holder, method)
        version = method.versions[method.current]
        examples = skill.examples or _answered(root, method)
        if examples and not version.provenance.get("effects"):
            changed = ", ".join(f"{one['name']} {one['change']}" for one in row["changes"])
            yield verify(skill, examples, changed)


def _answered(root: Mapping[str, Any], method: Method) -> tuple[dict[str, Any], ...]:
    """Return calls that the current version answered, as examples."""
    version = method.versions[method.current]
    if not is_pure(version.source, method.selector):
        return ()
    return tuple(
        {"args": list(args), "kwargs": kwargs, "result": result}
        for args, kwargs, result in calls_in(shown_in(root, method, version.number))
    )
