"""Vectors that come with the program, for the texts that every new image takes in.

Each is known by the SHA-256 of its text, and all of them by what their model answers to
``upkeep.PROBE``. A text that has changed since, and every text under another model, is
embedded as any other: the file saves time and decides nothing.

    make: texts + their vectors > file;  read: file + texts > vectors, or which are missing
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from bat_os.errors import ArgumentsError
from bat_os.image.knowledge.upkeep import is_same
from bat_os.image.knowledge.vectors import VectorRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_KEY_BYTES: Final = 8


@dataclass(frozen=True)
class ShippedVectors:
    """Vectors by text.

    Attributes:
        probe: Their model's vector for ``upkeep.PROBE``.
        rows: int8 vectors; ids are the first 64 bits of the texts' SHA-256, ascending.
    """

    probe: NDArray[np.float32]
    rows: VectorRows

    @classmethod
    def make(
        cls, texts: Sequence[str], vectors: NDArray[np.float32], probe: NDArray[np.float32]
    ) -> Self:
        """Return what to ship for ``texts``; their order does not matter."""
        keys, first = np.unique(_keys(texts), return_index=True)
        return cls(probe.astype(np.float32), VectorRows.quantize(keys, vectors[first]))

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Return what ``write`` wrote.

        Raises:
            ArgumentsError: It is damaged, or something else.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as held:
                probe, ids, scales, codes = (
                    held[name] for name in ("probe", "ids", "scales", "codes")
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ArgumentsError(f"the shipped vectors cannot be read: {error}") from error
        kinds = probe.dtype, ids.dtype, scales.dtype, codes.dtype
        shapes = probe.ndim == 1 and ids.shape == scales.shape == codes.shape[:1]
        if kinds != (np.float32, np.int64, np.float32, np.int8) or not shapes:
            raise ArgumentsError("the shipped vectors are not what this program writes")
        if codes.shape[1:] != probe.shape or (np.diff(ids) <= 0).any():
            raise ArgumentsError("the shipped vectors are not what this program writes")
        return cls(probe, VectorRows(ids, scales, codes))

    def write(self) -> bytes:
        """Return the file; the same vectors give the same bytes."""
        stream = io.BytesIO()
        rows = self.rows
        np.savez(stream, probe=self.probe, ids=rows.ids, scales=rows.scales, codes=rows.codes)
        return stream.getvalue()

    def are_of(self, probe: NDArray[np.float32]) -> bool:
        """Return whether they are of the model that answers ``upkeep.PROBE`` like this."""
        return is_same(self.probe, probe)

    def find(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return ``(n, d)`` vectors, and which of the texts have one; the others' are zeros."""
        keys, ids = _keys(texts), self.rows.ids
        vectors = np.zeros((len(keys), len(self.probe)), np.float32)
        if not len(ids):
            return vectors, np.zeros(len(keys), np.bool_)
        at = np.minimum(np.searchsorted(ids, keys), len(ids) - 1)
        has: NDArray[np.bool_] = ids[at] == keys
        at = at[has]
        vectors[has] = self.rows.codes[at] * self.rows.scales[at][:, np.newaxis]
        return vectors, has


def _keys(texts: Sequence[str]) -> NDArray[np.int64]:
    heads = [hashlib.sha256(text.encode()).digest()[:_KEY_BYTES] for text in texts]
    return np.frombuffer(b"".join(heads), ">i8").astype(np.int64)
