"""What the kernel thinks with: the image and the ports, handed around as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.guardian import PersistenceGuardian
    from bat_os.core.models.profiles import Profile
    from bat_os.core.personas import Persona
    from bat_os.core.settings import Settings
    from bat_os.image.librarian import CatalogService
    from bat_os.image.store import ImageStore
    from bat_os.kernel.roster import Roster
    from bat_os.ports import Cell, Embedder


@dataclass(frozen=True, slots=True)
class Mind:
    """The image and the ports.

    Attributes:
        image: The living image.
        roster: The language models, by persona.
        profile: Which model and sampling each persona has.
        embedder: Texts to vectors.
        catalog: Documents and learned methods.
        cell: Where learned code runs.
        guardian: What refuses bad source.
        personas: By name.
        options: The owner's settings.
    """

    image: ImageStore
    roster: Roster
    profile: Profile
    embedder: Embedder
    catalog: CatalogService
    cell: Cell
    guardian: PersistenceGuardian
    personas: Mapping[str, Persona]
    options: Settings
