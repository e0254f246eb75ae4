"""Programs by example: short expressions that reproduce every example, the likeliest first.

    42 -> '00042', given 7         str(number).zfill(5)         '00007'
    'ann' -> 'Ann!', given 'bob'   text[:1].upper() + text[1:] + '!'   'Bob!'

The search goes from the values up: operations are applied to the arguments, then to what comes out,
and values that are equal for all examples count once. A text may be put together from such values
and constant parts. What a program costs says how unlikely it is meant; words of the wish make the
operations that they name cheaper. Programs that answer the given value alike are one. If two that
differ cost nearly the same, the examples do not decide.

All of it is bounded by counts, so the same examples give the same programs. No text that a person
wrote is run: values are arguments of the operations in ``bat_os/method/operations.py``.
"""

from __future__ import annotations

import ast
import heapq
import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bat_os.method.operations import MAX_GROWTH, line_operations, operations, pair_operations
from bat_os.method.programs import Node, arguments_of, describe, equal, kind_of_value, write

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from bat_os.method.adapt import Form
    from bat_os.method.operations import Operation

MAX_CHARS: Final = 200  # of a text or a list; longer ones are no examples
MAX_NUMBER: Final = 10**15
MAX_EXAMPLES: Final = 12
DEEP: Final = 40  # values that operations are applied to once more
TRIES: Final = 12_000  # operations that are applied
PIECES: Final = 60  # values that a text is put together from
STEPS: Final = 400
RIVALS: Final = 4  # programs with different answers that are looked at
SURE: Final = 1.2  # bits by which the likeliest has to be ahead
NAMED: Final = 1.2  # bits that a word of the wish is worth
# Words that name one operation and no other count twice.
EXACT: Final = {"double", "triple", "halve", "square", "cube", "factorial", "even", "odd"}
IDLE: Final = 1.5  # bits against an argument that is not used
# Bits that an argument, a part of a text, and doing it with each part cost.
LEAF: Final = 0.4
JOINT: Final = 0.4
TELLING: Final = 2  # characters of a value that are in a result by chance
EACH: Final = 0.8
NAMED_CONSTANT: Final = 0.1
_FAILS: Final = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Program:
    """An expression that reproduces every example."""

    expression: str  # Python, over the names of the parameters
    answer: Any  # for what was given
    cost: float
    says: str  # in a few words: "square", "pad zero 5"


@dataclass(slots=True)
class _Task:
    """What is looked for."""

    results: tuple[Any, ...]
    leaves: list[Node]
    tags: Collection[str]
    constants: dict[str, list[Any]]
    hints: tuple[Any, ...]
    pool: dict[str, Node] = field(default_factory=dict)
    found: dict[str, Node] = field(default_factory=dict)
    tries: int = TRIES


def induce(
    examples: Sequence[tuple[Sequence[Any], Any]],
    given: Sequence[Any],
    names: Sequence[str],
    tags: Collection[str] = (),
    hints: Sequence[Any] = (),
) -> list[Program]:
    """Return up to RIVALS programs with different answers, the likeliest first.

    Args:
        examples: Arguments and result of each.
        given: The arguments that are asked about.
        names: Of the parameters.
        tags: What the words of the wish name; see ``bat_os/method/operations.py``.
        hints: Values that the wish names, which are likely constants.

    >>> [each.expression for each in induce([(["hi"], "*hi*")], ["yes"], ["text"])][:1]
    ["'*' + text + '*'"]
    """
    rows = [*(args for args, _ in examples), given]
    if any(map(equal, rows[:-1], itertools.repeat(given))):
        rows.append([*map(_other, given)])  # else all programs would seem to agree
    results = tuple(result for _, result in examples)
    if not _are_usable(rows, results, len(names)):
        return []
    columns = [tuple(row[at] for row in rows) for at in range(len(names))]
    leaves = [
        Node(column, LEAF, tree=ast.Name(name, ast.Load()))
        for name, column in zip(names, columns, strict=True)
    ]
    found = _search(leaves, results, tags, hints, deep=True)
    best = sorted(((_price(node, tags, leaves), node) for node in found), key=lambda pair: pair[0])[
        :RIVALS
    ]
    return [
        Program(
            ast.unparse(ast.fix_missing_locations(write(node))),
            node.values[len(results)],
            cost,
            " ".join(describe(node)),
        )
        for cost, node in best
    ]


