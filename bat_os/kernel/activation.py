"""One run of one learned method inside a turn: what its child holds, and what it may reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bat_os.core.values import FLAT, Ref, check_slot_name
from bat_os.errors import ArgumentsError, CellError, NotFoundError
from bat_os.kernel.primitives import slot_named
from bat_os.ports import NestedReply

if TYPE_CHECKING:
    from bat_os.kernel.snapshot import Copy
    from bat_os.ports import Delta, Nested


class Activation:
    """The kernel's side of a running method.

    Attributes:
        copy: The receiver as the turn sees it; other activations of the turn share it.
        depth: How many sends lie above it.
        held: The slots that the child knows of, as it knows them.
        reach: By oid, the objects that it may send to: its receiver, the parents, and all
            that arguments, slots and answers refer to. A reference is the permission.
    """

    def __init__(self, copy: Copy, arguments: Any, depth: int) -> None:
        self.copy = copy
        self.depth = depth
        self.held = dict(copy.slots)
        self.reach = {ref.oid: ref for ref in (copy.ref, *copy.parents)}
        _collect([list(copy.slots.values()), arguments], self.reach)

    def absorb(self, delta: Delta) -> None:
        """Take over what the child has changed.

        Raises:
            CellError: A slot of a method's name was written, or of a name no slot can have.
        """
        for name, value in delta.changed.items():
            try:
                check_slot_name(name)
            except ArgumentsError as error:
                raise CellError(str(error), kind="refused") from error
            self.copy.write(name, value)
            self.held[name] = value
        for name in delta.removed:
            self.copy.remove(name)
            self.held.pop(name, None)

    def reachable(self, nested: Nested) -> Ref:
        """Return the object that a nested send goes to.

        Raises:
            NotFoundError: The method holds no reference to it.
            CellError: The message is private to another object.
        """
        wanted, own = nested.target, self.copy.ref
        if isinstance(wanted, str):
            slot = self.copy.slots.get(wanted)
            named = (ref for ref in self.reach.values() if ref.name == wanted)
            found = slot if type(slot) is Ref else next(named, None)
        else:
            found = self.reach.get(wanted.oid)
        if found is None:
            text = wanted if isinstance(wanted, str) else wanted.name or wanted.oid
            raise NotFoundError(
                f"{own.name or 'the object'} holds no reference to {text[:100]!r}; a method "
                "reaches its receiver, its arguments and what their slots refer to"
            )
        if found.oid != own.oid:
            for name in (nested.selector, slot_named(nested)):
                if name.startswith("_"):
                    raise CellError(f"{name[:100]!r} is private to its object", kind="refused")
        return found

    def reload(self, value: Any) -> NestedReply:
        """Return the answer of a nested send, with the slots that it changed."""
        _collect(value, self.reach)
        now, held = self.copy.slots, self.held
        fresh = {k: v for k, v in now.items() if k not in held or held[k] is not v}
        gone = tuple(k for k in held if k not in now)
        self.held = dict(now)
        return NestedReply(value, fresh, gone)


def _collect(value: Any, reach: dict[str, Ref]) -> None:
    """Add every Ref inside ``value`` to ``reach``, by oid."""
    stack = [value]
    while stack:
        item = stack.pop()
        if type(item) is Ref:
            reach[item.oid] = item
        elif type(item) is dict:
            stack.extend(item.values())
        elif type(item) in (list, tuple, set, frozenset) and not FLAT.issuperset(map(type, item)):
            stack.extend(item)
