"""The image as it was, in the place of the image: whatever reads one reads the other.

PastImage(image, tid).transact(work, note=...)      work(root of then); nothing is kept
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from bat_os.errors import NotFoundError
from bat_os.image.history.moments import read_at
from bat_os.image.store import CallCounter, ImageStore

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

T = TypeVar("T")


class PastImage(ImageStore):
    """An image after one of its transactions; belongs to the store that it was made from.

    Attributes:
        tid: The transaction, 16 hexadecimal digits as ``moments.resolve`` gives them.
        uses: Of its own, and never written: to look back is no call.
    """

    def __init__(self, image: ImageStore, tid: str) -> None:
        self._present = image
        self.tid = tid
        self.uses = CallCounter()

    async def transact(
        self, work: Callable[[MutableMapping[str, Any]], T], *, note: str, mission: str = ""
    ) -> T:
        """Return ``work(root)`` on the root of then; what ``work`` changes is dropped.

        Raises:
            NotFoundError: The image did not exist then, or was packed since.
            StorageError: The storage failed.
        """

        def run(root: MutableMapping[str, Any]) -> T:
            if "objects" not in root:
                raise NotFoundError("the image had not awakened then")
            return work(root)

        return await read_at(self._present, self.tid, run)

    async def read(
        self, key: tuple[str, ...], work: Callable[[MutableMapping[str, Any]], T], *, note: str
    ) -> T:
        """Return ``work(root)`` on the root of then."""
        return await self.transact(work, note=note)

    async def close(self) -> None:
        """Do nothing: the present image has what there is to close."""
