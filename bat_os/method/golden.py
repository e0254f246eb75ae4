"""Golden examples: which learned methods are worth learning from, each once, and on which side.

    what is known of a method > grade: gold, silver or none > the same ones once > clusters > split

Pure rules. A view is computed from what the image has and is never stored, so what is unlearned,
tainted or found at fault is out of the next look.

A cluster holds what is much alike: the same text, the same answers to a few calls and much the same
wish, the same selector, or much the same wish. It lies whole on one side of the split, and stays
there while missions are added: the side is that of its oldest mission. A later method that is
like clusters of both sides would join them, and is left out instead.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.choosing import MENDED, meaning
from bat_os.core.digest import digest
from bat_os.core.syntax import parse_literal
from bat_os.method.text import parse_method

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

GOLD, SILVER, NONE = "gold", "silver", "none"
TRAIN, HELD_OUT = "train", "held_out"
LIKE: Final = 0.8  # cosine of two wishes that are much alike
CALLS, ARGUMENTS, DAYS = 5, 3, 2  # of a method that has proved itself in use
MOST_OF_A_CLUSTER: Final = 3
MAX_CASE: Final = 2_000  # characters of the arguments, and of the answer, of one case
HELD_OUT_OF: Final = 5  # one cluster in so many is held out


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the current version of a learned method."""

    mission: str  # that wrote it; missions in the order of their ids are in the order of time
    selector: str
    source: str
    status: str  # of the version
    is_written: bool = True  # a model wrote it; it was neither adapted nor found by a search
    is_tainted: bool = False
    is_approved: bool = False
    is_foreign: bool = False  # it comes from another mind, and its examples did not run here
    faults: int = 0
    version: int = 1
    calls: int = 0
    arguments: int = 0  # how many different calls there were, as far as they are counted
    days: int = 0  # between the first and the last day, both counted
    results: tuple[Any, ...] = ()  # of the examples of a person
    fixups: tuple[str, ...] = ()


def grade(known: Known) -> tuple[str, str]:
    """Return the grade of a method and why, in a few words.

    >>> grade(Known("m1", "double", "", "verified", results=(4, 6)))
    ('gold', 'examples with different answers')
    >>> grade(Known("m1", "double", "", "provisional"))
    ('none', 'provisional and hardly used')
    """
    if reason := _excluded(known):
        return NONE, reason
    if known.is_approved or len({meaning(result) for result in known.results}) > 1:
        return GOLD, "approved" if known.is_approved else "examples with different answers"
    is_proved = known.calls >= CALLS and known.arguments >= ARGUMENTS and known.days >= DAYS
    if known.results:
        return (GOLD, "an example, and proved in use") if is_proved else (SILVER, "one example")
    return _grade_without_example(known, is_proved=is_proved)


def _grade_without_example(known: Known, *, is_proved: bool) -> tuple[str, str]:
    if known.status != "provisional":
        return NONE, "written tests alone"
    if not is_proved:
        return NONE, "provisional and hardly used"
    if known.version > 1:
        return NONE, "relearned, and still provisional"
    return SILVER, "provisional, and proved in use"


