"""The source of one method: parse it safely, edit it in place, see which names it uses.

``parse`` takes any text and never raises: sizes are checked before Python's parser sees the
text, because a hostile text can cost the parser seconds and gigabytes. ``apply_edits`` changes
a few places and leaves every other character as the author wrote it: for text that a person
wrote. The names are one flat view of a whole tree, nested functions included: enough to find a
name that nothing binds, without a compiler's scopes.
"""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bat_os.core import syntax

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_SOURCE: Final = 20_000
MAX_BRACKETS: Final = 30
MAX_NODES: Final = 4_000
MAX_DEPTH: Final = 80
_CHAIN: Final = re.compile(
    r"(?:[-+~]\s*){200}|(?:\b(?:not|await|lambda)\b[\s:]*){40}|(?:\.\s*\w+\s*){60}"
)
BUILTINS: Final = frozenset(dir(builtins))
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_LINE_END: Final = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a text was not parsed."""

    line: int  # where, from 1; 0 when it is about the whole text
    rule: str  # ``size`` or ``syntax``
    message: str  # what is wrong, in one line


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace ``length`` bytes by ``text``; a length of 0 inserts."""

    line: int  # from 1, as in ``ast``
    column: int  # UTF-8 bytes from the start of the line, as in ``ast``
    text: str  # what to put there
    length: int = 0  # how many bytes go, all on that line


def parse(source: str) -> ast.Module | Flaw:
    """Return the syntax tree of any text, or why there is none."""
    flaw = _measure_text(source)
    if flaw is not None:
        return flaw
    try:
        with warnings.catch_warnings():  # '\d' in a text is odd, not wrong
            warnings.simplefilter("ignore")
            tree = syntax.parse(source)
    except SyntaxError as exc:
        return Flaw(exc.lineno or 0, "syntax", f"{exc.msg}")
    except (ValueError, OverflowError) as exc:  # NUL bytes, lone surrogates
        return Flaw(0, "syntax", str(exc))
    except (RecursionError, MemoryError):
        return Flaw(0, "size", "nested too deep")
    return _measure_tree(tree) or tree


def _measure_text(source: str) -> Flaw | None:
    if len(source) > MAX_SOURCE:
        return Flaw(0, "size", f"longer than {MAX_SOURCE} characters")
    depth = 0
    for char in re.findall(r"[][(){}]", source):
        depth = depth + 1 if char in "([{" else max(0, depth - 1)
        if depth > MAX_BRACKETS:
            return Flaw(0, "size", f"brackets nested deeper than {MAX_BRACKETS}")
    if _CHAIN.search(source):
        return Flaw(0, "size", "a chain of operators that is too long")
    return None


