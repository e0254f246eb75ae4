"""Whether what the running task changes is committed at once, or gathered by a unit of work."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from bat_os.image.unit_of_work import Image, UnitOfWork

_UNIT: Final[ContextVar[UnitOfWork | None]] = ContextVar("unit_of_work", default=None)


@contextmanager
def gather(unit: UnitOfWork | None) -> Iterator[None]:
    """Have what this task changes gathered by a unit; with None, committed at once."""
    token = _UNIT.set(unit)
    try:
        yield
    finally:
        _UNIT.reset(token)


def unit_of(image: Image) -> UnitOfWork | None:
    """Return the unit that gathers what the running task changes in an image, or None."""
    unit = _UNIT.get()
    return unit if unit is not None and unit.is_of(image) else None


async def flush(image: Image) -> None:
    """Commit what the running task has changed so far: others have to see it."""
    if (unit := unit_of(image)) is not None:
        await unit.flush()


async def then(image: Image, work: Callable[[], Awaitable[object]]) -> None:
    """Await a work once what the running task has changed is committed."""
    if (unit := unit_of(image)) is not None:
        unit.then.append(work)
    else:
        await work()
