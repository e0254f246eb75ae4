"""The image and the ports that the kernel works with, passed around as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bat_os.core.ability import UNKNOWN, Ability
from bat_os.image.history.moments import PastImage
from bat_os.kernel.cast import Cast
from bat_os.kernel.entries import ENTRIES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from bat_os.core.personas import Persona
    from bat_os.core.protocol import Request
    from bat_os.core.settings import Settings
    from bat_os.image.catalog_service import CatalogService
    from bat_os.image.store import ImageStore
    from bat_os.method.guardian import PersistenceGuardian
    from bat_os.models.profiles import Profile
    from bat_os.models.roster import Roster
    from bat_os.ports import Cell, Cluster, Driver, Embedder

    # Tells who asked how far long work has come.
    Say = Callable[[Mapping[str, Any]], None]
    # What answers a request once ``bat_os.core.verbs`` has checked it: the body of the result.
    Handler = Callable[["KernelContext", Request, Say], Awaitable[dict[str, Any]]]


@dataclass(slots=True)
class Orchestrator:
    """What stores and runs missions, and does what turns have staged; set once it serves."""

    performer: Any = None  # ``bat_os.kernel.effects.performer.Performer``
    scheduler: Any = None  # ``bat_os.kernel.missions.scheduler.Scheduler``
    verbs: Mapping[str, Callable[..., Awaitable[Any]]] = field(default_factory=dict)
    heartbeat: Any = None  # ``bat_os.kernel.idle.heartbeat.Heartbeat``
    wake: Callable[[], None] = lambda: None  # has the alarm look at the schedules again


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
    # how likely the last requests were, given tools, by a digest of both
    likelihoods: dict[str, list[float]] = field(default_factory=dict)
    # the ways into the world, by name; {} where nothing may reach it
    drivers: Mapping[str, Driver] = field(default_factory=dict)
    # id of the home that may change the world; "" for a kernel on trial
    home_id: str = ""
    cluster: Cluster | None = None  # who else serves the image; None: nobody may
    kernel_id: str = ""  # of this one among them; "" of a lone one
    # awaited before words are erased: they keep what was said in memory, and drop it
    on_erase: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    # makes a model known that is in the image, or on a server, and not in the profile
    adopt: Callable[[str], Awaitable[None]] | None = None
    orchestrator: Orchestrator = field(default_factory=Orchestrator)  # once the kernel serves
    # shows a title and a text on the desktop; False where that cannot be done
    notify: Callable[[str, str], bool] = lambda title, text: False
    cast: Cast = field(init=False)  # the personas as the image has them, once refreshed

    def __post_init__(self) -> None:
        """Begin with the defaults."""
        cast = Cast(self.profile, self.personas, self.options)
        object.__setattr__(self, "cast", cast)

    async def refresh(self) -> Cast:
        """Return who thinks how, as the image has it now."""
        found = await self.image.read(("entries",), _read_entries, note="read the entries")
        if found != self.cast.seen:
            self.cast.read(found)
            if not isinstance(self.image, PastImage):  # models draw for the present alone
                await self.cast.hand_over(self.roster, self.adopt)
            self._forget_abilities()
        return self.cast

    def ability_of(self, persona: str) -> Ability:
        """Return what the persona's model can do, as far as that was measured."""
        name, _, facet = persona.partition(":")
        if facet and self.cast.assigned[persona].model != self.cast.assigned[name].model:
            return UNKNOWN
        return self.abilities.get(name, UNKNOWN)

    def _forget_abilities(self) -> None:
        """Forget what the model of a persona can do once it thinks with another one."""
        for name, usual in self.profile.personas.items():
            if self.cast.assigned[name].model != usual.model:
                self.abilities.pop(name, None)


def _read_entries(root: MutableMapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the slots that are entries, of the objects that there are."""
    objects = root["objects"]
    return {
        name: {key: obj.slots[key] for key in keys if key in obj.slots}
        for name, keys in ENTRIES.items()
        if (obj := objects.get(name)) is not None
    }
