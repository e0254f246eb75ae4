"""The wire verbs ``models``, ``models.add``, ``cancel``, ``remove``, ``pin`` and ``unpin``.

They stand here and not in the kernel because taking a model in needs the engines.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bat_os.errors import ArgumentsError, CancelledError
from bat_os.image.history.moments import PastImage
from bat_os.image.models import list_models
from bat_os.kernel import views
from bat_os.kernel.verbs.moments import in_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.app.models import Models
    from bat_os.core.protocol import Request
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.verbs.table import Say, Verb


class _Intakes:
    """Models on their way in, by who asked for them: each can be withdrawn by its asker."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._adding: dict[tuple[str, str], asyncio.Task[dict[str, Any]]] = {}

    async def add(self, mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        source = request.body.get("source", "")
        if type(source) is not str:
            raise ArgumentsError("source is no text")
        name = _name(request)
        who = request.session, name
        told = self._models.add(name, source, lambda line: say(views.progress(line)))
        task = self._adding[who] = asyncio.create_task(told)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():  # the kernel goes down
                raise
            raise CancelledError(f"adding {name} was cancelled by the asker") from None
        finally:
            if self._adding.get(who) is task:
                del self._adding[who]

    async def cancel(self, mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        task = self._adding.get((request.session, _name(request)))
        if task is None:
            return {"cancelled": False}
        task.cancel()
        await asyncio.wait([task])
        return {"cancelled": task.cancelled()}


def make_model_verbs(models: Models) -> Mapping[str, Verb]:
    """Return the verbs on these models."""
    intakes = _Intakes(models)

    async def show(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        if isinstance(mind.image, PastImage):  # where a model is in memory is of the present
            return {"models": await list_models(mind.image)}
        return await models.list()

    async def remove(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        return await models.remove(_name(request))

    def setting(change: Callable[[str], None]) -> Verb:
        async def run(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
            change(_name(request))
            return await models.list()

        return run

    return {
        "models": in_time("models", show),
        "models.add": intakes.add,
        "models.cancel": intakes.cancel,
        "models.remove": remove,
        "models.pin": setting(models.roster.pin),
        "models.unpin": setting(models.roster.unpin),
    }


def _name(request: Request) -> str:
    name = request.body.get("name")
    if type(name) is not str or not name:
        raise ArgumentsError("the body needs the name of a model")
    return name
