"""In which language commands speak, and a text of theirs in it. Standard library only.

An answer has the language of its sentence. All else on a terminal has the first one here that
there are texts for:

    BATOS_LOCALE            as for answers whose sentence shows no language
    LANGUAGE                several, as gettext reads it: sv:de
    LC_ALL LC_MESSAGES LANG the first that is set; where that is C, English, as scripts want it
    Windows' own            where none of these is set
"""

from __future__ import annotations

import argparse
import functools
import locale
import os
import sys
from typing import TYPE_CHECKING, Any

from bat_os.cli.environment import find_home
from bat_os.sentence.wording import SOURCE, Wording, find_file, read_wording

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def translate(text: str) -> str:
    """Return a text of ours in the language of this terminal."""
    return _terminals().translate(text)


class Formatter(argparse.HelpFormatter):
    """Says before a usage line that it is one, in the language of the terminal."""

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        """Add the usage line."""
        prefix = f"{translate('usage:')} " if prefix is None else prefix
        super().add_usage(usage, actions, groups, prefix)


class RawFormatter(Formatter, argparse.RawDescriptionHelpFormatter):
    """The same, and leaves lines as they are written."""


class HelpParser(argparse.ArgumentParser):
    """Gives its help in the language of the terminal; the tables of verbs stay English."""

    def format_help(self) -> str:
        """Return the help."""
        self.description = _translate_sentence(self.description or "")
        self.epilog = translate(self.epilog or "")
        for group in self._action_groups:
            group.title = translate(group.title or "")
        for action in self._list_described():
            action.help = translate(action.help) if action.help else action.help
        return super().format_help()

    def _list_described(self) -> list[argparse.Action]:
        """Return the arguments, and the verbs, that help describes."""
        verbs = [one for one in self._actions if isinstance(one, argparse._SubParsersAction)]
        return [*self._actions, *(each for one in verbs for each in one._choices_actions)]


def _translate_sentence(text: str) -> str:
    """Return what a verb does, which the table has as a phrase, as a sentence."""
    phrase = f"{text[:1].lower()}{text[1:-1]}"
    said = translate(phrase)
    return translate(text) if said == phrase else f"{said[:1].upper()}{said[1:]}."


@functools.cache
def _terminals() -> Wording:
    folder = find_home(None).path
    return read_wording(find_language(os.environ, folder), folder)


def find_language(environ: Mapping[str, str], folder: Path | None = None) -> str:
    """Return the code of the language of a terminal; ``folder`` may have texts for more of them.

    >>> find_language({"LANG": "de_AT.UTF-8"}), find_language({"LANG": "C.UTF-8", "LANGUAGE": "de"})
    ('de', 'en')
    """
    wanted = [environ["BATOS_LOCALE"]] if environ.get("BATOS_LOCALE") else _list_wanted(environ)
    for name in wanted:
        code = name.partition(".")[0].partition("_")[0].partition("-")[0].lower()
        if code == SOURCE or find_file(code, folder) is not None:
            return code
    return SOURCE


def _list_wanted(environ: Mapping[str, str]) -> list[str]:
    named = next(filter(None, map(environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    if named.partition(".")[0] in ("C", "POSIX"):
        return []
    if named or environ.get("LANGUAGE"):
        return [*environ.get("LANGUAGE", "").split(":"), named]
    return [_ask_windows()] if sys.platform == "win32" else []


def _ask_windows() -> str:
    """Return the language of Windows' own windows, such as ``de_DE``."""
    import ctypes  # there only

    number = ctypes.windll.kernel32.GetUserDefaultUILanguage()  # type: ignore[attr-defined]  # Windows'
    return locale.windows_locale.get(number, SOURCE)
