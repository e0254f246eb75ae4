"""What a method takes and gives, as JSON schemas, and whether it changes anything. Pure.

    annotations and defaults, else the kinds of values in its examples  >  the schema

A host runs a tool that only reads without asking its person, so that hint is given only where the
source shows it: in doubt, a method changes something.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.method.text import is_pure, parse_method

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SHOWN: Final = 3  # examples of a value
MAX_DEPTH: Final = 4  # of an annotation
_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "int": "integer", "float": "number", "str": "string", "bool": "boolean", "list": "array",
        "dict": "object", "tuple": "array", "set": "array", "None": "null",
    }
)  # fmt: skip
_KINDS: Final[Mapping[type, str]] = MappingProxyType(
    {
        bool: "boolean", int: "integer", float: "number", str: "string", list: "array",
        tuple: "array", dict: "object", type(None): "null",
    }
)  # fmt: skip
# Functions that only look at what they are given.
_LOOKING: Final = frozenset(
    {
        "abs", "all", "any", "bool", "dict", "enumerate", "float", "getattr", "hasattr", "int",
        "isinstance", "len", "list", "max", "min", "range", "repr", "reversed", "round", "set",
        "sorted", "str", "sum", "tuple", "zip",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signature:
    """What a tool says of a method."""

    doc: str
    names: tuple[str, ...]  # of its parameters
    takes: Mapping[str, Any]  # JSON schema of the arguments
    gives: Mapping[str, Any]  # of ``{"result": ...}``
    reads: bool  # it surely changes nothing


def describe(source: str, selector: str, examples: Sequence[Mapping[str, Any]] = ()) -> Signature:
    r"""Return what a method's source and examples say of it.

    >>> about = describe("def double(self, number: int) -> int:\n    return number * 2", "double")
    >>> about.takes["properties"], about.takes["required"], about.reads
    ({'number': {'type': 'integer'}}, ['number'], True)
    """
    parsed = parse_method(source, selector)
    if parsed is None:  # an older form; anything may be given
        return Signature("", (), {"type": "object"}, _result_of({}), reads=False)
    function = parsed[1]
    properties: dict[str, Any] = {}
    required: list[str] = []
    for at, (parameter, default) in enumerate(_parameters(function)):
        shown = list(_shown(examples, at, parameter.arg))
        about = _kind_of(parameter.annotation) or _kind_of_values(shown)
        if not parameter.annotation and shown:
            about["examples"] = shown[:SHOWN]
        if default is None:
            required.append(parameter.arg)
        elif isinstance(default, ast.Constant) and type(default.value) in _KINDS:
            about["default"] = default.value
        properties[parameter.arg] = about
    takes = {
        "type": "object", "properties": properties, "required": required,
        "additionalProperties": function.args.kwarg is not None,
    }  # fmt: skip
    doc, results = ast.get_docstring(function) or "", [one.get("result") for one in examples]
    gives = _result_of(_agreed(_kind_of(function.returns), results))
    return Signature(doc, tuple(properties), takes, gives, reads=only_reads(source, selector))


def _parameters(function: ast.FunctionDef) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Yield each parameter but the receiver with its default, None without one."""
    own = function.args
    names = [*own.posonlyargs, *own.args]
    defaults: list[ast.expr | None] = [*[None] * (len(names) - len(own.defaults)), *own.defaults]
    yield from [*zip(names, defaults, strict=True)][1:]
    yield from zip(own.kwonlyargs, own.kw_defaults, strict=True)


def _shown(examples: Sequence[Mapping[str, Any]], at: int, name: str) -> Iterator[Any]:
    for one in examples:
        args, kwargs = one.get("args") or (), one.get("kwargs") or {}
        if at < len(args):
            yield args[at]
        elif name in kwargs:
            yield kwargs[name]


def _kind_of(node: ast.expr | None, depth: int = 0) -> dict[str, Any]:
    """Return the schema for an annotation; {} if it says nothing that JSON knows."""
    about: dict[str, Any] = {}
    if isinstance(node, ast.Name) and node.id in _NAMES:
        about = {"type": _NAMES[node.id]}
    elif isinstance(node, ast.Constant) and node.value is None:
        about = {"type": "null"}
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and depth < MAX_DEPTH:
        kind = _NAMES.get(node.value.id, "")
        about = {"type": kind} if kind else {}
        if kind == "array" and not isinstance(node.slice, ast.Tuple):
            about["items"] = _kind_of(node.slice, depth + 1)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and depth < MAX_DEPTH:
        either = [_kind_of(node.left, depth + 1), _kind_of(node.right, depth + 1)]
        about = {"anyOf": either} if all(either) else {}
    return about


def _kind_of_values(values: Sequence[Any]) -> dict[str, Any]:
    kinds = {_KINDS.get(type(value), "").replace("integer", "number") for value in values}
    (kind,) = kinds if len(kinds) == 1 else ("",)
    return {"type": kind} if kind else {}


def _agreed(said: Mapping[str, Any], results: Sequence[Any]) -> dict[str, Any]:
    """Return the kind of the result if annotation and examples agree on it.

    Hosts refuse a result of another kind than was said.
    """
    named = str(said.get("type", "")).replace("integer", "number")
    found = _kind_of_values(results)
    return found if found.get("type", "") == named else {}


def _result_of(kind: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"result": dict(kind)}, "required": ["result"]}


def only_reads(source: str, selector: str) -> bool:
    """Return True if a method surely changes nothing, here or elsewhere.

    It does if it never uses its receiver, since its arguments are copies; or if it does no more
    than read slots of it: no message is sent, nothing is stored in an object.
    """
    if is_pure(source, selector):
        return True
    parsed = parse_method(source, selector)
    if parsed is None or not parsed[1].args.args:
        return False
    function = parsed[1]
    bound = {node.id for node in ast.walk(function)
             if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}  # fmt: skip
    bound |= {each.arg for each in ast.walk(function) if isinstance(each, ast.arg)}
    return not any(_may_change(node, bound) for line in function.body for node in ast.walk(line))


def _may_change(node: ast.AST, bound: set[str]) -> bool:
    if isinstance(node, (ast.Attribute, ast.Subscript)):
        return not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.Call):
        looks = isinstance(node.func, ast.Name) and node.func.id in _LOOKING - bound
        # ``sorted(..., key=self.rank)`` sends a message too
        return not looks or any(one.arg not in ("reverse", "default") for one in node.keywords)
    return isinstance(node, (ast.FunctionDef, ast.Lambda, ast.With, ast.Import, ast.ImportFrom))
