"""``python -m bat_os.cli.reference --write``: the reference pages, made from the table of verbs.

    docs/cli.md          the command line, from the parsers that are made from the table
    docs/protocol.md     its table of verbs; the rest of the page is written by hand
    docs/schemas.json    what --json prints

A test compares the pages with what is made here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.cli import licences, verbs
from bat_os.cli import main as kernel
from bat_os.cli.chat import slash
from bat_os.cli.chat.arguments import make_parser
from bat_os.cli.launch import CHECKOUT, HELP
from bat_os.cli.parser import show_action, show_value, verbs_of
from bat_os.core.fields import schema_of
from bat_os.core.verbs import COMMANDS as VERBS
from bat_os.core.verbs import REQUESTS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from bat_os.core.fields import Field, Verb

COMMAND: Final = "python -m bat_os.cli.reference --write"
DOCS: Final = Path(bat_os.__file__).parents[1] / "docs"
_HEAD: Final = f"""\
# The command line

Made by `{COMMAND}`; a test compares the two.

`batos` is `.venv/bin/python batos.py`; this makes the short name, and TAB completion with the names
in the live image (`zsh`, `fish` and `powershell` too):

    eval "$(.venv/bin/python batos.py completion bash)"

The answer goes to standard output, all else to standard error. Every verb takes `--home FOLDER`,
`--quiet` (no notes, no progress), `--plain` (no colours, nothing redrawn: for screen readers; so
does the variable `NO_COLOR`; of `backup` it means something else, so there it stands before the
verb) and `--json`: then standard output has one JSON object on one line, in a form that
`docs/schemas.json` describes, and an error is
`{{"error": {{"code", "message", "retryable", "details"}}}}`. JSON is English on every machine; the
rest has [the language of the terminal](languages.md).

| exit status | when |
|---|---|
"""
_ERROR: Final = "code message retryable:flag details:map retry_after_ms?:count"
_COMMON: Final = frozenset({"help", "home", "json", "plain", "quiet", "verb"})
_TITLE: Final = "\n## {title}\n"


def pages() -> dict[Path, str]:
    """Return the text of each page, by its place."""
    protocol, third = DOCS / "protocol.md", DOCS.parent / "THIRD_PARTY.md"
    return {
        third: licences.write_page() or third.read_text(encoding="utf-8"),
        DOCS / "cli.md": write_page(),
        protocol: with_verbs(protocol.read_text(encoding="utf-8")),
        DOCS / "schemas.json": json.dumps(schemas(), indent=1) + "\n",
    }


def schemas() -> dict[str, Any]:
    """Return JSON schemas of what ``--json`` prints."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "description": "What batos VERB --json prints: one object, of the schema that is named "
        "after the verb, or of the one named error. Further fields may come.",
        "error": {
            "type": "object",
            "required": ["error"],
            "additionalProperties": False,
            "properties": {"error": schema_of(_ERROR)},
        },
        "verbs": {
            name: schema_of(VERBS[name].prints or VERBS[name].reply) for name in sorted(VERBS)
        },
    }


def with_verbs(page: str) -> str:
    """Return the page about the wire with the table of verbs as it is now."""
    before, heading, after = page.partition("\n## Verbs\n\n")
    _, gap, rest = after.partition("\n\n")
    head = "| verb | takes | body of the last reply |\n|---|---|---|\n"
    rows = (_row(verb) for name, verb in REQUESTS.items() if name == verb.name)
    return before + heading + head + "\n".join(rows) + gap + rest


def _row(verb: Verb) -> str:
    envelope = {field: _code(field.name) for field in verb.fields if field.place == "envelope"}
    body = {field: _explain(field) for field in verb.fields if field.place == "body"}
    takes = []
    for prefix, shown in (("", envelope), ("in `body` ", body)):
        words = [text for field, text in shown.items() if field.required]
        further = [text for field, text in shown.items() if not field.required]
        words += [f"perhaps {', '.join(further)}"] if further else []
        takes += [prefix + ", ".join(words)] if words else []
    alias = f"Also named {_code(*verb.aliases)}." if verb.aliases else ""
    answers = ". ".join(
        filter(None, (_name_parts(schema_of(verb.reply)), verb.note.rstrip("."), alias))
    )
    return f"| {_code(verb.name)} | {_cell('; '.join(takes))} | {_cell(answers)} |"


def _explain(field: Field) -> str:
    """Return a field of a body: its name, what it may be, and what it is for."""
    choices = ", ".join(_code(choice) for choice in field.choices if choice)
    bounds = f"{field.least} to {field.most}" if field.least is not None and field.most else ""
    default = f"else {field.default}" if field.default else ""
    about = "; ".join(filter(None, (choices or bounds, default, field.help)))
    return f"{_code(field.name)} ({about})" if about else _code(field.name)


def _name_parts(schema: Mapping[str, Any]) -> str:
    """Return the names in a reply, those inside a part in brackets after it."""
    parts = []
    for name, kind in schema["properties"].items():
        inside = kind.get("items", kind).get("properties", {})
        each = " of each" if "items" in kind else ""
        parts.append(f"{_code(name)} ({_code(*inside)}{each})" if inside else _code(name))
    return ", ".join(parts)


def _code(*names: str) -> str:
    return ", ".join(f"`{name}`" for name in names)


def write_page() -> str:
    """Return the page about the command line."""
    rows = "".join(f"| {status} | {when} |\n" for status, when in verbs.EXIT_STATUSES.items())
    return _HEAD + rows + "".join(f"{line}\n" for line in _sections())


def _sections() -> Iterator[str]:
    yield _TITLE.format(title="Verbs")
    parser = verbs.make_parser()
    parsers = verbs_of(parser)
    yield from ("| verb | |", "|---|---|")
    for name in sorted(VERBS):
        yield f"| [`{name}`](#batos-{name}) | {_cell(parsers[name].description or '')} |"
    for name in sorted(VERBS):
        yield from _describe(parsers[name])
    yield _TITLE.format(title="The kernel itself")
    yield from _describe(kernel.make_parser())
    yield _TITLE.format(title="The launchers")
    yield "`run.sh`, and `puter.bat` with the same words:\n"
    yield from _quote((HELP + CHECKOUT).format(me="./run.sh"))
    yield _TITLE.format(title="The chat")
    yield from _describe(make_parser())
    yield ""
    yield from _quote(slash.HELP)


def _quote(text: str) -> Iterator[str]:
    return (f"    {line}".rstrip() for line in text.splitlines())


def _describe(parser: argparse.ArgumentParser) -> Iterator[str]:
    actions = [action for action in parser._actions if action.dest not in _COMMON]
    yield f"\n### {parser.prog}\n"
    usage = " ".join([parser.prog, *(show_action(action) for action in actions)])
    yield f"    {usage}\n"
    yield parser.description or ""
    if actions:
        yield from ("", "| argument | |", "|---|---|")
    for action in actions:
        yield f"| `{_cell(_name(action))}` | {_cell(action.help or '')} |"
    if verb := VERBS.get(parser.prog.removeprefix("batos ")):
        yield ""
        yield from (f"    {parser.prog} {words}".rstrip() for words in verb.examples)


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return show_value(action)
    value = "" if action.nargs == 0 else f" {show_value(action)}"
    return ", ".join(action.option_strings) + value


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("%%", "%")


def main() -> None:
    """Write the pages, or with no ``--write`` say which are out of date."""
    for path, text in pages().items():
        if path.read_text(encoding="utf-8") == text:
            continue
        if "--write" in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
