"""The objects of the kernel itself: its knowledge, its models, its missions, as messages.

The functions check what comes; ``kernel`` is the way to all of that for one turn and one receiver.
A message cannot set it. What is written comes with the turn's one commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from bat_os.core.values import Ref
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TEXT: Final = 20_000  # characters of a question
MAX_NAME: Final = 200


class KernelReach(Protocol):
    """The kernel, as one receiver reaches it in one turn."""

    async def search(self, query: str, top_k: int, kind: str) -> list[dict[str, Any]]:
        """Return passages of the catalog, best first."""

    async def index(self, doc_id: str, text: str, meta: Mapping[str, Any]) -> dict[str, Any]:
        """Store a document with the commit."""

    async def forget(self, doc_id: str) -> dict[str, Any]:
        """Take a document out with the commit."""

    async def infer(
        self, prompt: str, who: str, adapter: str, tokens: int, temperature: float | None
    ) -> str:
        """Return what a model answers."""

    async def start(self, brief: Mapping[str, Any], target: str) -> dict[str, Any]:
        """Start a mission and return its id."""

    async def missions(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest missions."""

    async def cancel(self, brief_id: str) -> bool:
        """Withdraw a mission."""

    @property
    def receiver(self) -> Ref:
        """The object that got the message."""


async def search(
    query: str, top_k: int = 5, kind: str = "", *, kernel: KernelReach
) -> list[dict[str, Any]]:
    """Return the passages that are nearest to a question, best first."""
    _check_number(top_k, "top_k", 100)
    return await kernel.search(_text(query, "the query", MAX_TEXT), top_k, kind)


async def index_document(
    doc_id: str, text: str, metadata: Any = None, *, kernel: KernelReach
) -> Mapping[str, Any]:
    """Store a document under a name, or replace the one of that name."""
    if metadata is not None and type(metadata) is not dict:
        raise ArgumentsError("the metadata are a map")
    name = _text(doc_id, "doc_id", MAX_NAME)
    return await kernel.index(name, _text(text, "the text", 0), metadata or {})


async def forget(doc_id: str, *, kernel: KernelReach) -> Mapping[str, Any]:
    """Take a document out of the catalog."""
    return await kernel.forget(_text(doc_id, "doc_id", MAX_NAME))


async def infer(  # noqa: PLR0913 - the arguments of the original message, and limits
    prompt: str,
    persona_self: Any = None,
    adapter_name: str = "",
    persona_id: str = "",
    max_tokens: int = 0,
    temperature: float | None = None,
    *,
    kernel: KernelReach,
) -> str:
    """Return what the model of a persona answers to a question; it has no tools."""
    who = persona_id
    if type(persona_self) is Ref:
        who = who or persona_self.name.removesuffix("_obj").upper()
    elif persona_self is not None:
        raise ArgumentsError('persona_self is an object: {"ref": "brick_obj"}')
    if temperature is not None and not (
        type(temperature) in (int, float) and 0 <= temperature <= 2
    ):
        raise ArgumentsError("the temperature is a number from 0 to 2")
    if max_tokens:
        _check_number(max_tokens, "max_tokens", 4096)
    if type(who) is not str or type(adapter_name) is not str:
        raise ArgumentsError("persona_id and adapter_name are texts")
    question = _text(prompt, "the prompt", MAX_TEXT)
    return await kernel.infer(question, who, adapter_name, max_tokens, temperature)


async def start_cognitive_cycle_for(
    mission_brief: Any, target_oid: Any = "", *, kernel: KernelReach
) -> Mapping[str, Any]:
    """Start a mission for a message, and return its id without waiting for its end."""
    if type(mission_brief) is not dict:
        raise ArgumentsError("the mission_brief is a map with selector, args and kwargs")
    target = target_oid.oid if type(target_oid) is Ref else target_oid
    if type(target) not in (str, int):
        raise ArgumentsError("target_oid is the name or oid of an object")
    return await kernel.start(mission_brief, str(target))


async def missions(limit: int = 20, *, kernel: KernelReach) -> list[dict[str, Any]]:
    """Return the newest missions, the newest first."""
    _check_number(limit, "the limit", 200)
    return await kernel.missions(limit)


async def cancel(brief_id: str, *, kernel: KernelReach) -> bool:
    """Withdraw a mission; return False if it does not run."""
    return await kernel.cancel(_text(brief_id, "brief_id", MAX_NAME))


async def does_not_understand(
    selector: str, *args: Any, kernel: KernelReach, **kwargs: Any
) -> Mapping[str, Any]:
    """Start a mission for a message to this object, and return its id."""
    brief = {"selector": selector, "args": list(args), "kwargs": kwargs}
    return await kernel.start(brief, kernel.receiver.oid)


def _text(value: Any, what: str, most: int) -> str:
    if type(value) is not str or not value.strip():
        raise ArgumentsError(f"{what} is a text that is not empty")
    if most and len(value) > most:
        raise ArgumentsError(f"{what} has {len(value)} characters; at most {most}")
    return value


def _check_number(value: Any, what: str, most: int) -> None:
    if type(value) is not int or not 1 <= value <= most:
        raise ArgumentsError(f"{what} is a whole number from 1 to {most}")
