"""The Persistence Covenant: who changes ``self`` says ``self._p_changed = True``.

A method keeps the covenant when every path that leaves it after a change also signals;
before or after the change is the same, for both end in one commit. A path that raises needs
no signal: the turn leaves nothing behind. Nested mutation counts (``self.notes.append(x)``,
``self.stats["k"] += 1``), also through a local name (``notes = self.notes``).

    find_gaps(method)          where a path leaves unsignalled
    close_gaps(source, gaps)   the source with the missing lines

The states of a path are CLEAN, DIRTY (changed, not signalled) and SIGNALLED; a block maps the
set of states that enter it to the sets that leave it, each way out by itself. ``Changes`` knows
what alters the receiver, at any depth and through local names for a part of it. In doubt a
statement counts as a change: one signal too many costs nothing.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bat_os.method.text import Edit, apply_edits, get_indent, is_name, split_lines, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SIGNAL: Final = "self._p_changed = True"
CLEAN, DIRTY, SIGNALLED = 1, 2, 4
_MUTATORS: Final = words(
    "add append appendleft clear difference_update discard extend extendleft insert "
    "intersection_update move_to_end pop popitem popleft remove reverse rotate setdefault sort "
    "subtract symmetric_difference_update update"
)
_MUTATING_CALLS: Final = words(
    "heapify heappop heappush heappushpop heapreplace insort insort_left insort_right "
    "setattr delattr shuffle"
)
_VIEWS: Final = frozenset(("get", "items", "setdefault", "values"))
_ITERATORS: Final = frozenset(("enumerate", "filter", "list", "reversed", "sorted", "tuple", "zip"))
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True, slots=True)
class Gap:
    """A way out of a method that a changed receiver takes without the signal."""

    line: int  # of the ``return``, or the last line of the body
    edit: Edit  # what closes the gap


def find_gaps(method: ast.FunctionDef, source: str) -> tuple[Gap, ...]:
    """Return each place where ``method``, parsed from ``source``, breaks the covenant."""
    ways = _Flow(Changes(method)).run(method.body, CLEAN)
    lines = split_lines(source)
    gaps = [_gap_before(node, lines) for node, state in ways.returns.items() if state & DIRTY]
    if ways.end & DIRTY:
        gaps.append(_gap_at_end(method, lines))
    return tuple(sorted(gaps, key=lambda gap: gap.line))


def close_gaps(source: str, gaps: Iterable[Gap]) -> str:
    """Return ``source`` with the signal wherever it was missing, and no other change."""
    return apply_edits(source, (gap.edit for gap in gaps))


def _gap_before(node: ast.Return, lines: list[str]) -> Gap:
    line = lines[node.lineno - 1]
    indent = get_indent(line, node.col_offset)
    if indent is None:
        return Gap(node.lineno, Edit(node.lineno, node.col_offset, f"{SIGNAL}; "))
    return Gap(node.lineno, Edit(node.lineno, 0, f"{indent}{SIGNAL}{_line_end(line)}"))


def _gap_at_end(method: ast.FunctionDef, lines: list[str]) -> Gap:
    first, last = method.body[0], method.body[-1]
    number, column = last.end_lineno or last.lineno, last.end_col_offset or 0
    indent = get_indent(lines[first.lineno - 1], first.col_offset)
    line = lines[number - 1]
    if indent is None or line.rstrip().endswith("\\"):  # def m(self): self.x = 1
        return Gap(number, Edit(number, column, f"; {SIGNAL}"))
    end = len(line.encode("utf-8", "surrogatepass"))
    if line.endswith(("\n", "\r")):
        return Gap(number, Edit(number, end, f"{indent}{SIGNAL}{_line_end(line)}"))
    return Gap(number, Edit(number, end, f"\n{indent}{SIGNAL}"))


def _line_end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :] or "\n"


@dataclass(slots=True)
class _Ways:
    """The states in which a block is left, by way out: a bit set each."""

    end: int = 0  # at the end of the block
    breaks: int = 0  # by ``break``; ``continues``, ``raises`` likewise
    continues: int = 0
    raises: int = 0
    returns: dict[ast.Return, int] = field(default_factory=dict)  # by each ``return`` statement

    def add_jumps(self, other: _Ways, *, loops: bool = True) -> None:
        """Add all ways of ``other`` but its end; ``loops`` says whether break and continue too."""
        self.raises |= other.raises
        if loops:
            self.breaks |= other.breaks
            self.continues |= other.continues
        for node, state in other.returns.items():
            self.returns[node] = self.returns.get(node, 0) | state


def _change(state: int) -> int:
    return (state & ~CLEAN) | DIRTY if state & CLEAN else state


class _Flow:
    """Runs blocks on sets of states; every (block, states) pair once, so it is linear."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._known: dict[tuple[int, int], _Ways] = {}

    def run(self, block: list[ast.stmt], state: int) -> _Ways:
        """Return how ``block`` is left when entered in any of the states in ``state``."""
        key = (id(block), state)
        if key not in self._known:
            ways = _Ways(end=state)
            for node in block:
                if not ways.end:
                    break
                step = self._step(node, ways.end)
                ways.add_jumps(step)
                ways.end = step.end
            self._known[key] = ways
        return self._known[key]

    def _step(self, node: ast.stmt, state: int) -> _Ways:
        steps: dict[type[ast.stmt], Callable[[Any, int], _Ways]] = {
            ast.If: self._if,
            ast.For: self._loop,
            ast.AsyncFor: self._loop,
            ast.While: self._loop,
            ast.With: self._with,
            ast.AsyncWith: self._with,
            ast.Try: self._try,
            ast.Match: self._match,
        }
        return steps.get(type(node), self._simple)(node, state)

    def _if(self, node: ast.If, state: int) -> _Ways:
        return self._branch([node.body, node.orelse], self._touch(state, node.test), state)

    def _touch(self, state: int, *nodes: ast.AST | None) -> int:
        return _change(state) if self._changes.changes(*nodes) else state

    def _simple(self, node: ast.stmt, state: int) -> _Ways:
        if is_signal(node):
            return _Ways(end=SIGNALLED)
        after = self._touch(state, node)
        ways = _Ways(end=after, raises=state)
        if isinstance(node, ast.Return):
            ways = _Ways(raises=state, returns={node: after})
        elif isinstance(node, ast.Raise):
            ways = _Ways(raises=after)
        elif isinstance(node, ast.Break):
            ways = _Ways(breaks=state)
        elif isinstance(node, ast.Continue):
            ways = _Ways(continues=state)
        elif isinstance(node, ast.Assign) and self._changes.changes(node.value):
            ways.raises |= after  # x = self.stack.pop() / 0
        return ways

    def _branch(self, blocks: list[list[ast.stmt]], state: int, before: int) -> _Ways:
        ways = _Ways(raises=before)
        for block in blocks:
            part = self.run(block, state)
            ways.add_jumps(part)
            ways.end |= part.end
        return ways

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, state: int) -> _Ways:
        endless = False
        header: tuple[ast.AST, ...]
        if isinstance(node, ast.While):
            header = (node.test,)
            endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
            entry = self._touch(state, *header)
        else:
            header = (node.target,)
            entry = self._touch(state, node.iter)
        once, around = -1, entry
        part = _Ways()
        while once != around:
            once = around
            part = self.run(node.body, self._touch(around, *header))
            around |= self._touch(part.end | part.continues, *header)
        after = self.run(node.orelse, 0 if endless else around)
        ways = _Ways(end=after.end | part.breaks, raises=state)
        ways.add_jumps(part, loops=False)
        ways.add_jumps(after)
        return ways

    def _with(self, node: ast.With | ast.AsyncWith, state: int) -> _Ways:
        part = self.run(node.body, self._touch(state, *node.items))
        ways = _Ways(end=part.end, raises=state)
        ways.add_jumps(part)
        calls = [
            item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)
        ]
        if any(name_of(call.func) == "suppress" for call in calls):
            ways.end |= part.raises
        return ways

    def _try(self, node: ast.Try, state: int) -> _Ways:
        body = self.run(node.body, state)
        rest = self.run(node.orelse, body.end)
        ways = _Ways(end=rest.end)
        ways.add_jumps(body)
        ways.add_jumps(rest)
        if any(_catches_all(handler) for handler in node.handlers):
            ways.raises = rest.raises
        for handler in node.handlers:
            part = self.run(handler.body, body.raises)
            ways.add_jumps(part)
            ways.end |= part.end
        return self._finally(node.finalbody, ways) if node.finalbody else ways

    def _finally(self, block: list[ast.stmt], ways: _Ways) -> _Ways:
        result = _Ways()
        ends = {0: 0}

        def leave(state: int) -> int:
            if state not in ends:
                part = self.run(block, state)
                result.add_jumps(part)
                ends[state] = part.end
            return ends[state]

        result.end = leave(ways.end)
        result.breaks |= leave(ways.breaks)
        result.continues |= leave(ways.continues)
        result.raises |= leave(ways.raises)
        for node, state in ways.returns.items():
            result.returns[node] = result.returns.get(node, 0) | leave(state)
        return result

    def _match(self, node: ast.Match, state: int) -> _Ways:
        entry = self._touch(state, node.subject, *(case.guard for case in node.cases))
        ways = self._branch([case.body for case in node.cases], entry, state)
        last = node.cases[-1]
        open_ended = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None
        if last.guard is not None or not open_ended:
            ways.end |= entry
        return ways