def write_method(program: Program, form: Form) -> str:
    """Return a program as the source of a method."""
    imports = "    import math\n" if "math." in program.expression else ""
    head = f"def {form.selector}({', '.join(('self', *form.params))}):"
    return f"{head}\n    {form.wish!r}\n{imports}    return {program.expression}\n"


def decides(programs: Sequence[Program]) -> bool:
    """Return whether the likeliest of some programs is meant for sure."""
    return len(programs) == 1 or programs[1].cost - programs[0].cost >= SURE


def _are_usable(rows: Sequence[Sequence[Any]], results: Sequence[Any], count: int) -> bool:
    if not 1 <= len(results) <= MAX_EXAMPLES or not count:
        return False
    kinds = {tuple(map(kind_of_value, row)) for row in rows}
    fits = len(kinds) == 1 and len(rows[0]) == count and "" not in next(iter(kinds))
    alike = {kind_of_value(result) for result in results}
    if alike == {"flag"} and len(set(results)) < 2:
        return False  # too many functions say yes
    return fits and len(alike) == 1 and all(map(_is_small, (*itertools.chain(*rows), *results)))


def _other(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | list):
        return value
    if isinstance(value, str):
        return value[1:] + value * 2
    return value[1:] + value * 2 if isinstance(value, list) else 2 * value + 3


def _is_small(value: Any) -> bool:
    if isinstance(value, int | float):
        return abs(value) <= MAX_NUMBER
    if isinstance(value, str):
        return len(value) <= MAX_CHARS
    return isinstance(value, list) and len(value) <= MAX_CHARS and all(map(_is_small, value))


def _search(
    leaves: list[Node],
    results: tuple[Any, ...],
    tags: Collection[str],
    hints: Sequence[Any],
    *,
    deep: bool,
) -> Iterable[Node]:
    """Return the cheapest program for each answer to what is given."""
    task = _Task(results, leaves, tags, _constants(leaves, results), tuple(hints))
    for leaf in leaves:
        _keep(task, leaf)
    first = [*leaves, *_pairs(task)]
    if len(leaves) > 1 and all(leaf.kind == "number" for leaf in leaves):
        columns = zip(*(leaf.values for leaf in leaves), strict=True)
        tree = ast.List([leaf.tree for leaf in leaves if leaf.tree], ast.Load())
        first.append(Node(tuple(map(list, columns)), 0.8, tree=tree, parts=tuple(leaves)))
    second = [node for leaf in first for node in _apply(task, leaf)]
    if deep:
        for node in sorted(second, key=lambda node: node.cost)[:DEEP]:
            _apply(task, node, again=True)
        for leaf in leaves:
            _each(task, leaf)
    kind = kind_of_value(results[0])
    if kind == "number":
        for node in [*first, *second]:
            _fit_numbers(task, node)
    if kind == "text":
        _put_together(task)
    return task.found.values()


def _constants(leaves: Sequence[Node], results: Sequence[Any]) -> dict[str, list[Any]]:
    texts = [value for leaf in leaves for value in leaf.values if isinstance(value, str)]
    parts = [part for r in results if isinstance(r, list) for part in r if isinstance(part, str)]
    made = [result for result in results if isinstance(result, str)]
    said = dict.fromkeys(itertools.chain(*texts, *made))
    marks = [char for char in said if not char.isalnum()][:8]
    marks += [f"{char} " for char in marks if any(f"{char} " in text for text in texts + made)]
    letters = dict.fromkeys(char for char in itertools.chain(*texts) if char.isalnum())
    widths = {len(text) for text in made}
    counts = sorted({len(text) for text in (*made, *parts)} | {2, 3, 4, 5})
    return {
        "mark": [*marks, *([] if " " in marks else [" "])], "letter": [*letters][:10],
        "width": [*widths] if len(widths) == 1 and made else [],
        "count": [2, 3, 4, 5, 10, 100],
        "slice": [count for count in counts if 2 <= count <= 12],
    }  # fmt: skip


