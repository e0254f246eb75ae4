"""Effects on the world: what a turn wants done, from its one commit until it is done.

    root["outbox"]    number -> effect that is not done: staged, performing, failed, unknown, held
    root["effects"]   number -> effect that has ended: done, or dropped by a person

    staged > performing > done | failed      performing, and the kernel was killed > unknown
    held: of another home, or its grant has ended; only a person lets it go on

An effect is a record of its own, so a change of one rewrites no other. What was overwritten in the
world is kept with it, for ``undo``. All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from BTrees.LOBTree import LOBTree
from persistent.mapping import PersistentMapping

from bat_os.core.digest import digest
from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.image import grants
from bat_os.ports import STAGE, Deed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping

    Root = MutableMapping[str, Any]

OUTBOX: Final = "outbox"
ENDED: Final = "effects"
RUNS: Final = "runs"  # id -> what a message is given again: see ``bat_os.kernel.effects.journal``
STAGED, PERFORMING, DONE, FAILED, UNKNOWN, HELD, DROPPED = (
    "staged", "performing", "done", "failed", "unknown", "held", "dropped"
)  # fmt: skip
STATES: Final = frozenset({STAGED, PERFORMING, FAILED, UNKNOWN, HELD})
WAITING: Final = frozenset({STAGED, PERFORMING})  # the kernel goes on with them by itself
KEEP_SECONDS: Final = 30 * 86_400.0  # of what has ended


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that is to be done in the world, or was."""

    number: int  # in the order of the commits; 0 before the first
    oid: str  # of the object that was asked
    name: str  # of the object, or ""
    driver: str
    scope: Mapping[str, Any]
    operation: str
    args: tuple[Any, ...]
    text: str  # what it does, for a person
    run: str  # id of the message or mission that wants it
    by: str  # that message, as genesis_obj.shop
    at: float  # Unix time at which it was wanted
    kind: str = STAGE
    repeatable: bool = False
    question: str = ""  # of an AWAIT: by what the run asks for it
    key: str = ""  # for a world that keeps keys
    home: str = ""  # id of the home that may do it
    label: tuple[str, ...] = ()  # oids of the grants that had a say in the message that wants it
    boot: str = ""  # of the kernel that began it last
    state: str = STAGED
    attempts: int = 0
    due: float = 0.0  # Unix time before which it is not tried again
    ended: float = 0.0  # Unix time
    answer: Any = None
    code: str = ""  # of the error
    error: str = ""  # what went wrong, for a person
    before: Mapping[str, Any] | None = None  # what the driver saw before it began
    undoes: int = 0  # number of the effect that it takes back
    unused: bool = False  # an AWAIT that was done, and that the message did not ask for again
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def deed(self) -> Deed:
        """What the driver is asked to do."""
        return Deed(self.scope, self.operation, self.args)


def put(root: Root, effects: list[Effect], home: str) -> list[Effect]:
    """Add effects that a run wants, in order; return them with their numbers and keys."""
    if not effects:
        return []
    image_id = root.get("about", {}).get("id", "")
    first = 1 + max((tree.maxKey() for tree in _trees(root) if tree), default=0)
    added = []
    for number, effect in enumerate(effects, first):
        key = digest("\n".join((image_id, home, effect.run, effect.question or str(number))))
        added.append(replace(effect, number=number, home=home, key=key))
        _tree(root, OUTBOX)[number] = PersistentMapping(_plain(added[-1]))
    return added


def change(root: Root, number: int, **fields: Any) -> Effect:
    """Change fields of an effect; one that is done or dropped goes to those that have ended.

    Raises:
        NotFoundError: There is no such effect.
    """
    stored = _stored(root, number)
    stored.update(fields)
    effect = _read(number, stored)
    if effect.state in (DONE, DROPPED) and number in root[OUTBOX]:
        del root[OUTBOX][number]
        _tree(root, ENDED)[number] = stored
    elif effect.state not in (DONE, DROPPED) and number not in root[OUTBOX]:
        del root[ENDED][number]
        _tree(root, OUTBOX)[number] = stored
    return effect


def get(root: Mapping[str, Any], number: int) -> Effect:
    """Return an effect.

    Raises:
        NotFoundError: There is no such effect.
    """
    return _read(number, _stored(root, number))


def pending(root: Mapping[str, Any], states: Collection[str] = STATES) -> Iterator[Effect]:
    """Yield what is not done and in one of the states, in order."""
    for number, stored in root.get(OUTBOX, {}).items():
        if stored["state"] in states:
            yield _read(number, stored)


def ended(root: Mapping[str, Any], limit: int) -> list[Effect]:
    """Return the last effects that were done or dropped, the newest first."""
    tree = root.get(ENDED)
    if not tree:
        return []
    low = max(tree.maxKey() - 4 * limit, 0)  # numbers have gaps where others are not done yet
    newest = sorted(tree.items(min=low), key=lambda item: -item[0])
    return [_read(number, stored) for number, stored in islice(newest, limit)]


