"""What the kernel thinks with: the image and the ports, handed around as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.guardian import PersistenceGuardian
    from bat_os.core.personas import Persona
    from bat_os.core.settings import Settings
    from bat_os.image.librarian import CatalogService
    from bat_os.image.store import ImageStore
    from bat_os.ports import Cell, Embedder, ModelEngine


@dataclass(frozen=True, slots=True)
class Mind:
    """The image and the ports.

    Attributes:
        image: The living image.
        engine: The language model.
        embedder: Texts to vectors.
        catalog: Documents and learned methods.
        cell: Where learned code runs.
        guardian: What refuses bad source.
        personas: By name.
        options: The owner's settings.
    """

    image: ImageStore
    engine: ModelEngine
    embedder: Embedder
    catalog: CatalogService
    cell: Cell
    guardian: PersistenceGuardian
    personas: Mapping[str, Persona]
    options: Settings
