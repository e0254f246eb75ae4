"""``python deploy/manual.py``: the manual page, from the same tables as ``--help``.

    the launchers' help, the verbs' parsers, the exit statuses  >  deploy/batos.1

With ``--write`` it is made again; without, the exit status says whether it is current. The wheel
puts it where ``man`` looks for the pages of an environment, ``share/man``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # so it runs from anywhere, as deploy/release.py

from bat_os.cli.launch import HELP, INSTALLED  # noqa: E402 - after the path
from bat_os.cli.main import make_parser as make_kernel_parser  # noqa: E402
from bat_os.cli.parser import show_value, usage, verbs_of  # noqa: E402
from bat_os.cli.verbs import EXIT_STATUSES, make_parser  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bat_os.cli.parser import Parser

PAGE: Final = ROOT / "deploy" / "batos.1"
COMMAND: Final = "python deploy/manual.py --write"
_NAME: Final = "batos"
_COMMON: Final = ("help", "home", "json", "quiet", "plain", "mind")  # OPTIONS has them once
_TYPED: Final = str.maketrans({"\\": "\\e", "-": "\\-", "'": "\\(aq", '"': "\\(dq"})


def write_manual() -> str:
    """Return the manual page, in the man macros of roff."""
    return "\n".join(_list_lines()) + "\n"


def _list_lines() -> Iterator[str]:
    parser = make_parser(_NAME)
    verbs = verbs_of(parser)
    title, _, words = HELP.partition("\n\n")
    yield f'.\\" Made by {COMMAND}.'
    yield '.TH BATOS 1 "" "BAT OS" "User Commands"'
    yield from (".SH NAME", f"batos \\- {_escape(title.partition(': ')[2].rstrip('.'))}")
    yield from (
        ".SH SYNOPSIS",
        ".nf",
        ".B " + _escape('batos "a sentence"'),
        ".B batos VERB ...",
        ".fi",
    )
    yield from (".SH DESCRIPTION", ".nf", _escape(words.format(me=_NAME).strip("\n")), ".fi")
    yield from (".PP", ".nf", _escape(INSTALLED.format(me=_NAME).strip("\n")), ".fi")
    yield ".SH OPTIONS"
    yield from _describe_actions(parser, [one for one in parser._actions if one.option_strings])
    yield ".SH VERBS"
    for one in (*map(verbs.__getitem__, sorted(verbs)), make_kernel_parser()):
        yield from _describe_verb(one)
    yield ".SH EXIT STATUS"
    for status, when in EXIT_STATUSES.items():
        yield from (".TP", f".B {status}", _escape(when.replace("`", "")))
    yield from (".SH ENVIRONMENT", ".TP", ".B BATOS_HOME", "The home: image, settings, logs.")
    yield from (".TP", ".B BATOS_NAME", "The setting NAME; batos config lists them all.")


def _describe_verb(parser: Parser) -> Iterator[str]:
    own = [one for one in parser._actions if one.dest not in _COMMON]
    yield from (f".SS {_escape(parser.prog)}", f".B {_escape(usage(parser))}", ".PP")
    yield _escape(parser.description or "")
    yield from _describe_actions(parser, own)
    if parser.epilog:
        yield from (".PP", ".nf", _escape(parser.epilog.strip()), ".fi")


def _describe_actions(parser: Parser, actions: list[argparse.Action]) -> Iterator[str]:
    formatter = parser.formatter_class(parser.prog)
    for action in actions:
        if action.help == argparse.SUPPRESS:
            continue
        value = "" if action.nargs == 0 else f" {show_value(action)}"
        name = ", ".join(action.option_strings) + value
        about = formatter._expand_help(action) if action.help else ""
        yield from (".TP", f".B {_escape(name.strip())}", _escape(about) or "\\&")


def _escape(text: str) -> str:
    r"""Return a text as roff shows it: no line of it is a request, and what is typed stays."""
    shown = text.translate(_TYPED)
    lines = (f"\\&{line}" if line.startswith(".") else line for line in shown.split("\n"))
    return "\n".join(lines)


def main() -> int:
    """Write the page, or with no ``--write`` say whether it is out of date."""
    text = write_manual()
    if "--write" in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    if PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PAGE.relative_to(ROOT)} is out of date: {COMMAND}")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
