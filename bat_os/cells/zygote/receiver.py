"""What a learned method works with: ``self``, its slots, and other objects.

Friendly rather than strict: an unknown slot is an error that lists the slots there are, a slot
that cannot be kept is refused on the line that sets it, and ``self.area()`` is a message.

    Channel  the socket to the kernel
    World    one call: packs what leaves, unpacks what comes back
      Self   the receiver, with its Slots
      Proxy  any other object
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

import ormsgpack

from bat_os.cells.codec import HEADER, Codec, clean, pack_frame, read_length
from bat_os.core.values import TOUCH
from bat_os.errors import NotPlainError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bat_os.core.values import Ref


_PART: Final = 1 << 16


class Channel:
    """The one way out of the child: frames on a socket."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def send(self, parts: list[Any]) -> None:
        """Write one frame."""
        left = memoryview(pack_frame(parts))
        while left:
            left = left[os.write(self._fd, left) :]

    def receive(self) -> list[Any]:
        """Return the next frame; the process ends when the kernel is gone.

        The kernel is trusted, and waits for an answer before it sends another one.
        """
        data = self._read()
        while len(data) < HEADER or len(data) < HEADER + read_length(data[:HEADER]):
            data += self._read()
        parts: list[Any] = ormsgpack.unpackb(memoryview(data)[HEADER:])
        return parts

    def fail(self, kind: str, text: str, *, error: str = "", line: int = 0) -> NoReturn:
        """Report to the kernel why there is no answer, and end the process."""
        self.send(["fail", kind, error[:100], line, clean(text[:2000])])
        self.leave()

    def leave(self) -> NoReturn:
        """End the process at once; learned code cannot hold it up."""
        os._exit(0)

    def _read(self) -> bytes:
        return os.read(self._fd, _PART) or self.leave()


class Slots(MutableMapping[str, Any]):
    """The receiver's slots, unpacked when first read.

    Attributes:
        packed: What the kernel holds, by name.
        live: What was read or set here. Read values are compared with ``packed`` by their
            bytes in the end, so a change deep inside counts.
        gone: Names that the kernel holds and that were deleted here.
        more: The kernel may have others; each is asked for when it is first looked at.
    """

    more = False

    def __init__(
        self, packed: dict[str, bytes], codec: Codec, fetch: Callable[[str], None]
    ) -> None:
        self.packed = packed
        self.live: dict[str, Any] = {}
        self.gone: set[str] = set()
        self._codec = codec
        self._fetch = fetch
        self._asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        if name not in self.live:
            if name not in self:
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
        if name in self.live or name in self.gone:
            return name in self.live
        if name not in self.packed and type(name) is str:
            self._ask_for(name)
        return name in self.packed

    def __iter__(self) -> Iterator[str]:
        self._ask_for("")
        return iter(self.given)

    @property
    def given(self) -> list[str]:
        """The names of those that are here."""
        held = [name for name in self.packed if name not in self.gone]
        return [*held, *(name for name in self.live if name not in self.packed)]

    def _ask_for(self, name: str) -> None:
        if self.more and not self._asked & {name, ""}:
            self._asked.add(name)
            self._fetch(name)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def copy(self) -> dict[str, Any]:
        """Return the slots as a dict."""
        return dict(self)

    def flush(self) -> tuple[dict[str, bytes], list[str]]:
        """Return what changed and what was removed since the last flush, and note it as held."""
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
        """Replace slots that other methods changed during a send."""
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
        there = ", ".join(sorted(self._slots.given)) or "none"
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


class World:
    """What the parts of one call share.

    Attributes:
        ref: The receiver.
        selectors: What the receiver understands.
        receiver: ``self`` of the method.
    """

    def __init__(self, channel: Channel, slots: dict[str, bytes], ref: bytes) -> None:
        self._channel = channel
        self.codec = Codec(to_ref=self.to_ref, from_ref=self._from_ref)
        self.ref: Ref = Codec().unpack(ref)
        self.selectors: frozenset[str] = frozenset()
        self.slots = Slots(slots, self.codec, self._fetch)
        self.receiver = Self(self.slots, self)

    def send(self, target: Any, selector: str, args: Any, kwargs: Any) -> Any:
        """Return the answer to a nested message; the kernel runs it in the same turn.

        Raises:
            TypeError: The target, the selector or an argument cannot be sent.
            RuntimeError: The kernel refused the message, or it failed.
        """
        if type(target) is not str and self.to_ref(target) is None:
            raise TypeError(f"cannot send to a {type(target).__name__}; use an object or a name")
        try:
            packed = [
                self.codec.pack(target),
                str(selector),
                self.codec.pack(list(args), where="argument", friendly=True),
                self.codec.pack(kwargs, where="argument", friendly=True),
                *self.slots.flush(),
            ]
        except NotPlainError as error:
            raise TypeError(str(error)) from None
        self._channel.send(["send", *packed])
        tag, *parts = self._channel.receive()
        if tag == "error":
            raise RuntimeError(parts[0])
        value, slots, removed = parts
        self.slots.take(slots)
        self.slots.forget(removed)
        return self.codec.unpack(value)

    def _fetch(self, name: str) -> None:
        if name not in self.selectors:
            self.send(self.receiver, TOUCH, (name,), {})

    def to_ref(self, value: Any) -> Ref | None:
        """Return the reference behind a proxy or ``self``; None for anything else."""
        if type(value) is Proxy:
            return value._ref
        return self.ref if type(value) is Self else None

    def _from_ref(self, ref: Ref) -> Any:
        return self.receiver if ref.oid == self.ref.oid else Proxy(ref, self)
