"""Objects and skills as plain data for people and clients. Reads only."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.oids import called
from bat_os.core.protocol import MAX_FRAME, MAX_ITEMS, Room
from bat_os.core.values import to_wire
from bat_os.errors import ChangedError, DamagedError, NotPlainError, TooLargeError
from bat_os.image.history import marks
from bat_os.image.objects import Method, UvmObject, find, freeze, ref_of
from bat_os.image.shipped import SHIPPED, library_names
from bat_os.kernel.views import ENVELOPE
from bat_os.method.text import find_forwarded
from bat_os.natives import table as natives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableMapping

    from bat_os.image.catalog import Passage

MANY: Final = 20  # methods; a provenance has some ten thousand bytes
MAX_REFERS: Final = 200  # references of one node
MAX_CUT: Final = 50  # parts that a reply names because they do not fit into it
_CUT_TEXT: Final = 200  # characters that it says of one, per field
_CUT: Final = 4 * 4 * _CUT_TEXT  # bytes of one, at most
_LEVEL: Final = 3  # where the parts of an object lie in a reply
_BRIEFLY: Final = reprlib.Repr()


def objects(root: MutableMapping[str, Any], after: str, limit: int) -> dict[str, Any]:
    """Return one page of root objects: name, parents, how many slots, own selectors."""
    shipped = library_names(root)

    def show(obj: UvmObject) -> dict[str, Any]:
        return _summary(obj) | ({"library": True} if obj.name in shipped else {})

    return page(root, after, limit, show, "objects")


def page(
    root: MutableMapping[str, Any],
    after: str,
    limit: int,
    show: Callable[[UvmObject], dict[str, Any]],
    named: str,
) -> dict[str, Any]:
    """Return up to ``limit`` objects after the one called ``after``, by name, as ``show`` has them.

    Fewer if more would not fit into a message. ``next`` is the ``after`` of the next page, or "".
    """
    room = Room(MAX_FRAME - 2 * ENVELOPE, MAX_ITEMS - 1000)
    rows: list[dict[str, Any]] = []
    for name, obj in root["objects"].items(after or None, excludemin=bool(after)):
        if len(rows) == limit:
            return {named: rows, "next": rows[-1]["name"]}
        try:
            room.take(row := show(obj), _LEVEL)
        except TooLargeError:
            if not rows:
                raise
            return {named: rows, "next": rows[-1]["name"]}
        rows.append(row | {"name": name})
    return {named: rows, "next": ""}


def node(obj: UvmObject) -> dict[str, Any]:
    """Return an object as a node of the graph."""
    own = {n: m for n, m in obj.slots.items() if isinstance(m, Method)}
    learned = [
        [n, m.status_of(m.versions[m.current])]
        for n, m in own.items()
        if m.current >= 0 and not m.primitive
    ]
    held = [value for name, value in obj.slots.items() if name not in own]
    refers = {called(ref_of(each)) for each in _referred(held)} - {called(ref_of(obj))}
    return {
        "name": obj.name, "parents": [called(ref_of(each)) for each in obj.parents],
        "slots": len(held), "methods": learned, "refers": sorted(refers)[:MAX_REFERS],
        "serial": serial_of(obj),
    }  # fmt: skip


def _referred(value: Any) -> Iterator[UvmObject]:
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, UvmObject):
            yield each
        elif isinstance(each, Mapping):
            stack.extend(each.values())
        elif isinstance(each, (list, tuple, set, frozenset)):
            stack.extend(each)


def serial_of(*objects: UvmObject) -> str:
    """Return when one of these objects or of their methods last changed: 16 hexadecimal digits."""
    serials = []
    for each in _records(objects):
        each._p_activate()
        serials.append(each._p_serial)
    return str(max(serials).hex())


def _records(objects: Iterable[UvmObject]) -> Iterator[Any]:
    for obj in objects:
        yield obj
        yield from (value for value in obj.slots.values() if isinstance(value, Method))


def check_serial(root: MutableMapping[str, Any], target: str, seen: str) -> None:
    """Refuse to go on, inside a transaction, if an object has changed since ``seen``.

    What it inherits from counts: an object is shown with what answers for it.

    Raises:
        ChangedError: It has; ``details.serial`` is the present one.
    """
    if not seen:
        return
    line = list(find(root, target).lineage())
    now = serial_of(*line)
    if now != seen:
        holder = ref_of(line[0])
        text = f"{called(holder)}, or what it inherits from, has changed since; look at it again"
        raise ChangedError(text, serial=now)
    jar = root._p_jar  # type: ignore[attr-defined]  # ZODB: the root's connection
    for each in _records(line):
        jar.readCurrent(each)


def inspect(obj: UvmObject, selector: str = "") -> dict[str, Any]:
    """Return an object's own slots and methods, and what it inherits.

    If there are many methods, each comes without its provenance: all of it would not
    fit into a message. ``selector`` limits methods and slots to that name.

    Whatever an object holds, it can be shown: what does not fit is cut, and ``cut`` says so.
    """
    own = {n: m for n, m in obj.slots.items() if isinstance(m, Method)}
    wanted = {n: m for n, m in own.items() if selector in ("", n)}
    line = list(obj.lineage())
    inherited = {
        name: called(ref_of(holder))
        for holder in reversed(line[1:])
        for name, value in holder.slots.items()
        if name not in obj.slots and (not selector or name == selector)
        if not isinstance(value, Method) or value.is_understood
    }
    held = {n: v for n, v in obj.slots.items() if n not in own and selector in ("", n)}
    summary = _summary(obj) | {
        "serial": serial_of(*line),
        "line": [called(ref_of(each)) for each in line],
    }
    shown = _Page(summary)
    shown.add("methods", wanted, lambda m: _method(m, whole=len(wanted) <= MANY),
             lambda m: _method(m, whole=False))  # fmt: skip
    shown.add("slots", held, lambda value: to_wire(freeze(value)))
    shown.add("inherited", inherited, lambda name: name)
    return shown.body()


class _Page:
    """An object as one reply: what does not fit into a message is named instead."""

    def __init__(self, summary: dict[str, Any]) -> None:
        self._body = summary
        self._room = Room(MAX_FRAME - 2 * ENVELOPE - MAX_CUT * _CUT, MAX_ITEMS - 1000)
        self._cut: list[dict[str, str]] = []
        self._left = 0
        for field in ("selectors", "tainted", "failing", "parents", "line"):
            self._shorten(field)

    def add(self, part: str, held: Mapping[str, Any], *ways: Callable[[Any], Any]) -> None:
        """Show what is held by name, each in the first of the ways in which it fits."""
        shown: dict[str, Any] = {}
        for name, value in held.items():
            why = ""
            for show in ways:
                try:
                    self._room.take({name: (form := show(value))}, _LEVEL)
                except (TooLargeError, NotPlainError) as error:
                    why = str(error)
                else:
                    shown[name] = form
                    break
            if name not in shown:
                self._leave_out(part, name, value, why)
        self._body[part] = shown

    def body(self) -> dict[str, Any]:
        """Return the body of the reply; ``cut`` and ``left_out`` only if something is missing."""
        cut = {"cut": self._cut, "left_out": self._left} if self._left else {}
        return self._body | cut

    def _shorten(self, field: str) -> None:
        kept = []
        for name in self._body[field]:
            try:
                self._room.take(name, _LEVEL)
            except TooLargeError as error:
                self._leave_out(field, name, name, str(error))
            else:
                kept.append(name)
        self._body[field] = kept

    def _leave_out(self, part: str, name: str, value: Any, why: str) -> None:
        self._left += 1
        if len(self._cut) < MAX_CUT:
            begins = "" if isinstance(value, Method) else _BRIEFLY.repr(value)
            said = {"part": part, "name": name[:100], "why": why, "begins": begins}
            self._cut.append({key: _carried(text[:_CUT_TEXT]) for key, text in said.items()})


def _carried(text: str) -> str:
    """Return a text with what UTF-8 cannot carry replaced."""
    return text.encode("utf-8", "replace").decode()


def skill(root: Mapping[str, Any], hit: Passage) -> dict[str, Any]:
    """Return a learned method that a search found, or {} where it is unlearned by now.

    Of another name of a method, that method, with what the other name was learned for.
    """
    meta = root["knowledge_catalog"].meta(hit.doc_id)
    holder = root["objects"].get(meta.get("object", ""))
    method = holder.slots.get(meta["selector"]) if holder is not None else None
    if not isinstance(method, Method) or method.current < 0:
        return {}
    try:
        status, source = method.status, method.version.source
    except DamagedError:
        return {}
    selector = find_forwarded(source, method.selector) or method.selector
    if holder.lookup(selector) is None:
        return {}
    return {
        "object": meta["object"],
        "selector": selector,
        "wish": hit.wish,
        "signature": hit.signature,
        "status": status,
        "similarity": round(hit.similarity, 4),
    }


def _summary(obj: UvmObject) -> dict[str, Any]:
    own = [n for n, m in obj.slots.items() if isinstance(m, Method) and m.is_understood]
    noted = {n: marks.flags(obj.slots[n]) for n in own}
    return {
        "name": obj.name,
        "oid": obj._p_oid.hex(),
        "parents": [called(ref_of(parent)) for parent in obj.parents],
        "slots": len(obj.slots) - len(own),
        "selectors": sorted(own),
        "tainted": sorted(n for n in own if "tainted" in noted[n]),
        "failing": sorted(n for n in own if "failing" in noted[n]),
    }


def _method(method: Method, *, whole: bool) -> dict[str, Any]:
    if method.primitive and method.current < 0:
        if "." in method.primitive:
            return {"status": SHIPPED} | natives.describe(method.primitive)
        return {"status": "primitive"}
    noted = marks.flags(method)
    if not method.is_understood:
        status = "waiting" if "waiting" in noted else "unlearned"
        return {"status": status, "versions": len(method.versions)} | noted
    try:
        version = method.version
    except DamagedError as error:  # the others can still be shown
        return {"status": "damaged", "versions": len(method.versions), "problem": str(error)}
    facts = {
        "status": method.status,
        "version": version.number,
        "versions": len(method.versions),
        "source": version.source,
        "sha256": version.sha256,
    } | noted
    return facts | ({"provenance": to_wire(version.provenance)} if whole else {})
