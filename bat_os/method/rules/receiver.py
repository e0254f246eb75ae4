"""Fix-ups of ``self``: where it is missing, where it is too much, and which slot is meant.

Text to text, as ``fixups`` describes. Rules that need the names of slots or messages do
nothing where these are not known.
"""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING

from bat_os.method.allowed import SAFE_MODULES
from bat_os.method.rules.imports import KNOWN_NAMES
from bat_os.method.rules.places import Wanted, get_parameters, read, replace
from bat_os.method.text import (
    BUILTINS,
    Edit,
    apply_edits,
    count_stores,
    get_bound,
    get_text,
    get_uses,
    is_name,
    split_lines,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def add_self(source: str, wanted: Wanted) -> str:
    """Return the source with ``self`` as the method's first parameter."""
    found = read(source, wanted)
    if found is None:
        return source
    method, args = found[1], found[1].args
    every = (*args.posonlyargs, *args.args, *args.kwonlyargs)
    if any(arg.arg == "self" for arg in every):
        return source
    line = split_lines(source)[method.lineno - 1].encode("utf-8", "surrogatepass")
    column = line.find(b"(", method.col_offset) + 1
    bare = not every and args.vararg is None and args.kwarg is None
    return apply_edits(source, [Edit(method.lineno, column, "self" if bare else "self, ")])


def pass_self(source: str, wanted: Wanted) -> str:
    """Return the source with a method that calls itself as ``selector(self, ...)``.

    A bare ``selector(n - 1)`` lacks the receiver; ``self.selector(n - 1)`` is a message, which
    nothing answers before the method is installed.
    """
    found = read(source, wanted)
    if found is None or wanted.selector in get_bound(found[1]):
        return source
    edits = []
    for call in ast.walk(found[1]):
        if isinstance(call, ast.Call):
            edits += _hand_on(source, call, wanted.selector)
    return apply_edits(source, edits)


def _hand_on(source: str, call: ast.Call, selector: str) -> list[Edit]:
    """Return the edits that make one call of the method itself hand ``self`` on."""
    func = call.func
    handed = bool(call.args) and is_name(call.args[0], "self")
    lead = "self, " if call.args or call.keywords else "self"
    opening = Edit(func.end_lineno or 0, func.end_col_offset or 0, f"({lead}", 1)
    if get_text(source, opening) != "(":
        return []
    edits = [] if handed else [opening]
    if is_name(func, selector):
        return edits
    if isinstance(func, ast.Attribute) and func.attr == selector and is_name(func.value, "self"):
        prefix = Edit(func.lineno, func.col_offset, "", len("self."))
        return [prefix, *edits] if get_text(source, prefix) == "self." else []
    return []


def qualify_slots(source: str, wanted: Wanted) -> str:
    """Return the source with ``self.`` before each slot that is used as a bare name."""
    found = read(source, wanted)
    if found is None or not wanted.slots:
        return source
    tree, method = found
    counted = Counter(
        node.target.id
        for node in ast.walk(method)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
    )
    bound = get_bound(tree) - {
        name for name, times in counted.items() if count_stores(tree, name) == times
    }
    modules = {
        name for name, used in get_uses(method).items() if name in SAFE_MODULES and all(used)
    }
    names = wanted.slots - bound - modules
    return replace(
        source,
        tree,
        {
            node: f"self.{node.id}"
            for node in ast.walk(method)
            if isinstance(node, ast.Name) and node.id in names
        },
    )


def drop_self(source: str, wanted: Wanted) -> str:
    """Return the source without ``self.`` before what is no part of the receiver.

    A parameter (``self.text`` where there is no such slot), a module (``self.math.pi``), or a
    function of Python (``self.len(x)``).
    """
    found = read(source, wanted)
    if found is None:
        return source
    tree, method = found
    parameters, bound = get_parameters(method), get_bound(tree)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    texts: dict[ast.expr, str] = {}
    for node in get_strangers(method, wanted):
        name, parent = node.attr, parents[node]
        called = isinstance(parent, ast.Call) and parent.func is node
        module = name in SAFE_MODULES and isinstance(parent, ast.Attribute) and name not in bound
        known = name in BUILTINS or (name in KNOWN_NAMES and name not in bound)
        function = known and called and wanted.selectors is not None
        if module or (name in parameters and not called) or (function and name not in parameters):
            texts[node] = name
    return replace(source, tree, texts)


def name_slot(source: str, wanted: Wanted) -> str:
    """Return the source with the full name of a slot for a part of it.

    ``self.name`` where there is no such slot, but one slot ``user_name``; ``self.task`` for
    ``tasks``.
    """
    found = read(source, wanted)
    if found is None:
        return source
    texts: dict[ast.expr, str] = {}
    for node in get_strangers(found[1], wanted):
        near = [slot for slot in wanted.slots or () if _is_near(node.attr, slot)]
        if len(near) == 1 and node.attr not in get_parameters(found[1]):
            texts[node] = f"self.{near[0]}"
    return replace(source, found[0], texts)


def _is_near(name: str, slot: str) -> bool:
    parts = slot.split("_")
    return len(name) > 1 and (name in (parts[0], parts[-1], f"{slot}s") or slot == f"{name}s")


def get_strangers(method: ast.FunctionDef, wanted: Wanted) -> list[ast.Attribute]:
    """Return the reads of attributes of ``self`` that the receiver cannot have.

    A call may be a message; it counts only where the messages are known. What the method sets
    itself, or looks up with care, is not counted.
    """
    if wanted.slots is None:
        return []
    careful = any(isinstance(node, ast.Try) for node in ast.walk(method))
    spoken = {node.value for node in ast.walk(method) if isinstance(node, ast.Constant)}
    calls = {node.func for node in ast.walk(method) if isinstance(node, ast.Call)}
    own = list(_attributes_of_self(method))
    stored = {node.attr for node in own if not isinstance(node.ctx, ast.Load)}
    having = wanted.slots | stored | {"send", wanted.selector} | (wanted.selectors or set())
    return [
        node
        for node in own
        if not careful
        and node.attr not in having
        and node.attr not in spoken
        and not node.attr.startswith("_")
        and (node not in calls or wanted.selectors is not None)
    ]


def _attributes_of_self(method: ast.FunctionDef) -> Iterator[ast.Attribute]:
    for node in ast.walk(method):
        if isinstance(node, ast.Attribute) and is_name(node.value, "self"):
            yield node