def _excluded(known: Known) -> str:
    """Return why nothing may be learned from a method, or ""."""
    is_shown = known.is_approved or len(known.results) > 1
    reasons = {
        "tainted": known.is_tainted,
        "failed in use": known.faults,
        "no model wrote it": not known.is_written,
        "from another mind, and not proved here": known.is_foreign and not known.is_approved,
        "mended to fit its one example": MENDED in known.fixups and not is_shown,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def form_of(source: str, selector: str) -> str:
    r"""Return a key that methods share if they differ in names and docstrings alone; "" for none.

    >>> next_of = "def b(self, n):\n    'Next.'\n    return n + 1"
    >>> form_of("def a(self, x):\n    return x + 1", "a") == form_of(next_of, "b")
    True
    """
    parsed = parse_method(source, selector)
    if parsed is None:
        return ""
    method = parsed[1]
    method.body = method.body[ast.get_docstring(method) is not None :] or [ast.Pass()]
    method.returns, method.name = None, ""
    names: dict[str, str] = {}
    own = {node.arg for node in ast.walk(method) if isinstance(node, ast.arg)}
    own |= {
        node.id
        for node in ast.walk(method)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    for node in _in_order(method):
        if isinstance(node, ast.arg):
            node.arg, node.annotation = names.setdefault(node.arg, f"n{len(names)}"), None
        elif isinstance(node, ast.Name) and node.id in own:
            node.id = names.setdefault(node.id, f"n{len(names)}")
    return digest(ast.dump(method))


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where one method stands among the others."""

    grade: str
    why: str
    cluster: str  # the oldest mission in it
    split: str  # ``train`` or ``held_out``; "" for what is left out
    twin: int = -1  # the place of the same method that counts instead


def arrange(
    all_known: Sequence[Known],
    like: Callable[[int, int], bool],
    answers: Mapping[int, str] | None = None,
) -> list[Placed]:
    """Return where each method stands, in the order given.

    Args:
        all_known: What is known of each, whatever its grade.
        like: Says of two places whether their wishes are much alike (LIKE).
        answers: By place, a key of what a method answers to a few calls, where that is known.
    """
    graded = [grade(known) for known in all_known]
    forms = [form_of(known.source, known.selector) for known in all_known]
    told = answers or {}
    order = sorted(range(len(all_known)), key=lambda at: (all_known[at].mission, at))
    clusters, sides, torn = _cluster(all_known, forms, order, like)

    def is_same(one: int, other: int) -> bool:
        if forms[one] and forms[one] == forms[other]:
            return True
        return one in told and told[one] == told.get(other) and like(one, other)

    placed: dict[int, Placed] = {}
    kept: dict[str, list[int]] = {}
    for at in sorted(order, key=lambda at: (graded[at][0] != GOLD, -all_known[at].calls)):
        (given, why), cluster = graded[at], clusters[at]
        others, twin = kept.setdefault(cluster, []), None
        if given != NONE:
            twin = next((other for other in others if is_same(at, other)), None)
            if twin is not None:
                given, why = NONE, f"the same as {all_known[twin].selector}"
            elif at in torn:
                given, why = NONE, "like some to train on and like some held out"
            elif len(others) >= MOST_OF_A_CLUSTER:
                given, why = NONE, "enough others like it"
            else:
                others.append(at)
        side = sides[cluster] if given != NONE else ""
        placed[at] = Placed(given, why, cluster, side, -1 if twin is None else twin)
    return [placed[at] for at in range(len(all_known))]


def side_of(mission: str) -> str:
    """Return the side of a cluster whose oldest mission this is."""
    return HELD_OUT if int(digest(mission), 16) % HELD_OUT_OF == 0 else TRAIN


def _cluster(
    all_known: Sequence[Known],
    forms: Sequence[str],
    order: Iterable[int],
    like: Callable[[int, int], bool],
) -> tuple[list[str], dict[str, str], set[int]]:
    """Return (cluster of each place, side of each cluster, places between two sides).

    Oldest first, so that what comes later moves nothing that is there.
    """
    clusters, sides, torn = [""] * len(all_known), dict[str, str](), set[int]()
    seen: list[int] = []
    for at in order:
        near = {
            clusters[other]
            for other in seen
            if all_known[other].selector == all_known[at].selector
            or (forms[at] and forms[other] == forms[at])
            or like(at, other)
        }
        of = {sides[cluster] for cluster in near}
        oldest = min(near, default=all_known[at].mission)
        if len(of) > 1:
            torn.add(at)
            near = {oldest}
        else:
            seen.append(at)
        sides.setdefault(oldest, side_of(oldest))
        clusters[at] = oldest
        if len(near) > 1:
            for other in seen:
                if clusters[other] in near:
                    clusters[other] = oldest
    return clusters, sides, torn


def digest_of(records: Iterable[Mapping[str, Any]]) -> str:
    """Return the digest of a set of records, whatever their order."""
    return digest("\n".join(sorted(str(record["digest"]) for record in records)))


def count_grades(records: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many records there are of each grade."""
    found = Counter(record["grade"] for record in records)
    return {name: found[name] for name in (GOLD, SILVER, NONE)}


def write_call(source: str, selector: str) -> tuple[str, tuple[str, ...]]:
    r"""Return (``name(a, b)``, its parameters) of a method; ("", ()) where it takes others, too.

    >>> write_call("def add(self, a, b):\n    return a + b", "add")
    ('add(a, b)', ('a', 'b'))
    """
    parsed = parse_method(source, selector)
    if parsed is None:
        return "", ()
    args = parsed[1].args
    if args.posonlyargs or args.kwonlyargs or args.vararg or args.kwarg or not args.args:
        return "", ()
    names = tuple(arg.arg for arg in args.args[1:])
    return f"{selector}({', '.join(names)})", names


def write_body(source: str, selector: str) -> str:
    """Return the lines of a method without its docstring, not indented."""
    parsed = parse_method(source, selector)
    if parsed is None:
        return ""
    body = parsed[1].body[ast.get_docstring(parsed[1]) is not None :]
    return "\n".join(map(ast.unparse, body)) or "pass"


def write_case(
    names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any], value: Any
) -> dict[str, str] | None:
    """Return a call and its answer as Python literals, one argument per name; None if it is not.

    >>> write_case(("a", "b"), [2], {"b": 3}, 5)
    {'args': '2, 3', 'slots': '{}', 'value': '5'}
    """
    left = dict(zip(names[len(args) :], names[len(args) :], strict=True))
    if len(args) > len(names) or set(left) != set(kwargs):
        return None
    given = [*args, *(kwargs[name] for name in left)]
    written = ", ".join(map(repr, given)), repr(value)
    try:
        if parse_literal(f"[{written[0]}]") != given or parse_literal(written[1]) != value:
            return None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    if max(map(len, written)) > MAX_CASE:
        return None
    return {"args": written[0], "slots": "{}", "value": written[1]}
