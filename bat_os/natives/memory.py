"""memory_obj: what a person has said to remember, found again by its meaning.

The functions check what comes; ``memory`` is the kernel's way to the facts of the image, which
the embedding model and a transaction belong to. A message cannot set it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TEXT: Final = 2_000
Fact = dict[str, Any]


class Memory(Protocol):
    """The facts of one image, for one turn: what is written comes with the turn's commit."""

    async def remember(self, text: str) -> Fact:
        """Keep a fact and return it."""

    async def recall(self, question: str) -> list[Fact]:
        """Return the facts that are near, best first."""

    async def recall_when(self, start: str, end: str) -> list[Fact]:
        """Return the facts about some days."""

    async def forget(self, text: str) -> list[Fact]:
        """Hide the fact that is meant; return it, or those that may be."""

    async def facts(self, limit: int) -> list[Fact]:
        """Return the newest facts."""


async def remember(text: str, *, memory: Memory) -> Mapping[str, Any]:
    """Keep a fact, in the person's own words, and return it."""
    return await memory.remember(_checked(text))


async def recall(question: str, *, memory: Memory) -> list[Fact]:
    """Return the facts that answer a question or are near, best first."""
    return await memory.recall(_checked(question))


async def recall_when(start: str, end: str = "", *, memory: Memory) -> list[Fact]:
    """Return the facts about the days from ``start`` to ``end``, ISO dates, the last included."""
    return await memory.recall_when(_checked(start), _checked(end or start))


async def forget(text: str, *, memory: Memory) -> list[Fact]:
    """Hide the fact that a text means, and return it; the history of the image still has it."""
    return await memory.forget(_checked(text))


async def facts(limit: int = 20, *, memory: Memory) -> list[Fact]:
    """Return the newest facts, the newest first."""
    if type(limit) is not int or not 1 <= limit <= 1_000:
        raise ArgumentsError("the limit is a number from 1 to 1,000")
    return await memory.facts(limit)


def _checked(text: Any) -> str:
    if type(text) is not str or not text.strip():
        raise ArgumentsError("say it in words")
    if len(text) > MAX_TEXT:
        raise ArgumentsError(f"a fact has at most {MAX_TEXT} characters; teach a longer text")
    return " ".join(text.split())
