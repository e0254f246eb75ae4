"""``python deploy/words.py``: the texts for people, from the code into the catalogs.

A text is a literal or an f-string in the hands of what shows it: an error that is raised, a note,
a line of an answer, an outcome of ``doctor``, a help text. An f-string becomes a template,
``no object named {name}``; ``bat_os/sentence/wording.py`` finds the template of a text again.

    {status}        a value, left as it is
    {doubt_}        a text of ours, which is a message of its own
    {n} file{'s' * (n != 1)}      becomes a message with a plural

Babel reads and writes the catalogs, so every tool for gettext can edit them. With ``--write`` new
messages come into each, without a translation, and what the code no longer says goes. What lacks
is listed, and the exit status says whether anything does.
"""

from __future__ import annotations

import ast
import re
import string
import sys
from argparse import SUPPRESS
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # so it runs from anywhere, as deploy/release.py

from bat_os import errors  # noqa: E402 - after the path
from bat_os.cli.chat.slash import GROUPS  # noqa: E402
from bat_os.cli.doctor.outcome import BROKEN, OK, WARNING  # noqa: E402
from bat_os.cli.doctor.report import CHECKS  # noqa: E402
from bat_os.cli.parser import verbs_of  # noqa: E402
from bat_os.cli.verbs import make_parser  # noqa: E402
from bat_os.core.mission import State  # noqa: E402
from bat_os.core.verbs import COMMANDS  # noqa: E402
from bat_os.image.missions import WHO  # noqa: E402
from bat_os.image.runs import PROMOTED, REFUSED, UNDONE, WAITS  # noqa: E402
from bat_os.method.golden import GOLD, NONE, SILVER  # noqa: E402
from bat_os.sentence.wording import EDGES, LANGUAGES, is_findable  # noqa: E402

Text = str | tuple[str, str]  # a template, or its singular and plural
# Methods and functions that show a text, and which of their arguments are texts.
SHOWN: Final = {
    "note": 1, "say": 1, "answer_of_ours": 1, "ok": 2, "warning": 3, "broken": 3, "Outcome": 4,
    "begin": 1, "show": 2, "done": 1, "Place": 4, "refuse": 2, "translate": 1,
}  # fmt: skip
# What makes texts for people; any other module only raises errors.
SHOWING: Final = ("bat_os/cli/", "bat_os/kernel/idle", "bat_os/core/choosing.py")
# Errors of programs among themselves: no person meets their texts.
UNSEEN: Final = frozenset(
    {"FrameError", "HttpError", "TransitionError", "FencedError", "RemoteError", "AuditError"}
)
# What raises to learned code, to a model in training or to HTTP, not to a person.
OUTSIDE: Final = (
    "bat_os/cells", "bat_os/training", "bat_os/gateway", "bat_os/natives", "bat_os/method",
    "bat_os/failpoints.py", "bat_os/cli/reference.py", "bat_os/kernel/idle/explaining.py",
)  # fmt: skip
REPORTS: Final = ("bundle.py", "licences.py")  # what they yield and return is for maintainers
MOST: Final = 6  # alternatives of one text
_STATES: Final = re.compile(r"\b(?:kind|state|status):([a-z]+(?:\|[a-z]+)+)")
_LETTERS: Final = re.compile(r"[^\W\d_]{2,}")
_WORD: Final = re.compile(r"[^\W\d_]{2,}[.:]?")
_FIELD: Final = string.Formatter()


