"""One walk over the syntax tree of a method: what it may not name, touch or define.

The rules behind ``PersistenceGuardian.audit``; the tables are in ``allowed``.
"""

from __future__ import annotations

import ast
import re
import string
from dataclasses import dataclass
from typing import Final

from bat_os.method import covenant
from bat_os.method.allowed import (
    CONSTRUCTORS,
    DECORATORS,
    DEFINITIONS,
    DUNDER_ATTRIBUTES,
    DUNDER_METHODS,
    FORBIDDEN_ATTRIBUTES,
    FORBIDDEN_NAMES,
    HARMLESS_AS_PARAMETERS,
    NEEDS_CALL,
    OURS,
    SAFE_MODULES,
    SELF_LIKE,
    UNDERSCORED_PUBLIC,
    is_public,
)
from bat_os.method.covenant import name_of
from bat_os.method.text import get_dotted, is_name

_DUNDER: Final = re.compile(r"__\w+__")
_FORMAT_DEPTH: Final = re.compile(r"\{[^}]*[.\[]")
_SCOPES: Final = (*DEFINITIONS, ast.Lambda)

_ADVICE: Final = {
    "size": "Write one short method.",
    "syntax": "Write one complete Python function.",
    "shape": "Write imports first, then one function whose first parameter is self.",
    "import": "Use only the arguments, self, and safe modules such as math, datetime, random, re.",
    "module": "Use a public function of the module.",
    "attribute": "Use plain values, their public methods, and the slots of self.",
    "name": "Use the arguments and self instead.",
    "string": "Leave out names between double underscores.",
    "format": "Use an f-string.",
    "class": "Write a simple class, or use a dict.",
    "store": "Change only self and your own variables.",
    "value": "Store plain data: numbers, text, lists, dicts.",
    "loop": "End the loop with a condition, return or break.",
    "covenant": f"Write {covenant.SIGNAL} before the method ends.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation."""

    line: int  # where, from 1; 0 when it is about the whole text
    rule: str  # one word, a key for people and tests: ``import``, ``covenant``, ...
    message: str  # what is wrong
    advice: str  # what to write instead, in one sentence


def find(line: int, rule: str, message: str, advice: str = "") -> Finding:
    """Return a finding with the advice of its rule, unless another is given."""
    return Finding(line, rule, message, advice or _ADVICE[rule])


def walk(tree: ast.Module, selector: str) -> list[Finding]:
    """Return what is wrong with a parsed source as the method ``selector``, in no order."""
    return _Audit(tree, selector).findings


class _Audit(ast.NodeVisitor):
    """One walk over a tree of bounded depth; ``findings`` in no particular order."""

    def __init__(self, tree: ast.Module, selector: str) -> None:
        self.findings: list[Finding] = []
        self._modules: dict[str, str] = {}  # what a name means: "dt" -> "datetime"
        self._bound: set[str] = set()  # parameters and assigned names
        self._parameters: set[str] = set()
        self._defined: set[str] = set()
        self._skip: set[ast.AST] = set()  # docstrings, and names that a rule has taken care of
        for node in ast.walk(tree):
            self._collect(node)
            self._check_ours(node)
        self._check_shape(tree, selector)
        self.visit(tree)

    def _add(self, node: ast.AST, rule: str, message: str, advice: str = "") -> None:
        self.findings.append(find(getattr(node, "lineno", 0), rule, message, advice))

    def _collect(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for item in node.names:
                module = item.name if item.asname else item.name.partition(".")[0]
                self._modules[item.asname or module] = module
        elif isinstance(node, ast.ImportFrom):
            for item in node.names:
                if f"{node.module}.{item.name}" in SAFE_MODULES:
                    self._modules[item.asname or item.name] = f"{node.module}.{item.name}"
        elif isinstance(node, ast.arg):
            self._parameters.add(node.arg)
            self._bound.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self._bound.add(node.id)
        elif isinstance(node, (*DEFINITIONS, ast.Module)):
            self._collect_scope(node)

    def _check_ours(self, node: ast.AST) -> None:
        """Refuse the names of the program's own code in a cell, wherever a name may be."""
        for field, value in ast.iter_fields(node):
            names = value if isinstance(value, list) else [value]
            for name in names:
                ours = isinstance(name, str) and name.casefold().startswith(OURS)
                if ours and field != "value":  # a constant is not a name
                    self._add(node, "name", f"the name {name}", "Give it another name.")

    def _collect_scope(self, node: ast.AST) -> None:
        if isinstance(node, DEFINITIONS):
            self._defined.add(node.name)
        body = getattr(node, "body", [])
        if body and isinstance(body[0], ast.Expr):
            self._skip.add(body[0].value)

    def _check_shape(self, tree: ast.Module, selector: str) -> None:
        named = [node for node in tree.body if getattr(node, "name", "") == selector]
        if len(named) != 1 or not isinstance(named[0], ast.FunctionDef):
            self._add(tree, "shape", f"exactly one 'def {selector}(self, ...)' is needed")
        else:
            args = named[0].args
            first = (*args.posonlyargs, *args.args)[:1]
            if not first or first[0].arg != "self":
                self._add(named[0], "shape", f"the first parameter of {selector} must be self")
        for node in tree.body:
            if not _is_top_level(node):
                self._add(node, "shape", "a statement outside of functions")

    def visit_Import(self, node: ast.Import) -> None:
        for item in node.names:
            if item.name not in SAFE_MODULES:
                self._add(node, "import", f"import of {item.name}")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level or module not in SAFE_MODULES:
            self._add(node, "import", f"import of {'.' * node.level}{module}")
            return
        for item in node.names:
            if item.name == "*":
                self._add(node, "import", f"import of * from {module}", "Name what you import.")
            elif not is_public(module, item.name):
                self._add(node, "import", f"import of {module}.{item.name}")

    def visit_Name(self, node: ast.Name) -> None:
        name = node.id
        harmless = name in HARMLESS_AS_PARAMETERS and name in self._parameters
        dunder = _DUNDER.fullmatch(name) and name not in ("__name__", "__slots__")
        if dunder or (name in FORBIDDEN_NAMES and not harmless):
            self._add(node, "name", f"the name {name}")
        elif name in NEEDS_CALL and node not in self._skip:
            self._add(node, "name", f"{name} used as a value", f"Call {name} directly.")
        elif name in self._modules and name not in self._bound and node not in self._skip:
            example = f"Call a function of it, as in {name}.something()."
            self._add(node, "module", f"the module {name} used as a value", example)

    def visit_arg(self, node: ast.arg) -> None:
        if re.fullmatch(r"_\w*_", node.arg):
            self._add(node, "name", f"the parameter {node.arg}", "Give it a plain name.")
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._skip.add(node.value)
        module = self._module_of(node.value)
        if module and not is_public(module, node.attr) and not self._module_of(node):
            self._add(node, "module", f"{module}.{node.attr} is not for use here")
        elif self._is_private(node):
            self._add(node, "attribute", f"the attribute {node.attr}")
        if node.attr == "format":
            self._check_format(node)
        if not isinstance(node.ctx, ast.Load):
            self._check_store(node)
        self.generic_visit(node)

    def _module_of(self, node: ast.AST) -> str:
        """Return the module that an expression means, or ""."""
        if isinstance(node, ast.Name):
            return "" if node.id in self._bound else self._modules.get(node.id, "")
        full = ""
        if isinstance(node, ast.Attribute):
            base = self._module_of(node.value)
            full = f"{base}.{node.attr}" if base else ""
        return full if full in SAFE_MODULES else ""

    def _is_private(self, node: ast.Attribute) -> bool:
        name = node.attr
        if name in FORBIDDEN_ATTRIBUTES:
            return not (is_name(node.value, "self") and name in ("mro", "Formatter"))
        if not name.startswith("_") or name in UNDERSCORED_PUBLIC:
            return False
        if _DUNDER.fullmatch(name):
            return name not in DUNDER_ATTRIBUTES
        own = isinstance(node.value, ast.Name) and node.value.id in SELF_LIKE
        return not own or (name.startswith("_p_") and name != "_p_changed")

    def _check_store(self, node: ast.Attribute) -> None:
        root: ast.AST = node
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            root = root.value
        name = root.id if isinstance(root, ast.Name) else ""
        if _DUNDER.fullmatch(node.attr):
            self._add(node, "store", f"a change of {node.attr}")
        elif name and (name in self._modules or name in self._defined) and name not in self._bound:
            self._add(node, "store", f"a change of {get_dotted(node) or name}")
        elif isinstance(node.value, ast.Call) and name_of(node.value.func) != "getcontext":
            self._add(node, "store", "a change of what a call returns")

    def _check_format(self, node: ast.Attribute) -> None:
        if not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):
            self._add(node, "format", "format on a text that is not written out")
            return
        try:
            fields = list(string.Formatter().parse(node.value.value))
        except ValueError:
            self._add(node, "format", "a format text that is malformed")
            return
        for _, name, spec, _ in fields:
            if re.search(r"[.\[]", name or "") or _FORMAT_DEPTH.search(spec or ""):
                self._add(node, "format", "an attribute or index inside a format field")

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and node not in self._skip and _DUNDER.search(node.value):
            self._add(node, "string", "a name between double underscores in a text")

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in NEEDS_CALL:
            self._skip.add(node.func)
            self._check_reflection(node, name)
        elif name == "type" and (len(node.args) != 1 or node.keywords):
            self._add(node, "class", "a class made by type()")
        self.generic_visit(node)

    def _check_reflection(self, node: ast.Call, name: str) -> None:
        target, key = (*node.args, None, None)[:2]
        on_self = target is not None and is_name(target, "self")
        if name != "getattr" and not on_self:
            self._add(node, "store", f"{name} on something other than self")
        literal = key.value if isinstance(key, ast.Constant) else None
        if isinstance(literal, str):
            if literal.startswith("_") and literal != "_p_changed":
                self._add(node, "attribute", f"the attribute {literal}")
        elif not on_self:
            self._add(node, "attribute", f"{name} with a computed name")
        elif key is not None and any(
            isinstance(part, ast.Constant) and "__" in str(part.value) for part in ast.walk(key)
        ):
            self._add(node, "string", "an attribute name put together from underscores")

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if _DUNDER.fullmatch(node.name) and node.name not in DUNDER_METHODS:
            self._add(node, "class", f"a definition of {node.name}")
        self._check_decorators(node)
        self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 (ast's naming)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if any(keyword.arg not in ("frozen", "total") for keyword in node.keywords):
            self._add(node, "class", "a metaclass or class keyword")
        self._check_decorators(node)
        self.generic_visit(node)

    def _check_decorators(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    ) -> None:
        for decorator in node.decorator_list:
            name = get_dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
            known = name in DECORATORS or name in self._defined
            if not known and not name.endswith((".setter", ".getter", ".deleter")):
                self._add(node, "class", f"the decorator {name or 'expression'}", "Leave it out.")

    def visit_MatchClass(self, node: ast.MatchClass) -> None:
        for name in node.kwd_attrs:
            if name.startswith("_") or name in FORBIDDEN_ATTRIBUTES:
                self._add(node, "attribute", f"a pattern on the attribute {name}")
        self.generic_visit(node)

    def visit_TryStar(self, node: ast.TryStar) -> None:
        self._add(node, "shape", "except* is not for use here", "Use except.")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        to_slot = any(
            isinstance(t, ast.Attribute) and is_name(t.value, "self") for t in node.targets
        )
        if to_slot and isinstance(node.value, (ast.Lambda, ast.GeneratorExp)):
            self._add(node, "value", "a slot cannot keep a function or generator")
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        if endless and not _can_leave(node.body):
            self._add(node, "loop", "a loop that never ends")
        self.generic_visit(node)


def _can_leave(body: list[ast.stmt]) -> bool:
    """Return whether a loop's own statements can leave it."""
    stack: list[tuple[ast.AST, bool]] = [(node, True) for node in body]
    while stack:
        node, own = stack.pop()
        if isinstance(node, _SCOPES):
            continue
        if isinstance(node, (ast.Return, ast.Raise, ast.Yield, ast.YieldFrom, ast.Await)):
            return True
        if isinstance(node, ast.Break) and own:
            return True
        inner = own and not isinstance(node, (ast.For, ast.While, ast.AsyncFor))
        stack.extend((child, inner) for child in ast.iter_child_nodes(node))
    return False


def _is_top_level(node: ast.stmt) -> bool:
    """Return whether ``node`` may stand outside functions: import, def, class or constant."""
    if isinstance(node, (*DEFINITIONS, ast.Import, ast.ImportFrom)):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if not isinstance(node, (ast.Assign, ast.AnnAssign)):
        return False
    return all(_is_constructor(call) for call in ast.walk(node) if isinstance(call, ast.Call))


def _is_constructor(call: ast.Call) -> bool:
    """Return whether a call builds a constant: ``set()``, ``Point(1, 2)``, ``re.compile("a")``."""
    if isinstance(call.func, ast.Name):
        return call.func.id in CONSTRUCTORS or call.func.id[:1].isupper()
    return isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)
