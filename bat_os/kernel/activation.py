"""A running method as the kernel sees it: what its child holds, and what it may reach.

    slots, arguments, answers > every Ref in them > reach: a reference is the permission

The turn makes one for each learned method that runs; nested sends ask it where they may go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bat_os.core.values import FLAT, Ref, check_slot_name
from bat_os.errors import ArgumentsError, CellError, NotFoundError
from bat_os.ports import NestedReply

if TYPE_CHECKING:
    from bat_os.kernel.snapshot import ObjectSnapshot, ReadSet
    from bat_os.ports import Delta, Nested


class Activation:
    """The kernel's side of one running method: what its child holds, and what it may reach.

    Attributes:
        receiver: The object as the turn sees it; other activations of the turn share it.
        selector: The message that it answers.
        depth: How many sends lie above it.
        reads: What the turn has read.
        held: The slots that the child knows of, as it knows them.
        reach: By oid, the objects that it may send to: its receiver, the parents, and all
            that arguments, slots and answers refer to. A reference is the permission.
    """

    def __init__(
        self, receiver: ObjectSnapshot, selector: str, arguments: Any, depth: int, reads: ReadSet
    ) -> None:
        self.receiver = receiver
        self.selector = selector
        self.depth = depth
        self.reads = reads
        self.held = dict(receiver.visible(reads.label))
        self.reach = {ref.oid: ref for ref in (receiver.ref, *receiver.parents)}
        _collect([list(self.held.values()), arguments], self.reach)

    @property
    def name(self) -> str:
        """Names the method that runs: oid of the receiver, and selector."""
        return f"{self.receiver.ref.oid}.{self.selector}"

    def absorb(self, delta: Delta) -> None:
        """Apply what the child has changed."""
        for name, value in delta.changed.items():
            try:
                check_slot_name(name)
            except ArgumentsError as error:
                raise CellError(str(error), kind="refused") from error
            self.receiver.write(name, value)
            self.held[name] = value
        for name in delta.removed:
            self.receiver.remove(name)
            self.held.pop(name, None)

    def reachable(self, nested: Nested) -> Ref:
        """Return the object that a nested send goes to.

        Raises:
            NotFoundError: The method holds no reference to it.
            CellError: The message is private to another object.
        """
        wanted, own = nested.target, self.receiver.ref
        if isinstance(wanted, str):
            self.reads.touch(self.receiver, wanted)
            slot = self.receiver.slots.get(wanted)
            named = (ref for ref in self.reach.values() if ref.name == wanted)
            target = slot if type(slot) is Ref else next(named, None)
        else:
            target = self.reach.get(wanted.oid)
        if target is None:
            text = wanted if isinstance(wanted, str) else wanted.name or wanted.oid
            raise NotFoundError(
                f"{own.name or 'the object'} holds no reference to {text[:100]!r}; a method "
                "reaches its receiver, its arguments and what their slots refer to"
            )
        if target.oid != own.oid and nested.selector.startswith("_"):
            text = f"{nested.selector[:100]!r} is private to its object"
            raise CellError(text, kind="refused")
        return target

    def reload(self, value: Any) -> NestedReply:
        """Return the answer of a nested send, with the slots that it changed."""
        now, held = self.receiver.visible(self.reads.label), self.held
        fresh = {k: v for k, v in now.items() if k not in held or held[k] is not v}
        _collect([value, list(fresh.values())], self.reach)
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