def _keep(task: _Task, node: Node) -> bool:
    """Keep a value unless it is known; return whether it is new."""
    key = f"{node.kind} {node.values}"
    known = task.pool.get(key)
    if known is not None and known.cost <= node.cost:
        return False
    task.pool[key] = node
    if all(map(equal, node.values, task.results)):
        _offer(task, node)
    return known is None


def _offer(task: _Task, node: Node) -> None:
    """Take a program as the one for its answers, if it is the cheapest."""
    given = node.values[len(task.results) :]
    answer = repr([round(float(v), 9) if node.kind == "number" else v for v in given])
    known = task.found.get(answer)
    price = _price(node, task.tags, task.leaves)
    if known is None or price < _price(known, task.tags, task.leaves):
        task.found[answer] = node


def _price(node: Node, tags: Collection[str], leaves: Sequence[Node]) -> float:
    """Return what a program costs with the words of the wish, and with arguments left out."""
    idle = len(leaves) - len(arguments_of(node) & {id(leaf) for leaf in leaves})
    named = node.tags & frozenset(tags)
    return node.cost - NAMED * (len(named) + len(named & EXACT)) + IDLE * idle


def _apply(task: _Task, node: Node, *, again: bool = False) -> list[Node]:
    """Return the new values that one operation makes of a value; with fewer constants ``again``."""
    made: list[Node] = []
    for operation in operations():
        if operation.takes != node.kind or (operation.grows and not _may_grow(node.values)):
            continue
        if again and operation.constants not in ((), ("mark",), ("width",)):
            continue
        for constants in itertools.product(*(task.constants[k] for k in operation.constants)):
            if len(set(constants)) < len(constants):
                continue
            new = _run(task, operation, (node,), constants)
            if new is not None and _keep(task, new):
                made.append(new)
    return made


def _pairs(task: _Task) -> list[Node]:
    made: list[Node] = []
    for one, other in itertools.permutations(task.leaves, 2):
        for operation in pair_operations():
            if operation.takes != one.kind or operation.takes != other.kind:
                continue
            if operation.grows and not _may_grow(one.values + other.values):
                continue
            new = _run(task, operation, (one, other), ())
            if new is not None and _keep(task, new):
                made.append(new)
    return made


def _may_grow(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int) and 0 <= value <= MAX_GROWTH for value in values)


def _run(
    task: _Task, operation: Operation, nodes: tuple[Node, ...], constants: tuple[Any, ...]
) -> Node | None:
    """Return what an operation makes of values; None if it fails for one of them."""
    if task.tries <= 0:
        return None
    task.tries -= 1
    named = dict(zip("KM", constants, strict=False))
    try:
        values = tuple(
            operation.run(**dict(zip("XY", row, strict=False)), **named)
            for row in zip(*(node.values for node in nodes), strict=True)
        )
    except _FAILS:
        return None
    kinds = {kind_of_value(value) for value in values}
    wanted = {operation.gives} if operation.gives != "any" else kinds
    if kinds != wanted or len(kinds) > 1 or not all(map(_is_small, values)):
        return None
    cost = (
        sum(node.cost for node in nodes)
        + operation.cost
        + sum(_size(each, task.hints) for each in constants)
    )
    tags = frozenset(operation.tags).union(*(node.tags for node in nodes))
    return Node(values, cost, tags, made=(operation, nodes, tuple(named.items())))


def _size(constant: Any, hints: Collection[Any] = ()) -> float:
    """Return how unlikely a constant is."""
    if constant in hints:
        return NAMED_CONSTANT
    if isinstance(constant, str):
        return sum(1.5 if char.isalnum() else 0.3 for char in constant)
    if constant in (0, 1, 2, 10, 100, 1000):
        return 0.6
    whole = float(constant).is_integer()
    return 0.5 + 0.35 * math.log2(abs(constant) + 1) + (0 if whole else 1.5)


