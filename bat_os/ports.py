"""What the kernel needs from the outside: protocols, and the values they exchange.

Adapters live in ``engines/`` and ``cells/``; ``cli/`` chooses among them. Each port has at
least one real adapter and one shipped fake (``scripted.py``), and all of them pass the same
contract tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from bat_os.core.prompts import Prompt as Prompt  # noqa: TC001 - adapters take it from here

if TYPE_CHECKING:
    import threading
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bat_os.core.values import Ref


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens.

    Attributes:
        temperature: 0 takes the most likely token (greedy); else 0.1 to 2.
        top_p: Nucleus of this probability mass.
        top_k: At most this many tokens to choose from.
        max_tokens: New tokens per completion, at most.
        seed: Same model, prompts, sampling and seed: same text.
        stop: A regular expression; generation of a completion ends where it first matches
            in the new text, and the match and what follows are cut off.
        schema: A JSON Schema that the text is constrained to, or None.
    """

    temperature: float = 0.0
    top_p: float = 0.95
    top_k: int = 40
    max_tokens: int = 110
    seed: int = 0
    stop: str = ""
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote.

    Attributes:
        text: The new text, without prompt and prefill.
        tokens: New tokens drawn.
        finished: True when it ended by itself or at ``stop``, False when it was cut off.
    """

    text: str
    tokens: int
    finished: bool


class ModelEngine(Protocol):
    """A language model, loaded lazily."""

    @property
    def digest(self) -> str:
        """SHA-256 of the model's files; "" before they are known."""

    async def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        *,
        cancel: threading.Event | None = None,
    ) -> list[Completion]:
        """Return one completion per prompt, in order, drawn in one batch.

        Never blocks the event loop. Setting ``cancel`` ends it within half a second; what
        was drawn so far is returned unfinished. Cancelling the task does the same.

        Raises:
            ModelError: The model cannot be had.
            ModelMemoryError: It does not fit.
        """

    def stats(self) -> dict[str, Any]:
        """Return plain facts for ``health``: name, loaded, calls, tokens."""

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


@dataclass(frozen=True, slots=True)
class ObjectView:
    """What learned code sees of its receiver.

    Attributes:
        ref: Who the receiver is.
        slots: Name -> plain data or Ref, inherited ones included; no methods.
        selectors: Messages the receiver understands; ``self.area()`` is a send of ``area``.
    """

    ref: Ref
    slots: Mapping[str, Any]
    selectors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Delta:
    """What a call changed on its receiver: plain data.

    Attributes:
        changed: Slots whose value differs from what the call was given, with the new value.
        removed: Names of slots that were deleted.
    """

    changed: Mapping[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One run of one learned method.

    Attributes:
        source: Module text whose top level defines ``selector``.
        selector: Name of the function, whose first parameter is ``self``.
        view: The receiver.
        args: Positional arguments after ``self``; plain data or Refs.
        kwargs: Keyword arguments; plain data or Refs.
        seed: Seeds ``random`` in the child when given; for comparing candidates.
        now: Unix time that ``datetime.now()`` and ``time.time()`` start from, when given.
        deadline: Seconds of wall clock, pauses excluded, before the child is killed.
    """

    source: str
    selector: str
    view: ObjectView
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    now: float | None = None
    deadline: float = 3.0


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a call ended.

    Attributes:
        value: What the method returned, as plain data.
        delta: What it changed, since the last nested send or since the start.
        printed: What it printed, at most 64 kB.
    """

    value: Any
    delta: Delta
    printed: str = ""


@dataclass(frozen=True, slots=True)
class Nested:
    """A message that learned code sends while it runs.

    Attributes:
        target: A Ref that the call was given, or a text: the name of a slot that holds a
            Ref, or the name of an object that it may reach. The kernel decides.
        selector: The message.
        args: Positional arguments.
        kwargs: Keyword arguments.
        delta: What the call had changed before the send; the kernel applies it first.
    """

    target: Ref | str
    selector: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    delta: Delta


@dataclass(frozen=True, slots=True)
class NestedReply:
    """The answer to a ``Nested``: the value, and the receiver's slots as they are now.

    Attributes:
        value: Plain data or Refs.
        slots: Only the slots that differ from what the child holds.
        removed: Slots that are gone.
    """

    value: Any
    slots: Mapping[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


if TYPE_CHECKING:
    Sender = Callable[[Nested], Awaitable[NestedReply]]


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
