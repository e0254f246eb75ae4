"""What Monty's Python lacks, found before a method runs, and what can be rewritten for it.

source > syntax tree > Gap(line, feature), one for each thing that Monty lacks
                     > Program: the same lines, rewritten where Monty supports another form:
                       del d[k]                       d.pop((k))
                       self._slots                    _bat_view(self)
                       key=str.lower                  key=(lambda x, *rest: x.lower(*rest))
                       next(x for x in row if x)      next(iter(x for x in row if x))
                       re.sub(p, lambda m: ..., s)    _bat_sub(p, lambda m: ..., s)
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass
from typing import Final

from bat_os.method.allowed import SAFE_MODULES
from bat_os.method.text import Edit, Flaw, apply_edits, find_method, get_text, parse, words

MODULES: Final = words("""
    asyncio base64 binascii bisect collections copy csv dataclasses datetime decimal functools
    hashlib itertools json math random re time typing unicodedata
""")
LACKING_MODULES: Final = SAFE_MODULES - MODULES
LACKING_NAMES: Final = {
    "asyncio": words("wait_for wait as_completed timeout create_task TaskGroup Queue Event Lock"),
    "collections": words("ChainMap OrderedDict UserDict UserList UserString abc"),
    "dataclasses": words("fields asdict astuple replace InitVar KW_ONLY"),
    "datetime": words("UTC tzinfo MINYEAR MAXYEAR"),
    "functools": words("wraps update_wrapper total_ordering cmp_to_key cached_property"),
    "json": words("JSONEncoder JSONDecoder"),
    "random": words("SystemRandom"),
    "re": words("subn VERBOSE RegexFlag"),
    "time": words("struct_time"),
    "typing": words("NamedTuple TypedDict NewType cast Counter DefaultDict OrderedDict"),
    "unicodedata": words("digit numeric decimal bidirectional mirrored"),
}
LACKING_BUILTINS: Final = words("""
    aiter anext ascii bytearray callable classmethod delattr dir help input issubclass memoryview
    staticmethod super vars __import__ Warning UserWarning DeprecationWarning GeneratorExit
    EOFError BufferError ConnectionError UnicodeError SystemError ExceptionGroup
""")
# Methods of built-in types; no other type of Monty has a method of that name.
LACKING_METHODS: Final = {
    "int": words("as_integer_ratio bit_count bit_length conjugate from_bytes to_bytes"),
    "float": words("fromhex is_integer"),
    "set": words("difference_update intersection_update symmetric_difference_update"),
    "str": words("format_map maketrans translate"),
}
# What a class may define but Monty never calls.
LACKING_HOOKS: Final = words("""
    __len__ __lt__ __le__ __gt__ __ge__ __reversed__ __getattr__ __getattribute__ __setattr__
    __delattr__ __del__
""")
# Options that ``dataclasses.dataclass`` and ``field`` do not accept.
LACKING_OPTIONS: Final = {
    "dataclass": words("order unsafe_hash kw_only slots"),
    "field": words("compare init kw_only repr"),
}
# For people and models; the first words of each are what a Gap names.
MISSING: Final[tuple[str, ...]] = (
    "yield (return a list instead)",
    "classes with inheritance (also exceptions of one's own: raise ValueError)",
    "property, staticmethod and classmethod",
    "del of a variable or a slice",
    "except*",
    "match on a class with fields",
    "type aliases",
    "in a class: " + ", ".join(sorted(LACKING_HOOKS)),
    "sub() of a compiled pattern with a function (use re.sub)",
    *(f"methods of {kind}: {', '.join(sorted(names))}" for kind, names in LACKING_METHODS.items()),
    "UUID values",
    "import of " + ", ".join(sorted(LACKING_MODULES)),
    "the built-ins " + ", ".join(sorted(n for n in LACKING_BUILTINS if n.islower())),
    *(f"{m}: {', '.join(sorted(names))}" for m, names in LACKING_NAMES.items()),
    *(f"{name}(): {', '.join(sorted(row))}" for name, row in LACKING_OPTIONS.items()),
)
_METHODS: Final = {name: kind for kind, names in LACKING_METHODS.items() for name in names}
_DYNAMIC: Final = words("getattr setattr hasattr eval exec _slots")


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that the source uses and Monty lacks."""

    line: int
    feature: str


@dataclass(frozen=True, slots=True)
class Program:
    """A source that Monty may be able to run."""

    text: str  # what to feed; every line is where it was
    stored: frozenset[str]  # attributes that it sets on something: perhaps slots
    read: frozenset[str]  # attributes that it reads from something: perhaps slots or messages
    dynamic: bool  # it can reach slots that it does not name
    modules: frozenset[tuple[str, str]]  # local name -> module, for the imports at any place


