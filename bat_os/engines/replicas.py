"""Several servers behind one model: which is asked, when another one is, and which is left out.

    call ──→ least (running / places + 1) x mean seconds ──→ answer, and who gave it
      │         ├─ no connection: another one; twice in a row: away for 2 s, doubling to 30
      │         ├─ 429 or 503: busy for as long as it says; another one meanwhile
      │         └─ later than 95% were, and a place is free elsewhere: a second one, too
      └─ all places taken, and as many calls wait: BUSY

A server that is away gets no call. It is looked at instead, and comes back once it lists the same
model again. One that lists another model is left out, and ``facts`` says so.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from bat_os.errors import BusyError, ModelError, ModelOutputError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

log = logging.getLogger(__name__)

FAILURES: Final = 2  # calls in a row without a connection, after which a server is away
PAUSE: Final = 2.0  # seconds until it is looked at again; doubles
LONGEST: Final = 30.0
OPENING: Final = 3.0  # seconds that the first look at all servers may take
BUSY_SECONDS: Final = 0.25  # for which a busy server that says nothing else is not asked
BUSY_TRIES: Final = 12  # of one call, while all servers say that they are busy
ENOUGH: Final = 20  # calls until it is known what is late
RECENT: Final = 200
LATE: Final = 0.95
FADING: Final = 60.0  # seconds in which half of what is known of a server's pace is forgotten
_SHARE: Final = 8  # the last call counts for an eighth of the mean
_GUESS: Final = 1.0  # seconds of a call while none has ended
_BUSY: Final = frozenset({429, 503})
_LOST: Final = frozenset({401, 403, 404})  # it does not serve this model to us any more
_Answer = TypeVar("_Answer")


class Member(Protocol):
    """The way to one server."""

    @property
    def url(self) -> str:
        """Its address, for people."""

    async def look(self) -> Any:
        """Return what the server's model is known by.

        Raises:
            ModelError: The server cannot be asked, or does not have the model.
        """


_Member = TypeVar("_Member", bound=Member)


@dataclass(eq=False)
class Replica(Generic[_Member]):
    """One server, and how it does."""

    member: _Member
    running: int = 0  # calls that were given to it
    calls: int = 0  # that it has answered
    mean: float = 0.0  # seconds of a call; of the last ones more than of those before
    last: float = 0.0  # when one was answered
    failures: int = 0  # in a row
    busy_until: float = 0.0
    why: str = ""  # it is not asked; "" while it is

    def answered(self, seconds: float, now: float) -> None:
        """Note a call that was answered."""
        self.mean += (seconds - self.mean) / (_SHARE if self.calls else 1)
        self.calls, self.failures, self.last = self.calls + 1, 0, now


class ReplicaSet(Generic[_Member]):
    """Chooses among servers that have one model.

    Args:
        name: Of the model, for people.
        members: One for each server.
        places: How many calls each takes at a time.
        same: Whether two looks are at one model.
        clock: Seconds, monotonic.

    Attributes:
        identity: What the model is known by; None before a server has answered.
        hedged: Calls for which a second server was asked because the first was late.
    """

    def __init__(
        self,
        name: str,
        members: Sequence[_Member],
        places: int,
        same: Callable[[Any, Any], bool] = lambda one, other: bool(one == other),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._all = [Replica(member) for member in members]
        self._each = places
        self._same = same
        self._clock = clock
        self.identity: Any = None
        self.hedged = 0
        self._asked = 0
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._opening = asyncio.Lock()
        self._background: set[asyncio.Task[Any]] = set()

    @property
    def places(self) -> int:
        """How many calls all servers together take at a time."""
        return self._each * len(self._all)

    @property
    def members(self) -> list[_Member]:
        """The ways to the servers, in their order."""
        return [replica.member for replica in self._all]

    @property
    def is_open(self) -> bool:
        """A server has said which model it has."""
        return self.identity is not None

    async def open(self) -> None:
        """Look at all servers, and take the first of them that answers as the measure. Idempotent.

        Raises:
            ModelError: None has the model; says what each one said.
        """
        async with self._opening:
            if self.is_open:
                return
            looks = {asyncio.create_task(one.member.look()): one for one in self._all}
            _, late = await asyncio.wait(looks, timeout=OPENING)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            for task, replica in looks.items():  # in the order of the owner
                silent = ModelError(f"it did not answer within {OPENING:.0f} s")
                self._judge(replica, silent if task in late else task)
            if all(one.why for one in self._all):
                raise self._nobody()
            for replica in self._all:
                if replica.why:
                    self._start(self._revive(replica))

    async def call(
        self,
        job: Callable[[_Member, int], Awaitable[_Answer]],
        *,
        hedge: bool = False,
        heard: Callable[[], int | None] = lambda: None,
        halted: Callable[[], bool] = lambda: False,
    ) -> tuple[_Answer, str] | None:
        """Return the answer of a server, and its address; None if the call was halted before.

        Args:
            job: Asks a server; the number says which of at most two attempts it is.
            hedge: A second server may be asked if the first one is late.
            heard: Number of the attempt whose text the caller has had some of. No other one may
                answer then.
            halted: Whether the caller does not want it any more.

        Raises:
            BusyError: All places are taken and as many calls wait, or all servers say so.
            ModelError: No server can be asked, or the one that was refuses this request.
        """
        await self.open()
        if self._asked >= 2 * self.places:
            raise self._busy(_GUESS)
        self._asked += 1
        try:
            return await self._until_answered(job, hedge, heard, halted)
        finally:
            self._asked -= 1

    def facts(self) -> list[dict[str, Any]]:
        """Return, for each server, plain facts for people."""
        now = self._clock()
        return [
            {"url": one.member.url, "running": one.running, "places": self._each,
             "calls": one.calls, "seconds": round(one.mean, 3), "why": one.why,
             "state": "left out" if one.why else "busy" if one.busy_until > now else "ready"}
            for one in self._all
        ]  # fmt: skip

    async def close(self) -> None:
        """End what runs in the background. Idempotent."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _until_answered(
        self,
        job: Callable[[_Member, int], Awaitable[_Answer]],
        hedge: bool,
        heard: Callable[[], int | None],
        halted: Callable[[], bool],
    ) -> tuple[_Answer, str] | None:
        failed: list[Replica[_Member]] = []
        waits = 0
        while not halted():
            first = self._choose(failed)
            if first is None:
                waits += 1
                soonest = self._soonest()
                if waits > BUSY_TRIES:
                    raise self._busy(soonest)
                await asyncio.sleep(min(soonest, BUSY_SECONDS))
                continue
            try:
                return await self._race(first, job, hedge, heard)
            except ModelError as error:
                worn = len(failed) >= FAILURES * len(self._all)
                if heard() is not None or not _is_servers(error) or worn:
                    raise
                if error.details.get("status") not in _BUSY:
                    failed.append(first)
        return None

    async def _race(
        self,
        first: Replica[_Member],
        job: Callable[[_Member, int], Awaitable[_Answer]],
        hedge: bool,
        heard: Callable[[], int | None],
    ) -> tuple[_Answer, str]:
        """Return the first answer: of ``first`` or, if that one is late, of a second one."""
        tasks = {self._ask(first, job, 0): 0}
        failure: BaseException | None = None
        try:
            if hedge and len(self._recent) >= ENOUGH:
                late = sorted(self._recent)[int(len(self._recent) * LATE)]
                await asyncio.wait(tasks, timeout=late)
                second = self._spare(first)
                if second is not None and heard() is None and not next(iter(tasks)).done():
                    self.hedged += 1
                    tasks[self._ask(second, job, 1)] = 1
            while tasks:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    number, error = tasks.pop(task), task.exception()
                    if heard() not in (None, number):
                        continue  # the caller hears the other one
                    if error is None:
                        return task.result()
                    failure = failure or error
            raise failure or self._nobody()
        finally:
            for task in tasks:
                task.cancel()

    def _ask(
        self,
        replica: Replica[_Member],
        job: Callable[[_Member, int], Awaitable[_Answer]],
        number: int,
    ) -> asyncio.Task[tuple[_Answer, str]]:
        replica.running += 1
        task = self._start(self._asking(replica, job, number))

        def left(task: asyncio.Task[Any]) -> None:
            replica.running -= 1
            if not task.cancelled():
                task.exception()  # seen, also where the caller has left

        task.add_done_callback(left)
        return task

    async def _asking(
        self,
        replica: Replica[_Member],
        job: Callable[[_Member, int], Awaitable[_Answer]],
        number: int,
    ) -> tuple[_Answer, str]:
        began = self._clock()
        try:
            answer = await job(replica.member, number)
        except ModelError as error:
            self._note(replica, error)
            raise
        now = self._clock()
        self._recent.append(now - began)
        replica.answered(now - began, now)
        return answer, replica.member.url

    def _note(self, replica: Replica[_Member], error: ModelError) -> None:
        """Remember how a server failed."""
        if error.details.get("status") in _BUSY:
            wait = float(error.details.get("wait") or BUSY_SECONDS)
            replica.busy_until = self._clock() + wait
        elif _is_servers(error):
            replica.failures += 1
            if replica.failures >= FAILURES and not replica.why:
                replica.why = str(error)
                log.warning("model %s: %s is left out: %s", self._name, replica.member.url, error)
                self._start(self._revive(replica))

    def _judge(self, replica: Replica[_Member], look: asyncio.Task[Any] | ModelError) -> None:
        """Take a server in, or leave it out, by what it said of its model."""
        try:
            if isinstance(look, ModelError):
                raise look
            found = look.result()
        except (ModelError, ModelOutputError) as error:
            replica.why = str(error)
            return
        self.identity = found if self.identity is None else self.identity
        if self._same(self.identity, found):
            replica.why, replica.failures = "", 0
        else:
            replica.why = "its model is another one than that of the other servers"

    async def _revive(self, replica: Replica[_Member]) -> None:
        """Look at a server that is left out until it can be asked again."""
        pause = PAUSE
        while replica.why:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST)
            look = asyncio.create_task(replica.member.look())
            try:
                await asyncio.wait({look})
                self._judge(replica, look)
            finally:
                look.cancel()
        log.info("model %s: %s is asked again", self._name, replica.member.url)

    def _choose(self, failed: Iterable[Replica[_Member]]) -> Replica[_Member] | None:
        """Return who would answer soonest, those that did not fail this call first.

        None while all that can be asked are busy.
        """
        present = [one for one in self._all if not one.why]
        if not present:
            raise self._nobody()
        now = self._clock()
        avoided = {id(one) for one in failed}
        fresh = [one for one in present if id(one) not in avoided] or present
        ready = [one for one in fresh if one.busy_until <= now]
        return min(ready, key=self._cost, default=None)

    def _spare(self, first: Replica[_Member]) -> Replica[_Member] | None:
        """Return another server that has a place free: a second attempt never waits for one."""
        now = self._clock()
        free = [
            one for one in self._all
            if one is not first and not one.why
            and one.running < self._each and one.busy_until <= now
        ]  # fmt: skip
        return min(free, key=self._cost, default=None)

    def _cost(self, replica: Replica[_Member]) -> float:
        """Return the seconds until it would have answered one more call."""
        known = [one.mean for one in self._all if one.calls]
        if not known:
            return replica.running / self._each + 1
        best = min(known)
        # What it did long ago counts for less: else a server that was slow once is never asked.
        past = self._clock() - replica.last
        pace = best + (replica.mean - best) * math.exp2(-past / FADING) if replica.calls else best
        return (replica.running / self._each + 1) * pace

    def _soonest(self) -> float:
        now = self._clock()
        waits = [one.busy_until - now for one in self._all if not one.why]
        return max(min(waits, default=0.0), 0.01)

    def _busy(self, seconds: float) -> BusyError:
        return BusyError(
            f"model {self._name}: all {self.places} places of its servers are taken; ask again",
            retry_after_ms=max(int(1000 * seconds), 50),
        )

    def _nobody(self) -> ModelError:
        said = "; ".join(f"{one.member.url}: {one.why}" for one in self._all if one.why)
        return ModelError(f"model {self._name}: none of its servers can be asked: {said}")

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


def _is_servers(error: ModelError) -> bool:
    """Return whether another server may do better."""
    status = error.details.get("status")
    return bool(error.details.get("down")) or status in _BUSY or status in _LOST
