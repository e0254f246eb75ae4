"""Faults that are planted in lines of the product, one at a time, and probes for who runs a line.

A fault is a small change of one place inside a function, of the kinds that people make:

    condition  negated            boundary   ``<`` for ``<=``         number  one more
    choice     ``or`` for ``and``  return     nothing comes back       keys    two values swapped
    call       left out           assignment left out

``Fault.plant`` gives the file with the fault. ``probe`` gives a file that behaves as before, and
says which of some faults' places are run.
"""

from __future__ import annotations

import ast
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LEAST = 4  # faults of a folder, however small it is
SWAPPED = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
HIT = "__import__('builtins').__dict__.get('report_probe',{{}}.get)({})"


@dataclass(frozen=True)
class Fault:
    """One change of one place.

    Attributes:
        id: Path, function, kind and the how-many-eth of that kind in it; lines may move.
        start, end: The bytes that ``text`` replaces.
        place: The bytes of the expression or statement that is run when the fault could matter.
        is_statement: ``place`` is a statement on lines of its own.
    """

    id: str
    path: str
    line: int
    kind: str
    start: int
    end: int
    text: str
    place: tuple[int, int]
    is_statement: bool

    def plant(self, source: bytes) -> bytes:
        """Return the file with this fault."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def show(self, source: bytes) -> str:
        """Return the change on one line."""
        old = " ".join(source[self.start : self.end].decode().split())
        return f"{self.path}:{self.line} {self.kind}: {old[:70]!r} -> {self.text[:70]!r}"


class _Finder(ast.NodeVisitor):
    """All faults of one file, in the order of its text."""

    def __init__(self, path: str, source: bytes) -> None:
        self.faults: list[Fault] = []
        self._path, self._source = path, source
        lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))
        self._names: list[str] = []
        self._depth = 0
        self._counts: Counter[str] = Counter()
        self._tests: set[int] = set()  # nodes that are negated as a whole already

    def visit(self, node: ast.AST) -> None:
        """Skip what never runs, and places in f-strings, which Python 3.11 does not tell."""
        if isinstance(node, ast.JoinedStr):
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        super().visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if any("Protocol" in ast.unparse(base) for base in node.bases):
            return
        self._enter(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._depth += 1
        self._enter(node)
        self._depth -= 1

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def _enter(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._names.append(node.name)
        for child in node.body:
            self.visit(child)
        self._names.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def generic_visit(self, node: ast.AST) -> None:
        if self._depth:
            self._find(node)
        super().generic_visit(node)

    def _find(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            self._find_statement(node)
        match node:
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                self._negate(test)
            case ast.comprehension(ifs=tests):
                for test in tests:
                    self._negate(test)
            case ast.Compare(ops=[op]) if id(node) not in self._tests or isinstance(op, ORDERED):
                kind = "boundary" if isinstance(op, ORDERED) else "condition"
                left, right = self._text(node.left), self._text(node.comparators[0])
                self._add(kind, node, f"{left} {SWAPPED[type(op)]} {right}")
            case ast.BoolOp():
                self._add("choice", node, self._join_otherwise(node))
            case ast.Dict(keys=[ast.Constant() as one, ast.Constant() as two, *_]):
                self._swap(node, one, two)
            case ast.Call(args=[one, two, *_]) if not _has_star(one, two):
                self._swap(node, one, two)
            case ast.Constant(value=int() as number) if not isinstance(number, bool):
                self._add("number", node, str(number + 1))

    def _find_statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Return(value=ast.expr() as value) if not _is_none(value):
                self._add("return", node, "return None", is_statement=True)
            case ast.Expr(value=ast.Call() | ast.Await() as value) if not _is_log(value):
                self._add("call", node, "pass", is_statement=True)
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) | ast.AugAssign():
                self._add("assignment", node, "pass", is_statement=True)

    def _join_otherwise(self, node: ast.BoolOp) -> str:
        """The parts with ``or`` for ``and`` and the other way round."""
        grouped = ast.BoolOp | ast.IfExp | ast.Lambda
        parts = [
            f"({text})" if isinstance(value, grouped) else text
            for value in node.values
            for text in [self._text(value)]
        ]
        return (" or " if isinstance(node.op, ast.And) else " and ").join(parts)

    def _negate(self, test: ast.expr) -> None:
        self._tests.add(id(test))
        self._add("condition", test, f"not ({self._text(test)})")

    def _swap(self, node: ast.expr, one: ast.expr, two: ast.expr) -> None:
        (start, middle), (after, end) = self._span(one), self._span(two)
        texts = [self._source[i:j].decode() for i, j in ((start, middle), (after, end))]
        if texts[0] == texts[1]:
            return
        between = self._source[middle:after].decode()
        self._put("keys", node, (start, end), texts[1] + between + texts[0], is_statement=False)

    def _add(self, kind: str, node: ast.AST, text: str, *, is_statement: bool = False) -> None:
        self._put(kind, node, self._span(node), text, is_statement=is_statement)

    def _put(
        self, kind: str, node: ast.AST, span: tuple[int, int], text: str, *, is_statement: bool
    ) -> None:
        name = ".".join(self._names)
        number = self._counts[f"{name} {kind}"]
        self._counts[f"{name} {kind}"] += 1
        if not is_statement and kind != "number" and "\n" in text:
            text = f"({text})" if kind != "keys" else text
        self.faults.append(
            Fault(
                f"{self._path}::{name}::{kind}::{number}", self._path, node.lineno, kind,  # type: ignore[attr-defined]
                *span, text, self._span(node), is_statement,
            )
        )  # fmt: skip

    def _span(self, node: ast.AST) -> tuple[int, int]:
        start = self._starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        text = self._source[start:end].decode()
        # The span leaves out brackets that hold a text of several lines together.
        return f"({text})" if "\n" in text else text


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _has_star(*nodes: ast.expr) -> bool:
    return any(isinstance(node, ast.Starred) for node in nodes)


def _is_log(node: ast.expr) -> bool:
    return ast.unparse(node).removeprefix("await ").lstrip("_").startswith(("log.", "logger."))


def find_faults(path: str, source: bytes) -> list[Fault]:
    """Return all faults of one file; a few of them cannot be compiled."""
    finder = _Finder(path, source)
    finder.visit(ast.parse(source))
    return finder.faults


def _compiles(fault: Fault, source: bytes) -> bool:
    try:
        ast.parse(fault.plant(source))
    except SyntaxError:
        return False
    return True


def draw_sample(root: Path, size: int, seed: int, *, skip: Iterable[str] = ()) -> list[Fault]:
    """Return ``size`` faults over all folders of the product, the kinds about as often.

    A folder gets a share by its lines, and at least some. A line has one fault at most.
    """
    rng = random.Random(seed)  # noqa: S311 - a sample
    folders = _read_folders(root, tuple(skip))
    lines = {name: sum(map(_count_lines, files.values())) for name, files in folders.items()}
    left, total = size, sum(lines.values())
    sample: list[Fault] = []
    for name in sorted(folders, key=lambda name: lines[name]):
        share = min(left, max(LEAST, round(size * lines[name] / total)))
        sample += _draw(folders[name], share, rng)
        left -= share
    return sample


def _read_folders(root: Path, skip: tuple[str, ...]) -> dict[str, dict[str, bytes]]:
    folders: dict[str, dict[str, bytes]] = defaultdict(dict)
    for path in sorted((root / "bat_os").rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not name.startswith(skip):
            folder = name.split("/")[1] if name.count("/") > 1 else ""
            folders[folder][name] = path.read_bytes()
    return folders


def _count_lines(source: bytes) -> int:
    return source.count(b"\n")


def _draw(files: dict[str, bytes], share: int, rng: random.Random) -> Iterator[Fault]:
    kinds: dict[str, list[Fault]] = defaultdict(list)
    for path, source in files.items():
        for fault in find_faults(path, source):
            kinds[fault.kind].append(fault)
    taken: set[tuple[str, int]] = set()
    while share and kinds:
        kind = rng.choice(sorted(kinds))
        fault = kinds[kind].pop(rng.randrange(len(kinds[kind])))
        if not kinds[kind]:
            del kinds[kind]
        new = (fault.path, fault.line) not in taken
        if new and _compiles(fault, files[fault.path]):
            taken.add((fault.path, fault.line))
            share -= 1
            yield fault


REPORTER = """

