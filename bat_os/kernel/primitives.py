"""The trusted methods that every object starts with; stored by name, never as functions.

They return plain data or a Ref. They change the receiver's snapshot, so they are part of the
turn's one commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.core.values import check, check_slot_name
from bat_os.errors import ArgumentsError, CellError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.core.values import Ref
    from bat_os.kernel.snapshot import ObjectSnapshot, ReadSet

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
    given: tuple[Sequence[Any], Mapping[str, Any]],
    *,
    from_outside: bool,
    by_method: bool = False,
) -> Any:
    """Return what a primitive answers.

    Args:
        selector: Its name.
        reads: Of the turn.
        receiver: The object that gets the message.
        given: Arguments by place, and by name.
        from_outside: Another object sends it; the receiver's slots that begin with an underscore
            are none of its business.
        by_method: A method sends it, and no client.

    Raises:
        ArgumentsError: The arguments do not fit; each counts once, by place or by name.
        CellError: The slot is private to the receiver, or a method wants to name a clone.
        NotFoundError: The receiver does not have the slot.
    """
    names, run = PRIMITIVES[selector]
    args, kwargs = given
    plain = [name.rstrip("?") for name in names]
    bound = dict(zip(plain, args, strict=False))
    needed = {name for name in names if not name.endswith("?")}
    fits = len(args) <= len(names) and not bound.keys() & kwargs.keys()
    bound |= kwargs
    if not fits or not needed <= set(bound) <= set(plain):
        raise ArgumentsError(f"{selector} takes ({', '.join(names)}), each once")
    values = [bound.get(name, "") for name in plain]
    if values and type(values[0]) is not str:
        raise ArgumentsError("a name is a text")
    # Checked here, on the very value that is used.
    if from_outside and selector in _ABOUT_A_SLOT and values[0].startswith("_"):
        raise CellError(f"{values[0][:100]!r} is private to its object", kind="refused")
    if by_method and selector == "clone" and values[0]:
        # A taken name would tell which objects there are, a free one would take it from others.
        raise CellError("a method cannot name a clone; store it in a slot", kind="refused")
    return run(reads, receiver, *values)
