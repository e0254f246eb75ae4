"""Fix-ups: small certain repairs of what language models get wrong in a method.

A rule takes the source and what is wanted, and returns the source, changed or not. It leaves
alone what is right, and what it changes could not have worked. No rule guesses what the method
should compute. The missing covenant line is for ``covenant``, which knows every path.

A rule is kept if it fires on what models wrote: ``python -m benchmarks.fixups`` counts that, and
the count of the drafts in tests/cases/drafts.jsonl is beside each rule. A source that a rule
changes is written anew from its tree, as ``adapt`` and ``mutate`` do: it is a model's text, without
a layout to keep, and Python 3.11 places the parts of an f-string wrongly.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bat_os.core import syntax
from bat_os.method.allowed import KNOWN_NAMES, SAFE_MODULES, is_public
from bat_os.method.text import (
    BUILTINS,
    MAX_SOURCE,
    count_stores,
    get_bound,
    get_dotted,
    get_uses,
    is_name,
    parse_method,
    parses,
    unparse,
    walk_own,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_PASSES: Final = 3  # a repair can make another one possible
_MAX_CLOSERS: Final = 3
_PAIRS: Final = {"(": ")", "[": "]", "{": "}"}
_STRINGS: Final = re.compile(
    r"#[^\n]*|\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)
_CLASS_ONLY: Final = words(
    "combine fromisoformat fromordinal fromtimestamp now strptime today utcfromtimestamp utcnow"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The method that a source should define."""

    selector: str  # its name
    slots: frozenset[str] | None = None  # names of the receiver's slots; None if they are not known
    # messages that the receiver understands; None if they are not known
    selectors: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class _Draft:
    """A source that Python can read: its tree, the wanted method in it, and what is wanted."""

    tree: ast.Module
    method: ast.FunctionDef
    wanted: Wanted

    @property
    def parameters(self) -> list[str]:
        args = self.method.args
        every = (*args.posonlyargs, *args.args, *args.kwonlyargs)
        return [arg.arg for arg in every if arg.arg != "self"]

    def replace(self, new: Mapping[ast.AST, ast.AST]) -> bool:
        """Put other nodes in the place of some; return whether there were any."""
        if new:
            _Replacer(new).visit(self.tree)
        return bool(new)


class _Replacer(ast.NodeTransformer):
    def __init__(self, new: Mapping[ast.AST, ast.AST]) -> None:
        self._new = new

    def visit(self, node: ast.AST) -> ast.AST:
        changed: ast.AST = self._new.get(node) or self.generic_visit(node)
        return changed


