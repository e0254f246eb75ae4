"""The parser of the verbs: a mistake is one coded error that says what was probably meant."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import TYPE_CHECKING, Final, NoReturn

from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHOICE: Final = re.compile(r"argument (.+?): invalid choice: '([^']*)'")
_FEW: Final = 12
_NUMBER: Final = re.compile(r"argument (.+?): invalid (?:int|float) value: '([^']*)'")
_MISSING: Final = "the following arguments are required: "


class Parser(argparse.ArgumentParser):
    """Raises instead of printing and leaving; ``--help`` still does both."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the command line.

        Raises:
            ArgumentsError: Always; the message has the usage, or a guess.
        """
        if wrong := _CHOICE.match(message):
            message = self._guess_choice(wrong[1], wrong[2])
        elif wrong := _NUMBER.match(message):
            message = f"{wrong[1]} takes a number, and {wrong[2]!r} is none"
        elif message.startswith(_MISSING):
            message = f"{message.removeprefix(_MISSING).upper()} is missing"
        advice = "" if "did you mean" in message else f"; {self._advise()}"
        raise ArgumentsError(f"{self.prog}: {message}{advice}")

    def read(self, words: Sequence[str] | None) -> argparse.Namespace:
        """Return the options in a command line; as ``parse_args``, but the verb complains.

        Raises:
            ArgumentsError: There is something wrong with it.
        """
        options, extra = self.parse_known_args(words)
        if extra:
            made = verbs_of(self).get(getattr(options, "verb", ""), self)
            made.error(_describe_extra(made, extra[0]))
        return options

    def _guess_choice(self, name: str, given: str) -> str:
        action = next(one for one in self._actions if _label(one) == name)
        known = [str(choice) for choice in action.choices or () if choice]
        meant = guess(given, known)
        return f"no {name.lower()} {given!r}" + (f"; {meant}" if meant else "")

    def _advise(self) -> str:
        if verbs_of(self):
            return f"{self.prog} --help lists them"
        return f"write it as: {usage(self)} ({self.prog} --help says more)"


def guess(given: str, known: Sequence[str]) -> str:
    """Return what was probably meant, or all that there is where that is little.

    >>> guess("lst", ["list", "learn"]), guess("xyz", ["list", "learn"])
    ("did you mean 'list'?", 'there are: list, learn')
    """
    near = difflib.get_close_matches(given, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are: {', '.join(known)}" if len(known) <= _FEW else ""


def verbs_of(parser: argparse.ArgumentParser) -> dict[str, Parser]:
    """Return the parsers of the verbs; argparse tells them by a private name only."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            named = action.choices.items()
            return {name: one for name, one in named if one.get_default("verb") in (None, name)}
    return {}


def usage(parser: argparse.ArgumentParser, *, options: bool = False) -> str:
    """Return one line: the program, its arguments, and with ``options`` those too."""
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    actions = [action for action in shown if options or not action.option_strings]
    return " ".join([parser.prog, *(show_action(action) for action in actions)])


def show_action(action: argparse.Action) -> str:
    """Return an argument or option as usage lines write it."""
    value = show_value(action)
    if action.option_strings:
        text = action.option_strings[-1] + ("" if action.nargs == 0 else f" {value}")
        return text if action.required else f"[{text}]"
    forms = {"?": f"[{value}]", "*": f"[{value} ...]", "+": f"{value} [{value} ...]"}
    return forms.get(str(action.nargs), value)


def show_value(action: argparse.Action) -> str:
    """Return the word for a value in a usage line."""
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "|".join(str(choice) for choice in action.choices if choice)
    return action.dest.upper()


def _label(action: argparse.Action) -> str:
    """Return the name by which argparse's own messages call an argument."""
    if action.option_strings:
        return "/".join(action.option_strings)
    return action.metavar if isinstance(action.metavar, str) else action.dest


def _describe_extra(parser: argparse.ArgumentParser, word: str) -> str:
    if not word.startswith("-"):
        return f"{word!r} is one argument too many"
    known = [text for action in parser._actions for text in action.option_strings]
    near = difflib.get_close_matches(word.partition("=")[0], known, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"there is no option {word}{meant}"
