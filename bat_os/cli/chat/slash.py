"""What can follow a slash in the chat: every verb of the command line, and a few of the chat's own.

The help begins with five verbs; the others come in groups, by what a person wants.
"""

from __future__ import annotations

import difflib
import shlex
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from bat_os.cli import verbs
from bat_os.cli.chat.editor import Slash
from bat_os.cli.console import Screen
from bat_os.cli.language import translate
from bat_os.cli.parser import verbs_of
from bat_os.core.verbs import COMMANDS as VERBS
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping
    from pathlib import Path

# What the chat itself does, beside the verbs; /1 and /2 have no name.
OWN: Final[Mapping[str, Slash]] = {
    "help": Slash("what can be said; /help VERB explains one verb", places=("verb",)),
    "as": Slash("the last sentence again, read as selector(values)"),
    "fresh": Slash("learn a sentence anew, even if a known skill would serve"),
    "tokens": Slash(
        "show what models write, while they write it: on or off",
        places=("",),
        choices=(("on", "off"),),
    ),
    "quit": Slash("leave (Ctrl-D, too)"),
}
# Their last argument is a sentence: an apostrophe in it is not a quote.
_OTHER_NAMES: Final = frozenset(name for verb in VERBS.values() for name in verb.hidden)
_IN_WORDS: Final = frozenset(
    verb.name for verb in VERBS.values() for field in verb.fields if field.kind == "words"
)
_HIDDEN: Final = frozenset({"--help", "--home", "--json", "--quiet", "--plain"})
HELP: Final = """\
Say what you want, in words. For example:

  what is 17% of 340?                        answered by a tested method
  remember that my sister's birthday is 3 May
  double a number, e.g. 4 gives 8            an example has it learned, and tested
  calculator_obj.evaluate("17% of 340")      a message to an object, as it is

After an answer: "why?", "undo that", "and for 7?", "no, 57.8". After a question: a number, or yes.

/list             what objects there are, and what they have learned
/inspect OBJECT   what one object holds and can do
/why OBJECT NAME  where a method comes from, how it was tested, what else was tried
/unlearn OBJECT NAME   remove a method; /redo brings it back
/learn FILE       store a document, to ask about it later

/as NAME(VALUES)  the last sentence again, understood as this; its words are remembered
/fresh SENTENCE   learn it anew, even if a known method would serve
/tokens on        show what models write, while they write it
/help VERB        explain one verb

Enter sends; while a bracket or quote is open it starts a new line, as Alt-Enter (or Esc, Enter)
always does. Tab completes, the arrows find earlier lines, Ctrl-R searches them.
Ctrl-C cancels what runs. Ctrl-D, exit or quit leaves.
"""
# All verbs, by what a person wants; a test sees to it that none is missing.
GROUPS: Final[Mapping[str, str]] = {
    "methods": "ask send find list inspect source teach approve relearn unlearn redo pin unpin "
    "verify-method rehearse",
    "objects": "derive parents rename delete",
    "files": "grant grant-mcp grants narrow revoke flows allow disallow effects",
    "times": "schedule schedules unschedule",
    "history": "why versions history undo diff diff-method bisect recall",
    "documents": "learn search documents forget reindex discuss talks",
    "requests": "missions watch cancel experience",
    "idle": "proposals accept dismiss since golden canary forge",
    "models": "models personas states",
    "copies": "backup restore archive fork forks export import cherry-pick chronicle",
    "disk": "space pack verify erase",
    "system": "status doctor logs config minds cluster open mcp keys service setup update upgrade "
    "report licences restart stop uninstall completion",
}


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
        """Return everything that can follow a slash, for completion and help."""
        table = {name: _describe(self._parsers[name]) for name in sorted(self._parsers)}
        return {**table, **OWN}

    async def run(self, line: str) -> None:
        """Carry out ``VERB words``, and show the result as ``batos`` does.

        Raises:
            BatError: The verb is unknown, its words are wrong, or it fails.
        """
        name = line.partition(" ")[0]
        if name not in self._parsers and name not in _OTHER_NAMES:
            raise ArgumentsError(_unknown(name, self.table()))
        try:
            words = shlex.split(line)
        except ValueError as error:
            if name not in _IN_WORDS:
                advice = "close the quote, or remove it"
                raise ArgumentsError(f"{error} in {line[:60]!r}; {advice}") from None
            words = line.split()
        if "-" in words:
            raise ArgumentsError("- means standard input, which is the chat itself; name a file")
        try:
            options = self._parser.read(words)
        except SystemExit:  # --help has been printed
            return
        home = options.home.absolute() if options.home else self._home
        screen = Screen(
            as_json=options.json, plain=self._screen.plain, quiet=options.quiet, name="/"
        )
        verbs.show(await verbs.run(home, options, screen), options, screen)

    def overview(self) -> str:
        """Return what can be said, and all verbs by what they are for."""
        themes = {theme: translate(theme) for theme in GROUPS}
        width = max(map(len, themes.values())) + 2
        lines = []
        for theme, names in GROUPS.items():
            shown = " ".join(f"/{name}" for name in names.split())
            lines += wrap(shown, 96, initial_indent=f"{themes[theme]:<{width}}",
                          subsequent_indent=" " * width, break_on_hyphens=False)  # fmt: skip
        return "\n".join([translate(HELP), translate("All verbs:"), *lines])

    def explain(self, name: str) -> str:
        """Return the help of one verb.

        Raises:
            ArgumentsError: The verb is unknown.
        """
        name = name.removeprefix("/")
        if name in self._parsers:
            return self._parsers[name].format_help()
        if name in OWN:
            return f"/{name}: {OWN[name].help}"
        raise ArgumentsError(_unknown(name, self.table()))


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"unknown verb /{name}; " + (f"did you mean /{near[0]}?" if near else "/help lists them")


def _describe(parser: argparse.ArgumentParser) -> Slash:
    """Return a verb's options and the kinds of its words; argparse keeps them privately."""
    options: list[str] = []
    places: list[str] = []
    choices: list[tuple[str, ...]] = []
    for action in parser._actions:
        if action.option_strings:
            options += [name for name in action.option_strings if name.startswith("--")]
        else:
            places.append(action.dest)
            choices.append(tuple(map(str, action.choices or ())))
    shown = tuple(name for name in options if name not in _HIDDEN)
    return Slash(parser.description or "", shown, tuple(places), tuple(choices))
