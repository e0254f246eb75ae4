"""Who thinks how, as the objects of the image have it now: the personas, and the states.

    slots of brick_obj ──refresh──> personas, assigned ──> the roster, the prompts
    slots of state_synthesizing_obj ──> entries["synthesizing"]["order"]

A facet is a persona too: ``BRICK:tamland``. A value that cannot be used, which only an import can
bring, is left out and logged, and the default counts.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bat_os.core.personas import compose_prompt
from bat_os.errors import ArgumentsError, BatError
from bat_os.kernel.entries import check_entry, find_defaults
from bat_os.models.residency import Assignment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.personas import Persona
    from bat_os.core.settings import Settings
    from bat_os.models.profiles import Profile
    from bat_os.models.roster import Roster

log = logging.getLogger(__name__)

_NOTHING: Final[Mapping[str, Any]] = {}


class Cast:
    """The personas and the states of one image.

    Attributes:
        personas: By name; those of the program, and their facets as ``NAME:FACET``.
        assigned: Persona or facet -> what it thinks with.
        defaults: Object -> entry -> value where no person has set one.
        entries: State or persona in small letters -> entry -> value, as it is now.
        seen: What was read last.
    """

    def __init__(
        self, profile: Profile, personas: Mapping[str, Persona], options: Settings
    ) -> None:
        self._profile = profile
        self._program = dict(personas)
        self.personas = dict(personas)
        self.assigned = dict(profile.personas)
        self.defaults = find_defaults(profile, personas, options)
        self.entries = {
            name.removeprefix("state_").removesuffix("_obj"): dict(entries)
            for name, entries in self.defaults.items()
        }
        self.seen: Mapping[str, Mapping[str, Any]] = {}

    def read(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over the slots of the image: object -> entry -> value."""
        self.seen = found
        for name, slots in found.items():
            short = name.removeprefix("state_").removesuffix("_obj")
            usable = self._usable(name, slots)
            self.entries[short] = self.defaults[name] | usable
            if short.upper() in self._program:
                self._read_persona(short.upper(), usable)

    async def hand_over(
        self, roster: Roster, adopt: Callable[[str], Awaitable[None]] | None
    ) -> None:
        """Let the roster draw as these say; ``adopt`` makes a model known to it."""
        for model in sorted({one.model for one in self.assigned.values()}):
            if adopt is not None and not roster.has(model):
                await _try_adopting(adopt, model)
        roster.assign(self.assigned)

    def _usable(self, name: str, slots: Mapping[str, Any]) -> dict[str, Any]:
        usable = {}
        for key, value in slots.items():
            try:
                usable[key] = check_entry(name, key, value)
            except ArgumentsError as error:
                log.warning("an entry is left out: %s", error)
        return usable

    def _read_persona(self, name: str, slots: Mapping[str, Any]) -> None:
        mine = [known for known in self.personas if known.startswith(f"{name}:")]
        for facet in mine:
            del self.personas[facet], self.assigned[facet]
        program, assigned = self._program[name], self._profile.personas[name]
        keys = slots.keys() & set(Assignment.__struct_fields__)
        assigned = msgspec.structs.replace(assigned, **{key: slots[key] for key in keys})
        codex = slots.get("codex", _NOTHING)
        prompt = slots.get("system_prompt") or self._prompt_of(program, codex)
        persona = replace(program, role=slots.get("role", program.role), system_prompt=prompt)
        self.personas[name], self.assigned[name] = persona, assigned
        for facet, held in slots.get("facets", _NOTHING).items():
            own = {key: held[key] for key in ("model", "adapter", "writing") if held.get(key)}
            if own.get("adapter"):  # that of the persona would speak instead
                own.setdefault("writing", "")
            prompt = held.get("system_prompt") or persona.system_prompt
            full = f"{name}:{facet}"
            self.personas[full] = replace(persona, name=full, system_prompt=prompt)
            self.assigned[full] = msgspec.structs.replace(assigned, **own)

    def _prompt_of(self, program: Persona, codex: Mapping[str, Any]) -> str:
        """Return the prompt that a codex makes; that of the program where it is unchanged."""
        default = self.defaults[f"{program.name.lower()}_obj"]["codex"]
        if not codex or codex == default or not codex.get("core_identity"):
            return program.system_prompt
        return compose_prompt(
            program.name, codex["core_identity"], codex.get("voice", ""), codex.get("pillars", ())
        )


async def _try_adopting(adopt: Callable[[str], Awaitable[None]], model: str) -> None:
    try:
        await adopt(model)
    except BatError as error:  # the request that needs it will say so
        log.warning("model %s cannot be used: %s", model, error)
