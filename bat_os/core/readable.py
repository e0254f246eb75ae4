"""Plain data as people read it: no quotes of Python, no brackets, dates and numbers by language.

    57.80000000000001          57.8       in German 57,8
    "2026-05-03"               3 May 2026
    ["kiwi", "fig"]            kiwi, fig
    {"min": 1, "max": 9}       min: 1
                               max: 9
    maps with the same keys    a table, a line each

What does not fit any of these is JSON.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDE: Final = 76  # characters of a list that still reads well on one line
MOST_HEADS: Final = 6
DIGITS: Final = 12  # of a float; further ones are noise of its arithmetic
DEFAULT: Final = "en"
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d\Z")
_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?(?:\.\d+)?([+-]\d\d:\d\d)?\Z")
_CLOCK: Final = re.compile(r"(\d\d:\d\d)(:\d\d)?\.\d+\Z")  # nobody reads microseconds
_ATOMS: Final = (str, int, float, bytes, type(None))
# By language: yes, no, nothing; the form of a date; the decimal mark; the months.
_FORMS: Final[Mapping[str, tuple[tuple[str, str, str], str, str, str]]] = {
    "en": (
        ("yes", "no", "nothing"), "{day} {month} {year}", ".",
        "January February March April May June July August September October November December",
    ),
    "de": (
        ("ja", "nein", "nichts"), "{day}. {month} {year}", ",",
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    ),
    "fr": (
        ("oui", "non", "rien"), "{day} {month} {year}", ",",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    ),
    "es": (
        ("sí", "no", "nada"), "{day} de {month} de {year}", ",",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    ),
}  # fmt: skip


_DAYS: Final = {
    language: names.split()
    for language, names in {
        "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
        "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
        "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
        "es": "lunes martes miércoles jueves viernes sábado domingo",
    }.items()
}
_MONTHS: Final = {language: form[3].split() for language, form in _FORMS.items()}


def show_value(value: Any, language: str = DEFAULT) -> str:
    """Return plain data as text for people; it may have several lines.

    >>> show_value(57.80000000000001, "de"), show_value(True), show_value(["kiwi", 2.5])
    ('57,8', 'yes', 'kiwi, 2.5')
    >>> show_value("1789-07-14"), show_value("1789-07-14", "es")
    ('14 July 1789', '14 de julio de 1789')
    """
    if isinstance(value, dict) and value and all(map(_is_atom, value.values())):
        return "\n".join(f"{key}: {_show_atom(item, language)}" for key, item in value.items())
    if heads := heads_of(value):
        return _show_table(value, heads, language)
    if isinstance(value, list) and value and all(map(_is_atom, value)):
        return _show_list([_show_atom(item, language) for item in value])
    if _is_atom(value):
        return _show_atom(value, language)
    return to_json(value) if value else _form(language)[0][2]


def heads_of(value: Any) -> tuple[str, ...]:
    """Return the heads of a table, if ``value`` is a list of maps with the same few keys."""
    if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
        return ()
    heads = tuple(map(str, value[0]))
    return heads if len(heads) <= MOST_HEADS and all(tuple(row) == heads for row in value) else ()


def show_date(day: dt.date, language: str = DEFAULT) -> str:
    """Return a day as people write it in a language."""
    _, form, _, months = _form(language)
    return form.format(day=day.day, month=months.split()[day.month - 1], year=day.year)


def _form(language: str) -> tuple[tuple[str, str, str], str, str, str]:
    return _FORMS.get(language, _FORMS[DEFAULT])


def _is_atom(value: Any) -> bool:
    return isinstance(value, _ATOMS)


def _show_atom(value: Any, language: str) -> str:
    (yes, no, nothing), _, mark, _ = _form(language)
    if value is None:
        return nothing
    if isinstance(value, bool):
        return yes if value else no
    if isinstance(value, float):
        return _show_float(value).replace(".", mark)
    if isinstance(value, bytes):
        return value.hex()
    return _show_text(value, language) if isinstance(value, str) else str(value)


def _show_float(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    if value.is_integer() and abs(value) < 10**DIGITS:
        return str(int(value))
    return f"{value:.{DIGITS}g}"


def _show_text(text: str, language: str) -> str:
    """Return a text unchanged, unless all of it is a date, a moment, a weekday or a month."""
    try:
        if _DATE.match(text):
            return show_date(dt.date.fromisoformat(text), language)
        if moment := _MOMENT.match(text):
            day = show_date(dt.date.fromisoformat(moment[1]), language)
            return " ".join(filter(None, (f"{day}, {moment[2]}", moment[4])))
    except ValueError:  # no day of the calendar
        return text
    clock = _CLOCK.match(text)
    return clock[1] + (clock[2] or "") if clock else _show_name(text, language)


def _show_name(text: str, language: str) -> str:
    """Return a weekday or a month, as the calendar of the library says it, in a language."""
    for names in (_DAYS, _MONTHS):
        if text in names[DEFAULT] and language in names:
            return names[language][names[DEFAULT].index(text)]
    return text


def _show_list(shown: Sequence[str]) -> str:
    line = ", ".join(shown)
    plain = not any(mark in item for item in shown for mark in (",", "\n"))
    return line if plain and len(line) <= WIDE else "\n".join(shown)


def _show_table(rows: Sequence[Mapping[str, Any]], heads: Sequence[str], language: str) -> str:
    cells = [[" ".join(show_value(item, language).split()) for item in row.values()]
             for row in rows]  # fmt: skip
    return "\n".join(align([list(heads), *cells]))


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines of aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return plain data as strict JSON; bytes as hexadecimal digits.

    >>> to_json({"a": b"ab", "b": [float("inf"), "é"]})
    '{"a": "6162", "b": ["inf", "é"]}'
    """
    return json.dumps(_for_json(value), ensure_ascii=False, indent=indent, allow_nan=False)


def _for_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _for_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_for_json(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
