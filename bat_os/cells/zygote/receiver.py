"""What a learned method holds in hand: ``self``, its slots, and other objects.

Friendly rather than strict: an unknown slot is an error that lists those there are, a slot
that cannot be kept is refused on the line that sets it, and ``self.area()`` is a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NoReturn

from bat_os.errors import NotPlainError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bat_os.cells.codec import Codec
    from bat_os.cells.zygote.world import World
    from bat_os.core.values import Ref


class Slots(MutableMapping[str, Any]):
    """The receiver's slots, unpacked when first read.

    Attributes:
        packed: What the kernel holds, by name.
        live: What was read or set here. Read values are compared with ``packed`` by their
            bytes in the end, so a change deep inside counts.
        gone: Names that the kernel holds and that were deleted here.
    """

    def __init__(self, packed: dict[str, bytes], codec: Codec) -> None:
        self.packed = packed
        self.live: dict[str, Any] = {}
        self.gone: set[str] = set()
        self._codec = codec

    def __getitem__(self, name: str) -> Any:
        if name not in self.live:
            if name not in self.packed or name in self.gone:
                raise KeyError(name)
            self.live[name] = self._codec.unpack(self.packed[name])
        return self.live[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if type(name) is not str or not name.isidentifier() or name.startswith(("__", "_p_")):
            raise TypeError(f"a slot cannot be named {name!r}")
        if name in ("send", "_slots"):
            raise TypeError(f"the name {name!r} is taken; call the slot something else")
        try:
            self._codec.pack(value, where=f"slot {name!r}")
        except NotPlainError as error:
            raise TypeError(str(error)) from None
        self.live[name] = value
        self.gone.discard(name)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self.live.pop(name, None)
        if name in self.packed:
            self.gone.add(name)

    def __contains__(self, name: object) -> bool:
        return name in self.live or (name in self.packed and name not in self.gone)

    def __iter__(self) -> Iterator[str]:
        held = [name for name in self.packed if name not in self.gone]
        return iter([*held, *(name for name in self.live if name not in self.packed)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def copy(self) -> dict[str, Any]:
        """Return the slots as a dict."""
        return dict(self)

    def flush(self) -> tuple[dict[str, bytes], list[str]]:
        """Return what changed and what was removed since the last flush, and note it as held.

        Raises:
            NotPlainError: A slot holds, somewhere inside, what may not be kept.
        """
        changed = {}
        for name, value in self.live.items():
            data = self._codec.pack(value, where=f"slot {name!r}")
            if data != self.packed.get(name):
                changed[name] = data
        removed = sorted(self.gone)
        self.packed.update(changed)
        self.forget(removed)
        return changed, removed

    def take(self, packed: dict[str, bytes]) -> None:
        """Take slots that others have changed meanwhile."""
        self.packed.update(packed)
        for name in packed:
            self.live.pop(name, None)
            self.gone.discard(name)

    def forget(self, names: Sequence[str]) -> None:
        """Drop slots that are gone."""
        for name in names:
            self.packed.pop(name, None)
            self.live.pop(name, None)
            self.gone.discard(name)


class Proxy:
    """Another object of the image: send it a message, ``other.area()`` or by name."""

    __slots__ = ("_ref", "_world")
    _ref: Ref
    _world: World

    def __init__(self, ref: Ref, world: World) -> None:
        object.__setattr__(self, "_ref", ref)
        object.__setattr__(self, "_world", world)

    def send(self, selector: str, /, *args: Any, **kwargs: Any) -> Any:
        """Return the object's answer to ``selector``."""
        return self._world.send(self, selector, args, kwargs)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(f"another object has no attribute {name!r}; send it a message")
        return lambda *args, **kwargs: self._world.send(self, name, args, kwargs)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"cannot set {name!r} of another object; send it a message")

    def __eq__(self, other: object) -> bool:
        ref = self._world.to_ref(other)
        return ref is not None and ref.oid == self._ref.oid

    def __hash__(self) -> int:
        return hash(self._ref.oid)

    def __copy__(self) -> Proxy:
        return self

    def __deepcopy__(self, memo: Any) -> Proxy:
        return self

    def __repr__(self) -> str:
        return f"<{self._ref.name or self._ref.oid}>"


class Self:
    """The receiver: its slots as attributes, its messages as methods."""

    __slots__ = ("_p_changed", "_slots", "_world")
    _p_changed: bool
    _slots: Slots
    _world: World

    def __init__(self, slots: Slots, world: World) -> None:
        object.__setattr__(self, "_slots", slots)
        object.__setattr__(self, "_world", world)
        object.__setattr__(self, "_p_changed", False)

    def send(self, target: Any, selector: str, /, *args: Any, **kwargs: Any) -> Any:
        """Return what ``target`` (an object, or the name of one) answers to ``selector``."""
        return self._world.send(target, selector, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in self._slots:
            return self._slots[name]
        if name in self._world.selectors:
            return lambda *args, **kwargs: self._world.send(self, name, args, kwargs)
        there = ", ".join(sorted(self._slots)) or "none"
        raise AttributeError(f"no slot {name!r}; the slots are: {there}", name=name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_p_changed":
            object.__setattr__(self, name, bool(value))
        elif name == "_slots" and isinstance(value, Mapping):
            fresh = dict(value)
            self._slots.clear()
            self._slots.update(fresh)
        else:
            self._slots[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._slots:
            raise AttributeError(f"no slot {name!r} to delete", name=name)
        del self._slots[name]

    def __repr__(self) -> str:
        ref = self._world.ref
        return f"<{ref.name or ref.oid}>"
