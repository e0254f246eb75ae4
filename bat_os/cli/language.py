"""In which language commands speak, and a text of theirs in it. Standard library only.

An answer has the language of its sentence. All else on a terminal has the first one here that
there are texts for:

    BATOS_LOCALE            as for answers whose sentence shows no language
    LANGUAGE                several, as gettext reads it: sv:de
    LC_ALL LC_MESSAGES LANG the first that is set; where that is C, English, as scripts want it
    Windows' own            where none of these is set
"""

from __future__ import annotations

import functools
import locale
import os
import sys
from typing import TYPE_CHECKING

from bat_os.cli.environment import find_home
from bat_os.sentence.wording import SOURCE, Wording, find_file, read_wording

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def translate(text: str) -> str:
    """Return a text of ours in the language of this terminal."""
    return _terminals().translate(text)


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