_NAMED_NUMBERS: Final = {("X * K", 2): "double", ("X * K", 3): "triple", ("X / K", 2): "halve"}


def _fit_numbers(task: _Task, node: Node) -> None:
    """Look for a line through a value and the results."""
    if node.kind != "number":
        return
    count = len(task.results)
    pairs = [*zip(node.values[:count], task.results, strict=True)]
    x, y = pairs[0]
    ways: list[tuple[str, tuple[float, ...]]] = [("X + K", (y - x,)), ("X - K", (x - y,))]
    ways.append(("K - X", (x + y,)))
    if x and y:
        ways += [("X * K", (_plain(y / x),)), ("X / K", (_plain(x / y),))]
    other = next(((a, b) for a, b in pairs if a != x), None)
    if other is not None:
        slope = _plain((other[1] - y) / (other[0] - x))
        ways.append(("X * K + M", (slope, _plain(y - slope * x))))
    for hint in task.hints:
        if kind_of_value(hint) == "number" and hint not in (0, 1):
            ways.append(("X * K + M", (hint, _plain(y - hint * x))))
    for form, constants in ways:
        if any(
            not math.isfinite(k) or k == 0 or (k < 0 and form != "X * K + M") for k in constants
        ):
            continue
        if constants[0] == 1 and form[2] in "*/":
            continue
        _fit_one(task, node, form, constants)


def _fit_one(task: _Task, node: Node, form: str, constants: tuple[float, ...]) -> None:
    operation = line_operations()[form]
    if form == "X / K" and not float(constants[0]).is_integer():
        return
    if form == "X * K + M" and len(task.results) < 3:
        # Two examples lie on some line in any case: one that is odd says nothing.
        plain = any(each in task.hints or float(each).is_integer() for each in constants)
        if not (node.tree and plain):
            return
    tags = {*operation.tags, _NAMED_NUMBERS.get((form, int(constants[0])), "")}
    named = dict(zip("KM", constants, strict=False))
    values = tuple(operation.run(value, **named) for value in node.values)
    cost = node.cost + operation.cost + sum(_size(each, task.hints) for each in constants)
    made = (operation, (node,), tuple(named.items()))
    _keep(task, Node(values, cost, node.tags | tags, made=made))


def _plain(number: float) -> float:
    """Return a number without the error of floating point; an int where it is whole."""
    rounded = round(float(number), 9)
    return int(rounded) if rounded.is_integer() else rounded


def _each(task: _Task, leaf: Node) -> None:
    """Look for what is done with every word, letter or item of a value."""
    kind = kind_of_value(task.results[0])
    if leaf.kind == kind == "list":
        _each_part(task, leaf, "item", list(leaf.values), list(task.results))
    if leaf.kind == kind == "text":
        words = [value.split(" ") for value in leaf.values]
        _each_part(task, leaf, "word", words, [result.split(" ") for result in task.results])
        letters = [[*value] for value in leaf.values]
        cut = [_cut_evenly(r, len(v)) for r, v in zip(task.results, letters, strict=False)]
        _each_part(task, leaf, "letter", letters, cut)


def _each_part(
    task: _Task, leaf: Node, way: str, before: list[list[Any]], after: list[list[Any]]
) -> None:
    """Look for what makes the parts after of the parts before."""
    count = len(after)
    if any(len(a) != len(b) for a, b in zip(before, after, strict=False)):
        return
    flat = [*itertools.chain(*before[:count])], [*itertools.chain(*after)]
    pairs = {repr(one): (one, other) for one, other in zip(*flat, strict=True)}
    clash = any(not equal(pairs[repr(a)][1], b) for a, b in zip(*flat, strict=True))
    inner = [*(one for one, _ in pairs.values()), *itertools.chain(*before[count:])]
    results = tuple(other for _, other in pairs.values())
    kinds = len({kind_of_value(x) for x in inner}), len({kind_of_value(x) for x in results})
    if (
        clash
        or kinds != (1, 1)
        or not 2 <= len(pairs) <= MAX_CHARS
        or "" in map(kind_of_value, inner)
    ):
        return
    part = Node(tuple(inner), LEAF, tree=ast.Name("part", ast.Load()))
    for node in _search([part], results, task.tags, task.hints, deep=False):
        answers, rest = list(task.results), list(node.values[len(results) :])
        for value in before[count:]:
            made, rest = rest[: len(value)], rest[len(value) :]
            mark = " " if way == "word" else ""
            answers.append(made if way == "item" else mark.join(map(_as_text, made)))
        cost = node.cost + EACH
        _keep(task, Node(tuple(answers), cost, node.tags, each=(way, leaf, node)))