def _catches_all(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or name_of(handler.type) in ("Exception", "BaseException")


class Changes:
    """Which statements and expressions of a method change its receiver, or signal that."""

    def __init__(self, method: ast.FunctionDef) -> None:
        self._names: set[str] = set()
        self._seen: dict[ast.AST, bool] = {}
        for _ in range(4):  # a name may be bound from a name that is bound further down
            for node in _walk(method.body):
                self._names.update(self._bound_names(node))

    def changes(self, *nodes: ast.AST | None) -> bool:
        """Return whether evaluating any of ``nodes`` may change the receiver."""
        return any(self._changes(node) for node in nodes if node is not None)

    def _changes(self, top: ast.AST) -> bool:
        if top not in self._seen:
            self._seen[top] = any(self._is_change(node) for node in _walk([top]))
        return self._seen[top]

    def _is_change(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Call):
            return self._is_mutating_call(node)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            fresh = (ast.List, ast.ListComp, ast.Set, ast.SetComp, ast.Dict, ast.DictComp)
            return node.target.id in self._names and isinstance(node.value, fresh)
        if not isinstance(node, (ast.Attribute, ast.Subscript)) or isinstance(node.ctx, ast.Load):
            return False
        if is_name(node.value, "self"):
            return not (isinstance(node, ast.Attribute) and node.attr == "_p_changed")
        return self._is_part(node.value)

    def _is_mutating_call(self, node: ast.Call) -> bool:
        func = node.func
        name = name_of(func)
        if isinstance(func, ast.Attribute) and name in _MUTATORS and self._is_part(func.value):
            return True
        if name not in _MUTATING_CALLS or not node.args or is_signal(ast.Expr(node)):
            return False
        first = node.args[0]
        return self._is_part(first) or (is_name(first, "self"))

    def _is_part(self, node: ast.AST) -> bool:
        """Return whether ``node`` is a value inside the receiver, not a copy of one."""
        if isinstance(node, ast.Name):
            return node.id in self._names
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            return False
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            return is_name(node.value, "self") or self._is_part(node.value)
        if isinstance(node, (ast.BoolOp, ast.IfExp)):
            either = node.values if isinstance(node, ast.BoolOp) else [node.body, node.orelse]
            return any(self._is_part(value) for value in either)
        return isinstance(node, ast.Call) and self._is_view(node)

    def _is_view(self, node: ast.Call) -> bool:
        if isinstance(node.func, ast.Attribute):
            return node.func.attr in _VIEWS and self._is_part(node.func.value)
        first = node.args[0] if node.args else None
        of_self = is_name(first, "self")
        return of_self and name_of(node.func) in ("getattr", "vars")

    def _bound_names(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Assign) and self._is_part(node.value):
            for target in node.targets:
                yield from _names_in(target)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)):
            if node.value is not None and self._is_part(node.value):
                yield from _names_in(node.target)
        elif isinstance(node, (ast.For, ast.comprehension)) and self._yields_parts(node.iter):
            yield from _names_in(node.target)

    def _yields_parts(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Call) and name_of(node.func) in _ITERATORS:
            return any(self._yields_parts(arg) for arg in node.args)
        return self._is_part(node)