def of_run(root: Mapping[str, Any], run: str, *, steps: bool = False) -> list[Effect]:
    """Return the effects of a message or mission, in order; with ``steps``, those of its steps."""
    found = [
        _read(number, stored)
        for tree in _trees(root)
        for number, stored in tree.items()
        if stored["run"] == run or (steps and stored["run"].startswith(f"{run}."))
    ]
    return sorted(found, key=lambda effect: effect.number)


def count_of(root: Mapping[str, Any], by: str) -> int:
    """Return how many effects that a message, as genesis_obj.shop, had wanted were done."""
    return sum(stored["by"] == by and stored["state"] == DONE for stored in _ended(root))


def numbers_at(root: Mapping[str, Any], oids: Collection[bytes]) -> list[int]:
    """Return the effects whose records have one of the oids of the database."""
    return [number for tree in _trees(root) for number, kept in tree.items() if kept._p_oid in oids]


def has_right(root: Mapping[str, Any], effect: Effect, now: float) -> bool:
    """Return whether the grant of an effect still lets it be done; what undoes needs none.

    Nor does its grant have to be awake: in a copy of the image only what a person redoes is done.
    """
    links = grants.links(root, effect.oid)
    counts = links and not any(link.has_ended(now) for link in links)
    return bool(effect.undoes or (counts and effect.operation in links[0].operations))


def hold_foreign(root: Root, home: str, boot: str) -> list[Effect]:
    """Hold what another home has left to do; return it. To be called when a kernel starts.

    A fork, a backup or a copy has the same outbox, and the home that it is from does it.
    """
    strange = [effect for effect in pending(root, WAITING) if effect.home != home]
    why = "it is from another home: a copy, a fork or a backup of it; redo it if it was not done"
    return [change(root, each.number, state=HELD, boot=boot, error=why) for each in strange]


def note_unused(root: Root) -> None:
    """Mark what was done for messages that a killed kernel had not ended; one may come again."""
    for run in root.get(RUNS, {}):
        for effect in of_run(root, run):
            if effect.kind != STAGE and effect.state == DONE and not effect.unused:
                change(root, effect.number, unused=True)


def end_run(root: Root, run: str, asked: Collection[str]) -> None:
    """Forget what a message is given again, since it ends now; mark what it did not ask for."""
    if run not in root.get(RUNS, {}):
        return
    del root[RUNS][run]
    for effect in of_run(root, run):
        if effect.kind != STAGE and effect.unused == (effect.question in asked):
            change(root, effect.number, unused=effect.question not in asked)


def redo(root: Root, number: int, home: str) -> Effect:
    """Let an effect that failed, is held or is not known be done once more.

    One whose answer a message needs is done when that message is sent again.

    Raises:
        NotFoundError: There is no such effect.
        ArgumentsError: It is being done, or was done.
    """
    effect = get(root, number)
    if effect.state not in (FAILED, UNKNOWN, HELD):
        raise ArgumentsError(f"effect {number} is {effect.state}: it cannot be done again")
    again = {"state": STAGED, "home": home, "attempts": 0, "due": 0.0, "error": "", "code": ""}
    return change(root, number, **again, before=None)


def drop(root: Root, number: int, now: float) -> Effect:
    """Give up an effect that is not done.

    Raises:
        NotFoundError: There is no such effect.
        ArgumentsError: It is being done, or was done.
    """
    effect = get(root, number)
    if effect.state in (DONE, DROPPED, PERFORMING):
        raise ArgumentsError(f"effect {number} is {effect.state}: it cannot be dropped")
    return change(root, number, state=DROPPED, ended=now)


def prune(root: Root, before: float, at_once: int) -> int:
    """Forget what ended before a moment, never the newest; return how many."""
    runs = root.get(RUNS, {})
    for run in [run for run, kept in runs.items() if kept["at"] < before][:at_once]:
        del runs[run]
    tree = root.get(ENDED)
    if not tree:
        return 0
    newest = tree.maxKey()
    old = [
        number for number, stored in tree.items() if stored["ended"] < before and number != newest
    ][:at_once]
    for number in old:
        del tree[number]
    return len(old)


def _ended(root: Mapping[str, Any]) -> Iterable[Any]:
    return root[ENDED].values() if ENDED in root else ()


def _trees(root: Mapping[str, Any]) -> list[Any]:
    return [root[name] for name in (OUTBOX, ENDED) if name in root]


def _tree(root: Root, name: str) -> Any:
    if name not in root:
        root[name] = LOBTree()
    return root[name]


def _stored(root: Mapping[str, Any], number: int) -> Any:
    for tree in _trees(root):
        if (stored := tree.get(number)) is not None:
            return stored
    raise NotFoundError(f"there is no effect {number}; batos effects lists them")


def _plain(effect: Effect) -> dict[str, Any]:
    plain = asdict(effect)
    del plain["number"]
    return plain


def _read(number: int, stored: Mapping[str, Any]) -> Effect:
    return Effect(number, **{**stored, "args": tuple(stored["args"])})