class Scope(ast.NodeVisitor):
    """The texts in one module, each with the line where it is shown."""

    def __init__(self, tree: ast.Module, place: Path) -> None:
        """Read a module."""
        self.found: list[tuple[Text, int]] = []
        self._of_people = place.as_posix().startswith(SHOWING)
        self._of_reports = place.name in REPORTS
        self._names: list[dict[str, list[ast.expr]]] = [_assigned(tree)]
        self.visit(tree)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Read a function, with the names that it assigns."""
        self._names.append(_assigned(node))
        self.generic_visit(node)
        self._names.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - the name is ast's

    def visit_Call(self, node: ast.Call) -> None:
        """Take the texts of a call that shows some."""
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        kind = getattr(errors, name, None)
        if (isinstance(kind, type) and name not in UNSEEN) or name == "report":
            self._take(node.args[:1])
        elif self._of_people and name in SHOWN:
            self._take(node.args[: SHOWN[name]])
        elif self._of_people and name == "Proposal":
            self._take(node.args[2:4])  # what it is, and why
        elif self._of_people and name == "Choice":
            self._take(node.args[2:3])  # why
        elif self._of_people and name in ("table", "table_of"):
            self._take(node.args[1:] if name == "table" else node.args[2:])
        elif self._of_people and name == "show_count" and len(node.args) > 1:
            self._take_count(node)
        for word in node.keywords:
            if word.arg in ("help", "description", "epilog", "heads") and self._of_people:
                self._take([word.value])
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Take the heads of a table's columns."""
        if "Columns" in ast.unparse(node.annotation) and isinstance(node.value, ast.Dict):
            self._take([key for key in node.value.keys if key is not None])
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        """Take what a choice says to a person."""
        for key, value in zip(node.keys, node.values, strict=True):
            if self._of_people and isinstance(key, ast.Constant) and key.value == "shown":
                self._take([value])
        self.generic_visit(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Take what a function of one expression makes for people."""
        if self._of_people and isinstance(node.body, ast.JoinedStr | ast.IfExp | ast.BinOp):
            self._take([node.body])
        self.generic_visit(node)

    def visit_Yield(self, node: ast.Yield) -> None:
        """Take a line that is yielded to what shows it."""
        if self._of_people and not self._of_reports and node.value is not None:
            several = isinstance(node.value, ast.Tuple)  # the name of a table, and its heads
            self._take(node.value.elts if several else [node.value])
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        """Take what a function makes for people: a text, or one of several."""
        if self._of_people and not self._of_reports and node.value is not None:
            texts = self._texts(node.value)
            for text in texts if not isinstance(node.value, ast.Name | ast.Call) else ():
                if " " in _first(text).strip():  # a single word may be one of a program's
                    self._add(text, node.lineno)
        self.generic_visit(node)

    def _take_count(self, node: ast.Call) -> None:
        """Take ``show_count(n, "file")``: a number and its noun."""
        nouns = [arg.value for arg in node.args[1:] if isinstance(arg, ast.Constant)]
        if nouns:
            plural = nouns[1] if len(nouns) > 1 else f"{nouns[0]}s"
            self.found.append(((f"{{count}} {nouns[0]}", f"{{count}} {plural}"), node.lineno))

    def _take(self, nodes: Iterable[ast.expr]) -> None:
        for node in nodes:
            for text in self._texts(node):
                self._add(text, node.lineno)

    def _add(self, text: Text, line: int) -> None:
        first = text if isinstance(text, str) else text[0]
        if worth(first) and (text, line) not in self.found:
            self.found.append((text, line))

    def _texts(  # noqa: PLR0911, C901 - one for each kind of expression
        self, node: ast.expr, depth: int = 0
    ) -> list[Text]:
        """Return the templates of an expression; none for what is no text of ours."""
        if depth > 4:
            return []
        match node:
            case ast.Constant(str(value)):
                return [_escape(value)]
            case ast.JoinedStr(parts):
                return self._join(parts, depth)
            case ast.IfExp(body=one, orelse=other):
                return [*self._texts(one, depth + 1), *self._texts(other, depth + 1)]
            case ast.BoolOp(values=values):
                return [text for each in values for text in self._texts(each, depth + 1)]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._join([left, right], depth)
            case ast.Subscript(value=ast.Name(name)):  # of a table of texts
                tables = [each for each in self._values_of(name) if isinstance(each, ast.Dict)]
                texts = [each for table in tables for each in table.values]
                return [text for each in texts for text in self._texts(each, depth + 1)]
            case ast.Name(name):
                known = self._values_of(name)
                return [text for each in known for text in self._texts(each, depth + 1)]
            case ast.Call(func=ast.Attribute(value=ast.Constant(str(value)), attr="format")):
                return [value]
            case ast.List(items) | ast.Tuple(items):
                return [text for each in items for text in self._texts(each, depth + 1)]
        return []

    def _values_of(self, name: str) -> list[ast.expr]:
        return next((names[name] for names in reversed(self._names) if name in names), [])

    def _join(self, parts: list[ast.expr], depth: int) -> list[Text]:
        """Return the templates of parts that follow one another."""
        choices: list[list[str]] = []
        used: dict[str, int] = {}
        plural = False
        for part in parts:
            if isinstance(part, ast.Constant):
                choices.append([_escape(str(part.value))])
                continue
            value = part.value if isinstance(part, ast.FormattedValue) else part
            if (endings := _endings(value)) is not None:
                choices.append(endings)
                plural = True
                continue
            if isinstance(value, ast.IfExp) and (either := _constants(value)):
                choices.append(either)
                continue
            if isinstance(part, ast.JoinedStr):
                choices.append(
                    [text for text in self._texts(part, depth + 1) if isinstance(text, str)]
                )
                continue
            choices.append([self._field(value, used, depth)])
        many = [" ".join(("".join(choice)).split(" ")) for choice in product(*choices)]
        if plural and len(many) == 2:
            return [(many[1], many[0]) if len(many[1]) < len(many[0]) else (many[0], many[1])]
        return list(many[:MOST])

    def _field(self, value: ast.expr, used: dict[str, int], depth: int) -> str:
        """Return the placeholder of a value; its texts become messages of their own."""
        name = _name_of(value)
        inner = [text for text in self._texts(value, depth + 1) if worth(_first(text))]
        if all(re.fullmatch(r"\w*", _first(text)) for text in inner):  # words of programs, rather
            inner = []
        for text in inner:
            self._add(text, value.lineno)
        if inner or name in (
            "error",
            "problem",
            "reason",
            "why",
            "advice",
            "trouble",
            "show_count",
        ):
            name += "_"
        used[name] = used.get(name, 0) + 1
        number = used[name]
        if number > 1:
            name = f"{name.rstrip('_')}{number}{'_' * name.endswith('_')}"
        return f"{{{name}}}"


def _first(text: Text) -> str:
    return text if isinstance(text, str) else text[0]


def worth(template: str) -> bool:
    """Return whether there is anything to translate in a template.

    >>> worth("{name}: {text}"), worth("no missions"), worth("/inspect"), worth("erased")
    (False, True, False, True)
    """
    literal = " ".join(part for part, *_ in _FIELD.parse(template))
    if "%s" in literal:  # of a log
        return False
    whole = template.strip()
    return (
        is_findable(template)
        and bool(_LETTERS.search(literal))
        and (" " in whole or bool(_WORD.fullmatch(whole)))
    )


def _escape(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _constants(value: ast.IfExp) -> list[str]:
    """Return the two texts between which a condition chooses; [] if they are not constant."""
    match value:
        case ast.IfExp(body=ast.Constant(str(one)), orelse=ast.Constant(str(other))):
            return [_escape(one), _escape(other)]
    return []


def _endings(value: ast.expr) -> list[str] | None:
    """Return what ``'s' * (n != 1)`` or ``'s' if n > 1 else ''`` may be, or None."""
    match value:
        case ast.BinOp(left=ast.Constant(str(ending)), op=ast.Mult()):
            return ["", ending]
        case ast.IfExp(body=ast.Constant(str(one)), orelse=ast.Constant(str(other))) if (
            max(len(one), len(other)) <= 3
        ):
            return [one, other]
    return None


def _name_of(value: ast.expr) -> str:  # noqa: PLR0911 - one for each kind of expression
    """Return a placeholder's name, from what the code calls the value."""
    match value:
        case ast.Name(name):
            return name.strip("_").lower() or "value"
        case ast.Attribute(attr=name):
            return name.strip("_").lower()
        case ast.Subscript(slice=ast.Constant(str(name))):
            return re.sub(r"\W", "_", name)
        case ast.Call(
            func=ast.Name("len" | "str" | "repr" | "cut" | "max" | "min" | "translate"),
            args=[arg, *_],
        ):
            return _name_of(arg)
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(str(name)), *_]):
            return re.sub(r"\W", "_", name)
        case ast.Call(func=ast.Name(name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name.strip("_").lower()
        case ast.BoolOp(values=[first, *_]) | ast.IfExp(body=first):
            return _name_of(first)
    return "value"


def _assigned(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """Return what each name is assigned to in a scope."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(scope):
        match node:
            case ast.Assign(targets=[ast.Name(name)], value=value):
                found.setdefault(name, []).append(value)
            case ast.Assign(targets=[ast.Tuple(names)], value=ast.Tuple(values)):
                for each, value in zip(names, values, strict=False):
                    if isinstance(each, ast.Name):
                        found.setdefault(each.id, []).append(value)
            case ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value):
                found.setdefault(name, []).append(value)
            case ast.AugAssign(target=ast.Name(name), value=value):
                found.setdefault(name, []).append(value)
    return found


@cache
def read_code() -> dict[Text, list[tuple[str, int]]]:
    """Return each message of the code, with the places where it is said."""
    found: dict[Text, list[tuple[str, int]]] = {}
    for file in sorted((ROOT / "bat_os").rglob("*.py")):
        place = file.relative_to(ROOT)
        if place.as_posix().startswith(OUTSIDE):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for text, line in Scope(tree, place).found:
            for message in _split(text):
                found.setdefault(message, []).append((place.as_posix(), line))
    for text in _read_tables():
        found.setdefault(text, []).append(("bat_os/core/verbs.py", 0))
    return found


def _read_tables() -> Iterator[str]:
    """Yield the help of all verbs and of their words, as ``--help`` writes it."""
    parser = make_parser()
    yield from (text for verb in COMMANDS.values() if (text := verb.help))
    for each in (parser, *verbs_of(parser).values()):
        texts = [action.help for action in each._actions]
        texts += [group.title for group in each._action_groups]
        yield from (text for text in texts if text and text != SUPPRESS and worth(text))
    yield from (does for _, does in WHO.values())
    yield from GROUPS
    yield from (name for name, _ in CHECKS)
    yield from ("starting", "running", "waiting", "restarting", "upgrading", "stopped", "failed")
    for verb in COMMANDS.values():  # the words of a state, as their replies have them
        for words in _STATES.findall(verb.reply):
            yield from words.split("|")
    yield from (*map(str, State), GOLD, SILVER, NONE, PROMOTED, REFUSED, UNDONE, WAITS)
    yield from ("stored", "loaded", "unloaded", "resident", "adapter", "embedder")  # models
    yield from ("not begun", "runs")  # minds
    yield from ("practice", "doubt", "mend", "canary", "duplicate", "unused", "slow", "shadowed")
    yield from ("stale", "forge")  # kinds of proposals
    yield from (OK, WARNING, BROKEN, "examples:", "example:")  # of the help of a verb


def _split(text: Text) -> list[Text]:
    """Return a text without the space around it: as one message, or one a line if it has many."""
    if not isinstance(text, str):
        return [(text[0].strip(EDGES), text[1].strip(EDGES))]
    return [line.strip(EDGES) for line in text.split("\n") if worth(line)]


def renew(catalog: Catalog) -> None:
    """Have a catalog hold the messages of the code, and no others."""
    fresh = Catalog()
    for text, places in read_code().items():
        fresh.add(text, locations=sorted({(file, 0) for file, _ in places}))
    catalog.update(fresh, no_fuzzy_matching=True)
    catalog.obsolete.clear()


def missing(catalog: Catalog) -> list[str]:
    """Return what is wrong with a catalog: messages that lack, or whose values differ."""
    known = {message.id: message for message in catalog if message.id}
    said = read_code()
    wrong = [f"{text!r} is not in it" for text in said if text not in known]
    wrong += [f"{text!r} is not said any more" for text in known if text not in said]
    return wrong + [f"{text!r}: {why}" for text, each in known.items() if (why := _fault(each))]


def _fault(message: Message) -> str:
    """Return why a translation cannot be used; "" if it can."""
    if message.string is None:
        return "is not translated"
    forms = [message.string] if isinstance(message.string, str) else [*message.string]
    if not all(forms):
        return "is not translated"
    if message.fuzzy:
        return "is marked fuzzy"
    wanted = {name for text in _both(message.id) for _, name, _, _ in _FIELD.parse(text) if name}
    for form in forms:
        if (has := {name for _, name, _, _ in _FIELD.parse(form) if name}) != wanted:
            return f"has the values {sorted(has)}, not {sorted(wanted)}"
    return ""


def _both(text: str | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else text


def main() -> int:
    """Write the catalogs, or say what lacks in them; return 1 if something does."""
    failed = 0
    for file in sorted(LANGUAGES.glob("wording.*.po")):
        with file.open("rb") as source:
            catalog = read_po(source, locale=file.stem.partition(".")[2])
        if "--write" in sys.argv[1:]:
            renew(catalog)
            with file.open("wb") as out:
                write_po(out, catalog, width=100, include_lineno=False, sort_by_file=True)
        for line in missing(catalog):
            print(f"{file.name}: {line}")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