def _install_probe():
    import builtins, os, sys
    if hasattr(builtins, "report_probe") or "PROBES" not in os.environ:
        return
    seen = set()
    def report_probe(number):
        test = os.environ.get("PYTEST_CURRENT_TEST", "")
        if (number, test, os.getpid()) not in seen:
            seen.add((number, test, os.getpid()))
            where = "here" if getattr(sys, "tests_run_in", 0) == os.getpid() else "child"
            try:
                with open(os.environ["PROBES"], "a") as file:
                    file.write(f"{number}\\t{where}\\t{test}\\n")
            except OSError:  # a process that may write no file, or has no descriptor left
                pass
    builtins.report_probe = report_probe
_install_probe()
"""


def probe(source: bytes, faults: dict[int, Fault]) -> bytes:
    """Return the file with a report of each place where one of its faults is.

    What runs a place writes a line to the file that ``PROBES`` in the environment names: the
    number of the fault, ``here`` or ``child`` (of the process of the tests), and the test.
    """
    parts: list[tuple[int, int, int, str]] = []
    for number, fault in faults.items():
        start, end = fault.place
        hit = HIT.format(number)
        if fault.is_statement:
            parts.append((start, 1, start - end, f"{hit}; "))
        else:
            parts.append((start, 1, start - end, f"({hit} or ("))
            parts.append((end, 0, end - start, "))"))
    for at, _, _, text in sorted(parts, reverse=True):  # at one place: the inner first
        source = source[:at] + text.encode() + source[at:]
    return source + REPORTER.encode()
