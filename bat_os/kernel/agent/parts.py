"""What one step gives of a value: a field, a line, an item, how many, the sum, the largest.

Each part comes with the expression that gives it. Only what the words of a request speak for
counts: "how many lines" for the number of lines, "first" for the first of them. Pure.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Pair = tuple[str, Any]  # an expression, and what it is here

MAX_ITEMS: Final = 40
MAX_TEXT: Final = 100_000
ORDINALS: Final = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1}
_CLOCK: Final = re.compile(r"(\d\d):(\d\d)")
COUNTS: Final = frozenset({"many", "number", "count", "long", "length"})
SUMS: Final = frozenset({"sum", "total", "together", "altogether", "add", "all"})
MOST: Final = frozenset(
    {"largest", "biggest", "newest", "latest", "longest", "most", "highest", "max", "maximum"}
)
LEAST: Final = frozenset(
    {"smallest", "oldest", "shortest", "least", "lowest", "min", "minimum", "fewest", "earliest"}
)


def parts_of(
    name: str, known: Any, words: frozenset[str], others: Sequence[Pair] = ()
) -> Iterator[Pair]:
    """Yield what one step gives of a value.

    Args:
        name: The expression for the value.
        known: The value.
        words: Of the request.
        others: What else is known: texts that are counted.
    """
    if isinstance(known, str) and len(known) <= MAX_TEXT:
        yield from _lines_of(name, known, words)
        if words & COUNTS:
            yield from _counts_of(name, known, words, others)
        yield from _read(name, known)
    elif isinstance(known, dict):
        for key, item in known.items():
            yield f"{name}[{key!r}]", item
    elif isinstance(known, list | tuple) and known:
        yield from _files_of(name, [*known])
        yield from _items_of(name, [*known], words)
        yield from _together(name, [*known], words)


def _lines_of(name: str, known: str, words: frozenset[str]) -> Iterator[Pair]:
    r"""Yield a text without its margin, and the lines of one that has several or ends one.

    >>> [len(list(_lines_of("a", text, frozenset()))) for text in ("tea", "tea\n", "tea\nmilk")]
    [0, 2, 1]
    """
    if known.strip() != known:
        yield f"{name}.strip()", known.strip()
    lines = known.splitlines()
    if len(lines) > 1 or known.endswith("\n"):
        yield from _placed(f"{name}.splitlines()", lines, words)
        yield from _keyed(name, lines, words)
        yield f"{name}.splitlines()", lines


def _placed(name: str, known: list[Any], words: frozenset[str]) -> Iterator[Pair]:
    for word, place in ORDINALS.items():
        if word in words and -len(known) <= place < len(known):
            yield f"{name}[{place}]", known[place]


def _counts_of(
    name: str, known: str, words: frozenset[str], others: Sequence[Pair]
) -> Iterator[Pair]:
    if words & {"line", "lines"}:
        yield f"len({name}.splitlines())", len(known.splitlines())
    if words & {"word", "words"}:
        yield f"len({name}.split())", len(known.split())
    if words & {"character", "characters", "letters", "long", "length"}:
        yield f"len({name})", len(known)
    for said, text in others:
        if isinstance(text, str) and text and text is not known and text in known:
            yield f"{name}.count({said})", known.count(text)


def _read(name: str, known: str) -> Iterator[Pair]:
    """Yield the parts of a moment, and numbers that are written out."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*", known):
        yield f"{name}[:10]", known[:10]
        yield f"{name}[11:16]", known[11:16]
    if re.fullmatch(r"\s*-?\d{1,15}\s*", known):
        yield f"int({name})", int(known)
    elif re.fullmatch(r"\s*-?\d{1,15}\.\d{1,15}\s*", known):
        yield f"float({name})", float(known)


def _keyed(name: str, lines: Sequence[str], words: frozenset[str]) -> Iterator[Pair]:
    """Yield the values of lines such as ``phone: 555``, whose key the request names."""
    for line in lines[:MAX_ITEMS]:
        key, colon, value = line.partition(":")
        if colon and set(re.findall(r"[a-z]+", key.casefold())) & words:
            found = f"next(x for x in {name}.splitlines() if x.startswith({key + ':'!r}))"
            yield f"{found}.split(':', 1)[1].strip()", value.strip()


