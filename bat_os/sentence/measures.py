"""What a request asks of many things, in any language, as a few English words.

    "welche Datei in ~/notes ist die längste?"   {"file", "longest"}
    "combien de mots ont tous les fichiers ...?"  {"many", "word", "together", "file"}

What people say is data, ``languages/measures.toml``. Pure.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CHARS: Final = 1_000
_FALLBACK: Final = "en"
_COMPARED: Final = frozenset(
    {"longest", "shortest", "largest", "smallest", "newest", "oldest", "most", "fewest"}
)
# Words of paths and of files are names.
_PATH: Final = re.compile(r"(?<!\w)(?:\S*[/\\]\S*|[\w-][\w.-]*\.[A-Za-z]\w{0,4}(?!\w))")


def measures_in(text: str, language: str) -> frozenset[str]:
    """Return the English words for what a request asks of many things.

    >>> sorted(measures_in("Quel est le plus long fichier de ~/notes ?", "fr"))
    ['file', 'longest', 'which']
    """
    known = _read()
    words = known.get(language) or known[_FALLBACK]
    said = _folded(_PATH.sub(" ", text[:MAX_CHARS]))
    found, taken = set(), said
    # The longer wording first: "plus de" is a part of "le plus de", "grand" of "plus grand".
    for name, pattern in words.items():
        if match := pattern.search(taken):
            found.add(name)
            taken = f"{taken[: match.start()]} {taken[match.end() :]}"
    return frozenset(found)


def compares(text: str, language: str) -> bool:
    """Return whether a request compares the size or the age of one thing with another.

    >>> compares("is a longer than b?", "en"), compares("which is longer, a or b?", "en")
    (True, False)
    """
    words = measures_in(text, language)
    return "than" in words and bool(words & _COMPARED)


def in_english(text: str, language: str) -> str:
    """Return a request, followed by the English words for what it asks of many things.

    English has them, except for those of a comparison: "longer" is ``longest`` there.
    """
    found = measures_in(text, language)
    known = "" if language == _FALLBACK and "than" not in found else " ".join(sorted(found))
    return f"{text} {known}" if known else text


def _folded(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(each for each in parts if not unicodedata.combining(each)).split())


@cache
def _read() -> Mapping[str, Mapping[str, re.Pattern[str]]]:
    """Return the wordings by language, in the order in which they are looked for."""
    file = resources.files("bat_os.sentence") / "languages" / "measures.toml"
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    return {
        language: {name: re.compile(rf"(?<!\w)(?:{said})(?!\w)") for name, said in words.items()}
        for language, words in data.items()
    }
