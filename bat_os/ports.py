"""What the kernel needs from the outside: protocols, and the values they exchange.

Adapters live in ``engines/``, ``cells/``, ``world/`` and ``cluster/``; ``app/`` chooses among them.
Each port has at least one real adapter and one shipped fake (``scripted.py``), or two real ones,
and all of them pass the same contract tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from bat_os.core.prompts import Prompt as Prompt

if TYPE_CHECKING:
    import threading
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from bat_os.core.values import Ref


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens."""

    temperature: float = 0.0  # 0 takes the most likely token (greedy); else 0.1 to 2
    top_p: float = 0.95  # nucleus of this probability mass
    top_k: int = 40  # at most this many tokens to choose from
    max_tokens: int = 110  # new tokens per completion, at most
    seed: int = 0  # same model, prompts, sampling and seed: same text
    # A regular expression; a completion ends where it first matches in the new text, and the match
    # and what follows are cut off.
    stop: str = ""
    schema: Mapping[str, Any] | None = None  # a JSON Schema that the text is constrained to
    # This text is written, however unlikely it is; ``Completion.likelihood`` says how likely it
    # was. Only for an engine that ``scores``; nothing else here counts but ``seconds``.
    given: str = ""
    seconds: float = 0.0  # wall clock for the whole call, loading included; 0 sets no limit


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote."""

    text: str  # the new text, without prompt and prefill
    tokens: int  # new tokens drawn
    finished: bool  # True if it ended by itself or at ``stop``, False if it was cut off
    read: int = 0  # tokens of the prompt
    reused: int = 0  # how many of those were in the prompt cache and not read again
    likelihood: float = 0.0  # of ``Sampling.given``: natural logarithm of its probability
    server: str = ""  # the address of the one of several servers that drew it


class ModelEngine(Protocol):
    """One language model: loaded on first use, given back when asked."""

    @property
    def digest(self) -> str:
        """SHA-256 of the model's files; "" before they are known."""

    @property
    def scores(self) -> bool:
        """Whether it says how likely a given text is (``Sampling.given``)."""

    async def load(self) -> None:
        """Bring the model to where it can draw at once. Idempotent.

        Raises:
            ModelError: The model cannot be had.
            ModelMemoryError: It does not fit.
        """

    async def unload(self) -> None:
        """Give the memory back; the next ``generate`` loads again. Idempotent.

        Waits for what is being drawn. An engine that can come back sooner than from nothing
        keeps what it needs for that, as long as it costs next to no memory.
        """

    async def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        *,
        adapter: str = "",
        cancel: threading.Event | None = None,
        on_text: Callable[[int, str], None] | None = None,
    ) -> list[Completion]:
        """Return one completion per prompt, in order, drawn in one batch.

        Never blocks the event loop. Setting ``cancel``, reaching ``sampling.seconds`` or
        cancelling the task ends it within half a second; in the first two cases what was
        drawn so far is returned unfinished.

        Args:
            prompts: What is asked; one without messages is its prefill, as it stands.
            sampling: How to draw.
            adapter: Name of one of ``adapters``; "" draws from the model as it is.
            cancel: Set it to stop.
            on_text: Called on the event loop with (index of the prompt, new text) while it
                is drawn; all pieces of a prompt together are its ``text``.

        Raises:
            ArgumentsError: ``sampling.stop`` or ``sampling.schema`` cannot be followed, or
                ``sampling.given`` by an engine that does not score.
            ModelError: The model, or the adapter, cannot be had.
            ModelMemoryError: It does not fit.
        """

    async def add_adapter(self, name: str, folder: Path) -> None:
        """Make the LoRA adapter in ``folder`` (peft's files) known as ``name``; replaces one.

        Raises:
            ModelError: The engine cannot use adapters, or this one does not fit the model.
        """

    def stats(self) -> dict[str, Any]:
        """Return plain facts.

        Among them ``name``, ``engine`` (its kind), ``state`` (``resident``, ``parked``: back
        at once, or ``unloaded``), ``device`` (``cpu``, ``cuda`` or ""), ``bytes`` (memory held,
        measured at the last load), ``load_seconds``, ``adapters`` (names), ``calls`` and
        ``tokens``; of a model on servers that take more than one call each, also ``places`` (calls
        at a time) and ``replicas`` (a map for each server).
        """

    async def close(self) -> None:
        """Stop what runs and free the memory. Idempotent."""