def _cut_evenly(text: str, count: int) -> list[str]:
    size, rest = divmod(len(text), count) if count else (0, 1)
    return [] if rest or not size else [text[at : at + size] for at in range(0, len(text), size)]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _put_together(task: _Task) -> None:
    """Look for texts put together from values and constant parts."""
    results = task.results
    pieces = [
        (node, tuple(map(_as_text, node.values)))
        for node in sorted(task.pool.values(), key=lambda node: node.cost)
        if node.kind in ("text", "number")
    ]
    pieces = [
        (node, texts)
        for node, texts in pieces
        if all(texts[: len(results)]) and all(t in r for t, r in zip(texts, results, strict=False))
    ][:PIECES]
    start = (0,) * len(results)
    order = itertools.count()
    blank = ("",) * (len(task.leaves[0].values) - len(results))
    queue: list[Any] = [(0.0, next(order), start, blank, ())]
    done: set[tuple[Any, ...]] = set()
    ends = tuple(map(len, results))
    for _ in range(STEPS):
        if not queue:
            return
        cost, _, places, made, parts = heapq.heappop(queue)
        if places == ends:
            if _is_shown(parts):
                if len(parts) > 1 or parts[0].kind != "text":
                    _offer(task, _joined(results, made, cost, parts))
                if len(task.found) > RIVALS:
                    return
            continue
        key = places, made, bool(parts) and isinstance(parts[-1], str)
        if key in done or any(len(text) > MAX_CHARS for text in made):
            continue
        done.add(key)
        for price, sizes, text, part in _steps(results, places, pieces, parts):
            after = tuple(at + size for at, size in zip(places, sizes, strict=True))
            new = tuple(map(str.__add__, made, text))
            entry = (cost + price + JOINT, next(order), after, new, (*parts, part))
            heapq.heappush(queue, entry)


def _is_shown(parts: tuple[Node | str, ...]) -> bool:
    """Return whether a text is put together from the values, and not made up of letters."""
    words = any(isinstance(part, str) and any(map(str.isalnum, part)) for part in parts)
    nodes = [part for part in parts if isinstance(part, Node)]
    whole = any(node.tree or len(_as_text(node.values[0])) > TELLING for node in nodes)
    return whole or (bool(nodes) and not words)


def _joined(
    results: tuple[str, ...], made: tuple[str, ...], cost: float, parts: tuple[Any, ...]
) -> Node:
    nodes = [part for part in parts if isinstance(part, Node)]
    tags: frozenset[str] = frozenset()
    return Node((*results, *made), cost, tags.union(*(n.tags for n in nodes)), parts=parts)


def _steps(
    results: Sequence[str], places: Sequence[int], pieces: Sequence[Any], parts: tuple[Any, ...]
) -> Iterator[tuple[float, tuple[int, ...], tuple[str, ...], Node | str]]:
    """Yield what may come next: price, length for each example, text for what is given, part."""
    count = len(results)
    for node, texts in pieces:
        if all(r.startswith(t, at) for r, t, at in zip(results, texts, places, strict=False)):
            yield node.cost, tuple(map(len, texts[:count])), texts[count:], node
    if parts and isinstance(parts[-1], str):
        return
    more = len(pieces[0][1]) - count if pieces else 0
    rests = [result[at:] for result, at in zip(results, places, strict=True)]
    constant = ""
    for chars in zip(*rests, strict=False):
        if len(set(chars)) > 1:
            break
        constant += chars[0]
        yield 1.0 + _size(constant), (len(constant),) * count, (constant,) * more, constant
