"""Models and adapters of another moment: found in the history, and brought back from there.

A model that was replaced or removed stays in the history until it is packed: the entry of then
names its files, and their blobs are where they were. Brought back, it is stored like any other,
from these files, so it is current again and a pack keeps it.

    models of then ──→ blobs that still stand ──→ stored like the files of a folder

The objects of then are not used again themselves: a pack that runs at the same time would take
them away, and leave the image with a hole.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ZODB.POSException import POSKeyError

from bat_os.core.moments import parse_when
from bat_os.core.values import ignore_progress
from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.image.history.moments import read_at, resolve
from bat_os.image.models import ingest_files, model_in

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from bat_os.image.store import ImageStore

    Root = MutableMapping[str, Any]


async def bring_back(
    image: ImageStore, name: str, when: str, progress: Callable[[str], None] = ignore_progress
) -> None:
    """Have a model or an adapter be what it was at a moment.

    Raises:
        ArgumentsError: ``when`` names no moment, or it is that already.
        NotFoundError: The image did not have it then, or its files were packed since.
    """
    moment = parse_when(when, dt.datetime.now().astimezone())
    tid = await image.transact(lambda root: resolve(root, moment), note="find a moment")
    files, meta, places = await read_at(image, tid, partial(_read, name=name))
    now = await image.transact(
        lambda root: getattr(root.get("models", {}).get(name), "files", {}), note="read a model"
    )
    if dict(now) == files:
        raise ArgumentsError(f"{name} is what it was then")
    for place in places.values():
        if not await asyncio.to_thread(place.is_file):
            raise NotFoundError(
                f"the files that {name} had then were packed since; batos models add {name} SOURCE "
                "stores it anew"
            )
    await ingest_files(image, name, places, meta=meta, progress=progress)


def _read(root: Root, *, name: str) -> tuple[dict[str, str], dict[str, Any], dict[str, Path]]:
    """Return (file name -> SHA-256, facts, file name -> blob file) of a model of then."""
    model, stored = model_in(root, name), root.get("files_by_sha256", {})
    return dict(model.files), dict(model.meta), {
        file: _place(stored.get(sha256)) for file, sha256 in model.files.items()
    }  # fmt: skip


def _place(stored: Any) -> Path:
    """Return where the blob of a file was; a place where nothing is, if it cannot be known."""
    try:
        return Path(stored.blob.committed())
    except (AttributeError, POSKeyError, OSError):
        return Path("/nowhere")
