"""What a verb is: its fields, and how a value for one is checked and described.

``bat_os.core.verbs`` has the table. From it come the command line, the checks of the wire and
the reference pages. Standard library only: set-up reads the table before anything is installed.

    Verb ── fields ──> read_body    the body of a request, checked, with every default in place
         │         └─> describe     a JSON schema of one field
         └─ reply ───> schema_of    a JSON schema of the answer
"""

from __future__ import annotations

import difflib
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.scopes import Scope

    Kind = Literal[
        "any", "examples", "file", "flag", "list", "map", "moment", "number", "path", "paths",
        "text", "texts", "whole", "words",
    ]  # fmt: skip
    Place = Literal["body", "envelope", "client"]

MAX_EXAMPLES: Final = 20
MAX_TEXT: Final = 20_000  # characters of a wish
# The texts are of one type on the wire. On the command line a "file" names a file that holds the
# text, a "path" is made absolute, "words" are joined, and an option for "texts" or "paths" may come
# more than once.
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "examples": (list,), "file": (str,), "flag": (bool,), "list": (list,), "map": (dict,),
    "moment": (str,), "number": (int, float), "path": (str,), "paths": (list,), "text": (str,),
    "texts": (list,), "whole": (int,), "words": (str,),
}  # fmt: skip
_JSON: Final[Mapping[type, str]] = {
    str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object",
}  # fmt: skip
_EXAMPLE: Final = {
    "type": "object",
    "required": ["result"],
    "properties": {
        "args": {"type": "array"},
        "kwargs": {"type": "object"},
        "result": {},
        "effects": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["target", "selector", "args"],
                "properties": {
                    "target": {"type": "string"},
                    "selector": {"type": "string"},
                    "args": {"type": "array"},
                },
            },
        },
    },
}
_REPLY_TYPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "any": {},
    "cosine": {"type": "number", "minimum": -1.01, "maximum": 1.01},
    "count": {"type": "integer", "minimum": 0},
    "flag": {"type": "boolean"},
    "list": {"type": "array"},
    "map": {"type": "object"},
    "num": {"type": "number", "minimum": 0},
    "oid": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "optional-map": {"type": ["object", "null"]},
    "sha": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "text": {"type": "string"},
    "texts": {"type": "array", "items": {"type": "string"}},
}
_TOKEN: Final = re.compile(r"\s*(?:([\]}])|([\w-]+)(\??)(?::([\[{]|[\w|-]+))?)")


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a verb takes.

    Attributes:
        name: Its name in a request.
        kind: What its value is; see ``_TYPES``.
        help: What it is for, in a phrase.
        word: How it is written on the command line: ``object``, ``object?``, ``words*`` or
            ``files+`` for words in order, ``--limit`` or ``-n --lines`` for options; "" if the
            command line does not have it.
        default: What it is if nobody says.
        usual: What it is on the command line if nobody says, where that differs.
        required: The request is refused without it.
        least, most: Bounds of a number; for a text ``most`` is its length.
        choices: The only values.
        place: ``envelope``: beside the body of a request. ``client``: never sent.
        shown: The word for its value in usage lines.
        group: Of the options in one group only one may be given.
    """

    name: str
    kind: Kind
    help: str = ""
    word: str = ""
    default: Any = None
    usual: Any = None
    required: bool = False
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    place: Place = "body"
    shown: str = ""
    group: str = ""

    @property
    def dest(self) -> str:
        """Return the name of its value among the options of a command line."""
        return self.word.split()[-1].strip("-?*+").replace("-", "_")

    def read(self, value: Any) -> Any:
        """Return a value from outside as the handlers take it."""
        if self.kind == "any":
            return value
        if type(value) not in _TYPES[self.kind] or not self._is_within(value):
            raise ArgumentsError(f"{self.name} must be {self.allowed()}")
        if self.kind == "examples":
            return [_read_example(example) for example in value]
        return value

    def _is_within(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if isinstance(value, dict):
            return all(type(key) is str for key in value)
        if isinstance(value, list):
            plain = self.kind not in ("paths", "texts") or all(type(one) is str for one in value)
            return plain and (self.kind == "list" or len(value) <= MAX_EXAMPLES)
        size = len(value) if isinstance(value, str) else value
        if isinstance(value, str) and self.required and not value.strip():
            return False
        # Not a number is neither: it fails both comparisons.
        most = self.most if self.most is not None else sys.float_info.max
        return (self.least if self.least is not None else -most) <= size <= most

    def allowed(self) -> str:
        """Return what a value may be, in words.

        >>> Field("limit", "whole", least=1, most=50).allowed()
        'a whole number from 1 to 50'
        """
        if self.choices:
            return f"one of {', '.join(choice or repr(choice) for choice in self.choices)}"
        words = {
            "examples": f'a list of at most {MAX_EXAMPLES} maps {{"args", "kwargs", "result"}}',
            "flag": "true or false", "list": "a list", "map": "a map with text keys",
            "moment": "a moment, such as '2 hours ago'", "number": "a number",
            "whole": "a whole number", "any": "any value",
            "paths": f"a list of at most {MAX_EXAMPLES} paths",
            "texts": f"a list of at most {MAX_EXAMPLES} texts",
        }  # fmt: skip
        text = words.get(self.kind, "a text that is not empty" if self.required else "a text")
        if words.get(self.kind) is None:
            return text + (f", at most {self.most} characters long" if self.most else "")
        low = f" from {self.least}" if self.least is not None else ""
        high = f" to {self.most}" if self.most is not None else " on" if low else ""
        return text + low + high

    def schema(self) -> dict[str, Any]:
        """Return a JSON schema of the value."""
        if self.kind == "any":
            return {}
        if self.choices:
            return {"enum": list(self.choices)}
        schema: dict[str, Any] = {"type": _JSON[_TYPES[self.kind][-1]]}
        if self.kind == "examples":
            schema |= {"items": _EXAMPLE, "maxItems": MAX_EXAMPLES}
        elif self.kind in ("paths", "texts"):
            schema |= {"items": {"type": "string"}, "maxItems": MAX_EXAMPLES}
        elif schema["type"] == "string":
            schema |= {"minLength": 1} if self.required else {}
            schema |= {} if self.most is None else {"maxLength": self.most}
        else:
            schema |= {} if self.least is None else {"minimum": self.least}
            schema |= {} if self.most is None else {"maximum": self.most}
        return schema


AT: Final = Field("at", "moment", "answer as of this moment", word="--at", shown="WHEN")


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that can be asked for."""

    name: str  # on the wire and on the command line
    help: str  # what it does, in a phrase
    fields: tuple[Field, ...] = ()  # what it takes
    reply: str = ""  # the body of its last reply, in the notation of ``schema_of``
    prints: str = ""  # what ``--json`` prints on the command line, where that differs
    note: str = ""  # what else the page about the wire says of its answer
    examples: tuple[str, ...] = ()  # command lines, without ``batos`` and the verb
    aliases: tuple[str, ...] = ()  # other names on the wire
    hidden: tuple[str, ...] = ()  # other names on the command line, which no list shows
    # where there is such a verb: on the wire, on the command line, or on both
    on: Literal["both", "wire", "command line"] = "both"
    # it ``reads`` and changes nothing; with ``past`` it can also be asked of another moment, with
    # ``at``
    access: Literal["writes", "reads", "past"] = "writes"
    # it keeps what it has done as it goes: a request with a key that was killed does what is left
    in_steps: bool = False
    # what a caller from outside has to be allowed. "": ``read`` for what reads; what writes, as it
    # opens a path of the caller's, ends the daemon or copies the image, cannot be asked for from
    # outside. ``stream``: nor can this, which has a route of its own there
    scope: Scope | Literal["", "stream"] = ""
    needs_home: bool = True  # on the command line it needs a home directory that can be used
    seconds: float = 10.0  # how long a client waits for the answer
    # the fields of a request's body by name, and what those are that need not be given
    body: Mapping[str, Field] = field(init=False, repr=False, compare=False)
    usual: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Look up the fields of a request's body once: each request needs them."""
        own = {item.name: item for item in self.fields if item.place == "body"}
        object.__setattr__(self, "body", own | ({"at": AT} if self.access == "past" else {}))
        usual = {name: _usual(item) for name, item in own.items() if not item.required}
        object.__setattr__(self, "usual", usual)

    @property
    def needs(self) -> str:
        """The scope that a caller from outside needs; "" where none is enough."""
        if self.scope == "stream":
            return ""
        return self.scope or ("" if self.access == "writes" else "read")

    def read_body(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of a request, checked, with a default for what it does not have.

        A field that is null counts as not given, but not a moment: what is asked of the past must
        not be answered of the present. ``at`` is in the result only if it was given.

        Raises:
            ArgumentsError: A field is unknown, missing or wrong.
        """
        known = self.body
        checked = {name: [] if value == [] else value for name, value in self.usual.items()}
        for name, value in body.items():
            item = known.get(name)
            if item is None:
                raise ArgumentsError(f"{self.name} {self._refuse(name, known)}")
            if value is not None or item.kind == "moment":
                checked[name] = item.read(value)
        for name, item in known.items():
            if item.required and name not in checked:
                what = f" ({item.help})" if item.help else ""
                raise ArgumentsError(f"{self.name} needs {name} in its body{what}")
        return checked

    def _refuse(self, name: str, known: Mapping[str, Field]) -> str:
        if name == AT.name:
            return "takes no moment: it is about the present"
        near = difflib.get_close_matches(name, known, n=1)
        if near:
            return f"has no field {name[:60]!r}; did you mean {near[0]!r}?"
        takes = f"it takes {', '.join(sorted(known))}" if known else "its body has no fields"
        return f"has no field {name[:60]!r}; {takes}"


def _usual(item: Field) -> Any:
    """Return the value of a field that was not given: its default, else "", False, [] or None."""
    if item.default is not None:
        return item.default
    kind = _TYPES.get(item.kind, (dict,))[0]
    return kind() if kind in (str, bool, list) else None


def _read_example(example: Any) -> dict[str, Any]:
    """Return an example with all three parts."""
    args = example.get("args") or [] if type(example) is dict else None
    kwargs = example.get("kwargs") or {} if type(example) is dict else None
    if type(args) is not list or type(kwargs) is not dict or "result" not in example:
        raise ArgumentsError('an example has the form {"args": [...], "result": value}')
    if not all(type(name) is str for name in kwargs):
        raise ArgumentsError("kwargs must be a map with text keys")
    stated = {"args": args, "kwargs": kwargs, "result": example["result"]}
    if example.get("effects") is not None:
        stated["effects"] = _read_effects(example["effects"])
    return stated


def _read_effects(effects: Any) -> list[dict[str, Any]]:
    """Return the messages to objects with a grant that an example states."""
    parts = ("target", "selector", "args")
    types = (str, str, list)
    if type(effects) is not list or len(effects) > MAX_EXAMPLES:
        raise ArgumentsError(f"effects are a list of at most {MAX_EXAMPLES} messages")
    for each in effects:
        if type(each) is not dict or [type(each.get(part)) for part in parts] != [*types]:
            raise ArgumentsError('an effect has the form {"target", "selector", "args": [...]}')
    return [{part: each[part] for part in parts} for each in effects]


def schema_of(reply: str) -> dict[str, Any]:
    """Return the JSON schema of a reply; further fields may come.

    Fields are separated by spaces. ``name`` is a text, ``name:count`` another type of
    ``_REPLY_TYPES``, ``name:a|b`` one of the words, ``name:{...}`` a map with these fields,
    ``name:[...]`` a list of such maps. ``name?`` may be left out.

    >>> schema_of("name size:count")["properties"]["size"]
    {'type': 'integer', 'minimum': 0}
    """
    schema, end = _read_fields(reply, 0)
    if end != len(reply):
        raise ValueError(f"cannot be read from {reply[end : end + 20]!r} on")
    return schema


def _read_fields(reply: str, at: int) -> tuple[dict[str, Any], int]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    while (token := _TOKEN.match(reply, at)) and not token[1]:
        _, name, optional, kind = token.groups()
        at = token.end()
        if kind and kind in "[{":
            inner, at = _read_fields(reply, at)
            at = reply.index("]" if kind == "[" else "}", at) + 1
            properties[name] = inner if kind == "{" else {"type": "array", "items": inner}
        elif kind and "|" in kind:
            properties[name] = {"enum": kind.split("|")}
        else:
            properties[name] = dict(_REPLY_TYPES[kind or "text"])
        required += [] if optional else [name]
    return {"type": "object", "properties": properties, "required": required}, at
