"""Requests about all files of a folder, or about some of them, step by step, without a model.

    "which file in ~/notes is the newest?"     >  names, facts of each  >  the one changed last
    "how many words are in all files of ~/x?"  >  names, read each      >  a sum
    "which is larger, ~/a.md or ~/b.md?"       >  facts of each         >  the larger one
    "is ~/a.md larger than ~/b.md?"            >  facts of each         >  yes or no

What the words of a request leave open is not planned; which words say it in a language is data
(``bat_os.sentence.measures``). The method that the steps become has a loop, so it serves folders of
any size. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.measures import measures_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_MOST: Final = frozenset({"longest", "largest", "newest", "most"})
_LEAST: Final = frozenset({"shortest", "smallest", "oldest", "fewest"})
_NEW: Final = frozenset({"newest", "oldest"})
_LARGE: Final = frozenset({"largest", "smallest"})
_LONG: Final = frozenset({"longest", "shortest"})
_COUNTED: Final = frozenset({"most", "fewest"})
_VAGUE: Final = frozenset({"which", "many", "degree", "together"})  # yes or no is no answer
_SIZES: Final[Mapping[str, Callable[[str], int]]] = {
    "line": lambda text: len(text.splitlines()), "word": lambda text: len(text.split()),
    "character": len,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of each file, and what all of it comes to."""

    operation: str  # of each file: facts or read
    measure: str  # a key of facts, or one of _SIZES
    how: str  # max, min, sum; more or less: whether the first file has that beside the second
    paths: tuple[str, ...] = ()  # one folder, or the files

    def next(self, values: Sequence[Any]) -> tuple[str, str] | None:
        """Return the next operation and its path; None once all has been asked.

        ``values`` is what the steps gave so far.
        """
        if len(self.paths) > 1:
            left = self.paths[len(values) :]
            return (self.operation, left[0]) if left else None
        if not values:
            return "names", self.paths[0]
        left = tuple(files_of(values[0])[len(values) - 1 :])
        return (self.operation, f"{self.paths[0].rstrip('/')}/{left[0]}") if left else None

    def answer(self, values: Sequence[Any]) -> Any:
        """Return what all steps come to; None for a folder without files."""
        several = len(self.paths) > 1
        names = [*self.paths] if several else files_of(values[0])
        measured = [*map(self._measure, values if several else values[1:])]
        if not names:
            return None
        if self.how == "sum":
            return sum(measured)
        if self.how in ("more", "less"):
            first, second = measured
            return bool(first > second if self.how == "more" else first < second)
        return names[measured.index(max(measured) if self.how == "max" else min(measured))]

    def _measure(self, value: Any) -> Any:
        return value[self.measure] if self.operation == "facts" else _SIZES[self.measure](value)


def files_of(names: Sequence[str]) -> list[str]:
    """Return the files among the names in a folder."""
    return [name for name in names if not name.endswith("/")]


def make_plan(request: str, language: str, paths: Sequence[str], between: str = "") -> Plan | None:
    """Return the plan for a request about the files of a folder; None if it is none.

    ``between`` is what stands between two paths.

    >>> make_plan("which file in ~/notes is the oldest?", "en", ["~/notes"])
    Plan(operation='facts', measure='changed', how='min', paths=('~/notes',))
    """
    words, named = measures_in(request, language), tuple(paths)
    if not named or (len(named) == 1 and "file" not in words) or "inside" in words:
        return None
    if words & _MOST and words & _LEAST:  # "is it longer or shorter?"
        return None
    how = "max" if words & _MOST else "min" if words & _LEAST else ""
    if how and ("than" in words or (len(named) > 1 and "which" not in words)):
        if len(named) != 2 or words & _VAGUE or "than" not in measures_in(between, language):
            return None  # "which files have more than 5 lines?"
        how = "more" if how == "max" else "less"
    how = how or ("sum" if words & {"together"} else "")
    operation, measure = _measure_of(words, how)
    return Plan(operation, measure, how, named) if operation else None


def _measure_of(words: frozenset[str], how: str) -> tuple[str, str]:
    """Return what is asked of each file, and what counts of that; "", "" if it is not clear."""
    said = next((name for name in _SIZES if name in words), "")
    if how == "sum":
        if ("many" if said else "size") not in words:
            return "", ""
        return ("read", said) if said else ("facts", "bytes")
    if how and said:
        # "the largest number of lines", and not "lines of the largest file"
        clear = words & _COUNTED or (words & _LARGE if {"many", "which"} <= words else ())
        return ("read", said) if clear else ("", "")
    if words & (_NEW | _LARGE):
        return "facts", "changed" if words & _NEW else "bytes"
    return ("read", "character") if words & _LONG else ("", "")


def speaks_of_many(text: str, language: str) -> bool:
    """Return whether a request compares several things, or puts them together.

    >>> speaks_of_many("which file is the largest?", "en"), speaks_of_many("how large is a?", "en")
    (True, False)
    """
    words = measures_in(text, language)
    counted = words & {"file", "line", "word", "character"}
    vague = {"most", "fewest"}
    return bool(words & ((_MOST | _LEAST | {"together"}) - vague) or (counted and words & vague))
