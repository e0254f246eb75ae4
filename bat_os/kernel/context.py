"""The image and the ports that the kernel works with, passed around as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bat_os.core.ability import UNKNOWN, Ability

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.personas import Persona
    from bat_os.core.protocol import Request
    from bat_os.core.settings import Settings
    from bat_os.image.catalog_service import CatalogService
    from bat_os.image.store import ImageStore
    from bat_os.method.guardian import PersistenceGuardian
    from bat_os.models.profiles import Profile
    from bat_os.models.roster import Roster
    from bat_os.ports import Cell, Driver, Embedder

    # Tells who asked how far long work has come.
    Say = Callable[[Mapping[str, Any]], None]
    # What answers a request once ``bat_os.core.verbs`` has checked it: the body of the result.
    Handler = Callable[["KernelContext", Request, Say], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class KernelContext:
    """The image and the ports."""

    image: ImageStore  # the living image
    roster: Roster  # the language models, by persona
    profile: Profile  # which model and sampling each persona has
    embedder: Embedder  # texts to vectors
    catalog: CatalogService  # documents and learned methods
    cell: Cell  # where learned code runs
    guardian: PersistenceGuardian  # what refuses bad source
    personas: Mapping[str, Persona]  # by name
    options: Settings  # the owner's settings
    # what the model of each persona can do; filled when that is known
    abilities: dict[str, Ability] = field(default_factory=dict)
    # the ways into the world, by name; {} where nothing may reach it
    drivers: Mapping[str, Driver] = field(default_factory=dict)
    # awaited before words are erased: they keep what was said in memory, and drop it
    on_erase: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    def ability_of(self, persona: str) -> Ability:
        """Return what the persona's model can do, as far as that was measured."""
        return self.abilities.get(persona, UNKNOWN)
