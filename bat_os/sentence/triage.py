"""What kind of request a sentence is where no skill fits: so that the answer says what is missing.

    function   a value that code could work out from what the sentence gives
    world      a fact about the world: weather, prices, people, news
    creative   a text to be written
    files      files, folders and programs of this computer
    device     something to switch, play, send or call
    opinion    advice, taste, a view
    talk       a greeting, thanks, a remark
    memory     what the person has said or kept before
    nonsense   no request at all

A multinomial logistic regression over the vector of the sentence and hashed words and runs of
letters. The vector is of an English model, so in other languages the letters decide.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from bat_os.sentence.scoring import read_arrays
from bat_os.sentence.terms import split_sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bat_os.sentence.reading import Sentence

    Floats = NDArray[np.float32]

KINDS: Final = (
    "function", "world", "creative", "files", "device", "opinion", "talk", "memory", "nonsense",
)  # fmt: skip
BUCKETS: Final = 1024
WIDTH: Final = 384
_LETTERS: Final = 4  # of a run
_MOST: Final = 400  # characters that are looked at


@dataclass(frozen=True)
class Triage:
    """The trained weights.

    Attributes:
        weights: float32 ``(WIDTH + BUCKETS + 1, len(KINDS))``; the last row is the bias.
        warmth: What the logits are multiplied by, so that the probabilities are calibrated.
    """

    weights: Floats
    warmth: float

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> Self:
        """Return the weights from what ``as_arrays`` returned."""
        return cls(arrays["triage"].astype(np.float32), float(arrays["warmth"]))

    def as_arrays(self) -> dict[str, Any]:
        """Return the weights as arrays for the file, in half precision."""
        return {"triage": self.weights.astype(np.float16), "warmth": np.float64(self.warmth)}

    def chances(self, row: Floats) -> Floats:
        """Return the probability of each of KINDS for what ``features_of`` returned."""
        logits = (row @ self.weights[:-1] + self.weights[-1]) * np.float32(self.warmth)
        logits -= logits.max()
        chances = np.exp(logits)
        shares: Floats = chances / chances.sum()
        return shares


def classify(sentence: Sentence, vector: Floats | None) -> Mapping[str, float]:
    """Return the probability of each of KINDS.

    Args:
        sentence: As it was read.
        vector: Of ``as_embedded(sentence.masked)``; without one the letters decide alone.
    """
    chances = read_triage().chances(features_of(sentence, vector))
    return {kind: round(float(chance), 4) for kind, chance in zip(KINDS, chances, strict=True)}


@cache
def read_triage() -> Triage:
    """Return the weights that the program ships; the file is read once."""
    return Triage.of(read_arrays())


def features_of(sentence: Sentence, vector: Floats | None) -> Floats:
    """Return the vector and the hashed words and letters of a sentence, each of length 1."""
    row = np.zeros(WIDTH + BUCKETS, np.float32)
    if vector is not None and len(vector) == WIDTH:
        row[:WIDTH] = vector
    masked = sentence.masked[:_MOST]
    words = [term.stem for term in split_sentence(sentence)]
    said = {f"{one} {other}" for one, other in pairwise(words)} | set(words)
    said |= {f"first {words[0]}"} if words else set()
    framed = f" {masked} "
    said |= {f"#{framed[at : at + _LETTERS]}" for at in range(len(framed) - _LETTERS + 1)}
    places = [WIDTH + zlib.crc32(each.encode()) % BUCKETS for each in sorted(said)]
    np.add.at(row, places, 1.0)
    hashed = row[WIDTH:]
    np.log1p(hashed, out=hashed)
    hashed /= max(float(np.linalg.norm(hashed)), 1e-6)
    return row
