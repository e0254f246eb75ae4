"""What the image knows of each learned method that decides whether to learn from it.

Reads versions, marks, uses and faults; keeps nothing. ``method.golden`` has the rules. All
functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief, goal
from bat_os.core.syntax import parse_literal
from bat_os.image.history import entries, marks
from bat_os.image.history.faults import faults_of
from bat_os.image.history.uses import USES
from bat_os.image.objects import examples_of, ref_of
from bat_os.method.golden import (
    GOLD,
    NONE,
    SILVER,
    Known,
    grade,
    write_body,
    write_call,
    write_case,
)
from bat_os.method.text import is_pure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping, Sequence

    from bat_os.image.objects import Method, MethodVersion, UvmObject
    from bat_os.method.golden import Placed

    Root = MutableMapping[str, Any]

FORMAT: Final = 1
MAX_LOOKED_AT: Final = 2_000
MAX_CASES: Final = 5  # calls of a method beside the examples of a person
_LINEAGE: Final = ("model", "adapter")


def read_known(root: Root, most: int = MAX_LOOKED_AT) -> list[dict[str, Any]]:
    """Return what is known of up to ``most`` learned methods.

    Of each a map: ``known`` (a ``Known``), ``wish``, ``call``, ``body``, ``cases``, ``lineage``.
    """
    return [_read(root, *found) for found in islice(_learned(root), most)]


def _learned(root: Root) -> Iterator[tuple[UvmObject, Method]]:
    for holder, method in entries.learned(root):
        if method.versions[method.current].is_whole:
            yield holder, method


def _read(root: Root, holder: UvmObject, method: Method) -> dict[str, Any]:
    version, name = method.versions[method.current], holder.name or ref_of(holder).oid
    origin = version.provenance
    examples = examples_of(method, version)
    brief = origin.get("brief")
    lineage = {
        "mission": str(origin.get("mission", "")),
        "object": name,
        "selector": method.selector,
        "version": version.number,
        "sha256": version.sha256,
        **{key: str(origin.get(key, "")) for key in _LINEAGE},
        "prompt": str(origin.get("prompt_sha256", "")),
        "passages": list(origin.get("passages", ())),
    }
    call, names = write_call(version.source, method.selector)
    uses = root.get(USES, {}).get(method._p_oid.hex(), {})
    shown = shown_in(root, method, version.number)
    return {
        "known": _known(root, method, version, name, (examples, uses)),
        "wish": goal(Brief.from_plain(brief)) if brief is not None else "",
        "call": call,
        "body": write_body(version.source, method.selector),
        "cases": _cases(names, examples, shown if _is_free(version, method.selector) else {}),
        "lineage": lineage,
    }


def _known(
    root: Root,
    method: Method,
    version: MethodVersion,
    holder: str,
    seen: tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]],
) -> Known:
    origin, number, (examples, uses) = version.provenance, version.number, seen
    first, last = uses.get("days", {}).get(number, (0, 0))
    proved = any(
        move["what"] == "verify" and move["version"] == number for move in marks.moves(root, method)
    )
    return Known(
        # Practised and not by a mission: a name of its own, after all missions.
        str(origin.get("mission") or f"~{holder}.{method.selector}"),
        method.selector,
        version.source,
        version.status,
        is_written=bool(origin.get("model")) and not origin.get("adapted_from"),
        is_tainted=bool(marks.taint(root, method)),
        is_approved=number in method.approvals,
        is_foreign=bool(origin.get("through")) and not proved,
        faults=len(faults_of(root, method, number)),
        version=number,
        calls=uses.get("versions", {}).get(number, 0),
        arguments=len(uses.get("shown", {}).get(number, ())),
        days=last - first + 1,
        results=tuple(one["result"] for one in examples),
        fixups=tuple(origin.get("fixups", ())),
    )


def grade_of(root: Root, method: Method, version: MethodVersion) -> dict[str, str]:
    """Return ``grade`` and ``why`` of a version by itself, as if no other method was like it."""
    if version.number != method.current + 1:
        return {"grade": NONE, "why": "not the current version"}
    uses = root.get(USES, {}).get(method._p_oid.hex(), {})
    found, why = grade(_known(root, method, version, "", (examples_of(method, version), uses)))
    return {"grade": found, "why": why}


def _is_free(version: MethodVersion, selector: str) -> bool:
    """Return whether an answer of a method depends on its arguments alone."""
    return is_pure(version.source, selector) and not version.provenance.get("effects")


def _cases(
    names: Sequence[str],
    examples: Sequence[Mapping[str, Any]],
    shown: Mapping[str, tuple[str, str]],
) -> list[dict[str, str]]:
    """Return the examples of a person, then calls that were answered, each call once."""
    given = [
        write_case(names, one["args"], one["kwargs"], one["result"])
        for one in examples
        if not (one.get("world") or one.get("effects"))
    ]
    given += [write_case(names, *call) for call in calls_in(shown)]
    once: dict[str, dict[str, str]] = {}
    for case in given:
        if case is not None:
            once.setdefault(case["args"], case)
    return [*once.values()][: len(examples) + MAX_CASES]


def calls_in(
    shown: Mapping[str, tuple[str, str]],
) -> Iterator[tuple[tuple[Any, ...], dict[str, Any], Any]]:
    """Yield (args, kwargs, answer) of the calls that were kept with a version.

    One is passed over that was too long to be kept, was hidden, or names an object.
    """
    for asked, answered in shown.values():
        try:
            (args, kwargs), value = parse_literal(asked or "()"), parse_literal(answered)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        yield args, kwargs, value


def shown_in(root: Mapping[str, Any], method: Method, number: int) -> Mapping[str, Any]:
    """Return the calls that were kept with a version, for ``calls_in``."""
    uses = root.get(USES, {}).get(method._p_oid.hex(), {})
    kept: Mapping[str, Any] = uses.get("shown", {}).get(number, {})
    return kept


def write_record(row: Mapping[str, Any], placed: Placed) -> dict[str, Any]:
    """Return the record of one method as it stands among the others.

    One that cannot be written down whole, as a plain call with a wish, is not gold.
    """
    is_whole = row["wish"] and row["call"]
    given = SILVER if placed.grade == GOLD and not is_whole else placed.grade
    return {
        "format": FORMAT,
        **{key: row[key] for key in ("wish", "call", "body", "cases")},
        "grade": given,
        "why": placed.why,
        "cluster": placed.cluster,
        "split": placed.split,
        "lineage": row["lineage"],
    }


def by_grade(records: Sequence[Mapping[str, Any]], wanted: str) -> list[Mapping[str, Any]]:
    """Return the records of a grade, or with "" all that are worth showing."""
    if wanted:
        return [record for record in records if record["grade"] == wanted]
    return [record for record in records if record["grade"] != NONE]
