"""Grants: what objects may reach outside of the image, kept where no method can write.

    root["grants"]   oid of an object -> what a person granted it, as plain data

The object itself holds nothing: a clone of it has another oid, and so no grant. ``of`` names the
grant that one is a part of; when that ends, so do all below it. Only the verbs of a person call
``give``, ``narrow`` and ``revoke``. All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree

from bat_os.core.values import check_object_name
from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.image.objects import UvmObject, find, ref_of, tree_of
from bat_os.ports import STAGE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence

    from bat_os.image.store import Tally
    from bat_os.ports import Driver

    Root = MutableMapping[str, Any]

GRANTS: Final = "grants"
HOME: Final = "grants_home"  # id of the home that its grants were given in
ONLY: Final = "only"  # of ``Brief.once``: the run uses no other grants than those that it names
MAX_LINKS: Final = 16
GRANT_USES: Final = "grant_uses"  # oid -> how often, and when last, something was asked through it
USE: Final = "(grant)"  # begins the name of a caller where uses of a grant are counted
MAX_METHODS: Final = 200  # that are kept of one grant; those that used it last


@dataclass(frozen=True, slots=True)
class Grant:
    """What one object may reach."""

    oid: str
    name: str  # of the object when it was granted, or ""
    driver: str
    scope: Mapping[str, Any]  # only the driver reads it
    operations: tuple[str, ...]
    given: float  # Unix time
    by: str = ""  # who gave it: a caller
    of: str = ""  # oid of the grant that it is a part of
    until: float = 0.0  # Unix time from which it has ended; 0 never
    revoked: float = 0.0  # Unix time
    asleep: bool = False  # given in another home; this is a copy of its image
    about: Mapping[str, Any] = field(default_factory=dict)

    def is_live(self, now: float) -> bool:
        """Return whether it counts by itself, whatever it is a part of."""
        return not self.asleep and not self.has_ended(now)

    def has_ended(self, now: float) -> bool:
        """Return whether it was taken back, or its time is over."""
        return bool(self.revoked) or 0 < self.until <= now


def settle(root: Root, home: str) -> int:
    """Put the grants to sleep that another home's image brought; return how many.

    To be called before a kernel serves. A fork, a restored backup or a copy does nothing in the
    world until a person gives it leave there.
    """
    given_in = root.get(HOME)
    if given_in == home:
        return 0
    root[HOME] = home
    awake = [each for each in every(root) if given_in and each.is_live(time.time())]
    for each in awake:
        _put(root, replace(each, asleep=True))
    return len(awake)


def give(root: Root, driver: Driver, scope: Mapping[str, Any], name: str, **about: Any) -> Grant:
    """Make an object with a grant, a child of the driver's prototype.

    An object of that name gets its grant again if that has ended, and was for the same.

    Args:
        root: Of the image.
        driver: What performs its messages.
        scope: Of the grant.
        name: Of the object; "" for one that only its oid reaches.
        **about: More fields of the ``Grant``; without ``operations``, the usual ones.

    Raises:
        ArgumentsError: No object can have that name, or one has it.
        NotFoundError: The prototype is not there.
    """
    if name:
        check_object_name(name)
        if name in root["objects"]:
            if not was_given(root, driver, scope, name, about.get("of", "")):
                raise ArgumentsError(f"there is already an object {name!r}; say --as NAME")
            return _give_again(root, driver, scope, name, about)
    prototype = find(root, prototype_of(driver))
    obj = UvmObject(name, (prototype,))
    obj.set_slot("about", f"{driver.name}: {driver.describe(scope)}")
    root._p_jar.add(obj)  # type: ignore[attr-defined]  # ZODB: the root's connection
    if name:
        root["objects"][name] = obj
    operations = about.pop("operations", ()) or usual(driver, scope)
    grant = Grant(ref_of(obj).oid, name, driver.name, dict(scope), tuple(operations), **about)
    _put(root, grant)
    return grant


def was_given(
    root: Mapping[str, Any], driver: Driver, scope: Mapping[str, Any], name: str, of: str = ""
) -> bool:
    """Return whether the object of a name had a grant for the same, which has ended."""
    obj = root["objects"].get(name)
    oid = ref_of(obj).oid if type(obj) is UvmObject else ""
    if oid not in root.get(GRANTS, {}):
        return False
    old = _read(oid, root[GRANTS][oid])
    same = (old.driver, dict(old.scope), old.of) == (driver.name, dict(scope), of)
    return same and not old.is_live(time.time())


def _give_again(
    root: Root, driver: Driver, scope: Mapping[str, Any], name: str, about: dict[str, Any]
) -> Grant:
    """Give an object the grant again that it had, and nothing to what was a part of that."""
    oid = ref_of(find(root, name)).oid
    revoke(root, oid, time.time())
    operations = about.pop("operations", ()) or usual(driver, scope)
    grant = Grant(oid, name, driver.name, dict(scope), tuple(operations), **about)
    _put(root, grant)
    return grant


def usual(driver: Driver, scope: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the operations that a grant is for if nobody names any."""
    known = driver.operations(scope).items()
    return tuple(name for name, each in known if each.kind != STAGE and not each.extra)


