"""The verbs ``personas``, ``states`` and ``entry``: what a person has set on these objects.

A change is one transaction, a version more, and counts from the next request on. ``undo`` goes
back by one version, ``redo`` forward again.
"""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.mission import State
from bat_os.errors import ArgumentsError, ModelError
from bat_os.image.missions import state_name
from bat_os.image.objects import find
from bat_os.image.preferences import list_entries, move_entry, set_entry
from bat_os.kernel.entries import ENTRIES, check_entry, entry_of, takes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from bat_os.core.brief import Brief
    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Handler, KernelContext, Say

    Root = MutableMapping[str, Any]

_MOVES: Final = {"undo": -1, "redo": 1}
_MODELS: Final = ("model",)


async def show_personas(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return the personas and their facets as they are now."""
    cast = await mind.refresh()
    changed = await mind.image.transact(_changed, note="list the personas")
    rows: list[dict[str, Any]] = []
    for name, persona in cast.personas.items():
        thinks = cast.assigned[name]
        base = name.partition(":")[0].lower()
        rows.append(
            {"name": name, "role": persona.role, "model": thinks.model, "adapter": thinks.adapter,
             "writing": thinks.writing, "temperature": thinks.temperature,
             "system_prompt": persona.system_prompt, "set": changed.get(f"{base}_obj", [])}
        )  # fmt: skip
    order = [*mind.profile.personas]
    rows.sort(key=lambda row: (order.index(row["name"].partition(":")[0]), row["name"]))
    return {"profile": mind.profile.name, "personas": rows}


async def show_states(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return the states that have entries, each with the step that runs."""
    cast = await mind.refresh()
    changed = await mind.image.transact(_changed, note="list the states")
    states = [state for state in State if state_name(state) in ENTRIES]
    return {
        "states": [
            {"name": str(state), "step": cast.entries[str(state)]["step"],
             "set": changed.get(state_name(state), [])}
            for state in states
        ]
    }  # fmt: skip


async def entry(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Set, undo, redo or only show an entry; return what it is afterwards."""
    target, key = request.target, request.body["key"]
    name = await mind.image.transact(lambda root: find(root, target).name, note="find an object")
    top, *path = key.split(".")
    do = request.body["do"]
    if key or do or name not in ENTRIES:
        entry_of(name, top)
    if do == "set":
        await set_value(mind, name, top, path, request.body["value"])
    elif do:
        if path:
            raise ArgumentsError(f"{do} takes a whole entry: {top}")
        await mind.image.transact(
            lambda root: move_entry(root, name, top, _MOVES[do]), note=f"{do} {name}.{top}"[:70]
        )
    await mind.refresh()
    keys = [top] if key else sorted(ENTRIES[name])
    return await mind.image.transact(
        lambda root: {"target": name, "entries": [*_describe(root, name, keys)]},
        note="show entries",
    )


async def set_value(mind: KernelContext, name: str, top: str, path: list[str], value: Any) -> None:
    """Set an entry of an object, or the part of it at ``path``, if it can be that."""
    now = time.time()
    if top in _MODELS:
        check_entry(name, top, value)
        await _check_model(mind, value)

    def work(root: Root) -> int:
        whole = with_part(find(root, name).slots.get(top), path, value)
        return set_entry(root, name, top, check_entry(name, top, whole), at=now)

    await mind.image.transact(work, note=f"set {name}.{top}"[:70])


async def _check_model(mind: KernelContext, model: str) -> None:
    """Refuse a model that nothing runs: the persona could not think any more."""
    if not mind.roster.has(model) and mind.adopt is not None:
        await mind.adopt(model)
    if not mind.roster.has(model):
        raise ModelError(
            f"model {model[:60]} is not in the image; batos models add {model[:60]} SOURCE stores "
            "it, batos models lists what there is"
        )


async def check_message(mind: KernelContext, brief: Brief) -> None:
    """Refuse a message that would give a persona a model that nothing runs."""
    if brief.selector != "setSlot":
        return
    given = dict(zip(("name", "value"), brief.args, strict=False)) | dict(brief.kwargs)
    if given.get("name") not in _MODELS or type(given.get("value")) is not str:
        return
    name = await mind.image.transact(lambda root: find(root, brief.target).name, note="find it")
    if given["name"] in ENTRIES.get(name, ()):
        check_entry(name, given["name"], given["value"])
        await _check_model(mind, given["value"])


def with_part(held: Any, path: list[str], value: Any) -> Any:
    """Return a new value in which the part at ``path`` is another one, or gone for None."""
    if not path:
        return value
    if held is not None and type(held) is not dict:
        raise ArgumentsError(f"the entry is not a map; it has no part {path[0][:60]!r}")
    whole = dict(held or {})
    part = with_part(whole.get(path[0]), path[1:], value)
    if part is None:
        whole.pop(path[0], None)
    else:
        whole[path[0]] = part
    return whole


def _describe(root: Root, name: str, keys: list[str]) -> Iterator[dict[str, Any]]:
    slots, kept = find(root, name).slots, list_entries(root, name)
    for key in keys:
        record = kept.get(key, {"current": 0, "versions": [{"value": slots.get(key)}]})
        numbered = [
            {"version": number, **version} for number, version in enumerate(record["versions"])
        ]
        yield {
            "key": key, "value": slots.get(key), "default": record["versions"][0]["value"],
            "version": record["current"], "takes": takes_of(name, key),
            "about": entry_of(name, key).about, "versions": numbered,
        }  # fmt: skip


def _changed(root: Root) -> dict[str, list[str]]:
    """Return the entries that a person has set, by object."""
    return {
        name: sorted(key for key, record in list_entries(root, name).items() if record["current"])
        for name in ENTRIES
    }


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {"entry": entry, "personas": show_personas, "states": show_states}
)
