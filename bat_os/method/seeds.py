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
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, NoReturn

from bat_os.core.choosing import meaning
from bat_os.core.schema import Meta, Record, convert, field, read_toml, text
from bat_os.core.values import check, check_selector, check_slot_name
from bat_os.errors import ArgumentsError
from bat_os.method.text import is_pure, parse

MAX_TEXT: Final = 1_000_000
MAX_SOURCE: Final = 600  # characters; a longer one is too much of an example for a small model
MAX_WISH: Final = 120
MAX_ALSO: Final = 4
_WHERE: Final = "the seed library"
_NOT_GIVEN: Final = object()


class SeedExample(Record, frozen=True):
    """One call of a seed, and how it has to end."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    slots: dict[str, Any] = field(default_factory=dict)  # of the receiver, before the call
    value: Any = _NOT_GIVEN
    one_of: Annotated[tuple[Any, ...], Meta(min_length=1)] | None = None  # where chance decides
    # slots that the call changes, with their new values; no others change
    after: dict[str, Any] = field(default_factory=dict)
    # Not a field of type datetime, which would be read from a text as well.
    moment: Any = field(default=None, name="now")

    def __post_init__(self) -> None:
        if (self.value is _NOT_GIVEN) == (self.one_of is None):
            raise ValueError("needs either value or one_of")
        moment = self.moment
        if moment is not None and (not isinstance(moment, dt.datetime) or not moment.tzinfo):
            raise ValueError("now must be a time with its zone, as in 2024-05-17T12:00:00Z")

    @property
    def now(self) -> float | None:
        """Unix time of the call, where the answer depends on it."""
        return None if self.moment is None else self.moment.timestamp()

    @property
    def answers(self) -> tuple[Any, ...]:
        """What it may answer."""
        return (self.value,) if self.one_of is None else self.one_of

    def accepts(self, value: Any) -> bool:
        """Return whether ``value`` means one of the answers."""
        return meaning(value) in {meaning(answer) for answer in self.answers}


class _Entry(Record, frozen=True):
    wish: str
    source: Annotated[str, text(MAX_SOURCE)]
    examples: Annotated[list[SeedExample], Meta(min_length=1)]
    also: Annotated[list[str], Meta(max_length=MAX_ALSO)] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not _is_sentence(self.wish):
            raise ValueError(
                f"wish must be one line of at most {MAX_WISH} characters, as in 'Do it.'"
            )
        for phrase in self.also:
            if not _is_sentence(_as_sentence(phrase)):
                raise ValueError(f"also: {phrase!r} must be one line without an end, as in 'do it'")


class _File(Record, frozen=True):
    seed: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Seed:
    """One method of the library."""

    wish: str  # what it does, in one sentence; also its docstring
    selector: str  # the message that it answers
    params: tuple[str, ...]  # names of its parameters, without ``self``
    source: str  # the ``def``, without a line end
    examples: tuple[SeedExample, ...]  # at least one
    pure: bool  # it does not use ``self`` at all
    # other sentences for the same wish, written as ``brief.goal`` writes one
    also: tuple[str, ...] = ()

    @property
    def wishes(self) -> tuple[str, ...]:
        """Every sentence that asks for it, its own first."""
        return self.wish, *self.also


@lru_cache(maxsize=64)  # all files take a fifth of a second, and a start needs them three times
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
        raise ArgumentsError(f"{_WHERE} is longer than {MAX_TEXT} characters")
    return convert(read_toml(text, ArgumentsError, _WHERE), _File, ArgumentsError, _WHERE).seed


def _read_seed(value: Any, where: str) -> Seed:
    entry = convert(value, _Entry, ArgumentsError, where)
    where = f"{where} ({entry.wish})"
    source = entry.source.strip("\n")
    method = _read_method(source, where)
    if ast.get_docstring(method, clean=False) != entry.wish:
        _complain(where, "the docstring must be the wish")
    for number, example in enumerate(entry.examples, start=1):
        _check_example(example, f"{where}, example {number}")
    return Seed(
        entry.wish,
        method.name,
        tuple(arg.arg for arg in method.args.args[1:]),
        source,
        tuple(entry.examples),
        pure=is_pure(source, method.name),
        also=tuple(map(_as_sentence, entry.also)),
    )


def _as_sentence(phrase: str) -> str:
    return f"{phrase[:1].upper()}{phrase[1:]}."


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


def _check_example(example: SeedExample, where: str) -> None:
    plain = [example.args, example.kwargs, example.slots, example.answers, example.after]
    _check(where, check, plain)
    for name in (*example.slots, *example.after, *example.kwargs):
        _check(where, check_slot_name, name)


def _check(where: str, rule: Any, value: Any) -> None:
    try:
        rule(value)
    except ArgumentsError as error:
        raise ArgumentsError(f"{where}: {error}") from error


def _complain(where: str, what: str) -> NoReturn:
    raise ArgumentsError(f"{where}: {what}")