def apply_fixups(
    source: str,
    selector: str,
    slots: frozenset[str] | None = None,
    selectors: frozenset[str] | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Return the repaired source and the names of the rules that changed it, in order.

    A source that is still not Python after all of them comes back as it was.

    ``source`` may be any text; for the others see ``Wanted``.
    """
    wanted = Wanted(selector, slots, selectors)
    text, applied = source, dict[str, None]()
    for _ in range(_PASSES if len(source) <= MAX_SOURCE else 0):
        before = text
        for name, rule in RULES.items():
            repaired = rule(text, wanted)
            if repaired != text and parses(repaired):
                text = repaired
                applied[name] = None
        if text == before:
            break
    return (text, tuple(applied)) if parses(text) else (source, ())


def _close_brackets(source: str, wanted: Wanted) -> str:
    """Return the source with brackets that are missing at its end, or without surplus ones."""
    if parses(source):
        return source
    text = source.rstrip()
    end = source[len(text) :]
    for surplus in range(1, min(_MAX_CLOSERS, len(text)) + 1):
        if text[-surplus] not in ")]}":
            break
        if parses(text[:-surplus] + end):
            return text[:-surplus] + end
    stack: list[str] = []
    for char in _STRINGS.sub("", text):
        if char in _PAIRS:
            stack.append(_PAIRS[char])
        elif stack and char == stack[-1]:
            stack.pop()
    ends_a_value = text[-1:].isalnum() or text.endswith(tuple("_)]}'\""))
    closed = text + "".join(reversed(stack)) + end
    return closed if ends_a_value and len(stack) <= _MAX_CLOSERS and parses(closed) else source


def _pass_self(draft: _Draft) -> bool:
    """Make a method that calls itself do it as ``selector(self, ...)``.

    A bare ``selector(n - 1)`` lacks the receiver; ``self.selector(n - 1)`` is a message, which
    nothing answers before the method is installed.
    """
    selector, changed = draft.wanted.selector, False
    if selector in get_bound(draft.method):
        return False
    for call in ast.walk(draft.method):
        if not isinstance(call, ast.Call):
            continue
        func = call.func
        handed = bool(call.args) and is_name(call.args[0], "self")
        if get_dotted(func) == f"self.{selector}":
            call.func = ast.Name(selector, ast.Load())
        elif not is_name(func, selector) or handed:
            continue
        if not handed:
            call.args.insert(0, ast.Name("self", ast.Load()))
        changed = True
    return changed


def _qualify_slots(draft: _Draft) -> bool:
    """Put ``self.`` before each slot that is used as a bare name."""
    tree, method = draft.tree, draft.method
    counted = Counter(
        node.target.id
        for node in ast.walk(method)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
    )
    # "count += 1" binds a local name only if something else does, too.
    bound = get_bound(tree) - {
        name for name, times in counted.items() if count_stores(tree, name) == times
    }
    uses = get_uses(method)
    modules = {name for name, used in uses.items() if name in SAFE_MODULES and all(used)}
    names = (draft.wanted.slots or frozenset()) - bound - modules
    return draft.replace(
        {
            node: ast.Attribute(ast.Name("self", ast.Load()), node.id, node.ctx)
            for node in ast.walk(method)
            if isinstance(node, ast.Name) and node.id in names
        }
    )


def _drop_self(draft: _Draft) -> bool:
    """Drop ``self.`` before what is not part of the receiver.

    A parameter (``self.text`` if there is no such slot), a module (``self.math.pi``), or a
    function of Python (``self.len(x)``).
    """
    parameters, bound = draft.parameters, get_bound(draft.tree)
    parents = {child: node for node in ast.walk(draft.tree) for child in ast.iter_child_nodes(node)}
    new: dict[ast.AST, ast.AST] = {}
    for node in _find_unknown_attributes(draft):
        name, parent = node.attr, parents[node]
        called = isinstance(parent, ast.Call) and parent.func is node
        module = name in SAFE_MODULES and isinstance(parent, ast.Attribute) and name not in bound
        known = name in BUILTINS or (name in KNOWN_NAMES and name not in bound)
        function = known and called and draft.wanted.selectors is not None
        if module or (name in parameters and not called) or (function and name not in parameters):
            new[node] = ast.Name(name, node.ctx)
    return draft.replace(new)


def _find_unknown_attributes(draft: _Draft) -> list[ast.Attribute]:
    """Return the reads of attributes of ``self`` that the receiver cannot have.

    A call may be a message; it counts only if the messages are known. What the method sets
    itself, or looks up with care, does not count.
    """
    wanted, nodes = draft.wanted, list(ast.walk(draft.method))
    if wanted.slots is None or any(isinstance(node, ast.Try) for node in nodes):
        return []
    own = [n for n in nodes if isinstance(n, ast.Attribute) and is_name(n.value, "self")]
    calls = {node.func for node in nodes if isinstance(node, ast.Call)}
    mentioned = {node.value for node in nodes if isinstance(node, ast.Constant)}
    stored = {node.attr for node in own if not isinstance(node.ctx, ast.Load)}
    having = wanted.slots | stored | {"send", wanted.selector} | (wanted.selectors or set())
    return [
        node
        for node in own
        if node.attr not in having
        and node.attr not in mentioned
        and not node.attr.startswith("_")
        and (node not in calls or wanted.selectors is not None)
    ]


def _drop_imports(draft: _Draft) -> bool:
    """Drop imports of unsafe modules that nothing uses."""
    used, changed = get_uses(draft.tree).keys(), False
    for scope in ast.walk(draft.tree):
        body = getattr(scope, "body", None)
        if not isinstance(body, list):  # that of a lambda is one expression
            continue
        kept = [node for node in body if not _is_useless_import(node, used)]
        if len(kept) < len(body) and any(not _is_import(node) for node in kept):
            body[:] = kept
            changed = True
    return changed


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _is_useless_import(node: ast.AST, used: Collection[str]) -> bool:
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return False
    modules = {item.name for item in node.names}
    if isinstance(node, ast.ImportFrom):
        modules = {node.module or ""}
    names = {(item.asname or item.name).partition(".")[0] for item in node.names}
    return names.isdisjoint(used) and SAFE_MODULES.isdisjoint(modules)


def _import_missing(draft: _Draft) -> bool:
    """Import the safe modules and common names that the source uses and does not import."""
    tree = draft.tree
    uses = get_uses(tree)
    missing = sorted(uses.keys() - get_bound(tree))
    imports = [line for name in missing if (line := _get_import(name, uses[name]))]
    after = 1 if ast.get_docstring(tree) is not None else 0
    tree.body[after:after] = syntax.parse("\n".join(imports)).body
    return bool(imports)


def _get_import(name: str, attributes: list[str]) -> str:
    """Return the import for a name, given what is taken of it each time; "" for none."""
    if name == "datetime" and all(attr in _CLASS_ONLY or not attr for attr in attributes):
        return "from datetime import datetime"
    if name == "urllib":
        return "import urllib.parse"
    if name in SAFE_MODULES and all(attributes):
        return f"import {name}"
    if name in SAFE_MODULES and is_public(name, name):
        return f"from {name} import {name}"
    return f"from {KNOWN_NAMES[name]} import {name}" if name in KNOWN_NAMES else ""


def _return_printed(draft: _Draft) -> bool:
    """Make a final ``print(x)`` a ``return x``, if the method returns nothing."""
    return not _answers(draft.method) and _return_last_print(draft.method.body)


def _return_last_print(body: list[ast.stmt]) -> bool:
    at = len(body) - 1
    while at > 0 and isinstance(body[at], ast.Return | ast.Pass):
        at -= 1
    last = body[at] if body else None
    if isinstance(last, ast.Expr) and (value := _printed(last.value)):
        body[at] = ast.Return(value)
        return True
    parts: list[list[ast.stmt]] = []
    if isinstance(last, ast.If):
        parts = [last.body, last.orelse]
    elif isinstance(last, ast.Try):
        parts = [last.orelse or last.body, *(handler.body for handler in last.handlers)]
    elif isinstance(last, ast.With):
        parts = [last.body]
    return sum(map(_return_last_print, parts)) > 0  # in each of them


def _printed(node: ast.AST) -> ast.expr | None:
    """Return what a ``print(...)`` without options prints, as one value."""
    if not isinstance(node, ast.Call) or not is_name(node.func, "print"):
        return None
    if not node.args or node.keywords:
        return None
    if len(node.args) == 1 and not isinstance(node.args[0], ast.Starred):
        return node.args[0]
    values = unparse(ast.Tuple(node.args, ast.Load())).strip()
    return syntax.parse(f"' '.join(map(str, {values}))", "eval").body if values else None


def _answers(method: ast.FunctionDef) -> bool:
    """Return whether a method returns or yields a value somewhere."""
    return any(
        isinstance(node, ast.Yield | ast.YieldFrom)
        or (isinstance(node, ast.Return) and getattr(node.value, "value", node.value) is not None)
        for node in walk_own(method)
    )


def _on_tree(rule: Callable[[_Draft], bool]) -> Callable[[str, Wanted], str]:
    """Return a rule on trees, which says whether it changed its own, as a rule on texts."""

    def apply(source: str, wanted: Wanted) -> str:
        parsed = parse_method(source, wanted.selector)
        if parsed is None or not rule(_Draft(*parsed, wanted)):
            return source
        return unparse(parsed[0]) or source

    return apply


# In this order; the names are kept in each method's provenance and never change. The number is
# that of the 542 drafts in tests/cases/drafts.jsonl on which a rule fired.
RULES: Final[Mapping[str, Callable[[str, Wanted], str]]] = MappingProxyType(
    {
        "close_brackets": _close_brackets,  # 4
        "pass_self": _on_tree(_pass_self),  # 9
        "qualify_slots": _on_tree(_qualify_slots),  # 1
        "drop_self": _on_tree(_drop_self),  # 12
        "drop_imports": _on_tree(_drop_imports),  # 4
        "import_missing": _on_tree(_import_missing),  # 65
        "return_printed": _on_tree(_return_printed),  # 1
    }
)