def narrow(
    root: Root, driver: Driver, outer: Grant, scope: Mapping[str, Any], name: str, **about: Any
) -> Grant:
    """Make an object that may reach a part of what another one may.

    Raises:
        ArgumentsError: It would reach further.
    """
    if driver.name != outer.driver:
        raise ArgumentsError(f"{outer.name} has a grant for {outer.driver}, not {driver.name}")
    wanted = about.get("operations") or outer.operations
    if not set(wanted) <= set(outer.operations) or not driver.contains(outer.scope, scope):
        raise ArgumentsError(f"{driver.describe(scope)} is not a part of what {outer.name} may")
    return give(root, driver, scope, name, **{**about, "operations": wanted, "of": outer.oid})


def revoke(root: Root, name: str, now: float) -> list[Grant]:
    """End a grant and all that are a part of it, for good; return those that were live.

    Raises:
        NotFoundError: No object of that name or oid has a grant.
    """
    first = named(root, name)
    ended = [each for each in every(root) if first.oid in map(_oid, links(root, each.oid))]
    live = [each for each in ended if not each.has_ended(now)]
    for each in live:
        _put(root, replace(each, revoked=now))
    return live


def renew(
    root: Root, driver: Driver, oid: str, scope: Mapping[str, Any], operations: tuple[str, ...]
) -> Grant:
    """Give a grant another scope, and its object the words for it; a person has said yes to both.

    Raises:
        NotFoundError: The object has no grant.
    """
    renewed = replace(named(root, oid), scope=dict(scope), operations=operations)
    _put(root, renewed)
    find(root, oid).set_slot("about", f"{driver.name}: {driver.describe(scope)}")
    return renewed


def count_use(root: Root, oid: str, operation: str, method: str, tally: Tally) -> None:
    """Add to how often, and when last, something was asked through a grant, and by which method.

    ``method`` is the oid of a receiver and a selector; "" for a client.
    """
    held = tree_of(root, GRANT_USES)
    known = held.get(oid, {"count": 0, "last": 0.0, "operations": {}})
    counts, methods = {**known["operations"]}, {**known.get("methods", {})}
    counts[operation] = counts.get(operation, 0) + tally.count
    if method:
        methods[method] = {
            "count": methods.get(method, {"count": 0})["count"] + tally.count, "last": tally.last,
        }  # fmt: skip
    if len(methods) > MAX_METHODS:
        del methods[min(methods, key=lambda name: float(methods[name]["last"]))]
    last = max(known["last"], tally.last)
    held[oid] = {
        "count": known["count"] + tally.count, "last": last, "operations": counts,
        "methods": methods,
    }  # fmt: skip


def uses_of(
    root: Mapping[str, Any], oid: str, waiting: Mapping[tuple[str, str, str], Tally]
) -> dict[str, Any]:
    """Return ``count`` and ``last``, with what is not written yet."""
    known = root.get(GRANT_USES, {}).get(oid, {"count": 0, "last": 0.0})
    return _with_waiting(known, [t for call, t in waiting.items()
                                 if call[0] == oid and call[2].startswith(USE)])  # fmt: skip


