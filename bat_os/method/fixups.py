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

from bat_os.method.allowed import KNOWN_NAMES, SAFE_MODULES, is_public
from bat_os.method.covenant import Changes, is_signal, name_of
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
# Calls that are made for their value alone.
_PURE: Final = words("""
    abs all any bin bool chr dict divmod float format frozenset hex int len list max min oct ord pow
    range repr reversed round set sorted str sum tuple zip capitalize casefold center count endswith
    find isalpha isdigit join lower lstrip replace rjust rstrip split splitlines startswith strftime
    strip title upper zfill isoformat
""")
_VALUES: Final = (
    *(ast.BinOp, ast.BoolOp, ast.Compare, ast.Dict, ast.DictComp, ast.IfExp, ast.JoinedStr),
    *(ast.List, ast.ListComp, ast.Name, ast.Set, ast.SetComp, ast.Subscript, ast.Tuple),
    ast.UnaryOp,
)
_GROWING: Final = words("add append extend insert update")
_SHORTEST: Final = 3  # a shorter name, or one of these, rather is a loop that was forgotten
_LOOPED: Final = words("char count digit element index item key letter line num word val value")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The method that a source should define.

    Attributes:
        selector: Its name.
        slots: Names of the receiver's slots; None if they are not known.
        selectors: Messages that the receiver understands; None if they are not known.
    """

    selector: str
    slots: frozenset[str] | None = None
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

    @property
    def unused(self) -> list[str]:
        names = {node.id for node in ast.walk(self.method) if isinstance(node, ast.Name)}
        return [name for name in self.parameters if name not in names]

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

    Args:
        source: A candidate, as a model wrote it; any text.
        selector: The method that it should define.
        slots: Names of the receiver's slots, inherited ones too; None if they are not known.
        selectors: Messages that the receiver understands; None if they are not known.
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


def _ask_argument(draft: _Draft) -> bool:
    """Take the unused parameters instead of as many ``input(...)``."""
    nodes = ast.walk(draft.method)
    asked = [n for n in nodes if isinstance(n, ast.Call) and is_name(n.func, "input")]
    asked.sort(key=lambda call: (call.lineno, call.col_offset))
    if len(asked) != len(draft.unused) or count_stores(draft.tree, "input"):
        return False
    pairs = zip(asked, draft.unused, strict=True)
    return draft.replace({call: ast.Name(name, ast.Load()) for call, name in pairs})


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


def _use_argument(draft: _Draft) -> bool:
    """Take the one parameter that is not used for the one name that is not known.

    ``return 3.14 * radius ** 2``, or ``self.radius``, in a method of ``number``.
    """
    missing = _find_missing(draft)
    if len(draft.unused) != 1 or len(missing) != 1:
        return False
    ((name, nodes),) = missing.items()
    if len(name) < _SHORTEST or name in _LOOPED:
        return False
    return draft.replace({node: ast.Name(draft.unused[0], ast.Load()) for node in nodes})


def _find_missing(draft: _Draft) -> Mapping[str, list[ast.expr]]:
    """Return what the method reads and nothing gives a value to; nothing if it is called."""
    uses, wanted = get_uses(draft.tree), draft.wanted
    known = get_bound(draft.tree) | (wanted.slots or set()) | {wanted.selector}
    unknown = {name for name in uses.keys() - known if not _get_import(name, uses[name])}
    calls = {node.func for node in ast.walk(draft.method) if isinstance(node, ast.Call)}
    missing: dict[str, list[ast.expr]] = {}
    for node in ast.walk(draft.method):
        if isinstance(node, ast.Name) and node.id in unknown:
            missing.setdefault(node.id, []).append(node)
    for attribute in _find_unknown_attributes(draft):
        missing.setdefault(f"self.{attribute.attr}", []).append(attribute)
    called = any(node in calls for nodes in missing.values() for node in nodes)
    return {} if called else missing


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
    tree.body[after:after] = ast.parse("\n".join(imports)).body
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
    return ast.parse(f"' '.join(map(str, {values}))", mode="eval").body if values else None


def _return_result(draft: _Draft) -> bool:
    """Return the value that the method ends with.

    That is a last expression, the name assigned last, or the one that the last loop builds up;
    only in a method that returns nothing and changes nothing of ``self``.
    """
    method = draft.method
    changes = Changes(method)
    body = method.body[ast.get_docstring(method) is not None :]
    changed = any(is_signal(node) or changes.changes(node) for node in body)
    prints = any(
        isinstance(node, ast.Call) and is_name(node.func, "print") for node in walk_own(method)
    )
    if not body or changed or prints or _answers(method):
        return False
    last = body[-1]
    if isinstance(last, ast.Expr):
        plain = isinstance(last.value, _VALUES) or _is_pure(last.value)
        method.body[-1] = ast.Return(last.value) if plain else last
        return plain
    name = _get_built(last, body[:-1])
    if name:
        method.body.append(ast.Return(ast.Name(name, ast.Load())))
    return bool(name)


def _answers(method: ast.FunctionDef) -> bool:
    """Return whether a method returns or yields a value somewhere."""
    return any(
        isinstance(node, ast.Yield | ast.YieldFrom)
        or (isinstance(node, ast.Return) and getattr(node.value, "value", node.value) is not None)
        for node in walk_own(method)
    )


def _is_pure(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and name_of(node.func) in _PURE


def _get_built(last: ast.stmt, before: list[ast.stmt]) -> str:
    """Return the local name that the last statement gives its value, or ""."""
    if isinstance(last, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = last.targets if isinstance(last, ast.Assign) else [last.target]
        target = targets[0]
        return target.id if len(targets) == 1 and isinstance(target, ast.Name) else ""
    if not isinstance(last, ast.For):
        return ""
    assigned = {
        target.id
        for node in before
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    built = {name for node in ast.walk(last) if (name := _grown(node)) in assigned}
    return built.pop() if len(built) == 1 else ""


def _grown(node: ast.AST) -> str:
    """Return the name that a statement or call adds to, or ""."""
    target: ast.AST | None = None
    if isinstance(node, ast.AugAssign):
        target = node.target
    elif isinstance(node, ast.Assign):
        target = node.targets[0]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        target = node.func.value if node.func.attr in _GROWING else None
    if isinstance(target, ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else ""


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
        "ask_argument": _on_tree(_ask_argument),  # 2
        "qualify_slots": _on_tree(_qualify_slots),  # 1
        "drop_self": _on_tree(_drop_self),  # 12
        "use_argument": _on_tree(_use_argument),  # 1
        "drop_imports": _on_tree(_drop_imports),  # 4
        "import_missing": _on_tree(_import_missing),  # 65
        "return_printed": _on_tree(_return_printed),  # 1
        "return_result": _on_tree(_return_result),  # 3
    }
)
