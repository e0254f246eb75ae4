"""A turn: one message from outside with all sends it causes, and one commit or none.

    fetch (short read) -> cell -> nested send -> fetch -> cell -> ... -> apply (one commit)

The read set keeps the serial of every object read, and every later fetch checks those serials
again, so a turn always sees one state of the image although no transaction is open while learned
code runs. Writes are collected as plain data; ``apply`` puts them into the image inside the
caller's transaction, after the serials were checked once more. A stale turn runs again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import secrets
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.scopes import demand_by_method, demand_message
from bat_os.core.values import TOUCH, Ref
from bat_os.errors import (
    ArgumentsError,
    BatError,
    CellError,
    ConflictError,
    EffectWantedError,
    NotFoundError,
    NotGrantedError,
    NotUnderstoodError,
    ProtocolError,
    ServerError,
)
from bat_os.image import family
from bat_os.image.gathering import flush, gather
from bat_os.image.history.faults import Fault, fault_of, note_faults
from bat_os.image.history.uses import CLIENT
from bat_os.image.objects import find, ref_of, thaw
from bat_os.image.preferences import note_entries
from bat_os.image.servers import pause
from bat_os.image.shipped import SHIPPED
from bat_os.kernel.activation import Activation
from bat_os.kernel.effects.journal import carry_out
from bat_os.kernel.entries import ENTRIES
from bat_os.kernel.primitives import run_primitive
from bat_os.kernel.reach import Answers, TurnReach
from bat_os.kernel.snapshot import ObjectSnapshot, ReadSet, Runnable, bind, refers, slot_value
from bat_os.kernel.whereabouts import find_zone
from bat_os.method.text import head_of
from bat_os.natives import table as natives
from bat_os.ports import Call, NestedReply, ObjectView

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.image.objects import UvmObject
    from bat_os.image.store import ImageStore
    from bat_os.kernel.effects.wants import Wanted
    from bat_os.kernel.reach import Reach
    from bat_os.kernel.sinks import Once
    from bat_os.kernel.snapshot import Fetched
    from bat_os.ports import Cell, Nested

    Root = MutableMapping[str, Any]
    _Found = tuple[ObjectSnapshot, Runnable | None]

TRIES: Final = 12
MAX_DEPTH: Final = 16
MAX_SENDS: Final = 1000
TURN_SECONDS: Final = 30.0
SECONDS: Final = 3.0
MAX_PRINTED: Final = 64 << 10
_BOOT: Final = secrets.token_hex(8)  # runs of another process have other names
_RUNS: Final = itertools.count()
# What learned code may catch. Another error (stale, a full disk) is not its fault: the turn ends.
_ITS_OWN: Final = (
    *(CellError, NotFoundError, NotGrantedError, NotUnderstoodError, ProtocolError),
    ServerError,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A method that is tried without being installed, and how its run is made repeatable."""

    selector: str
    source: str
    seed: int | None = None
    now: float | None = None
    seconds: float = SECONDS


