"""Requests about all files of a folder, step by step, without a model.

    "which file in ~/notes is the newest?"     >  names, facts of each  >  the one changed last
    "how many words are in all files of ~/x?"  >  names, read each      >  a sum

What the words of a request leave open is not planned. The method that the steps become has a loop,
so it serves folders of any size. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.kernel.agent.parts import COUNTS, LEAST, MOST, SUMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_NEW: Final = frozenset({"newest", "latest", "oldest", "earliest"})
_LARGE: Final = frozenset({"largest", "biggest", "smallest"})
_EVERY: Final = SUMS | {"every", "each", "both"}
_SIZES: Final[Mapping[str, Callable[[str], int]]] = {
    "line": lambda text: len(text.splitlines()), "word": lambda text: len(text.split()),
    "character": len,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of each file of a folder, and what all of it comes to."""

    operation: str  # of each file: facts or read
    measure: str  # a key of facts, or one of _SIZES
    how: str  # max, min or sum

    def next(self, folder: str, values: Sequence[Any]) -> tuple[str, str] | None:
        """Return the next operation and its path; None once all has been asked.

        ``values`` is what the steps gave so far.
        """
        if not values:
            return "names", folder
        left = files_of(values[0])[len(values) - 1 :]
        return (self.operation, f"{folder.rstrip('/')}/{left[0]}") if left else None

    def answer(self, values: Sequence[Any]) -> Any:
        """Return what all steps come to; None for a folder without files."""
        names, measured = files_of(values[0]), [*map(self._measure, values[1:])]
        if not names:
            return None
        if self.how == "sum":
            return sum(measured)
        return names[measured.index(max(measured) if self.how == "max" else min(measured))]

    def _measure(self, value: Any) -> Any:
        return value[self.measure] if self.operation == "facts" else _SIZES[self.measure](value)


def files_of(names: Sequence[str]) -> list[str]:
    """Return the files among the names in a folder."""
    return [name for name in names if not name.endswith("/")]


def make_plan(request: str) -> Plan | None:
    """Return the plan for a request about all files of a folder; None if it is none.

    >>> make_plan("which file in ~/notes is the oldest?")
    Plan(operation='facts', measure='changed', how='min')
    """
    words = frozenset(re.findall(r"[a-z]+", request.casefold()))
    if not words & {"file", "files", "note", "notes", "text", "texts"}:
        return None
    how = "max" if words & MOST else "min" if words & LEAST else "sum" if words & _EVERY else ""
    said = next((name for name in _SIZES if words & {name, f"{name}s"}), "")
    if words & (_NEW | _LARGE):
        return Plan("facts", "changed" if words & _NEW else "bytes", how)
    if how in ("max", "min"):
        return (
            Plan("read", said or "character", how)
            if said or words & {"longest", "shortest"}
            else None
        )
    return Plan("read", said, how) if how and said and words & COUNTS else None
