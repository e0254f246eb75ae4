"""The trusted methods that every object starts with; stored by name, never as functions.

They return plain data or a Ref. They change the receiver's snapshot, so they are part of the
turn's one commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.core.values import check, check_slot_name
from bat_os.errors import ArgumentsError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.core.values import Ref
    from bat_os.kernel.snapshot import ObjectSnapshot, ReadSet
    from bat_os.ports import Nested

_ABOUT_A_SLOT: Final = frozenset({"getSlot", "setSlot", "removeSlot", "respondsTo"})


def _clone(reads: ReadSet, obj: ObjectSnapshot, name: str) -> Ref:
    return reads.clone(obj, name)


def _get_slot(_: ReadSet, obj: ObjectSnapshot, name: str) -> Any:
    if name not in obj.slots:
        raise NotFoundError(f"{obj.ref.name or 'the object'} has no slot {name!r}")
    return obj.slots[name]


def _set_slot(_: ReadSet, obj: ObjectSnapshot, name: str, value: Any) -> Any:
    check_slot_name(name)
    check(value, where=f"slot {name!r}")
    obj.write(name, value)
    return value


def _remove_slot(_: ReadSet, obj: ObjectSnapshot, name: str) -> None:
    if name not in obj.own:
        raise NotFoundError(f"{obj.ref.name or 'the object'} has no own slot {name!r}")
    obj.remove(name)


# Per primitive the names of its arguments, of which the first is a text; one that ends in ? may be
# left out. The function gets the read set, the receiver and the arguments.
PRIMITIVES: Final[Mapping[str, tuple[tuple[str, ...], Callable[..., Any]]]] = {
    "clone": (("name?",), _clone),
    "getSlot": (("name",), _get_slot),
    "setSlot": (("name", "value"), _set_slot),
    "removeSlot": (("name",), _remove_slot),
    "slotNames": ((), lambda _, obj: sorted(obj.slots)),
    "selectors": ((), lambda _, obj: sorted(obj.selectors)),
    "respondsTo": (("selector",), lambda _, obj, name: name in obj.selectors or name in obj.slots),
}


def run_primitive(
    selector: str,
    reads: ReadSet,
    receiver: ObjectSnapshot,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    """Return what a primitive answers."""
    names, run = PRIMITIVES[selector]
    plain = [name.rstrip("?") for name in names]
    given = dict(zip(plain, args, strict=False)) | dict(kwargs)
    needed = {name for name in names if not name.endswith("?")}
    if len(args) > len(names) or not needed <= set(given) <= set(plain):
        raise ArgumentsError(f"{selector} takes ({', '.join(names)})")
    values = [given.get(name, "") for name in plain]
    if values and type(values[0]) is not str:
        raise ArgumentsError("a name is a text")
    return run(reads, receiver, *values)


def slot_named(nested: Nested) -> str:
    """Return the slot that a message to a primitive is about, or "".

    >>> from bat_os.ports import Delta, Nested
    >>> slot_named(Nested("vault", "getSlot", ("_pin",), {}, Delta()))
    '_pin'
    """
    if nested.selector not in _ABOUT_A_SLOT:
        return ""
    parameter = PRIMITIVES[nested.selector][0][0]
    named = next(iter(nested.args), nested.kwargs.get(parameter))
    return named if type(named) is str else ""