def is_signal(node: ast.AST) -> bool:
    """Return whether a statement is ``self._p_changed = True`` or says the same."""
    if isinstance(node, ast.Assign):
        value: ast.AST = node.value
        marked = any(
            isinstance(target, ast.Attribute)
            and target.attr == "_p_changed"
            and isinstance(target.value, ast.Name)
            and target.value.id == "self"
            for target in node.targets
        )
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        args = node.value.args
        if name_of(node.value.func) != "setattr" or len(args) != 3:
            return False
        marked = isinstance(args[1], ast.Constant) and args[1].value == "_p_changed"
        value = args[2]
    else:
        return False
    return marked and isinstance(value, ast.Constant) and bool(value.value)


def name_of(func: ast.AST) -> str:
    """Return the last part of a called name: ``shuffle`` for ``random.shuffle``; or ""."""
    if isinstance(func, ast.Attribute):
        return func.attr
    return func.id if isinstance(func, ast.Name) else ""


def _names_in(target: ast.AST) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        for item in target.elts:
            yield from _names_in(item.value if isinstance(item, ast.Starred) else item)


def _walk(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield all nodes but those of functions that have a ``self`` of their own."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if isinstance(node, _FUNCTIONS):
            args = node.args
            if any(arg.arg == "self" for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)):
                continue
        yield node
        stack.extend(ast.iter_child_nodes(node))
