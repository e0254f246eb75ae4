"""The embedding model of a catalog, and vectors that come with the program.

    texts > RECENT known ones are not asked again > BATCH texts at a time > unit vectors

One mission asks for the vectors of the same few wishes several times; a document's sentences
come once. So only short requests are remembered.

The texts that every new image starts with have shipped vectors. Each is known by the SHA-256 of
its text, and all of them by what their model answers to PROBE. A text that has changed since,
and every text under another model, is embedded as any other: the file saves time and decides
nothing.

ModelError: the embedding model cannot be had. ImageError: another model filled the catalog, and
vectors of two models are never mixed.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from bat_os.errors import ArgumentsError
from bat_os.image.catalog import catalog_in
from bat_os.image.knowledge.vectors import PROBE, VectorRows, is_same

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from bat_os.image.store import ImageStore
    from bat_os.ports import Embedder

    Count = Callable[[int, int], None]

# About two seconds of one core: how long a cancelled reading may go on.
BATCH: Final = 32
RECENT: Final = 512


class CatalogEmbedder:
    """Embeds what is to be kept in the catalog or to be compared with it."""

    def __init__(self, image: ImageStore, embedder: Embedder) -> None:
        self._image = image
        self._embedder = embedder
        self._claimed = False
        self._probe: NDArray[np.float32] | None = None
        self._recent: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    @property
    def name(self) -> str:
        """How the model is called, for people."""
        return str(getattr(self._embedder, "name", type(self._embedder).__name__))

    async def embed(self, texts: Sequence[str], count: Count | None = None) -> NDArray[np.float32]:
        """Return the vectors of ``texts``, from the model that the catalog's vectors are from."""
        await self.claim()
        if len(texts) > BATCH:
            return await self.embed_all(texts, count)
        vectors = await self._remembered(texts)
        if count is not None:
            count(len(texts), len(texts))
        return vectors

    async def embed_all(
        self, texts: Sequence[str], count: Count | None = None
    ) -> NDArray[np.float32]:
        """Return the vectors of ``texts``, whichever model filled the catalog."""
        parts = []
        for start in range(0, len(texts), BATCH):
            parts.append(await self._embedder.embed(texts[start : start + BATCH]))
            await asyncio.sleep(0)  # an embedder need not wait for anything; others come between
            if count is not None:
                count(min(start + BATCH, len(texts)), len(texts))
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)

    async def embed_new(
        self, texts: Sequence[str], shipped: ShippedVectors | None
    ) -> NDArray[np.float32]:
        """Return the vectors of ``texts``; those that are shipped and this model's are not made."""
        if not texts:
            return await self.embed_all(texts)
        await self.claim()
        if shipped is None or not shipped.are_of(await self.probe()):
            return await self.embed_all(texts)
        vectors, has = shipped.find(texts)
        missing = [text for text, known in zip(texts, has, strict=True) if not known]
        if missing:
            vectors[~has] = await self.embed_all(missing)
        return vectors

    async def claim(self) -> None:
        """See that the catalog's vectors are this model's, or will be."""
        if self._claimed:
            return
        probe = await self.probe()
        await self._image.transact(
            lambda root: catalog_in(root).claim(self.name, probe), note="name the embedder"
        )
        self._claimed = True

    async def probe(self) -> NDArray[np.float32]:
        """Return the model's answer to the one text that tells models apart."""
        if self._probe is None:
            self._probe = (await self._embedder.embed([PROBE]))[0]
        return self._probe

    def trust(self) -> None:
        """Take note that the catalog's vectors are this model's from now on."""
        self._claimed = True

    async def _remembered(self, texts: Sequence[str]) -> NDArray[np.float32]:
        missing = [text for text in dict.fromkeys(texts) if text not in self._recent]
        fresh = await self.embed_all(missing)
        known = {text: self._recent[text] for text in texts if text in self._recent}
        known |= dict(zip(missing, fresh, strict=True))
        for text, vector in known.items():
            self._recent[text] = vector
            self._recent.move_to_end(text)
        while len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        return np.stack([known[text] for text in texts]) if texts else fresh


_KEY_BYTES: Final = 8


@dataclass(frozen=True)
class ShippedVectors:
    """Vectors by text."""

    probe: NDArray[np.float32]  # their model's vector for ``PROBE``
    rows: VectorRows  # int8 vectors; ids are the first 64 bits of the texts' SHA-256, ascending

    @classmethod
    def make(
        cls, texts: Sequence[str], vectors: NDArray[np.float32], probe: NDArray[np.float32]
    ) -> Self:
        """Return what to ship for ``texts``; their order does not matter."""
        keys, first = np.unique(_keys(texts), return_index=True)
        return cls(probe.astype(np.float32), VectorRows.quantize(keys, vectors[first]))

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Return what ``write`` wrote."""
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
        """Return whether they are of the model that answers ``PROBE`` like this."""
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