def _measure_tree(tree: ast.Module) -> Flaw | None:
    count = 0
    stack: list[tuple[ast.AST, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            what = "nested too deep" if depth > MAX_DEPTH else "too many statements and values"
            return Flaw(getattr(node, "lineno", 0), "size", what)
        stack.extend((child, depth + 1) for child in ast.iter_child_nodes(node))
    return None


def parses(source: str) -> bool:
    """Return whether ``source`` is Python of a size that we take."""
    return isinstance(parse(source), ast.Module)


def parse_method(source: str, selector: str) -> tuple[ast.Module, ast.FunctionDef] | None:
    """Return the tree of ``source`` and the method ``selector`` in it, or None."""
    tree = parse(source)
    method = find_method(tree, selector) if isinstance(tree, ast.Module) else None
    return (tree, method) if isinstance(tree, ast.Module) and method is not None else None


def head_of(source: str, selector: str) -> str:
    """Return how a method is written by who sends it, without the receiver.

    >>> head_of("def shout(self, text, times=1): return text.upper() * times", "shout")
    'shout(text, times=1)'
    """
    parsed = parse_method(source, selector)
    if parsed is None:
        return selector
    arguments = parsed[1].args
    arguments.args = arguments.args[1:]
    return f"{selector}({ast.unparse(arguments)})"


def find_method(tree: ast.Module, selector: str) -> ast.FunctionDef | None:
    """Return the first top-level ``def selector``, or None."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == selector:
            return node
    return None


def split_lines(source: str) -> list[str]:
    """Return the lines with their ends, split where Python's parser splits them."""
    return [line for line in _LINE_END.split(source) if line]


def get_indent(line: str, column: int) -> str | None:
    """Return the text before byte ``column`` if it is only white space, else None."""
    before = line.encode("utf-8", "surrogatepass")[:column].decode("utf-8", "replace")
    return None if before.strip() else before


def apply_edits(source: str, edits: Iterable[Edit]) -> str:
    """Return ``source`` with all edits made; positions are those of the original text."""
    lines = [line.encode("utf-8", "surrogatepass") for line in split_lines(source)]
    for edit in sorted(edits, key=lambda e: (e.line, e.column), reverse=True):
        line = lines[edit.line - 1]
        rest = line[edit.column + edit.length :]
        lines[edit.line - 1] = line[: edit.column] + edit.text.encode() + rest
    return b"".join(lines).decode("utf-8", "surrogatepass")


def get_text(source: str, edit: Edit) -> str:
    """Return the text that ``edit`` would take away, so that one can check it first."""
    line = split_lines(source)[edit.line - 1].encode("utf-8", "surrogatepass")
    return line[edit.column : edit.column + edit.length].decode("utf-8", "replace")


def unparse(tree: ast.AST) -> str:
    """Return the text of a tree, with a line end; "" if Python cannot write it.

    Comments and the author's layout are lost: for text that a model wrote.
    """
    try:
        return ast.unparse(ast.fix_missing_locations(tree)) + "\n"
    except ValueError:  # some f-strings, before Python 3.12
        return ""


def words(text: str) -> frozenset[str]:
    """Return the words of ``text``; keeps tables of names readable."""
    return frozenset(text.split())


def is_name(node: ast.AST | None, name: str) -> bool:
    """Return whether ``node`` is the plain name ``name``."""
    return isinstance(node, ast.Name) and node.id == name


def get_dotted(node: ast.AST) -> str:
    """Return a name or dotted name as it is written; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = get_dotted(node.value)
        return base and f"{base}.{node.attr}"
    return ""


def get_bound(tree: ast.AST) -> set[str]:
    """Return the names bound anywhere below ``tree``, its own name left out; and the builtins."""
    return {
        name for node in ast.walk(tree) if node is not tree for name in _bound_by(node)
    } | BUILTINS


def _bound_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for item in node.names:
            yield (item.asname or item.name).partition(".")[0]
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, (ast.Global, ast.Nonlocal)):
        yield from node.names
    elif isinstance(node, ast.MatchMapping):
        yield node.rest or ""
    else:  # functions, classes, except ... as name, case ... as name
        yield getattr(node, "name", None) or ""


def get_uses(tree: ast.AST) -> dict[str, list[str]]:
    """Return each name that is read, with the attribute taken of it each time, "" for none."""
    attribute = {
        node.value: node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
    }
    uses: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            uses.setdefault(node.id, []).append(attribute.get(node, ""))
    return uses


def count_stores(tree: ast.AST, name: str) -> int:
    """Return how many times ``name`` is assigned or is a parameter below ``tree``."""
    stores = Counter(
        node.id if isinstance(node, ast.Name) else node.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.arg)
        or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    )
    return stores[name]


def walk_own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body, those of functions inside it left out."""
    stack: list[ast.AST] = list(function.body)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, _SCOPES):
            stack.extend(ast.iter_child_nodes(node))


def find_forwarded(source: str, selector: str) -> str:
    r"""Return the message that a method only passes on to its own object, or "".

    >>> find_forwarded("def twice(self, a):\n    return self.double(a)", "twice")
    'double'
    >>> find_forwarded("def twice(self, a):\n    return self.double(a + 1)", "twice")
    ''
    """
    parsed = parse_method(source, selector)
    if parsed is None:
        return ""
    method = parsed[1]
    body = method.body[ast.get_docstring(method) is not None :]
    if len(body) != 1 or not isinstance(body[0], ast.Return):
        return ""
    call = body[0].value
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
        return ""
    own, *names = [arg.arg for arg in method.args.args] or [""]
    passed = [*call.args, *(keyword.value for keyword in call.keywords)]
    same = [getattr(value, "id", "") for value in passed] == names
    return call.func.attr if same and is_name(call.func.value, own) else ""


def is_pure(source: str, selector: str) -> bool:
    """Return whether the method never uses its receiver, so that any object could have it."""
    parsed = parse_method(source, selector)
    if parsed is None or not parsed[1].args.args:
        return False
    own = parsed[1].args.args[0].arg
    return not any(is_name(node, own) for node in ast.walk(parsed[1]))