@dataclass(frozen=True, slots=True)
class _Message:
    ref: Ref
    selector: str
    args: list[Any]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a message was answered."""

    value: Any  # what the method returned; plain data or Refs
    printed: str  # what it printed
    status: str  # of the method: ``verified``, ``provisional``, ``taught``, ``primitive``, ``slot``
    writes: bool  # true when the image is to change
    label: frozenset[str] = frozenset()  # oids of the grants that had a say in it
    drawn: Sequence[int] = ()  # tokens of each answer of a model
    wanted: tuple[Wanted, ...] = ()  # what it does in the world, once it is committed
    effects: tuple[int, ...] = ()  # the numbers of that, in the commit


class Turn:
    """One run of one message; make a new one to run it again.

    Attributes:
        calls: Learned methods that answered: oid of the receiver, selector, who sent it.
        shown: The first of them with its arguments and its answer, once it has answered.
        faults: Learned methods that failed, without those that failed by another's failing.
    """

    def __init__(
        self,
        image: ImageStore,
        cell: Cell,
        candidate: Candidate | None = None,
        reach: Reach | None = None,
        answers: Answers | None = None,
    ) -> None:
        self._image = image
        self._cell = cell
        self._candidate = candidate
        self._reads = ReadSet()
        self.label = self._reads.label  # oids of the grants that had a say in what it knows
        self._sends = 0
        self._printed: list[str] = []
        self._created: dict[str, Ref] = {}
        self._top = ""
        self._fault: BatError | None = None
        self._reach, self._answers = reach, answers or Answers()
        # Whose seed and clock are the same whenever the message runs.
        self._fixed = candidate if candidate and candidate.seed is not None else self._answers
        self._once: Once = ()
        self._may, self._begun = "", 0.0
        self._reaches: TurnReach | None = None  # once a message wants it
        self.calls: list[tuple[str, str, str]] = []
        self.shown: tuple[tuple[str, str, str], Any, Any] | None = None
        self.faults: list[Fault] = []

    async def run(self, brief: Brief) -> Answer:
        """Run the message and return its answer; nothing is committed yet.

        Raises:
            NotFoundError: No such target.
            NotUnderstoodError: The target has nothing for the selector.
            CellError: The method failed; the time for the whole turn counts too.
            ConflictError: What was read has changed since.
        """
        try:
            return await self._run(brief)
        except BatError as error:  # its text may be one that was read
            if self.label:
                error.details["label"] = sorted(self.label)
            raise

    async def _run(self, brief: Brief) -> Answer:
        self._begun, self._may, self._once = time.monotonic(), brief.may, brief.once
        demand_message(self._may, brief.selector)

        def read(root: Root) -> tuple[Ref, Fetched]:
            ref = ref_of(find(root, brief.target))
            return ref, ReadSet().fetch(root, ref, brief.selector)

        note = f"read {brief.target}"
        ref, fetched = await self._image.read((brief.target, brief.selector), read, note=note)
        args, kwargs = [*brief.args], dict(brief.kwargs)
        if refers([*args, *kwargs.values()]):
            args, values = await self._image.transact(
                lambda root: (bind(root, args), bind(root, [*kwargs.values()])), note=note
            )
            kwargs = dict(zip(kwargs, values, strict=True))
        self._top = ref.oid
        self.label.update(brief.label)
        message = _Message(ref, brief.selector, args, kwargs)
        try:
            async with asyncio.timeout(TURN_SECONDS) as self._limit:
                status, value = await self._activate(message, self._add(message, fetched), None)
        except TimeoutError:
            text = f"{brief.selector} and its sends took over {TURN_SECONDS:.0f} s"
            raise CellError(text, kind="deadline") from None
        except CellError as error:
            if self._fault is None:
                raise
            raise self._fault from error
        if self._fault is not None:
            raise self._fault
        reaches, printed = self._reaches, "".join(self._printed)[:MAX_PRINTED]
        writes = self._reads.has_writes or (reaches is not None and reaches.has_writes)
        drawn, wanted = (reaches.drawn, tuple(reaches.wanted)) if reaches else ((), ())
        return Answer(value, printed, status, writes, frozenset(self.label), drawn, wanted)

    def apply(self, root: Root) -> None:
        """Put the turn's writes into the image; to be called inside ``transact``.

        Raises:
            ConflictError: Something that the turn read is not as it was.
        """
        jar = root._p_jar  # type: ignore[attr-defined]  # ZODB: the root's connection
        for obj in self._reads.check(root):
            jar.readCurrent(obj)
        self._created = {}
        for seen in self._reads.objects.values():
            if seen.cloned_from is not None:
                self._make(root, seen.cloned_from, seen)
        for oid, seen in self._reads.objects.items():
            if seen.changed or seen.removed or seen.moved:
                self._change(root, self._resolve(root, Ref(oid)), seen)
        for act in self._reads.acts:
            act(root)
        if self._reaches is not None:
            self._reaches.apply(root)

    @property
    def stages(self) -> bool:
        """True if something is to be done in the world after the commit."""
        return self._reaches is not None and bool(self._reaches.staged)

    def committed(self) -> None:
        """Have done what the turn has staged; to be called after its commit."""
        if self._reaches is not None:
            self._reaches.committed()

    def count(self) -> None:
        """Count the calls that were answered; to be called once all went well."""
        self._image.uses.record(self.calls)
        if self.shown is not None:
            # What waits for the world, or for a model, is not slow by itself.
            took = 0.0 if self._reaches else time.monotonic() - self._begun
            self._image.uses.show(*self.shown, hidden=bool(self.label), took=took)

    def settle(self, answer: Answer) -> Answer:
        """Return the answer as committed: references to new objects, numbers of effects."""
        if not self._created and self._reaches is None:
            return answer
        value = thaw(answer.value, lambda ref: self._created.get(ref.oid, ref))  # type: ignore[arg-type,return-value] # a Ref for a Ref
        effects = tuple(self._reaches.numbers) if self._reaches is not None else ()
        return replace(answer, value=value, effects=effects)

    async def _activate(
        self, message: _Message, found: _Found, sender: Activation | None
    ) -> tuple[str, Any]:
        depth = 0 if sender is None else sender.depth + 1
        if depth > MAX_DEPTH:
            raise CellError(f"sends are nested deeper than {MAX_DEPTH}", kind="limit")
        receiver, runnable = found
        args, kwargs = message.args, message.kwargs
        if runnable is None:
            self._reads.touch(receiver, message.selector)
            return "slot", slot_value(receiver, message.selector, args or kwargs)
        if runnable.status == SHIPPED and (name := runnable.primitive):
            moment = self._moment(await find_zone(self._image, self._reach, self._answers.here))
            if natives.reaches(name):
                given = self._reached(receiver, name, sender)
                return SHIPPED, await natives.run(name, args, kwargs, moment, given)
            return SHIPPED, await asyncio.to_thread(natives.run, name, args, kwargs, moment)
        if name := runnable.primitive:
            outside = sender is not None and sender.receiver.ref.oid != message.ref.oid
            answer = run_primitive(
                name, self._reads, receiver, (args, kwargs),
                from_outside=outside, reach=sender.reach if sender else None,
            )  # fmt: skip
            if callable(answer):  # it has to look at more of the image
                answer = await self._image.transact(answer, note=f"{name} {message.ref.name}"[:70])
            return "primitive", answer
        running = Activation(receiver, message.selector, (args, kwargs), depth, self._reads)
        trial, known = self._candidate, len(self.faults)
        call = Call(
            source=runnable.source,
            selector=message.selector,
            view=ObjectView(receiver.ref, running.held, receiver.selectors, bool(receiver.labels)),
            args=tuple(args),
            kwargs=kwargs,
            seed=self._fixed.seed and self._fixed.seed + (0 if trial else self._sends),
            now=self._fixed.now,
            deadline=trial.seconds if trial else SECONDS,
        )
        try:
            result = await self._cell.run(call, lambda nested: self._send(running, nested))
            running.absorb(result.delta)
        except CellError as error:
            self._check_home(runnable, message, error)
            raised = error.details.get("kind") == "raised" and self._fault is None
            if runnable.status == SHIPPED and raised:
                # Its examples run in the suite of the program: what it got is at fault.
                head = head_of(runnable.source, message.selector)
                raise ArgumentsError(f"{head}: {error.details.get('text', error)}") from error
            fault = fault_of(
                message.ref.oid, message.selector, runnable.source, (args, kwargs), error
            )
            by_world = self._fault or (self._reaches and self._reaches.caused(error))
            if fault and not trial and not by_world and len(self.faults) == known:
                self.faults.append(replace(fault, asked="") if self.label else fault)
            raise
        self._printed.append(result.printed)
        self._note_call(message, sender, None if runnable.status == SHIPPED else result.value)
        return runnable.status, result.value

    def _note_call(self, message: _Message, sender: Activation | None, value: Any) -> None:
        by = (sender.receiver.ref.name or sender.receiver.ref.oid) if sender else CLIENT
        call = message.ref.oid, message.selector, by
        self.calls.append(call)
        if sender is None and value is not None:
            self.shown = call, (tuple(message.args), message.kwargs), value

    def _reached(
        self, seen: ObjectSnapshot, name: str, sender: Activation | None
    ) -> dict[str, Any]:
        if self._reaches is None:
            self._reaches = TurnReach(
                self._image, self._reach, self._answers, self._moment, self.label, self._once
            )
        if sender is None:  # a client waits, and each of these has limits of its own
            self._limit.reschedule(None)
        return self._reaches.given_to(seen, name, sender.name if sender else "", self._may)

    def _moment(self, zone: dt.tzinfo | None = None) -> dt.datetime:
        """Return the present moment, or that of the trial, in a zone or that of this machine."""
        at = time.time() if self._fixed.now is None else self._fixed.now
        return dt.datetime.fromtimestamp(at, dt.UTC).astimezone(zone)

    def _check_home(self, runnable: Runnable, message: _Message, error: CellError) -> None:
        """Treat a method learned in another cell, and unsupported here, as missing."""
        if error.details.get("kind") != "unsupported" or not runnable.cell:
            return
        if runnable.cell != self._cell.stats().get("kind"):
            text = f"{message.selector} was learned in the cell {runnable.cell}: {error}"
            raise NotUnderstoodError(text, target=message.ref.oid) from error

    async def _send(self, sender: Activation, nested: Nested) -> NestedReply:
        self._sends += 1
        if self._sends > MAX_SENDS:
            raise CellError(f"more than {MAX_SENDS} messages in one turn", kind="limit")
        sender.absorb(nested.delta)
        if nested.selector == TOUCH:
            self._reads.touch(sender.receiver, *nested.args)
            return sender.reload(None)
        target = sender.reachable(nested)
        message = _Message(target, nested.selector, list(nested.args), dict(nested.kwargs))
        try:
            fetched = await self._image.transact(
                lambda root: self._reads.fetch(root, target, message.selector),
                note=f"read {target.name or target.oid}",
            )
            found = self._add(message, fetched)
            if found[1] is not None and found[1].primitive:
                demand_by_method(self._may, found[1].primitive.rpartition(".")[2])
            _, value = await self._activate(message, found, sender)
        except BatError as error:
            if not isinstance(error, _ITS_OWN):
                self._fault = error
            raise
        return sender.reload(value)

    def _add(self, message: _Message, fetched: Fetched) -> _Found:
        seen, runnable = self._reads.add(message.ref, fetched)
        trial = self._candidate
        if trial and message.ref.oid == self._top:
            seen.selectors |= {trial.selector}
            if message.selector == trial.selector:
                runnable = Runnable("", trial.source, "trial")
        return seen, runnable

    def _make(self, root: Root, origin: Ref, seen: ObjectSnapshot) -> None:
        make = family.derive if seen.is_child else family.clone
        obj = make(root, self._resolve(root, origin), seen.ref.name)
        obj.by_method = seen.by_method
        self._created[seen.ref.oid] = ref_of(obj)

    def _change(self, root: Root, obj: UvmObject, seen: ObjectSnapshot) -> None:
        for name, value in seen.changed.items():
            label = self.label.union(seen.labels.get(name, ()))  # a clone brings its own
            obj.set_slot(name, thaw(value, lambda ref: self._resolve(root, ref)), label)
        note_entries(root, obj.name, seen.changed, ENTRIES.get(obj.name, {}))
        for name in seen.removed:
            if name in obj.slots:
                obj.remove_slot(name, self.label)
        if seen.moved:
            obj.set_label("", self.label.union(seen.labels.get("", ())))
            family.set_parents(obj, [self._resolve(root, ref) for ref in seen.parents])

    def _resolve(self, root: Root, ref: Ref) -> UvmObject:
        return find(root, self._created.get(ref.oid, ref).oid)


async def take_turn(  # noqa: PLR0913 - each is one thing that a turn may need
    image: ImageStore,
    cell: Cell,
    brief: Brief,
    candidate: Candidate | None = None,
    *,
    settle: Callable[[Root, Answer], Any] = lambda _, answer: answer,
    mission: str = "",
    commit_reads: bool = True,
    reach: Reach | None = None,
    answers: Answers | None = None,
) -> Any:
    """Run a message to its end and commit what it changes; run it again when it was stale.

    Returns what ``settle`` returns; without one, the ``Answer``.

    Args:
        image: Where objects are.
        cell: Where learned code runs.
        brief: The message.
        candidate: A method to use as if it were installed on the target.
        settle: More to do in the same transaction, with the answer; what it raises undoes all.
            For a turn that needs no transaction the root is an empty map.
        mission: Id of the mission that it belongs to, if any.
        commit_reads: A turn of a mission is committed even if it writes nothing, after what it
            read was checked once more.
        reach: Memory and the world, whose answers a message that runs again gets again.
        answers: Keeps what the world is asked. Its ``run`` names the message, where a killed kernel
            may have begun with it; else it is new.
    """
    answers, left = answers or Answers(), TRIES
    answers.run = answers.run or mission or f"{_BOOT}.{next(_RUNS)}"
    answers.by = f"{brief.target}.{brief.selector}"
    while True:
        turn = Turn(image, cell, candidate, reach, answers)
        try:
            answer = await turn.run(brief)

            def work(root: Root, turn: Turn = turn, answer: Answer = answer) -> Any:
                turn.apply(root)
                return settle(root, turn.settle(answer))

            if answer.writes or (mission and commit_reads):
                note = f"{brief.target} {brief.selector}"[:70]
                done = await _commit(image, turn, work, note=note, mission=mission)
            else:
                done = settle({}, answer)
        except EffectWantedError as wanted:
            await carry_out(reach, answers, wanted)
        except ConflictError as error:
            if not (left := left - 1):
                text = f"{answers.by} was overtaken {TRIES} times; ask again"
                raise ConflictError(text) from error
            await asyncio.sleep(pause(TRIES - left) if left < TRIES - 1 else 0)
        else:
            turn.count()
            return done
        finally:
            if turn.faults:
                await note_faults(image, turn.faults)


async def _commit(image: ImageStore, turn: Turn, work: Callable[[Root], Any], **about: str) -> Any:
    """Commit what a turn changes; what it has staged is for the performer, which has to see it."""
    if not turn.stages:
        return await image.transact(work, **about)
    await flush(image)
    with gather(None):
        done = await image.transact(work, **about)
    turn.committed()
    return done
