"""Format 2: which model a persona has is no longer written into its prototype.

Profiles decide it now, and several models may serve a persona; the slots of format 1 would
tell people, and learned methods, something that is no longer so. The knowledge catalog goes
over to its own present state here, where format 1 left that to the next addition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.image.catalog import catalog_in

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_PERSONAS: Final = ("alfred_obj", "brick_obj", "robin_obj", "babs_obj")
_SEEDED: Final = {"model": str, "temperature": float}
_ABOUT: Final = "persona language models; which of them the image holds: models"
_ABOUT_NOW: Final = "persona language models; batos models lists what the image holds"


def migrate(root: MutableMapping[str, Any]) -> None:
    """Change an image of format 1; slots that hold something of the user's own stay."""
    objects = root["objects"]
    for name in _PERSONAS:
        persona = objects.get(name)
        for slot, kind in _SEEDED.items():
            if persona is not None and type(persona.slots.get(slot)) is kind:
                persona.remove_slot(slot)
    model = objects.get("pLLM_obj")
    if model is not None and model.slots.get("about") == _ABOUT:
        model.set_slot("about", _ABOUT_NOW)
        if type(model.slots.get("models")) is list:
            model.remove_slot("models")
    catalog_in(root)
