"""Slash verbs: in the chat, ``/VERB words`` is ``batos VERB words``, with the same printing.

Nothing is written twice: the table, the grammar and what is shown are those of ``batos``.
"""

from __future__ import annotations

import difflib
import shlex
from typing import TYPE_CHECKING, Final

from bat_os.cli import verbs
from bat_os.cli.chatroom.completer import Slash
from bat_os.cli.console import Screen
from bat_os.cli.shell.parser import verbs_of
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping
    from pathlib import Path


# What the chat itself does, beside the verbs; /1 and /2 have no name.
OWN: Final[Mapping[str, Slash]] = {
    "help": Slash("what can be said; /help VERB tells of one", places=("verb",)),
    "as": Slash("the last sentence once more, read as selector(values)"),
    "fresh": Slash("learn a sentence anew, even if a known skill would serve"),
    "tokens": Slash(
        "show what models write, while they write it: on or off",
        places=("",),
        choices=(("on", "off"),),
    ),
    "quit": Slash("leave (Ctrl-D, too)"),
}
# Their last argument is a sentence: an apostrophe in it is no quote.
_IN_WORDS: Final = frozenset({"ask", "discuss", "find", "search"})
_HIDDEN: Final = frozenset({"--help", "--home", "--json", "--quiet"})


class SlashVerbs:
    """The verbs of the command line, on one home directory."""

    def __init__(self, home: Path, screen: Screen) -> None:
        self._home = home
        self._screen = screen
        self._parser = verbs.make_parser()
        self._parsers = verbs_of(self._parser)
        for name, parser in self._parsers.items():
            parser.prog = f"/{name}"

    def table(self) -> dict[str, Slash]:
        """Return everything that a slash can be followed by, for completion and help."""
        made = {name: _describe(self._parsers[name]) for name in sorted(self._parsers)}
        return {**made, **OWN}

    async def run(self, line: str) -> None:
        """Do what ``VERB words`` says, and show it as ``batos`` does.

        Raises:
            ArgumentsError: There is no such verb, or its words are wrong.
            BatError: What the verb raises.
        """
        name = line.partition(" ")[0]
        if name not in self._parsers:
            raise ArgumentsError(_unknown(name, self.table()))
        words = _split(name, line)
        if "-" in words:
            raise ArgumentsError("- stands for standard input, and that is the chat; name a file")
        try:
            options = self._parser.read(words)
        except SystemExit:  # --help has been printed
            return
        home = options.home.absolute() if options.home else self._home
        screen = Screen(as_json=options.json, plain=self._screen.plain, quiet=options.quiet)
        verbs.show(await verbs.run(home, options, screen), options, screen)

    def explain(self, name: str) -> str:
        """Return the help of one verb.

        Raises:
            ArgumentsError: There is none of that name.
        """
        name = name.removeprefix("/")
        if name in self._parsers:
            return self._parsers[name].format_help()
        if name in OWN:
            return f"/{name}: {OWN[name].help}"
        raise ArgumentsError(_unknown(name, self.table()))


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"no verb /{name}; " + (f"did you mean /{near[0]}?" if near else "/help lists them")


def _split(name: str, line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        if name in _IN_WORDS:
            return line.split()
        raise ArgumentsError(
            f"{error} in {line[:60]!r}; close the quote, or leave it out"
        ) from None


def _describe(parser: argparse.ArgumentParser) -> Slash:
    """Return a verb's options and the kinds of its words; argparse keeps them privately."""
    options: list[str] = []
    places: list[str] = []
    choices: list[tuple[str, ...]] = []
    for action in parser._actions:
        if action.option_strings:
            options += [one for one in action.option_strings if one.startswith("--")]
        else:
            places.append(action.dest)
            choices.append(tuple(map(str, action.choices or ())))
    shown = tuple(one for one in options if one not in _HIDDEN)
    return Slash(parser.description or "", shown, tuple(places), tuple(choices))
