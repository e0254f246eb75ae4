"""What a method on trial wants done in the world: compared in one form, shown in a sentence.

A trial does nothing outside. What it would have done is a part of what the method means: two that
answer the same and want different effects are different methods. Two effects are the same if they
do the same to the same thing, through whatever object and however the path is written. The order
counts for effects on one thing, and not for those on different things.

An example states effects as messages: ``{"target": "notes_obj", "selector": "append", "args":
["shopping.txt", "milk"]}``.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.core.values import to_wire
from bat_os.errors import NotGrantedError
from bat_os.image import grants
from bat_os.image.objects import find, ref_of
from bat_os.ports import Deed, StagingDriver

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bat_os.kernel.context import KernelContext
    from bat_os.ports import Driver

SHORT: Final = 2_000  # characters of arguments that a record keeps
MAX_SAID: Final = 300  # characters of what effects do


@dataclass(frozen=True, slots=True)
class Wanted:
    """One effect that a method on trial wants."""

    text: str  # what it does, for a person
    place: str  # what it is done to, by its digest
    key: str  # the same for two that do the same to the same thing
    message: Mapping[str, Any]  # as an example states it; without ``args`` where they are long

    def to_plain(self) -> dict[str, Any]:
        """Return plain data for a record; an example may hold it, too."""
        return {"text": self.text, "place": self.place, "key": self.key, **self.message}


def wanted(driver: Driver, deed: Deed, name: str, text: str) -> Wanted:
    """Return an effect that is asked for through the object of a name."""
    place, key = _form(driver, deed)
    message = {"target": name, "selector": deed.operation}
    args = to_wire(list(deed.args))
    if len(repr(args)) <= SHORT:
        message["args"] = args
    return Wanted(text, place, key, message)


def sentence(effects: Sequence[Mapping[str, Any]]) -> str:
    """Return what effects in a record do, in a line; "" for none."""
    return "; ".join(str(each["text"]) for each in effects)


def in_words(effects: Iterable[Wanted | Mapping[str, Any]]) -> str:
    """Return what effects do: those of a trial, of a record, or those that an example states."""
    said = [
        each.text if isinstance(each, Wanted) else each.get("text")
        or f"{each['target']}.{each['selector']}({', '.join(map(repr, each['args']))})"
        for each in effects
    ]  # fmt: skip
    return "; ".join(map(str, said))[:MAX_SAID] or "does nothing outside"


def key_of(effects: Iterable[Mapping[str, Any] | Wanted]) -> str:
    """Return a key that lists of effects share which do the same; "" for none."""
    forms = [
        (each.place, each.key) if isinstance(each, Wanted) else (each["place"], each["key"])
        for each in effects
    ]
    return digest(repr(sorted(forms, key=lambda form: form[0]))) if forms else ""


async def stated(mind: KernelContext, example: Mapping[str, Any]) -> str:
    """Return the key of the effects that an example states.

    Raises:
        NotFoundError: It names an object that is not there.
        NotGrantedError: An object that it names reaches nothing.
    """
    effects = example["effects"]
    asked = {each["target"] for each in effects if "key" not in each}
    reached = await mind.image.transact(
        lambda root: {target: _reached(root, mind, target) for target in asked}, note="read grants"
    )
    forms = []
    for each in effects:
        if "key" not in each:
            driver, scope = reached[each["target"]]
            place, key = _form(driver, Deed(scope, each["selector"], tuple(each["args"])))
            forms.append({"place": place, "key": key})
        else:
            forms.append(each)
    return key_of(forms)


def _reached(root: Any, mind: KernelContext, target: str) -> tuple[Driver, Mapping[str, Any]]:
    links = grants.chain(root, ref_of(find(root, target)).oid, time.time())
    driver = mind.drivers.get(links[0].driver) if links else None
    if driver is None:
        raise NotGrantedError(f"{target} reaches nothing, so an example cannot name its effects")
    return driver, links[0].scope


def _form(driver: Driver, deed: Deed) -> tuple[str, str]:
    """Return what a deed is done to, and what it does there, as digests."""
    if isinstance(driver, StagingDriver):
        place, does = driver.canonical(deed)
    else:
        place, does = driver.describe(deed.scope), [deed.operation, to_wire(list(deed.args))]
    place = digest(f"{driver.name} {place}")
    return place, digest(json.dumps([place, does], sort_keys=True, default=repr))
