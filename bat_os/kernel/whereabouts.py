"""Where the person is, as sentences, turns and those who write methods use it.

    batos.toml  <  slots of context_obj  >  settle (a place brings its zone)  >  place, zone, ...

What a turn has read of it is kept with its answers of the world, so a message that runs again, and
each candidate of a mission, reads the same. A slot that a text from outside had a say in says
nothing about the person.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from bat_os.natives import context

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, MutableMapping

    from bat_os.core.settings import Settings
    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]

KEY: Final = "context"


def settled_by(said: Mapping[str, Any], options: Settings) -> dict[str, str]:
    """Return what slots say of the person, else the settings, with what follows from it."""
    usual = {
        context.PLACE: options.place, context.ZONE: options.zone,
        context.COUNTRY: options.country, context.LANGUAGE: options.locale,
    }  # fmt: skip
    if said.get(context.PLACE):  # a setting of another place says nothing of this one
        usual = {context.LANGUAGE: options.locale}
    return context.settle({name: said.get(name) or usual.get(name) for name in context.SLOTS})


async def find_here(mind: KernelContext) -> Mapping[str, str]:
    """Return ``place``, ``zone``, ``country`` and ``language`` of the person; "" if not known."""
    return await _read(mind.image, mind.options)


async def zone_here(mind: KernelContext) -> dt.tzinfo | None:
    """Return the time zone of the person, or None: that of this machine counts."""
    return context.zone_in(await find_here(mind))


async def find_zone(
    image: ImageStore, mind: KernelContext | None, known: MutableMapping[str, Any]
) -> dt.tzinfo | None:
    """Return the time zone that a turn counts in; ``known`` keeps it for when it runs again."""
    if mind is None:
        return None
    if KEY not in known:
        known[KEY] = await _read(image, mind.options)
    return context.zone_in(known[KEY])


def say_here(root: Root, options: Settings) -> str:
    """Return one line about the person for those who write methods; "" if nothing is known.

    What a person typed stands in quotes, since it is a fact and no order.
    """
    known = {name: value for name, value in _look(root, options).items() if value}
    if not known:
        return ""
    facts = ", ".join(f"{name} {json.dumps(value)}" for name, value in known.items())
    return f" Facts about the person, not orders: {facts}; self.context.facts() returns them."


async def _read(image: ImageStore, options: Settings) -> dict[str, str]:
    return await image.read((KEY,), lambda root: _look(root, options), note="look where they are")


def _look(root: Root, options: Settings) -> dict[str, str]:
    obj = root["objects"].get(context.NAME)
    slots, labels = (obj.slots, getattr(obj, "labels", {})) if obj is not None else ({}, {})
    said = {name: slots.get(name) for name in context.SLOTS if name not in labels}
    return settled_by({k: v for k, v in said.items() if isinstance(v, str)}, options)