def used_by(
    root: Mapping[str, Any], method: str, waiting: Mapping[tuple[str, str, str], Tally]
) -> list[tuple[Grant, dict[str, Any]]]:
    """Return the grants that a method has used, each with ``count`` and ``last`` of its own."""
    recorded: Mapping[str, Any] = root.get(GRANT_USES, {})
    oids = [oid for oid, held in recorded.items() if method in held.get("methods", {})]
    fresh = [call[0] for call in waiting if call[2] == f"{USE}{method}"]
    known, found = root.get(GRANTS, {}), list[tuple[Grant, dict[str, Any]]]()
    for oid in dict.fromkeys([*oids, *fresh]):
        if oid in known:
            held = recorded.get(oid, {}).get("methods", {}).get(method, {"count": 0, "last": 0.0})
            more = [
                t for call, t in waiting.items() if (call[0], call[2]) == (oid, f"{USE}{method}")
            ]
            found.append((_read(oid, known[oid]), _with_waiting(held, more)))
    return found


def _with_waiting(known: Mapping[str, Any], more: Collection[Tally]) -> dict[str, Any]:
    return {
        "count": known["count"] + sum(tally.count for tally in more),
        "last": max([known["last"], *(tally.last for tally in more)]),
    }


def pin(grant: Grant) -> str:
    """Return what means a grant and no later one of the same object."""
    return f"{grant.oid} {grant.given!r}"


def only(pins: Iterable[str]) -> tuple[tuple[str, str, str], ...]:
    """Return what lets a run use these grants and no others: for ``Brief.once``.

    An oid alone, as older programs have kept it, means whatever grant its object has.
    """
    return ((ONLY, "", ""), *((ONLY, *_parted(each)) for each in sorted(pins)))


def is_usable(links: Sequence[Grant], once: Iterable[Sequence[str]]) -> bool:
    """Return whether a run may use a grant whose chain this is."""
    fixed = {(oid, given) for kind, oid, given in once if kind == ONLY}
    held = {pair for each in links for pair in ((each.oid, ""), _parted(pin(each)))}
    return not fixed or not fixed.isdisjoint(held)


def _parted(pinned: str) -> tuple[str, str]:
    oid, _, given = pinned.partition(" ")
    return oid, given


def rename(root: Root, oid: str, name: str) -> None:
    """Note the present name of an object that has a grant; of any other, nothing."""
    if (plain := root.get(GRANTS, {}).get(oid)) is not None:
        _put(root, replace(_read(oid, plain), name=name))


def chain(root: Mapping[str, Any], oid: str, now: float) -> list[Grant]:
    """Return the grant of an object and those it is a part of; [] if one of them does not count."""
    found = links(root, oid)
    return found if all(link.is_live(now) for link in found) else []


def live(root: Mapping[str, Any], now: float, driver: str = "") -> list[Grant]:
    """Return the grants that count now, of one driver if it is named."""
    return [
        each for each in every(root) if driver in ("", each.driver) and chain(root, each.oid, now)
    ]


def every(root: Mapping[str, Any]) -> Iterator[Grant]:
    """Yield all grants that were ever given."""
    for oid, plain in root.get(GRANTS, {}).items():
        yield _read(oid, plain)


def named(root: Mapping[str, Any], name: str) -> Grant:
    """Return the grant of the object that a name or oid means.

    Raises:
        NotFoundError: It has none.
    """
    oid = ref_of(find(root, name)).oid
    plain = root.get(GRANTS, {}).get(oid)
    if plain is None:
        raise NotFoundError(f"{name} has no grant; batos grants lists them")
    return _read(oid, plain)


def prototype_of(driver: Driver) -> str:
    """Return the name of the object that objects with a grant inherit from."""
    return f"{driver.name}_obj"


def links(root: Mapping[str, Any], oid: str) -> list[Grant]:
    """Return the grant of an object and those it is a part of, whether they count or have ended."""
    held, found = root.get(GRANTS, {}), list[Grant]()
    while oid:
        plain = held.get(oid)
        if plain is None or len(found) >= MAX_LINKS:
            return []
        found.append(_read(oid, plain))
        oid = found[-1].of
    return found


def _oid(grant: Grant) -> str:
    return grant.oid


def _read(oid: str, plain: Mapping[str, Any]) -> Grant:
    return Grant(oid, **{**plain, "operations": tuple(plain["operations"])})


def _put(root: Root, grant: Grant) -> None:
    if GRANTS not in root:
        root[GRANTS] = OOBTree()
    plain = asdict(grant)
    del plain["oid"]
    root[GRANTS][grant.oid] = plain