def translate(source: str, selector: str) -> Program | Flaw | tuple[Gap, ...]:
    """Return the program, or why Python cannot read it, or what Monty lacks to run it."""
    tree = parse(source)
    if isinstance(tree, Flaw):
        return tree
    if find_method(tree, selector) is None:
        return Flaw(0, "name", f"the source defines no function {selector!r}")
    reader = _Reader(source)
    reader.visit(tree)
    if reader.gaps:
        return tuple(sorted(set(reader.gaps), key=lambda gap: (gap.line, gap.feature)))
    return Program(
        apply_edits(source, reader.edits),
        frozenset(reader.stored),
        frozenset(name for name in reader.read if not name.startswith("__")),
        reader.dynamic,
        frozenset(reader.modules.items()),
    )


class _Reader(ast.NodeVisitor):
    """One walk over a syntax tree."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.gaps: list[Gap] = []
        self.edits: list[Edit] = []
        self.stored: set[str] = set()
        self.read: set[str] = set()
        self.modules: dict[str, str] = {}
        self.bound: set[str] = set()
        self.functions: set[str] = set()
        self.taken: set[str] = set()
        self.dynamic = False

    def lack(self, node: ast.AST, feature: str) -> None:
        """Note that Monty lacks what ``node`` uses."""
        self.gaps.append(Gap(getattr(node, "lineno", 0), feature))

    def visit_Module(self, node: ast.Module) -> None:
        """Find first what the source itself binds."""
        for part in ast.walk(node):
            if isinstance(part, ast.FunctionDef | ast.ClassDef):
                self.bound.add(part.name)
                if isinstance(part, ast.FunctionDef):
                    self.functions.add(part.name)
            elif isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
                self.bound.add(part.id)
            elif isinstance(part, ast.arg):
                self.bound.add(part.arg)
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Find base classes and decorated methods."""
        if node.bases or node.keywords:
            self.lack(node, "classes with inheritance")
        for part in node.body:
            if isinstance(part, ast.FunctionDef) and part.decorator_list:
                self.lack(part, "property, staticmethod and classmethod")
            if isinstance(part, ast.FunctionDef) and part.name in LACKING_HOOKS:
                self.lack(part, f"{part.name} in a class")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Rewrite ``next`` of a generator expression, and ``re.sub`` with a function."""
        function = node.func
        if isinstance(function, ast.Name) and function.id == "next" and node.args:
            self.next_of(node, node.args[0])
        if isinstance(function, ast.Attribute) and function.attr == "sub":
            self.sub_of(node, function)
        self.options_of(node, function)
        self.generic_visit(node)

    def options_of(self, node: ast.Call, function: ast.expr) -> None:
        """Find options of data classes."""
        name = getattr(function, "attr", getattr(function, "id", ""))
        known = name in self.taken or "dataclasses" in self.modules.values()
        for option in node.keywords if known else ():
            if option.arg in LACKING_OPTIONS.get(name, ()):
                self.lack(node, f"{name}({option.arg}=)")

    def next_of(self, node: ast.Call, source: ast.expr) -> None:
        """Write an ``iter`` around a generator expression, which is a list in Monty."""
        if not isinstance(source, ast.GeneratorExp):
            return
        last, end = source.end_lineno or 0, source.end_col_offset or 0
        start, stop = Edit(source.lineno, source.col_offset, "", 1), Edit(last, end - 1, "", 1)
        if not (self.reads(start, "(") and self.reads(stop, ")")):
            self.lack(node, "next() on a generator expression in this place")
            return
        # Without parentheses of its own it has those of the call.
        bare = (last, end) == (node.end_lineno, node.end_col_offset)
        self.edits.append(Edit(source.lineno, source.col_offset, "(iter" if bare else "iter"))
        if bare:
            self.edits.append(Edit(last, end, ")"))

    def sub_of(self, node: ast.Call, function: ast.Attribute) -> None:
        """Write ``re.sub`` with a function as a call of the prelude."""
        owner = function.value.id if isinstance(function.value, ast.Name) else ""
        if self.modules.get(owner) == "re":
            whole = _span(function)
            if not any(map(self.is_function, node.args[1:2])):
                return
            if whole is not None and self.reads(whole, f"{owner}.sub"):
                self.edits.append(_replace(whole, "_bat_sub"))
            else:
                self.lack(node, "re.sub with a function in this place")
        elif owner != "self" and any(map(self.is_function, node.args[:1])):
            self.lack(node, "sub() of a compiled pattern with a function")

    def is_function(self, node: ast.expr) -> bool:
        """Return whether ``node`` is a lambda, or the name of a function of the source."""
        named = isinstance(node, ast.Name) and node.id in self.functions
        return named or isinstance(node, ast.Lambda)

    def visit_Yield(self, node: ast.expr) -> None:
        """Find generators."""
        self.lack(node, "yield")

    visit_YieldFrom = visit_Yield  # noqa: N815 - ast's name

    def visit_TryStar(self, node: ast.AST) -> None:
        """Find exception groups."""
        self.lack(node, "except*")

    def visit_Import(self, node: ast.Import) -> None:
        """Find modules."""
        for item in node.names:
            if item.name in LACKING_MODULES:
                self.lack(node, f"import of {item.name}")
            self.modules[item.asname or item.name] = item.name

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Find modules and what is taken from them."""
        module = node.module or ""
        if module in LACKING_MODULES:
            self.lack(node, f"import of {module}")
        for item in node.names:
            self.bound.add(item.asname or item.name)
            if module == "dataclasses":
                self.taken.add(item.name)
            if item.name in LACKING_NAMES.get(module, ()):
                self.lack(node, f"{module}.{item.name}")

    def visit_Name(self, node: ast.Name) -> None:
        """Find built-ins."""
        if node.id in LACKING_BUILTINS and node.id not in self.bound:
            self.lack(node, f"the built-in {node.id}")
        self.dynamic = self.dynamic or node.id in _DYNAMIC

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Find what modules lack, and note names of slots and messages."""
        self.generic_visit(node)
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        module = self.modules.get(owner, "")
        if node.attr in LACKING_NAMES.get(module, ()):
            self.lack(node, f"{module}.{node.attr}")
        elif node.attr in _METHODS and owner != "self":
            self.lack(node, f"{_METHODS[node.attr]}.{node.attr}")
        elif isinstance(getattr(builtins, owner, None), type) and owner not in self.bound:
            if owner != "dict" or node.attr != "fromkeys":
                self.methods_of_types(node, owner)
        elif node.attr == "_slots":
            self.dynamic = True
            self.view(node, owner)
        (self.read if isinstance(node.ctx, ast.Load) else self.stored).add(node.attr)

    def methods_of_types(self, node: ast.Attribute, owner: str) -> None:
        """Write ``str.lower`` and the like as a lambda; some constructors are there."""
        whole = _span(node)
        if f"{owner}.{node.attr}" in ("bytes.fromhex", "str.join"):
            return
        name = f"{owner}.{node.attr}"
        if whole is None or node.attr.startswith("__") or not self.reads(whole, name):
            self.lack(node, f"methods taken from a type, {name}")
            return
        call = f"(lambda _bat_x, *_bat_a, **_bat_k: _bat_x.{node.attr}(*_bat_a, **_bat_k))"
        self.edits.append(_replace(whole, call))

    def view(self, node: ast.Attribute, owner: str) -> None:
        """Write ``self._slots`` as a call."""
        whole = _span(node) if owner and isinstance(node.ctx, ast.Load) else None
        if whole is not None and get_text(self.source, whole) == f"{owner}._slots":
            self.edits.append(_replace(whole, f"_bat_view({owner})"))
        else:
            self.lack(node, "self._slots in this place")

    def visit_Delete(self, node: ast.Delete) -> None:
        """Write ``del d[k]`` and ``del self.x`` as calls."""
        edits = self.deletion(node)
        if edits is None:
            self.lack(node, "del of a variable or a slice")
            return
        self.edits += edits
        self.generic_visit(node)

    def deletion(self, node: ast.Delete) -> list[Edit] | None:
        """Return the edits that turn a ``del`` into a call; None if that is not possible."""
        target = node.targets[0]
        head = _between(node.lineno, node.col_offset, target.lineno, target.col_offset)
        if len(node.targets) != 1 or head is None or not self.reads(head, "del"):
            return None
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            whole = _span(target)
            call = f"_bat_delete({target.value.id}, {target.attr!r})"
            return [_replace(head, ""), _replace(whole, call)] if whole else None
        if not isinstance(target, ast.Subscript) or isinstance(target.slice, ast.Slice):
            return None
        key, base = target.slice, target.value
        start = _between(base.end_lineno, base.end_col_offset, key.lineno, key.col_offset)
        end = _between(key.end_lineno, key.end_col_offset, target.end_lineno, target.end_col_offset)
        if start and end and self.reads(start, "[") and self.reads(end, "]"):
            return [_replace(head, ""), _replace(start, ".pop(("), _replace(end, "))")]
        return None

    def reads(self, place: Edit, text: str) -> bool:
        """Return whether the source has ``text`` at ``place``, with only space around it."""
        return get_text(self.source, place).strip() == text


def _span(node: ast.expr) -> Edit | None:
    return _between(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)


def _between(
    line: int | None, column: int | None, last: int | None, end: int | None
) -> Edit | None:
    """Return the text between two places as an edit that deletes it; None across lines."""
    if line is None or column is None or end is None or line != last:
        return None
    return Edit(line, column, "", end - column)


def _replace(place: Edit, text: str) -> Edit:
    return Edit(place.line, place.column, text, place.length)
