"""Which files a storage reads and writes, and how the storage of a database server is looked at."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ZODB.DemoStorage import DemoStorage

from bat_os.errors import StorageError
from bat_os.image.files.storage import CompressedFile, LiveFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def layers_of(storage: Any) -> list[CompressedFile]:
    """Return the image files that a storage reads, the oldest first, its own last."""
    if isinstance(storage, DemoStorage):
        return [*layers_of(storage.base), *layers_of(storage.changes)]
    if isinstance(storage, CompressedFile):
        return [storage]
    raise StorageError(
        "this image is not a file on this machine; carry it with the tools of its storage"
    )


def is_in_files(storage: Any) -> bool:
    """Return True when the image is in files that this process writes."""
    return isinstance(storage, DemoStorage | CompressedFile)


@contextlib.contextmanager
def present(storage: Any) -> Iterator[Any]:
    """Give a storage as it is now; that of a database server is at the moment of its last look."""
    if not hasattr(storage, "poll_invalidations"):
        yield storage
        return
    view = storage.new_instance()
    try:
        view.poll_invalidations()
        yield view
    finally:
        view.release()


def when_lost(storage: Any, call: Callable[[], object]) -> None:
    """Have ``call`` called, in any thread, when the image file cannot be used any more."""
    for layer in layers_of(storage) if is_in_files(storage) else ():
        if isinstance(layer, LiveFile):
            layer.on_loss = call


def path_of(storage: Any) -> Path:
    """Return where the image file is that ``storage`` writes."""
    return Path(layers_of(storage)[-1].getName()).absolute()
