"""The trusted methods that every object starts with; stored by name, never as functions.

They return plain data or a Ref. They change the receiver's snapshot, so they are part of the
turn's one commit.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.values import check, check_not_said, check_slot_name
from bat_os.errors import ArgumentsError, CellError, NotFoundError
from bat_os.kernel import parents
from bat_os.kernel.entries import ENTRIES, check_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.core.values import Ref
    from bat_os.kernel.snapshot import ObjectSnapshot, ReadSet

_MAKING: Final = {"clone": "clone", "derive": "child"}
_ABOUT_A_SLOT: Final = frozenset({"getSlot", "setSlot", "removeSlot", "respondsTo"})


def _clone(reads: ReadSet, obj: ObjectSnapshot, name: str) -> Ref:
    return reads.make(obj, name)


def _derive(reads: ReadSet, obj: ObjectSnapshot, name: str) -> Ref:
    return reads.make(obj, name, child=True)


def _get_slot(reads: ReadSet, obj: ObjectSnapshot, name: str) -> Any:
    reads.touch(obj, name)
    if name not in obj.slots:
        raise NotFoundError(f"{obj.ref.name or 'the object'} has no slot {name!r}")
    return obj.slots[name]


def _set_slot(_: ReadSet, obj: ObjectSnapshot, name: str, value: Any) -> Any:
    check_slot_name(name)
    check_not_said(name)
    if name in ENTRIES.get(obj.ref.name, ()):
        check_entry(obj.ref.name, name, value)
    check(value, where=f"slot {name!r}")
    obj.write(name, value)
    return value


def _remove_slot(reads: ReadSet, obj: ObjectSnapshot, name: str) -> None:
    reads.touch(obj, name)
    if name in ENTRIES.get(obj.ref.name, ()):
        raise ArgumentsError(f"{name!r} is an entry of {obj.ref.name}; undo it (batos personas)")
    if name not in obj.own:
        raise NotFoundError(f"{obj.ref.name or 'the object'} has no own slot {name!r}")
    obj.remove(name)


def _slot_names(reads: ReadSet, obj: ObjectSnapshot) -> list[str]:
    reads.touch(obj, "")
    return sorted(obj.slots)


def _responds_to(reads: ReadSet, obj: ObjectSnapshot, name: str) -> bool:
    reads.touch(obj, name)
    return name in obj.selectors or name in obj.slots


# Per primitive the names of its arguments, of which the first is a text; one that ends in ? may be
# left out. The function gets the read set, the receiver and the arguments.
PRIMITIVES: Final[Mapping[str, tuple[tuple[str, ...], Callable[..., Any]]]] = {
    "clone": (("name?",), _clone),
    "derive": (("name?",), _derive),
    "parents": ((), lambda _, obj: list(obj.parents)),
    **parents.PRIMITIVES,
    "getSlot": (("name",), _get_slot),
    "setSlot": (("name", "value"), _set_slot),
    "removeSlot": (("name",), _remove_slot),
    "slotNames": ((), _slot_names),
    "selectors": ((), lambda _, obj: sorted(obj.selectors)),
    "respondsTo": (("selector",), _responds_to),
}


def run_primitive(
    selector: str,
    reads: ReadSet,
    receiver: ObjectSnapshot,
    given: tuple[Sequence[Any], Mapping[str, Any]],
    *,
    from_outside: bool,
    reach: Mapping[str, Ref] | None = None,
) -> Any:
    """Return what a primitive answers; of one in ``parents.PRIMITIVES``, what does so on the root.

    Args:
        selector: Its name.
        reads: Of the turn.
        receiver: The object that gets the message.
        given: Arguments by place, and by name.
        from_outside: Another object sends it; the receiver's slots that begin with an underscore
            are none of its business.
        reach: If a method sends it, and no client: by oid, what that may send to.

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
    if plain[:1] in (["name"], ["selector"]) and type(values[0]) is not str:
        raise ArgumentsError("a name is a text")
    # Checked here, on the very value that is used.
    if from_outside and selector in _ABOUT_A_SLOT and values[0].startswith("_"):
        raise CellError(f"{values[0][:100]!r} is private to its object", kind="refused")
    by_method = reach is not None
    if by_method and selector in _MAKING and values[0]:
        # A taken name would tell which objects there are, a free one would take it from others.
        raise CellError(f"a method cannot name a {_MAKING[selector]}; store it in a slot",
                        kind="refused")  # fmt: skip
    receiver.by_person = not by_method
    if selector in parents.PRIMITIVES:
        return partial(run, reads, receiver, reach, *values)
    answer = run(reads, receiver, *values)
    if by_method and selector in _MAKING:
        reads.objects[answer.oid].by_method = True
    return answer
