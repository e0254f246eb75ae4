"""Runs of the forge in the image: what each learned from, what the gates found, what came of it.

    root["forge"]    number of the run -> plain data

The record of a promotion is written with the adapter and the pointers of the personas, in one
transaction, and an undo puts the pointers back in one. All functions work on the root inside
``ImageStore.transact``. No words of a person are in a record: methods stand by their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.image.history import marks
from bat_os.image.history.entries import learned
from bat_os.image.history.faults import faults_of
from bat_os.image.objects import Method, find, object_of, tree_of
from bat_os.image.preferences import set_entry

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    Root = MutableMapping[str, Any]

RUNS: Final = "forge"
REFUSED, WAITS, PROMOTED, UNDONE = "refused", "waits", "promoted", "undone"
_WRITING: Final = "writing"  # entry of a persona: the adapter that it writes methods through


def adapter_of(number: int) -> str:
    """Return the name of the adapter of a run.

    >>> adapter_of(3)
    'forge-3'
    """
    return f"forge-{number}"


def next_number(root: Root) -> int:
    """Return the number that the next run gets."""
    return max(root.get(RUNS, {}), default=0) + 1


def note(root: Root, number: int, record: Mapping[str, Any]) -> None:
    """Write the record of a run that came to nothing, or waits for a yes."""
    tree_of(root, RUNS)[number] = dict(record)


def promote(
    root: Root, number: int, record: Mapping[str, Any], personas: Sequence[str], *, at: float
) -> None:
    """Have these personas write through the run's adapter, and note it."""
    before = {}
    for persona in personas:
        name = f"{persona.lower()}_obj"
        before[name] = find(root, name).slots.get(_WRITING, "")
        set_entry(root, name, _WRITING, adapter_of(number), at=at)
    note(root, number, {**record, "outcome": PROMOTED, "before": before})


def take(root: Root, number: int, *, at: float) -> dict[str, Any]:
    """Promote a run that waits for a yes; return its record.

    Raises:
        NotFoundError: Of that number is none.
        ArgumentsError: It does not wait.
    """
    record = _record(root, number)
    if record["outcome"] != WAITS:
        raise ArgumentsError(f"run {number} is {record['outcome']}; only one that waits is taken")
    promote(root, number, record, record["personas"], at=at)
    return {"run": number, **root[RUNS][number]}


def waits(root: Mapping[str, Any], number: int) -> bool:
    """Return whether a run waits for a yes."""
    return bool(root.get(RUNS, {}).get(number, {}).get("outcome") == WAITS)


def undo(root: Root, number: int, *, at: float) -> dict[str, Any]:
    """Put the pointers back that a promotion has set; return the record of the run.

    Raises:
        NotFoundError: Of that number is none.
        ArgumentsError: It was not promoted, or another adapter has its place.
    """
    record = _record(root, number)
    if record["outcome"] != PROMOTED:
        raise ArgumentsError(f"run {number} is {record['outcome']}; only a promoted one is undone")
    mine = adapter_of(number)
    for name, before in record["before"].items():
        if find(root, name).slots.get(_WRITING) != mine:
            raise ArgumentsError(
                f"{name} does not write through {mine} any more; see: batos personas"
            )
        set_entry(root, name, _WRITING, before, at=at)
    changed = {**record, "outcome": UNDONE}
    note(root, number, changed)
    return {"run": number, **changed}


def _record(root: Root, number: int) -> dict[str, Any]:
    record = root.get(RUNS, {}).get(number)
    if record is None:
        raise NotFoundError(f"the forge has no run {number} (batos forge runs lists them)")
    return dict(record)


def read(root: Root) -> list[dict[str, Any]]:
    """Return the records of all runs, the newest first; ``stale_by`` as of ``find_stale``."""
    runs = root.get(RUNS, {})
    return [
        {"run": number, **runs[number], "stale_by": find_stale(root, runs[number])}
        for number in sorted(runs, reverse=True)
    ]


def find_stale(root: Mapping[str, Any], record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a run learned from and would not learn from now.

    Each has ``object``, ``selector``, ``version``, ``mission``, and ``why``.
    """
    found = ((one, _why_stale(root, one)) for one in record.get("lineage", ()))
    return [{**one, "why": why} for one, why in found if why]


def explain(root: Root, adapter: str) -> dict[str, Any]:
    """Return what an adapter of the forge comes from.

    Raises:
        NotFoundError: No run has made an adapter of that name.
    """
    for run in read(root):
        if adapter_of(run["run"]) == adapter and run["outcome"] != REFUSED:
            lineage = list(run.get("lineage", ()))
            return {"object": adapter, "status": run["outcome"], "run": run["run"],
                    "learned_from": lineage, "stale_by": run["stale_by"]}  # fmt: skip
    raise NotFoundError(
        f"the forge has made no adapter {adapter[:60]!r}; of a method: batos why OBJECT SELECTOR"
    )


def taught(root: Root, name: str, selector: str) -> list[dict[str, Any]]:
    """Return the adapters that learned from a method: ``adapter``, ``outcome``, ``version``."""
    return [
        {"adapter": adapter_of(run["run"]), "outcome": run["outcome"], "version": one["version"]}
        for run in read(root)
        for one in run.get("lineage", ())
        if run["outcome"] != REFUSED and (one["object"], one["selector"]) == (name, selector)
    ]


def _why_stale(root: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    """Return why nothing is learned from a version any more, or ""."""
    holder = root["objects"].get(one["object"]) or object_of(root, one["object"])
    method = None if holder is None else holder.slots.get(one["selector"])
    if not isinstance(method, Method):
        return "it is gone"
    if method.current < 0:
        last = marks.moves(root, method)[-1:]
        return "it was recalled" if last and "recall" in last[0]["what"] else "it was unlearned"
    if method.current + 1 == one["version"] and marks.taint(root, method):
        return "it is tainted"
    return "it failed in use" if faults_of(root, method, one["version"]) else ""


def written_through(root: Root, number: int) -> list[str]:
    """Return the methods that were written through the adapter of a run."""
    mine = adapter_of(number)
    return sorted(
        f"{holder.name}.{method.selector}"
        for holder, method in learned(root)
        if method.versions[method.current].provenance.get("adapter") == mine
    )
