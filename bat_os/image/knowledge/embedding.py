"""The embedding model of a catalog: asked in batches, and only if the catalog's vectors are its.

    texts > RECENT known ones are not asked again > BATCH texts at a time > unit vectors

One mission asks for the vectors of the same few wishes several times; a document's sentences
come once. So only short requests are remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import numpy as np

from bat_os.image.catalog import catalog_in
from bat_os.image.knowledge import upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from bat_os.image.knowledge.shipped import ShippedVectors
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
        """Return the vectors of ``texts``, from the model that the catalog's vectors are from.

        Args:
            texts: Embedded BATCH at a time; so few of them are remembered for a while.
            count: Called with (done, all) after each batch.

        Raises:
            ImageError: Another embedding model filled the catalog.
            ModelError: The embedding model cannot be had.
        """
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
        """Return the vectors of ``texts``, whoever filled the catalog.

        Raises:
            ModelError: The embedding model cannot be had.
        """
        parts = []
        for start in range(0, len(texts), BATCH):
            parts.append(await self._embedder.embed(texts[start : start + BATCH]))
            if count is not None:
                count(min(start + BATCH, len(texts)), len(texts))
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)

    async def embed_new(
        self, texts: Sequence[str], shipped: ShippedVectors | None
    ) -> NDArray[np.float32]:
        """Return the vectors of ``texts``; those that are shipped and this model's are not made.

        Raises:
            ImageError: Another embedding model filled the catalog.
            ModelError: The embedding model cannot be had.
        """
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
        """See that the catalog's vectors are this model's, or will be.

        Raises:
            ImageError: Another embedding model filled the catalog.
            ModelError: The embedding model cannot be had.
        """
        if self._claimed:
            return
        probe = await self.probe()
        await self._image.transact(
            lambda root: upkeep.claim(catalog_in(root), self.name, probe), note="name the embedder"
        )
        self._claimed = True

    async def probe(self) -> NDArray[np.float32]:
        """Return the model's answer to the one text that tells models apart.

        Raises:
            ModelError: The embedding model cannot be had.
        """
        if self._probe is None:
            self._probe = (await self._embedder.embed([upkeep.PROBE]))[0]
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