def _items_of(name: str, known: list[Any], words: frozenset[str]) -> Iterator[Pair]:
    if words & COUNTS:
        yield f"len({name})", len(known)
    yield from _placed(name, known, words)
    if len(known) == 1:
        yield f"{name}[0]", known[0]
    if all(isinstance(each, dict) for each in known):
        for key in known[0]:
            if all(key in each for each in known):
                yield f"[each[{key!r}] for each in {name}]", [each[key] for each in known]


def _files_of(name: str, known: list[Any]) -> Iterator[Pair]:
    """Yield the files among names, where there are folders, too."""
    if all(isinstance(each, str) for each in known):
        files = [each for each in known if not each.endswith("/")]
        if len(files) < len(known):
            yield f"[each for each in {name} if not each.endswith('/')]", files


def _together(name: str, known: list[Any], words: frozenset[str]) -> Iterator[Pair]:
    """Yield what all items of a list come to."""
    if all(isinstance(each, str) for each in known):
        yield f"', '.join({name})", ", ".join(known)
        yield f"'\\n'.join({name})", "\n".join(known)
        yield from _of_each_text(name, known, words)
    elif are_numbers(known):
        for how, said, number in (
            ("sum", SUMS, sum(known)), ("max", MOST, max(known)), ("min", LEAST, min(known)),
        ):  # fmt: skip
            if words & said:
                yield f"{how}({name})", number


def _of_each_text(name: str, known: list[str], words: frozenset[str]) -> Iterator[Pair]:
    """Yield numbers of all texts of a list: of lines, of words, of characters."""
    for said, expression, numbers in (
        ({"line", "lines"}, "len(each.splitlines())", [len(e.splitlines()) for e in known]),
        ({"word", "words"}, "len(each.split())", [len(e.split()) for e in known]),
        ({"character", "characters", "longest", "shortest"}, "len(each)", [*map(len, known)]),
    ):
        if words & said:
            yield f"[{expression} for each in {name}]", numbers
    if all(re.fullmatch(r"\s*-?\d{1,15}\s*", each) for each in known):
        yield f"[int(each) for each in {name}]", [int(each) for each in known]


def are_numbers(values: Sequence[Any]) -> bool:
    """Return whether all values are numbers."""
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)


def variants(value: Any) -> Iterator[Any]:
    """Yield values like this one, and yet others; of a text some that keep its form, too.

    >>> [*variants("a: tea")][::2]
    ['A: TEAx', 'a: teax']
    """
    yield vary(value)
    if isinstance(value, str) and (words := re.findall(r"[^\W\d_]+", value)):
        yield f"{value}\n{(value.splitlines() or [value])[-1]}"
        longest = max(words, key=len)
        yield value.replace(longest, f"{longest}x")


def vary(value: Any) -> Any:
    """Return a value like this one, and yet another: what a method has to notice.

    >>> vary("call 5"), vary([1]), vary("tea"), vary("2026-02-28T10:15")
    ('call 6', [8, 8], 'TEAx', '2026-03-01T11:16')
    """
    if isinstance(value, str):
        return _vary_text(value)
    if isinstance(value, list | tuple):
        return [*map(vary, value), *map(vary, value[:1])]
    if isinstance(value, dict):
        return {key: vary(item) for key, item in value.items()}
    if isinstance(value, bool | None):
        return not value
    more = {int: 7, float: 7.0, dt.datetime: dt.timedelta(days=1)}.get(type(value))
    return value if more is None else value + more


def _vary_text(text: str) -> str:
    with contextlib.suppress(ValueError, OverflowError):
        if text[4:5] == "-":
            day = dt.date.fromisoformat(text[:10]) + dt.timedelta(days=1)
            return f"{day}{_CLOCK.sub(_a_bit_later, text[10:], count=1)}"
    other = re.sub(r"\d", lambda match: str((int(match[0]) + 1) % 10), text)
    return other if other != text else f"{text.swapcase()}x"


def _a_bit_later(clock: re.Match[str]) -> str:
    return f"{(int(clock[1]) + 1) % 24:02}:{(int(clock[2]) + 1) % 60:02}"