class Embedder(Protocol):
    """Texts to unit vectors."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 ``(len(texts), 384)``, every row of length 1.

        Raises:
            ModelError: The embedding model cannot be had.
        """

    async def close(self) -> None:
        """Free the memory. Idempotent."""


class Cell(Protocol):
    """Where learned code runs: confined, one process per call."""

    async def run(self, call: Call, send: Sender) -> RunResult:
        """Run the method and return its value and what it changed.

        ``send`` is awaited for each nested message; a BatError that it raises reaches the
        learned code as ``RuntimeError`` with the same text. The deadline does not run
        while ``send`` is awaited.

        Raises:
            CellError: The method raised, hung, died, went over a limit, or answered
                something that is not plain data.
            CellUnavailableError: This machine cannot confine it.
        """

    async def self_test(self) -> dict[str, Any]:
        """Return ``{"ok": bool, "held": [name], "through": [name]}`` of some attacks.

        Raises:
            CellUnavailableError: This machine cannot confine learned code.
        """

    def stats(self) -> dict[str, Any]:
        """Return plain facts for ``health``: kind, confinement, calls."""

    async def close(self) -> None:
        """Kill all children. Idempotent."""


@dataclass(frozen=True, slots=True)
class ObjectView:
    """What learned code sees of its receiver."""

    ref: Ref  # who the receiver is
    slots: Mapping[str, Any]  # name -> plain data or Ref, inherited ones included; no methods
    # messages the receiver understands; ``self.area()`` is a send of ``area``
    selectors: frozenset[str] = frozenset()
    # there may be more slots, or were: the cell asks for them by TOUCH once they are looked at
    more: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """What a call changed on its receiver: plain data."""

    # slots whose value differs from what the call was given, with the new value
    changed: Mapping[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()  # names of slots that were deleted


@dataclass(frozen=True, slots=True)
class Call:
    """One run of one learned method."""

    source: str  # module text whose top level defines ``selector``
    selector: str  # name of the function, whose first parameter is ``self``
    view: ObjectView  # the receiver
    args: tuple[Any, ...] = ()  # positional arguments after ``self``; plain data or Refs
    kwargs: Mapping[str, Any] = field(default_factory=dict)  # keyword arguments; plain data or Refs
    seed: int | None = None  # seeds ``random`` in the child when given; for comparing candidates
    # Unix time that ``datetime.now()`` and ``time.time()`` start from, when given
    now: float | None = None
    deadline: float = 3.0  # seconds of wall clock, pauses excluded, before the child is killed


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a call ended."""

    value: Any  # what the method returned, as plain data
    delta: Delta  # what it changed, since the last nested send or since the start
    printed: str = ""  # what it printed, at most 64 kB


@dataclass(frozen=True, slots=True)
class Nested:
    """A message that learned code sends while it runs."""

    # A Ref that the call was given, or a text: the name of a slot that holds a Ref, or the name of
    # an object that it may reach. The kernel decides.
    target: Ref | str
    selector: str  # the message
    args: tuple[Any, ...]  # positional arguments
    kwargs: Mapping[str, Any]  # keyword arguments
    delta: Delta  # what the call had changed before the send; the kernel applies it first


@dataclass(frozen=True, slots=True)
class NestedReply:
    """The answer to a ``Nested``: the value, and the receiver's slots as they are now."""

    value: Any  # plain data or Refs
    # only the slots that differ from what the child holds
    slots: Mapping[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()  # slots that are gone


if TYPE_CHECKING:
    Sender = Callable[[Nested], Awaitable[NestedReply]]


READ: Final = "read"  # changes nothing; a turn that runs again is given the same answer
STAGE: Final = "stage"  # its answer is known beforehand: it is done after the turn's commit
AWAIT: Final = "await"  # its answer is needed: it is done before the turn, which then runs again


@dataclass(frozen=True, slots=True)
class Operation:
    """What a driver says of one thing that it does. A method cannot say it."""

    kind: str  # READ, STAGE or AWAIT
    outward: bool = False  # what is asked leaves this machine
    repeatable: bool = False  # of STAGE and AWAIT: done twice, it has done no more than once
    extra: bool = False  # a grant is for it only if the person says so: --write, or --only
    seconds: float = 10.0  # of a READ, after which it is given up


class Driver(Protocol):
    """One way into the world, for objects that a person gave a grant for it.

    A scope is plain data that only the driver reads: which folder, which host.
    """

    @property
    def name(self) -> str:
        """As grants and prototypes name it: ``files``."""

    def claims(self, what: str) -> bool:
        """Return whether what a person named looks like something of this driver."""

    def scope(self, what: str) -> dict[str, Any]:
        """Return the scope of what a person named, such as a path.

        Raises:
            ArgumentsError: It cannot be granted.
            NotFoundError: It is not there.
        """

    def describe(self, scope: Mapping[str, Any]) -> str:
        """Return what a grant of the scope lets in, for a person."""

    def short_name(self, scope: Mapping[str, Any]) -> str:
        """Return what an object with a grant of the scope can be named after; "" for nothing."""

    def operations(self, scope: Mapping[str, Any]) -> Mapping[str, Operation]:
        """Return what can be done in a scope, by selector."""

    def contains(self, outer: Mapping[str, Any], inner: Mapping[str, Any]) -> bool:
        """Return whether a scope is a part of another one."""

    def reaches(self, scope: Mapping[str, Any], what: str) -> bool:
        """Return whether a person who says this names something in the scope. Blocks.

        Of several grants it says which is meant. What is not there need not be reached.
        """

    def perform(
        self, scope: Mapping[str, Any], operation: str, args: Sequence[Any], key: str = ""
    ) -> Any:
        """Do it, and return plain data of at most 1 MB. Blocks: to be called in a thread.

        Args:
            scope: Of the grant.
            operation: What is to be done.
            args: Plain data.
            key: Of an effect, for a world that keeps keys: twice with one key is done once.

        Raises:
            NotGrantedError: It would reach beyond the scope.
            NotFoundError: What it is about is not there.
            ArgumentsError: The arguments do not fit, or the answer is too long.
        """


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that is to be done in the world."""

    scope: Mapping[str, Any]  # of the grant that it was asked for through
    operation: str
    args: Sequence[Any]  # plain data


@runtime_checkable
class StagingDriver(Driver, Protocol):
    """A driver that has operations of the kind STAGE."""

    def scope_to_change(self, what: str) -> dict[str, Any]:
        """Return the scope of what a person wants to change, which may have to be made first.

        Raises as ``scope``.
        """

    def pretend(self, deed: Deed) -> Any:
        """Return the answer to a deed that is done later. Touches nothing.

        Raises:
            NotGrantedError: It would reach beyond the scope.
            ArgumentsError: The arguments do not fit.
        """

    def preview(self, deed: Deed) -> str:
        """Return what a deed does, for a person: ``writes ~/notes/shopping.txt: milk``."""

    def canonical(self, deed: Deed) -> tuple[str, Any]:
        """Return what a deed is done to, and what it does: equal for deeds that do the same."""

    def overlay(
        self, scope: Mapping[str, Any], operation: str, args: Sequence[Any], staged: Sequence[Deed]
    ) -> Any:
        """Return what a READ would answer if the deeds were done. Raises as ``perform``."""

    def look(self, deed: Deed) -> dict[str, Any]:
        """Return what is there before a deed: for ``was_done`` and ``undoing``. Raises never."""

    def was_done(self, deed: Deed, before: Mapping[str, Any]) -> bool | None:
        """Return whether a deed that a killed kernel began was done; None if nobody can say."""

    def undoing(self, deed: Deed, before: Mapping[str, Any]) -> Deed | None:
        """Return the deed that takes one back; None if it cannot be taken back."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What is in a scope at one moment."""

    # path relative to the scope, "" for the scope itself -> size, time of change in ns, inode
    files: Mapping[str, tuple[int, int, int]]
    unseen: tuple[str, ...] = ()  # beginnings of paths that could not be looked at
    folder: tuple[int, int] = (0, 0)  # device and inode of the scope, if it is a folder


@runtime_checkable
class WideDriver(Driver, Protocol):
    """A driver of places that may reach so far that only a person brings them up."""

    def may_offer(self, what: str) -> bool:
        """Return whether a question may offer a grant of it for good. Blocks."""


@runtime_checkable
class WatchedDriver(Driver, Protocol):
    """A driver of places whose files change by themselves, and can be watched."""

    def survey(self, scope: Mapping[str, Any]) -> Survey:
        """Return what is there now. Blocks.

        Raises:
            ArgumentsError: It is too much to be watched.
            NotFoundError: The place is not there now.
            NotGrantedError: It cannot be looked at.
        """

    def load(self, scope: Mapping[str, Any], path: str, most: int) -> bytes:
        """Return all bytes of a file, at most ``most``. Blocks. Raises as ``perform``."""


@runtime_checkable
class ServerDriver(Driver, Protocol):
    """A driver of servers: programs with messages of their own, which a person agrees to.

    Their scopes hold, under ``tools``, what each server said of its tools when it was granted.
    """

    def meet(self, name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scope of a server, with the tools that it has now. Blocks.

        Args:
            name: Of the server, for people.
            wanted: ``program`` (words) or ``url``; ``read``, ``write`` (paths), ``net``
                (``host:port``), ``environment``, ``reads`` (names), ``token``, ``trusted``; or a
                scope.

        Raises:
            ArgumentsError: It cannot be granted.
            ServerError: It does not start, or says nothing of use.
        """

    def part(self, scope: Mapping[str, Any], operation: str) -> Mapping[str, Any]:
        """Return what of a scope one operation needs: of the tools, its own."""

    def signatures(self, scope: Mapping[str, Any]) -> Mapping[str, str]:
        """Return how each message is sent: ``add`` -> ``add(a, by=None)``."""

    def changes(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
        """Return what differs between the tools of two scopes, in lines for a person."""

    def stats(self) -> list[dict[str, Any]]:
        """Return ``name``, ``state`` and ``said``, its last line, of each server that was used."""

    def end(self, scope: Mapping[str, Any], live: Iterable[Mapping[str, Any]]) -> None:
        """End the server of a scope, unless one of the ``live`` scopes has the same one.

        Those that wait for it get an error. It starts again once a person has met it anew.
        """

    def close(self) -> None:
        """End all servers; those that wait for them get an error. Idempotent."""


class Cluster(Protocol):
    """Which kernels share an image and live, and which of them holds what only one may do.

    Beside the image, and it may be wrong: what counts is who owns a mission in the image. Calls
    block; one at a time. Each raises ``StorageError`` while what it stands on is away.
    """

    def read_id(self) -> str:
        """Return what the kernels of this cluster have in common: the home of all their grants."""

    def join(self, kernel: str, about: Mapping[str, Any]) -> None:
        """Live from now on, as ``kernel``; ``about`` is plain data for the others to read."""

    def look(self) -> dict[str, dict[str, Any]]:
        """Return what the living kernels said of themselves, by id; of this one, that it lives."""

    def hold(self, name: str) -> bool:
        """Return True if this kernel holds what goes by that name; it tries to take it."""

    def release(self, name: str) -> None:
        """Let go of what it may hold."""

    def leave(self) -> None:
        """Live no more. Idempotent."""
