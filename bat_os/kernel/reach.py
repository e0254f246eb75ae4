"""What a turn reaches besides the objects of the image: memory, and the world through grants.

    self.notes.read("a.txt") > files_obj.read > grant of notes_obj? > in the record? > the driver

A message is run again when what it had read has changed, and candidates of one mission are tried on
one world: so an answer of the world is kept by what was asked, and given again. Each call walks the
grants anew; nothing that was allowed before is remembered.

What changes the world is only noted here. ``apply`` puts it into the outbox in the turn's one
commit (``bat_os.image.outbox``), and the performer does it after that. What the same turn reads
later is answered as if it were done.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.printable import show_asked
from bat_os.core.values import Ref, check
from bat_os.errors import (
    ArgumentsError,
    BatError,
    CellError,
    EffectWantedError,
    GrantWantedError,
    NotGrantedError,
    ProtocolError,
)
from bat_os.image import grants, outbox
from bat_os.image.outbox import Effect
from bat_os.kernel.effects.deeds import question_of
from bat_os.kernel.effects.wants import Wanted, wanted
from bat_os.kernel.memory import TurnMemory
from bat_os.kernel.sinks import Sinks
from bat_os.kernel.subsystems import ReachedKernel, TurnKernel
from bat_os.ports import AWAIT, STAGE, Deed, ServerDriver, StagingDriver

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, MutableMapping, Sequence

    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.sinks import Once
    from bat_os.kernel.snapshot import ObjectSnapshot
    from bat_os.ports import Driver, Operation

    Reach = KernelContext  # what turns need of the kernel
    Root = MutableMapping[str, Any]

MAX_ENTRIES: Final = 200
MAX_BYTES: Final = 4 << 20
MAX_STAGED: Final = 100
MAX_THREADS: Final = 16  # that wait for the world at once; the rest of the kernel has others
SETTLE_SECONDS: Final = 2.0
# How a person grants what an object lacks.
_HOW: Final = {
    "files": "grant ~/FOLDER", "mcp": "grant-mcp", "shell": "grant 'shell:PROGRAM ~/FOLDER'",
    "web": "grant https://HOST",
}  # fmt: skip


@dataclass(slots=True)
class Answers:
    """What a message, or the candidates of one mission, asked of the world, and the answers."""

    by_key: dict[str, Any] = field(default_factory=dict)
    size: int = 0  # bytes
    run: str = ""  # id of the message; "" for a trial, which does nothing in the world
    closed: bool = False  # nothing else is asked: what is not in the record ends the message
    by: str = ""  # the message, for a person
    # Of a message that needed the answer of an effect: all that it is given again.
    seed: int | None = None
    now: float | None = None
    here: dict[str, Any] = field(default_factory=dict)  # what it has read of where the person is
    awaited: dict[str, int] = field(default_factory=dict)  # question -> number of the effect

    def find(self, key: str) -> tuple[bool, Any]:
        """Return whether the question was asked before, and the answer; an error is raised again.

        Raises:
            BatError: It was the answer.
        """
        if key not in self.by_key:
            return False, None
        answer = self.by_key[key]
        if isinstance(answer, BatError):
            raise answer
        return True, answer

    def keep(self, key: str, answer: Any) -> None:
        """Keep an answer.

        Raises:
            CellError: The message asks too much.
        """
        self.size += len(repr(answer))
        if len(self.by_key) >= MAX_ENTRIES or self.size > MAX_BYTES:
            text = f"one message may ask the world {MAX_ENTRIES} times, for {MAX_BYTES >> 20} MB"
            raise CellError(text, kind="limit")
        self.by_key[key] = answer


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="world")


class TurnReach:
    """What one turn reaches. It is made when a message first wants it."""

    def __init__(
        self,
        image: ImageStore,
        reach: Reach | None,
        answers: Answers | None,
        moment: Callable[[], dt.datetime],
        label: set[str],
        once: Once = (),
    ) -> None:
        self._image = image
        self._drivers = reach.drivers if reach else {}
        self._moment = moment
        self._answers = answers or Answers()
        self._asked: Counter[str] = Counter()
        self._performer = reach.orchestrator.performer if reach else None
        self._home = reach.home_id if reach else ""
        self._stopped: EffectWantedError | None = None  # nothing is reached after it
        self.staged: list[Effect] = []
        self.wanted: list[Wanted] = []  # the same, as trials compare it
        self._label, self._once = label, once
        self.numbers: list[int] = []  # of the effects, once they are committed
        self._failures: set[str] = set()  # texts of errors that the world has answered
        self._sinks = Sinks(image, self._drivers, label, once)
        self.memory = TurnMemory(image, reach.catalog, moment, label) if reach else None
        self.kernel = TurnKernel(reach, label, self._answers) if reach else None

    @property
    def drawn(self) -> Sequence[int]:
        """Tokens of each answer of a model."""
        return self.kernel.drawn if self.kernel is not None else ()

    @property
    def has_writes(self) -> bool:
        """True if the turn changes the memory or the catalog, or the world."""
        memory, kernel = self.memory, self.kernel
        awaited = self._answers.awaited
        writes = self.staged or (memory and memory.has_writes) or (kernel and kernel.works)
        return bool(awaited or writes)

    def apply(self, root: Root) -> None:
        """Put what the turn writes into the image."""
        self._sinks.settle(root)
        if self.memory is not None:
            self.memory.apply(root)
        if self.kernel is not None:
            self.kernel.apply(root)
        if self._answers.awaited:
            asked = {f"{key}.{n}" for key, most in self._asked.items() for n in range(1, most + 1)}
            outbox.end_run(root, self._answers.run, asked)
        label = tuple(sorted(self._label))
        staged = [replace(each, label=label) for each in self.staged]
        self.numbers = [each.number for each in outbox.put(root, staged, self._home)]

    def committed(self) -> None:
        """Have done what was staged; to be called after the commit."""
        if self.staged and self._performer is not None:
            self._performer.wake()

    def given_to(self, seen: ObjectSnapshot, name: str, method: str, may: str) -> dict[str, Any]:
        """Return what the kernel gives to a trusted function, by the names of its parameters.

        ``method`` names the learned method that sends the message, "" for a client; ``may`` is
        the scope of who asked for all of it.
        """
        world = _World(self, seen.ref, name.partition("_obj.")[0], method)
        kernel = self.kernel and ReachedKernel(self.kernel, seen, method, may)
        return {"memory": self.memory, "world": world, "kernel": kernel}

    def caused(self, error: CellError) -> bool:
        """Return whether a method failed of nothing but what the world has answered."""
        text = str(error.details.get("text", ""))
        return error.details.get("kind") == "raised" and text in self._failures

    async def perform(
        self, ref: Ref, driver_name: str, operation: str, args: Any, method: str = ""
    ) -> Any:
        """Return what the world answers to a message of an object, which a method may send."""
        try:
            return await self._perform(ref, driver_name, operation, args, method)
        except (CellError, ProtocolError):  # what the method asked was off
            raise
        except BatError as error:
            self._failures.add(str(error).encode("utf-8", "replace").decode())
            raise

    async def _perform(
        self, ref: Ref, driver_name: str, operation: str, args: Any, method: str
    ) -> Any:
        if self._stopped is not None:
            raise self._stopped
        driver = self._drivers.get(driver_name)
        if driver is None:
            text = "the world is as it is now; the past, forks on trial and replays do not reach it"
            raise NotGrantedError(text)
        links = await self._links_of(ref, driver, operation, args)
        grant, args = links[0], list(args)
        _refuse_references(args)
        if operation not in grant.operations:
            raise NotGrantedError(f"{ref.name or 'the object'} has no grant to {operation}")
        kinds = driver.operations(grant.scope)
        if operation not in kinds:
            raise NotGrantedError(f"{driver.name} has no {operation} any more")
        await self._sinks.admit(grant.oid, kinds[operation])
        self._image.uses.record([(grant.oid, operation, f"{grants.USE}{method}")])
        kind, deed = kinds[operation], Deed(grant.scope, operation, args)
        if kind.kind == STAGE:
            return self._stage(ref, driver, kind, deed)
        self._label.add(grant.oid)  # an error says something, too
        key = self._question(driver, grant, deed)
        known, answer = self._answers.find(key)
        if known:
            return answer
        if self._answers.closed:
            self._stopped = EffectWantedError(f"{operation} was not asked before")
            raise self._stopped
        if kind.kind == AWAIT:
            self._stopped = self._wanted(ref, driver, kind, deed, key)
            raise self._stopped
        return await self._ask(driver, deed, key)

    async def _links_of(
        self, ref: Ref, driver: Driver, operation: str, args: Any
    ) -> list[grants.Grant]:
        """Return the grant of an object, and those that it is a part of.

        Raises:
            GrantWantedError: It never had one.
            NotGrantedError: It has ended, or this run may not use it.
        """
        stands_in = [oid for kind, asked, oid in self._once if (kind, asked) == ("grant", ref.oid)]
        links = await self._image.transact(
            lambda root: next(
                filter(
                    None,
                    (grants.chain(root, oid, time.time()) for oid in (ref.oid, *stands_in[::-1])),
                ),
                [],
            ),
            note="read a grant",
        )
        if not links:
            await self._refuse(ref, driver, operation, args)
        if not grants.is_usable(links, self._once):
            raise NotGrantedError(
                f"{ref.name or 'the object'} was granted after this schedule was made; make it "
                "anew to have it use that"
            )
        return links

    def _stage(self, ref: Ref, driver: Driver, kind: Operation, deed: Deed) -> Any:
        """Note what is to be done after the commit; return its answer, which is known before."""
        if not isinstance(driver, StagingDriver):
            raise NotGrantedError(f"{driver.name} cannot {deed.operation} after a commit")
        if len(self.staged) >= MAX_STAGED:
            raise CellError(f"one message may change the world {MAX_STAGED} times", kind="limit")
        answer, text = driver.pretend(deed), driver.preview(deed)
        self.staged.append(self._effect(ref, driver, kind, deed, text))
        self.wanted.append(wanted(driver, deed, ref.name, text))
        return answer

    def _wanted(
        self, ref: Ref, driver: Driver, kind: Operation, deed: Deed, key: str
    ) -> EffectWantedError:
        """Return the error that ends this try of a message: what it needs has to be done first."""
        said = ", ".join(map(show_asked, deed.args))
        what = f"{driver.describe(deed.scope)}: {deed.operation}({said})"
        error = EffectWantedError(f"this has to be done first: {what}", text=what)
        error.wanted = (*self.wanted, wanted(driver, deed, ref.name, what))
        if self._answers.run:
            effect = self._effect(ref, driver, kind, deed, what)
            label = tuple(sorted(self._label))
            error.effect = replace(effect, kind=AWAIT, question=key, label=label)
        return error

    def _effect(self, ref: Ref, driver: Driver, kind: Operation, deed: Deed, text: str) -> Effect:
        scope = deed.scope
        if isinstance(driver, ServerDriver):  # not what the server says of all its other tools
            scope = driver.part(scope, deed.operation)
        return Effect(
            number=0, oid=ref.oid, name=ref.name, driver=driver.name, scope=scope,
            operation=deed.operation, args=tuple(deed.args), text=text, run=self._answers.run,
            by=self._answers.by, at=self._moment().timestamp(), repeatable=kind.repeatable,
        )  # fmt: skip

    def _question(self, driver: Driver, grant: grants.Grant, deed: Deed) -> str:
        """Return what names a question, so that the same one gets the same answer."""
        staged = sum(each.driver == driver.name for each in self.staged)
        question = question_of(grant.oid, deed.operation, deed.args, staged)
        self._asked[question] += 1
        return f"{question}.{self._asked[question]}"

    async def _ask(self, driver: Driver, deed: Deed, key: str) -> Any:
        staged = [each.deed for each in self.staged if each.driver == driver.name]
        scope, operation, args = deed.scope, deed.operation, deed.args
        if self._performer is not None:  # what earlier messages have staged comes first
            await self._performer.settle(SETTLE_SECONDS)
        seconds, ask = driver.operations(scope)[operation].seconds, driver.perform
        if staged and isinstance(driver, StagingDriver):
            ask = partial(driver.overlay, staged=staged)
        try:
            async with asyncio.timeout(seconds):
                answer = await asyncio.get_running_loop().run_in_executor(
                    _threads(), ask, scope, operation, args
                )
            check(answer, where=f"the answer of {operation}")
        except TimeoutError:
            raise CellError(f"{operation} took over {seconds:.0f} s", kind="deadline") from None
        except TypeError as error:
            raise ArgumentsError(f"{operation}: {error}") from error
        except BatError as error:  # an answer, too: the next candidate gets the same
            self._answers.keep(key, error)
            raise
        self._answers.keep(key, answer)
        return answer

    async def _refuse(self, ref: Ref, driver: Driver, operation: str, args: Any) -> None:
        """Say why an object without a grant gets nothing.

        Raises:
            GrantWantedError: It never had one: a person can give it.
            NotGrantedError: It has ended.
        """
        now, name = time.time(), ref.name or "the object"
        had, held = await self._image.transact(
            lambda root: (ref.oid in root.get(grants.GRANTS, {}), grants.links(root, ref.oid)),
            note="read a grant",
        )
        if held and not any(link.has_ended(now) for link in held):
            text = f"{name} was granted in another home, and this is a copy of it"
            raise NotGrantedError(f"{text}; batos grants shows it, batos grant gives it again")
        if had:
            raise NotGrantedError(f"the grant of {name} has ended; batos grants shows it")
        said = [arg for arg in args if isinstance(arg, str) and arg]
        how = _HOW.get(driver.name, "grant")
        text = f"{name} has no grant for {driver.name}; batos {how} gives one"
        raise GrantWantedError(text, driver=driver.name, operation=operation, what=said[-1:])


@dataclass(frozen=True, slots=True)
class _World:
    """``bat_os.natives.files.World`` of one object in one turn."""

    turn: TurnReach
    ref: Ref
    driver: str
    method: str

    async def perform(self, operation: str, *args: Any) -> Any:
        return await self.turn.perform(self.ref, self.driver, operation, args, self.method)


def _refuse_references(value: Any) -> None:
    """Refuse what only means something inside the image.

    Raises:
        ArgumentsError: There is a reference in it.
    """
    if type(value) is Ref:
        raise ArgumentsError("the world knows no objects of the image: hand on what they hold")
    if isinstance(value, list | tuple | set | frozenset | dict):
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            _refuse_references(part)
