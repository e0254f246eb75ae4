"""``python -m bat_os.cli.shell.reference > docs/cli.md``: the page about the command line.

Made from the parsers themselves, so it cannot say what they do not; a test compares.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from bat_os.cli import main as kernel
from bat_os.cli import verbs
from bat_os.cli.chat import session
from bat_os.cli.shell.help import EXAMPLES
from bat_os.cli.shell.launch import HELP, make_parser
from bat_os.cli.shell.parser import show_action, show_value, verbs_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

COMMAND: Final = "python -m bat_os.cli.shell.reference > docs/cli.md"
_HEAD: Final = f"""\
# The command line

Made by `{COMMAND}`; a test compares the two.

`batos` is `.venv/bin/python batos.py`; this makes the short name, and TAB completion with the names
in the live image (`zsh`, `fish` and `powershell` too):

    eval "$(.venv/bin/python batos.py completion bash)"

The answer goes to standard output, all else to standard error. Every verb takes `--home FOLDER`,
`--quiet` (no notes, no progress) and `--json`: then standard output has one JSON object on one
line, in a form that `docs/schemas.json` describes, and an error is
`{{"error": {{"code", "message", "retryable", "details"}}}}`.

| exit status | when |
|---|---|
"""
_COMMON: Final = frozenset({"help", "home", "json", "quiet", "verb"})
_TITLE: Final = "\n## {title}\n"


def write_page() -> str:
    """Return the page."""
    rows = "".join(f"| {status} | {when} |\n" for status, when in verbs.EXIT_STATUSES.items())
    return _HEAD + rows + "".join(f"{line}\n" for line in _sections())


def _sections() -> Iterator[str]:
    yield _TITLE.format(title="Verbs")
    parser = verbs.make_parser()
    made = verbs_of(parser)
    yield from ("| verb | |", "|---|---|")
    for name in sorted(made):
        yield f"| [`{name}`](#batos-{name}) | {_cell(made[name].description or '')} |"
    for name in sorted(made):
        yield from _describe(made[name])
    yield _TITLE.format(title="The kernel itself")
    yield from _describe(kernel.make_parser())
    yield _TITLE.format(title="The launchers")
    yield "`run.sh`, and `puter.bat` with the same words:\n"
    yield from _quote(HELP.format(me="./run.sh"))
    yield _TITLE.format(title="The chat")
    yield from _describe(make_parser())
    yield ""
    yield from _quote(session.HELP)


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
    verb = parser.prog.removeprefix("batos ")
    if shown := [line for line in EXAMPLES.splitlines() if line.split()[0] == verb]:
        yield ""
        yield from (f"    batos {line}" for line in shown)


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return show_value(action)
    value = "" if action.nargs == 0 else f" {show_value(action)}"
    return ", ".join(action.option_strings) + value


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("%%", "%")


if __name__ == "__main__":
    sys.stdout.write(write_page())
