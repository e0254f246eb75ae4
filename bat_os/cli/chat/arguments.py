"""What a sentence, or a chat, takes on the command line. Standard library only: for set-up too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import bat_os
from bat_os.cli.language import Formatter, HelpParser

if TYPE_CHECKING:
    import argparse


def make_parser(prog: str = "chat_client.py") -> argparse.ArgumentParser:
    """Return the parser of the client."""
    parser = HelpParser(
        prog=prog,
        description="Talk to BAT OS: one sentence, or without one a conversation.",
        epilog="Exit status: 0 answered (a guess too), 1 error, 2 usage, 3 no daemon, 4 it asks "
        "back, 5 nothing does this, 130 interrupted.",
        formatter_class=Formatter,
    )
    parser.add_argument("--version", action="version", version=f"BAT OS {bat_os.__version__}")
    parser.add_argument(
        "sentence", nargs="*", help="what you want, in words; without, each line of a pipe is one"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--plain", action="store_true", help="no colours, nothing redrawn: for screen readers"
    )
    parser.add_argument(
        "--session",
        default="",
        metavar="NAME",
        help="conversation that it belongs to; the next call with this name goes on with it",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="learn it anew even if a known skill would serve"
    )
    parser.add_argument(
        "--as",
        dest="call",
        metavar="CALL",
        help="read the sentence as this, and remember its words: 'selector(5)'",
    )
    parser.add_argument("--home", type=Path, help="home directory (default: $BATOS_HOME, or data)")
    return parser
