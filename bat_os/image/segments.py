"""Vectors as images of catalog format 1 hold them; read once, when such an image is upgraded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from persistent import Persistent

if TYPE_CHECKING:
    from numpy.typing import NDArray


class VectorSegment(Persistent):
    """Vectors of some passages, immutable; ``bat_os.image.knowledge.shelf`` replaced it.

    Attributes:
        ids: n passage ids, int64, as bytes.
        rows: float32 ``(n, d)``, row by row, as bytes.
    """

    def __init__(self, ids: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        self.ids = ids.astype(np.int64).tobytes()
        self.rows = rows.astype(np.float32).tobytes()

    def load(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return (ids, rows) as read-only views, without a copy."""
        ids = np.frombuffer(self.ids, np.int64)
        return ids, np.frombuffer(self.rows, np.float32).reshape(len(ids), -1)
