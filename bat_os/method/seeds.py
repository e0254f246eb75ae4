"""The seed library: short tested methods that a new image knows, read from TOML text.

They are what retrieval shows to a language model before it has learned anything: each one is
written exactly as ``prompts.ask_method`` shows a method. Each ``[[seed]]`` has

    wish      what it does, one sentence; the docstring says the same
    also      one to four other ways to ask for it, as people say them; may be left out
    source    one function: def line, docstring, one to eight lines; imports stand where they
              are used; parameters are named as in ``core/brief.py`` (number, a, b, numbers,
              items, text, data, value), and nothing else in it is named number, numbers,
              items, text, data or value, so that it can be given these as parameters
    examples  args, kwargs, slots (of the receiver, before); then value, or one_of where chance
              decides; after (slots that changed); now (the moment that it is called)
"""

from __future__ import annotations

import ast
import datetime as dt
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from bat_os.core.choosing import meaning
from bat_os.core.values import check, check_selector, check_slot_name
from bat_os.errors import ArgumentsError
from bat_os.method.text import is_pure, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TEXT: Final = 1_000_000
MAX_SOURCE: Final = 600  # characters; a longer one is too much of an example for a small model
MAX_WISH: Final = 120
MAX_ALSO: Final = 4
_FIELDS: Final = frozenset(("wish", "source", "examples"))
_OPTIONAL: Final = frozenset(("also",))
_EXAMPLE_FIELDS: Final[Mapping[str, type]] = {
    "args": list,
    "kwargs": dict,
    "slots": dict,
    "value": object,
    "one_of": list,
    "after": dict,
    "now": dt.datetime,
}


