"""The versions of a method, and the moves of the one that is current.

Versions never change and are never removed. Each move can be undone by another one; ``marks``
keeps the list. All functions work on the root inside ``ImageStore.transact``, so the caller
decides what else the transaction does. What has to be done before a version may come back (its
examples, its vector) the caller does outside of it: ``pick`` reads what is needed, and
``make_current`` refuses if that has changed since.

NotFoundError: there is no such method or version, or it belongs to another object. ArgumentsError:
the method is pinned, is already what is asked for, or its source is damaged. ConflictError: it has
changed since ``pick``.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bat_os.core.values import check_taught
from bat_os.errors import ArgumentsError, ConflictError, NotFoundError
from bat_os.image.history import basis, entries, marks
from bat_os.image.objects import Method, UvmObject, examples_of, kept_examples, ref_of
from bat_os.method.text import find_forwarded

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bat_os.image.history.entries import Summary
    from bat_os.image.objects import MethodVersion

    Root = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Skill:
    """A method to install."""

    selector: str
    source: str  # audited module text
    status: str  # ``verified``, ``provisional`` or ``taught``
    provenance: Mapping[str, Any]
    summary: str  # what it is found by: ``entries.Summary.text``
    # embedding of the n passages of ``summary``, float32 ``(n, d)``, or None where no embedder is
    vector: NDArray[np.float32] | None = None
    # of the arguments that it was made for (``bat_os.core.brief.kinds``), or None
    kinds: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Picked:
    """A version that may become current, as plain data."""

    oid: str  # of the object that has the method
    selector: str
    number: int
    source: str  # its text, which has its recorded hash
    sha256: str
    examples: tuple[Mapping[str, Any], ...]  # what it has to reproduce
    summary: Summary
    # the message that it was tried on if that had effects: ``brief``, ``effects``, ``tried``
    trial: Mapping[str, Any]
    taught: bool  # a person wrote it
    seen: tuple[int, int, int]  # state of the method when it was read; ``make_current`` compares it


def locate(obj: UvmObject, selector: str) -> tuple[UvmObject, Method]:
    """Return (holder, learned method) for a message, unlearned ones included."""
    found = [(o, o.slots[selector]) for o in obj.lineage() if selector in o.slots]
    for holder, method in found:
        if isinstance(method, Method) and method.versions:
            return holder, method
    name = obj.name or "the object"
    if any(isinstance(method, Method) for _, method in found):
        raise NotFoundError(f"{selector} is built into the kernel; it has no versions")
    known = sorted(n for n, m in obj.slots.items() if isinstance(m, Method) and m.versions)
    has = f"; it learned {', '.join(known[:20])}" if known else "; it learned nothing so far"
    raise NotFoundError(f"{name} has no learned method {selector[:60]!r}{has}")


def own(obj: UvmObject, selector: str) -> Method:
    """Return the learned method that the object itself has."""
    holder, method = locate(obj, selector)
    if holder is not obj:
        raise NotFoundError(f"{selector} belongs to {holder.name or ref_of(holder).oid}; ask there")
    return method


def version_of(method: Method, number: int = 0) -> MethodVersion:
    """Return a version by its number; 0 is the current one, or the latest where none is."""
    if number == 0:
        return method.versions[method.current]  # -1, unlearned, is the latest
    if not 1 <= number <= len(method.versions):
        raise NotFoundError(
            f"{method.selector} has no version {number}; it has 1 to {len(method.versions)}"
        )
    return method.versions[number - 1]


def overview(root: Root, obj: UvmObject, selector: str) -> dict[str, Any]:
    """Return all versions of a method as plain data, with its pin, taint and moves."""
    holder, method = locate(obj, selector)
    return {
        "object": holder.name or ref_of(holder).oid,
        "selector": selector,
        "current": method.current + 1,
        "pinned": marks.pinned(root, method),
        "tainted": marks.taint(root, method),
        "waiting": marks.waiting(root, method).get("version", 0),
        "versions": [_row(method, version) for version in method.versions],
        "moves": list(marks.moves(root, method)),
    }


def compare(obj: UvmObject, selector: str, one: int, other: int) -> dict[str, Any]:
    """Return what changed in the source between two versions, as a unified diff."""
    _, method = locate(obj, selector)
    old, new = version_of(method, one), version_of(method, other)
    names = f"{selector}, version {old.number}", f"{selector}, version {new.number}"
    same = old.sha256 == new.sha256
    return {"selector": selector, "same": same, "diff": diff_of((old.source, new.source), names)}


def diff_of(sources: tuple[str, str], names: tuple[str, str]) -> str:
    r"""Return the unified diff of two sources; "" if they are byte for byte the same.

    >>> diff_of(("a", "a\n"), ("kept", "drawn")).splitlines()[-1]
    '+'
    """
    one, other = (source.split("\n") for source in sources)
    return "\n".join(difflib.unified_diff(one, other, *names, lineterm=""))


def install(root: Root, holder: UvmObject, skill: Skill) -> int:
    """Make ``skill`` the current version of its selector in ``holder``; return its number."""
    check_taught(skill.selector)
    method = _method_for(root, holder, skill.selector)
    number = _append(root, method, skill)
    _inherit_taint(root, method, method.versions[number - 1])
    basis.note(root, holder, method)
    if skill.vector is not None:
        if number > 1:  # a new method has none, and to look takes a tenth of what a lesson costs
            entries.remove_entries(root, method)
        kinds = None if skill.kinds is None else tuple(skill.kinds)
        found_by = entries.Summary(skill.summary, kinds), skill.vector
        entries.put_entry(root, holder, method, found_by)
    return number


def _inherit_taint(root: Root, method: Method, version: MethodVersion) -> None:
    """Mark a version that became current if its writer was shown a method that has a mark."""
    for shown in entries.shown_to(root, version):
        if shown is not method and (mark := marks.taint(root, shown)):
            through = (*mark.get("through", ()), entries.name_of(root, shown))
            marks.set_mark(
                root, "taint", method, mark | {"version": version.number, "through": through}
            )
            return


def _method_for(root: Root, holder: UvmObject, selector: str) -> Method:
    """Return the method that a new version goes to, made if missing; raises if it is pinned."""
    method = holder.slots.get(selector)
    if not isinstance(method, Method):
        method = Method(selector)
        holder.set_slot(selector, method)
    marks.refuse_pinned(root, method)
    return method


def _append(root: Root, method: Method, skill: Skill) -> int:
    version = method.add_version(skill.source, skill.status, skill.provenance)
    entries.note_citations(root, method, version)
    return version.number


def unlearn(
    root: Root,
    holder: UvmObject,
    selector: str,
    *,
    at: float,
    what: str = "unlearn",
    along: str = "",
) -> int:
    """Stop the object from understanding the method; return the number of its last version.

    ``along`` is the method that it is another name of, which was unlearned with it.
    """
    method = own(holder, selector)
    if method.current < 0:
        if marks.waiting(root, method):
            raise ArgumentsError(f"{selector} waits for approval; approve --no rejects it")
        raise ArgumentsError(f"{selector} is unlearned already; redo brings it back")
    marks.refuse_pinned(root, method)
    number = method.versions[method.current].number
    listed = entries.remove_entries(root, method)
    method.current = -1
    note = {"at": at, "what": what, "version": number, "listed": listed}
    note |= {"with": along} if along else {}
    marks.add_move(root, method, note)
    return number


def other_names(holder: UvmObject, selector: str) -> list[str]:
    """Return the messages of an object that only pass on to one of its methods.

    Of the method and of each other; those that cannot be unlearned now are left out.
    """
    passes: dict[str, list[str]] = {}
    for name, method in holder.slots.items():
        if isinstance(method, Method) and method.current >= 0:
            passes.setdefault(find_forwarded(method.version.source, name), []).append(name)
    found = [selector]
    for known in found:
        found += [name for name in passes.get(known, ()) if name not in found]
    return sorted(found[1:])


def gone_with(root: Root, holder: UvmObject, selector: str) -> list[str]:
    """Return the other names that were unlearned last when the method itself was."""
    methods = [method for method in holder.slots.values() if isinstance(method, Method)]
    return sorted(
        method.selector
        for method in methods
        if method.current < 0 and _withdrawal(root, method).get("with") == selector
    )


def hold(root: Root, holder: UvmObject, skill: Skill, *, at: float, mission: str) -> int:
    """Add a version that waits for the Architect's approval; return its number.

    The version that is current stays current.
    """
    method = _method_for(root, holder, skill.selector)
    current = method.current
    number = _append(root, method, skill)
    method.current = current
    mark = {"version": number, "at": at, "oid": ref_of(holder).oid, "mission": mission,
            "selector": skill.selector, "object": holder.name}  # fmt: skip
    marks.set_mark(root, "waiting", method, mark)
    marks.add_move(root, method, {"at": at, "what": "hold", "version": number})
    return number


def turn_down(root: Root, holder: UvmObject, selector: str, *, at: float) -> int:
    """Reject the version that waits for approval; return its number."""
    method = own(holder, selector)
    number = int(marks.waiting(root, method).get("version", 0))
    if not number:
        raise NotFoundError(f"no version of {selector} waits for approval")
    marks.set_mark(root, "waiting", method, {})
    marks.add_move(root, method, {"at": at, "what": "turn down", "version": number})
    return number


def pick(root: Root, obj: UvmObject, selector: str, number: int = 0) -> Picked:
    """Return what is needed to make a version current again.

    Number 0 is the version that was unlearned last.
    """
    method = own(obj, selector)
    if number == 0 and method.current >= 0:
        raise ArgumentsError(f"{selector} is not unlearned; name the version to go to")
    wanted = number or _withdrawal(root, method).get("version", len(method.versions))
    version = version_of(method, wanted)
    if version.number == method.current + 1:
        raise ArgumentsError(f"version {version.number} of {selector} is current already")
    marks.refuse_pinned(root, method)
    return _picked(obj, method, version)


def pick_current(obj: UvmObject, selector: str) -> Picked:
    """Return the current version in the form that ``pick`` gives."""
    method = own(obj, selector)
    if method.current < 0:
        raise NotFoundError(f"{selector} is unlearned; redo brings it back")
    return _picked(obj, method, method.versions[method.current])


def make_current(
    root: Root,
    holder: UvmObject,
    picked: Picked,
    vectors: NDArray[np.float32],
    move: Mapping[str, Any],
) -> None:
    """Make a version current, and have the search find it.

    The vectors are those of ``picked.summary.passages``; ``move`` has ``at`` and ``what`` for
    the list of moves.
    """
    method = unchanged(holder, picked)
    marks.refuse_pinned(root, method)
    entries.remove_entries(root, method)
    method.current = picked.number - 1
    entries.put_entry(root, holder, method, (picked.summary, vectors))
    if marks.waiting(root, method).get("version") == picked.number:
        marks.set_mark(root, "waiting", method, {})
    marks.add_move(root, method, {**move, "version": picked.number})
    basis.note(root, holder, method)


def unchanged(holder: UvmObject, picked: Picked) -> Method:
    """Return the method that ``picked`` was read from."""
    method = holder.slots.get(picked.selector)
    if not isinstance(method, Method) or _state(method) != picked.seen:
        raise ConflictError(f"{picked.selector} was changed by someone else; look again")
    return method


def _picked(obj: UvmObject, method: Method, version: MethodVersion) -> Picked:
    if not version.is_whole:
        raise ArgumentsError(f"the source of version {version.number} is not what was committed")
    origin = version.provenance
    return Picked(
        ref_of(obj).oid,
        method.selector,
        version.number,
        version.source,
        version.sha256,
        kept_examples(obj, method.selector),
        entries.summary_of(method.selector, version),
        {key: origin.get(key) for key in ("brief", "effects", "tried")} if origin.get("effects")
        else {},
        version.status == "taught",
        _state(method),
    )  # fmt: skip


def _state(method: Method) -> tuple[int, int, int]:
    return method.current, len(method.versions), len(method.approvals)


def _withdrawal(root: Root, method: Method) -> dict[str, Any]:
    """Return the last move that took the method out of the search, or {}."""
    moves = marks.moves(root, method)
    return next((move for move in reversed(moves) if "listed" in move), {})


def _row(method: Method, version: MethodVersion) -> dict[str, Any]:
    origin = version.provenance
    return {
        "version": version.number,
        "current": version.number == method.current + 1,
        "status": method.status_of(version),
        "sha256": version.sha256,
        "whole": version.is_whole,
        "lines": len(version.source.splitlines()),
        "persona": origin.get("persona", ""),
        "model": origin.get("model", ""),
        "created": origin.get("created", 0.0),
        "mission": origin.get("mission", ""),
        "examples": len(examples_of(method, version)),
        "imported": bool(origin.get("through")),
    }
