"""The trusted methods that every object starts with; stored by name, never as functions.

Each gets the turn's read set, the receiver's snapshot and the arguments, and returns plain data
or a Ref. They change the snapshot, so they are part of the turn's one commit.
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

    Arguments = Sequence[Any]
    Named = Mapping[str, Any]
    Primitive = Callable[[ReadSet, ObjectSnapshot, Arguments, Named], Any]

# What names a slot: the first argument, or this one.
_ABOUT_A_SLOT: Final[Mapping[str, str]] = {
    "getSlot": "name",
    "setSlot": "name",
    "removeSlot": "name",
    "respondsTo": "selector",
}


def _arguments(selector: str, names: tuple[str, ...], args: Any, kwargs: Any) -> list[Any]:
    """Return the arguments in the order of ``names``; a name ending in ? may be left out."""
    plain = [name.rstrip("?") for name in names]
    given = dict(zip(plain, args, strict=False)) | dict(kwargs)
    needed = {name for name in names if not name.endswith("?")}
    if len(args) > len(names) or not needed <= set(given) <= set(plain):
        raise ArgumentsError(f"{selector} takes ({', '.join(names)})")
    return [given.get(name, "") for name in plain]


def _clone(reads: ReadSet, obj: ObjectSnapshot, args: Arguments, kwargs: Named) -> Ref:
    (name,) = _arguments("clone", ("name?",), args, kwargs)
    return reads.clone(obj, _name(name))


def _get_slot(_: ReadSet, obj: ObjectSnapshot, args: Arguments, kwargs: Named) -> Any:
    (name,) = _arguments("getSlot", ("name",), args, kwargs)
    if _name(name) not in obj.slots:
        raise NotFoundError(f"{obj.ref.name or 'the object'} has no slot {name!r}")
    return obj.slots[name]


def _set_slot(_: ReadSet, obj: ObjectSnapshot, args: Arguments, kwargs: Named) -> Any:
    name, value = _arguments("setSlot", ("name", "value"), args, kwargs)
    check_slot_name(_name(name))
    check(value, where=f"slot {name!r}")
    obj.write(name, value)
    return value


def _remove_slot(_: ReadSet, obj: ObjectSnapshot, args: Arguments, kwargs: Named) -> None:
    (name,) = _arguments("removeSlot", ("name",), args, kwargs)
    if _name(name) not in obj.own:
        raise NotFoundError(f"{obj.ref.name or 'the object'} has no own slot {name!r}")
    obj.remove(name)


def _slot_names(_: ReadSet, obj: ObjectSnapshot, args: Arguments, kwargs: Named) -> list[str]:
    _arguments("slotNames", (), args, kwargs)
    return sorted(obj.slots)


def _selectors(_: ReadSet, obj: ObjectSnapshot, args: Arguments, kwargs: Named) -> list[str]:
    _arguments("selectors", (), args, kwargs)
    return sorted(obj.selectors)


def _responds_to(_: ReadSet, obj: ObjectSnapshot, args: Arguments, kwargs: Named) -> bool:
    (selector,) = _arguments("respondsTo", ("selector",), args, kwargs)
    return _name(selector) in obj.selectors or selector in obj.slots


def slot_named(nested: Nested) -> str:
    """Return the slot that a message to a primitive is about, or "".

    >>> from bat_os.ports import Delta, Nested
    >>> slot_named(Nested("vault", "getSlot", ("_pin",), {}, Delta()))
    '_pin'
    """
    if nested.selector not in _ABOUT_A_SLOT:
        return ""
    named = next(iter(nested.args), nested.kwargs.get(_ABOUT_A_SLOT[nested.selector]))
    return named if type(named) is str else ""


def _name(value: Any) -> str:
    if type(value) is not str:
        raise ArgumentsError("a name is a text")
    return value


PRIMITIVES: Final[Mapping[str, Primitive]] = {
    "clone": _clone,
    "getSlot": _get_slot,
    "setSlot": _set_slot,
    "removeSlot": _remove_slot,
    "slotNames": _slot_names,
    "selectors": _selectors,
    "respondsTo": _responds_to,
}
