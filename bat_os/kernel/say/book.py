"""The wordings of the library with their vectors, as one phrasebook per language.

The vectors come with the program (``python -m bat_os.app.library`` makes them). A wording that has
none is found by its words only.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bat_os.errors import ArgumentsError
from bat_os.image.knowledge.embedding import ShippedVectors
from bat_os.method.shelf import SHELF, parameters_of, seeds_of
from bat_os.method.wordings import read_wordings
from bat_os.sentence.matching import Skill, Wording
from bat_os.sentence.phrasebook import Phrasebook, as_embedded
from bat_os.sentence.wishes import word_wish

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

log = logging.getLogger(__name__)
FIRST: Final = "en"
VECTORS: Final = "wordings.npz"
_SEEDS: Final = resources.files("bat_os") / "seeds"


def list_languages() -> list[str]:
    """Return the languages that the library has wordings in."""
    return sorted(each.name for each in (_SEEDS / "wordings").iterdir() if each.is_dir())


@cache
def read_vectors() -> ShippedVectors:
    """Return the vectors of the library's wordings; none if the file is missing or damaged."""
    try:
        return ShippedVectors.read((_SEEDS / VECTORS).read_bytes())
    except (OSError, ArgumentsError) as error:
        log.warning("wordings are found by their words only: %s", error)
        return ShippedVectors.make([], np.zeros((0, 1), np.float32), np.zeros(1, np.float32))


@cache
def read_book(language: str) -> Phrasebook:
    """Return the library's wordings in a language; made once."""
    wordings = library_wordings(language)
    vectors, has = read_vectors().find([as_embedded(wording.masked) for wording in wordings])
    if missing := int((~has).sum()):
        log.warning("%d wordings have no vector: python -m bat_os.app.library", missing)
    return Phrasebook(wordings, vectors, language)


def library_wordings(language: str) -> list[Wording]:
    """Return the wordings that the program ships; in English also the wishes of its seeds."""
    found = [
        (said.target, said.selector, said.text, dict(said.slots), said.fixed)
        for said in read_wordings(language)
    ]
    if language == FIRST:
        found += _wishes()
    skills: dict[tuple[str, str], Skill] = {}
    wordings = []
    for target, selector, text, slots, fixed in found:
        key = target, selector
        if key not in skills:
            skills[key] = Skill(*key, parameters_of(target)[selector])
        wordings.append(Wording.make(skills[key], text, language, slots, fixed))
    return wordings


def _wishes() -> Iterator[tuple[str, str, str, dict[str, str], Mapping[str, Any]]]:
    """Yield what the seeds of the library were written for, as wordings."""
    for target in SHELF:
        for seed in seeds_of(target):
            parameters = parameters_of(target)[seed.selector]
            if [each.name for each in parameters] != [*seed.params]:
                continue  # a trusted function of the same name takes its place
            kinds = {each.name: each.kind for each in parameters}
            for wish in seed.wishes:
                yield target, seed.selector, word_wish(wish, [*kinds.items()]), kinds, {}
