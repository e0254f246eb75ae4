"""Examples inside of a sentence: "e.g. 5 gives 120", "so that 3 becomes 9", "5 -> 10"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.method.text import words as word_set
from bat_os.sentence.grammar import JOINERS

if TYPE_CHECKING:
    from bat_os.sentence.tokens import Token

# Each marker is read to the end of the sentence; a text with thousands of them is not a request.
_EXAMPLE_TRIES: Final = 20
_MARKERS: Final = (("for", "example"), ("for", "instance"), ("so", "that"), ("such", "that"))
_RESULTS: Final = word_set(
    "gives give returns return becomes become is are equals yields makes produces to "
    "into should must will would be result results in get gets you = :"
)
_VERBS: Final = word_set("gives becomes yields returns should")
_TRUTH: Final = {"true": True, "false": False, "none": None, "null": None}


def take_examples(tokens: list[Token]) -> tuple[list[Token], list[dict[str, Any]]]:
    """Return (rest, examples) for "e.g. 5 gives 120" and "5 -> 120"."""
    places = [at for at in range(len(tokens)) if _announces(tokens, at)]
    idle: set[int] = set()  # markers that announce nothing we can read
    for at in places[:_EXAMPLE_TRIES]:
        size = _marker(tokens, at)
        start = at if size else _first_argument(tokens, at)
        examples, end = _read_examples(tokens, start + size)
        if examples:
            kept = [token for i, token in enumerate(tokens[:start]) if i not in idle]
            return kept + _trim(tokens[end:]), examples
        if tokens[at].kind == "abbreviation" or tokens[at].low == "for":
            idle.update(range(at, at + size))
    return [token for i, token in enumerate(tokens) if i not in idle], []


def _announces(tokens: list[Token], at: int) -> bool:
    return tokens[at].kind == "arrow" or _marker(tokens, at) > 0 or _gives(tokens, at)


def _gives(tokens: list[Token], at: int) -> bool:
    """Return True at the "gives" of "...: 4 gives true", which needs no announcement."""
    if not at or tokens[at].low not in _VERBS or tokens[at - 1].kind != "literal":
        return False
    after = at + 1 + (tokens[at].low == "should")
    start = _first_argument(tokens, at)
    return (
        start > 0
        and tokens[start - 1].kind == "mark"
        and after < len(tokens)
        and bool(_values(tokens[after]))
    )


def _marker(tokens: list[Token], at: int) -> int:
    """Return how many tokens at ``at`` announce examples, or 0."""
    if tokens[at].kind == "abbreviation":
        return 1
    pair = tuple(token.low for token in tokens[at : at + 2])
    if pair in _MARKERS:
        return 2
    return 2 if pair in (("example", ":"), ("examples", ":")) else 0


def _first_argument(tokens: list[Token], at: int) -> int:
    """Return where the literals begin that stand before the arrow at ``at``."""
    start = at
    while start and (tokens[start - 1].kind == "literal" or tokens[start - 1].low in JOINERS):
        start -= 1
    return start


def _read_examples(tokens: list[Token], at: int) -> tuple[list[dict[str, Any]], int]:
    """Return the examples that follow one another from ``at`` on, and where they end."""
    examples: list[dict[str, Any]] = []
    end = at
    while at < len(tokens):
        args: list[Any] = []
        while at < len(tokens) and not (args and _is_result(tokens[at])):
            args += _values(tokens[at])
            at += 1
        while at < len(tokens) and _is_result(tokens[at]):
            at += 1
        result = _values(tokens[at]) if at < len(tokens) else []
        if not args or not result:
            break
        examples.append({"args": args, "result": result[0]})
        at += 1
        end = at
    return examples, end


def _is_result(token: Token) -> bool:
    return token.kind == "arrow" or (token.kind != "literal" and token.low in _RESULTS)


def _values(token: Token) -> list[Any]:
    if token.kind == "literal":
        return [token.value]
    return [_TRUTH[token.low]] if token.kind == "word" and token.low in _TRUTH else []


def _trim(tokens: list[Token]) -> list[Token]:
    """Return the tokens after examples, without the marks that closed them."""
    at = 0
    while at < len(tokens) and tokens[at].kind == "mark":
        at += 1
    return tokens[at:]