@dataclass(frozen=True, slots=True)
class SeedExample:
    """One call of a seed, and how it has to end.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
        slots: Of the receiver, before the call.
        answers: What it may answer; more than one where chance decides.
        after: Slots that the call changes, with their new values; no others change.
        now: Unix time of the call, where the answer depends on it.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    slots: Mapping[str, Any]
    answers: tuple[Any, ...]
    after: Mapping[str, Any]
    now: float | None = None

    def accepts(self, value: Any) -> bool:
        """Return whether ``value`` means one of the answers."""
        return meaning(value) in {meaning(answer) for answer in self.answers}


@dataclass(frozen=True, slots=True)
class Seed:
    """One method of the library.

    Attributes:
        wish: What it does, in one sentence; also its docstring.
        selector: The message that it answers.
        params: Names of its parameters, without ``self``.
        source: The ``def``, without a line end.
        examples: At least one.
        pure: It does not use ``self`` at all.
        also: Other sentences for the same wish, written as ``brief.goal`` writes one.
    """

    wish: str
    selector: str
    params: tuple[str, ...]
    source: str
    examples: tuple[SeedExample, ...]
    pure: bool
    also: tuple[str, ...] = ()

    @property
    def wishes(self) -> tuple[str, ...]:
        """Every sentence that asks for it, its own first."""
        return self.wish, *self.also


def parse_seeds(text: str) -> tuple[Seed, ...]:
    """Return the seeds in the order of the text.

    Raises:
        ArgumentsError: It is not TOML, or an entry is not what it should be; names the entry.
    """
    seeds: list[Seed] = []
    wishes: set[str] = set()
    selectors: set[str] = set()
    for number, entry in enumerate(_load(text), start=1):
        seed = _read_seed(entry, f"seed {number}")
        for wish in seed.wishes:
            if wish.casefold() in wishes:
                _complain(f"seed {number}", f"the wish {wish!r} comes twice")
            wishes.add(wish.casefold())
        if seed.selector in selectors:
            _complain(f"seed {number}", f"the selector {seed.selector!r} comes twice")
        selectors.add(seed.selector)
        seeds.append(seed)
    return tuple(seeds)


def _load(text: str) -> list[Any]:
    if len(text) > MAX_TEXT:
        raise ArgumentsError(f"the seed library is longer than {MAX_TEXT} characters")
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArgumentsError(f"the seed library is not TOML: {error}") from error
    entries = data.get("seed", [])
    if set(data) - {"seed"} or not isinstance(entries, list):
        raise ArgumentsError("the seed library may hold [[seed]] entries and nothing else")
    return entries


def _read_seed(entry: Any, where: str) -> Seed:
    if not isinstance(entry, dict) or set(entry) - _OPTIONAL != _FIELDS:
        names = ", ".join(sorted(_FIELDS))
        _complain(where, f"needs the fields {names}, may have also, and no others")
    wish, source, examples = entry["wish"], entry["source"], entry["examples"]
    if not isinstance(wish, str) or not _is_sentence(wish):
        _complain(where, f"wish must be one line of at most {MAX_WISH} characters, as in 'Do it.'")
    where = f"{where} ({wish})"
    if not isinstance(source, str) or len(source) > MAX_SOURCE:
        _complain(where, f"source must be a text of at most {MAX_SOURCE} characters")
    source = source.strip("\n")
    method = _read_method(source, where)
    if ast.get_docstring(method, clean=False) != wish:
        _complain(where, "the docstring must be the wish")
    if not isinstance(examples, list) or not examples:
        _complain(where, "needs at least one example")
    return Seed(
        wish,
        method.name,
        tuple(arg.arg for arg in method.args.args[1:]),
        source,
        tuple(_read_example(e, f"{where}, example {n}") for n, e in enumerate(examples, start=1)),
        pure=is_pure(source, method.name),
        also=_read_also(entry.get("also", []), where),
    )


def _read_also(phrases: Any, where: str) -> tuple[str, ...]:
    if not isinstance(phrases, list) or len(phrases) > MAX_ALSO:
        _complain(where, f"also must be a list of at most {MAX_ALSO} texts")
    sentences = [f"{p[:1].upper()}{p[1:]}." if isinstance(p, str) else "" for p in phrases]
    for phrase, sentence in zip(phrases, sentences, strict=True):
        if not _is_sentence(sentence):
            _complain(where, f"also: {phrase!r} must be one line without an end, as in 'do it'")
    return tuple(sentences)


def _is_sentence(wish: str) -> bool:
    """Return whether ``brief.goal`` would write the wish the same way."""
    plain = wish.isprintable() and not set(wish) & {'"', "\\"} and " ".join(wish.split()) == wish
    ends = wish[:1] == wish[:1].upper() and wish.endswith(".") and not wish.endswith("..")
    return plain and ends and 3 <= len(wish) <= MAX_WISH


def _read_method(source: str, where: str) -> ast.FunctionDef:
    tree = parse(source)
    if not isinstance(tree, ast.Module):
        _complain(where, f"line {tree.line} of the source: {tree.message}")
    method = tree.body[0] if len(tree.body) == 1 else None
    if not isinstance(method, ast.FunctionDef) or method.decorator_list:
        _complain(where, "the source must be one function and nothing else")
    _check(where, check_selector, method.name)
    names = [arg.arg for arg in method.args.args]
    plain = sum(isinstance(node, ast.arg) for node in ast.iter_child_nodes(method.args))
    if names[:1] != ["self"] or plain != len(names) or method.args.defaults:
        _complain(where, "the parameters must be self and plain names")
    return method


def _read_example(entry: Any, where: str) -> SeedExample:
    if not isinstance(entry, dict) or set(entry) - set(_EXAMPLE_FIELDS):
        _complain(where, f"may have the fields {', '.join(_EXAMPLE_FIELDS)} and no others")
    for name, value in entry.items():
        if not isinstance(value, _EXAMPLE_FIELDS[name]):
            _complain(where, f"{name} must be a {_EXAMPLE_FIELDS[name].__name__}")
        _check(where, check, value)
    for name in (*entry.get("slots", ()), *entry.get("after", ()), *entry.get("kwargs", ())):
        _check(where, check_slot_name, name)
    if ("value" in entry) == ("one_of" in entry) or entry.get("one_of") == []:
        _complain(where, "needs either value or one_of")
    now = entry.get("now")
    if now is not None and now.tzinfo is None:
        _complain(where, "now needs a time zone, as in 2024-05-17T12:00:00Z")
    return SeedExample(
        args=tuple(entry.get("args", ())),
        kwargs=entry.get("kwargs", {}),
        slots=entry.get("slots", {}),
        answers=tuple(entry["one_of"] if "one_of" in entry else [entry["value"]]),
        after=entry.get("after", {}),
        now=None if now is None else now.timestamp(),
    )


def _check(where: str, rule: Any, value: Any) -> None:
    try:
        rule(value)
    except ArgumentsError as error:
        raise ArgumentsError(f"{where}: {error}") from error


def _complain(where: str, what: str) -> NoReturn:
    raise ArgumentsError(f"{where}: {what}")
