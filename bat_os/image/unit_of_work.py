"""A unit of work: what a request with a key changes, and its answer, as one commit.

    work      runs on the image with what was gathered before, and is taken back
    ...                                                  the answer is made of what came back
    settle    every work runs once more, and the answer is stored under the key: one commit

So nothing is ever done without its key saying so. A work may always run again
(``ImageStore.transact``). If one returns something else because others have changed the image, the
answer is not true any more: nothing is committed, and the request has to be answered anew. What is
new has the same ids in each run.

What others have to see before the answer is known, such as a mission or a deed in the world, comes
after a ``flush``, which notes under the key that the request has begun. The answer follows at the
end. A request that was begun and has no answer is not done again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from bat_os.core.protocol import pack, unpack
from bat_os.core.values import to_wire
from bat_os.errors import BatError, ConflictError
from bat_os.image import answered
from bat_os.image.objects import connection_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    Root = MutableMapping[str, Any]

MAX_STEPS: Final = 50  # each runs before every later one


class Image(Protocol):
    """What a unit needs of ``bat_os.image.store.ImageStore``."""

    async def run(
        self,
        work: Callable[[Any], Any],
        *,
        note: str,
        mission: str = "",
        watched: list[str] | None = None,
        keeps: bool = True,
    ) -> Any:
        """Run a work in a transaction of its own, and commit it if that ``keeps``."""


@dataclass(slots=True)
class Step:
    """One work that changes the image, as it ran alone."""

    work: Callable[[Any], Any]
    note: str
    mission: str
    result: Any = None
    snapshot: bytes = b""  # of the image that it ran on; b"" where that is not known
    oids: list[bytes] = field(default_factory=list)  # of what it makes


class UnitOfWork:
    """What one task changes for one request; see the module.

    Attributes:
        key: Of the request.
        asked: A digest of the request.
        steps: What was gathered and is not committed.
        is_split: Something of it is committed, or may be, before the answer is known.
        is_direct: It gathers nothing: each work is committed when it comes.
        was_begun: An earlier kernel had committed a part of it when it was killed.
        is_final: The answer is stored. False: the same request may get another one, later.
        is_overtaken: What its answer is made of is not so any more.
        let_go: Called when what comes may take long, or wait for others.
        lost: Called if the answer does not come to be stored.
        done: Called with the unit when it is committed.
        then: Awaited after that, as it has to see what is committed.
    """

    def __init__(self, image: Image, key: str, asked: str, *, is_direct: bool = False) -> None:
        self.key, self.asked = key, asked
        self.steps: list[Step] = []
        self.is_split = self.is_direct = is_direct
        self.is_final, self.is_overtaken, self.was_begun = True, False, False
        self.let_go: Callable[[], object] = lambda: None
        self.lost: list[Callable[[], object]] = []
        self.done: list[Callable[[UnitOfWork], object]] = []
        self.then: list[Callable[[], Awaitable[object]]] = []
        self._image, self._task = image, asyncio.current_task()
        self._ids: dict[str, str] = {}  # what stood for a transaction -> its id
        self._coming = secrets.token_hex(8)  # stands for the id of the next one

    def is_of(self, image: Image) -> bool:
        """Return whether it gathers what the running task changes in an image."""
        return self._image is image and self._task is asyncio.current_task()

    async def add(
        self, work: Callable[[Any], Any], note: str, mission: str, watched: list[str] | None
    ) -> Any:
        """Run a work after the earlier steps, and gather it if it changes the image.

        Returns what the work returned.
        """
        if len(self.steps) == MAX_STEPS:
            await self.flush()
        step, changes = Step(work, note, mission), False

        def attempt(root: Root) -> Any:
            nonlocal changes
            _repeat(root, self)
            connection = connection_of(root)
            with connection.give(step.oids):
                step.result = work(root)
            step.snapshot = connection.snapshot
            changes = connection.has_changes
            return step.result

        result = await self._image.run(attempt, note=note, keeps=False)
        if changes:
            self.steps.append(step)
            if watched is not None:
                watched.append(self._coming)
        return result

    async def flush(self) -> None:
        """Commit what was gathered, because others have to see it now."""
        self.is_split = True
        self.let_go()
        if self.steps:
            await self._commit(self._keep())

    async def settle(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Commit what was gathered, and with it the answer; return that as it is stored.

        An answer that tells of no change is not stored.

        Raises:
            ConflictError: The image has changed so that the answer is not true any more.
        """
        reply, coming = pack(to_wire(dict(answer))), self._coming
        for stood, tid in self._ids.items():
            reply = reply.replace(stood.encode(), tid.encode())
        if self.is_final and (self.steps or self.is_split):
            await self._commit(self._keep(reply))
        elif self.steps:
            await self._commit(lambda root: None)
        self.lost = []
        for tell in self.done:
            tell(self)
        for work in self.then:
            await work()
        return unpack(reply.replace(coming.encode(), self._ids.get(coming, coming).encode()))

    def fill(self, value: Any) -> Any:
        """Return plain data with the ids of transactions instead of what stood for them."""
        if isinstance(value, dict):
            return {key: self.fill(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(self.fill, value))
        return self._ids.get(value, value) if isinstance(value, str) else value

    def overtake(self) -> ConflictError:
        """Return the error that says that the answer is not true any more."""
        self.is_overtaken = True
        return ConflictError("the image has changed in the meantime; ask again")

    def _keep(self, reply: bytes = b"") -> Callable[[Root], None]:
        """Return a work that stores the answer or, without one, that the request has begun."""
        now, coming = time.time(), self._coming

        def work(root: Root) -> None:
            if not answered.put(root, self.key, self.asked, now, reply, coming):
                raise self.overtake()  # another kernel has answered

        return work

    async def _commit(self, more: Callable[[Root], None]) -> None:
        watched = list[str]()

        def work(root: Root) -> None:
            _repeat(root, self)
            more(root)

        notes = dict.fromkeys(step.note for step in self.steps)
        note = "; ".join(notes)[:70] or "keep an answer"
        mission = next((step.mission for step in self.steps if step.mission), "")
        await self._image.run(work, note=note, mission=mission, watched=watched)
        if watched:
            self._ids[self._coming] = watched[-1]
        self.steps, self._coming = [], secrets.token_hex(8)


def _repeat(root: Root, unit: UnitOfWork) -> None:
    """Run the steps of a unit again, and see that they come to the same."""
    connection = connection_of(root)
    for step in unit.steps:
        with connection.give(step.oids):
            try:
                result = step.work(root)
            except BatError as error:
                raise unit.overtake() from error
            # What differs though the image does not is a count or a clock beside it.
            is_same = connection.snapshot == step.snapshot != b"" or _are_alike(result, step.result)
            if not is_same:
                raise unit.overtake()
            # It separates the changes of the next step, and gives new objects their ids.
            connection.transaction_manager.get().savepoint(optimistic=True)


def _are_alike(result: Any, other: Any) -> bool:
    return repr(result) == repr(other) or bool(result == other)
