"""The verbs ``models``, ``models.add``, ``cancel``, ``exam``, ``remove``, ``pin``, ``unpin``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from bat_os.errors import CancelledError
from bat_os.image.history.moments import PastImage
from bat_os.image.models import list_models
from bat_os.kernel import views
from bat_os.kernel.verbs.moments import in_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Handler, KernelContext, Say
    from bat_os.kernel.exam.examiner import Examiner
    from bat_os.models.roster import Roster


class ModelStore(Protocol):
    """What stores models in the image; it knows the engines, which the kernel does not."""

    @property
    def roster(self) -> Roster:
        """Return who thinks with what."""

    async def add(self, name: str, source: str, report: Callable[[str], None]) -> dict[str, Any]:
        """Store the model of a source under a name; return what is known of it."""

    async def discard(self, name: str) -> None:
        """Remove what an intake that was withdrawn has left."""

    async def list(self) -> dict[str, Any]:
        """Return what is stored and where each is."""

    async def remove(self, name: str) -> dict[str, Any]:
        """Remove a model; return what went with it."""


class _Intakes:
    """Models that are being stored, by who asked for them: each can be withdrawn by its asker."""

    def __init__(self, models: ModelStore) -> None:
        self._models = models
        self._adding: dict[tuple[str, str], asyncio.Task[dict[str, Any]]] = {}

    async def add(self, mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        name, source = request.body["name"], request.body["source"]
        who = request.session, name
        adding = self._models.add(name, source, lambda line: say(views.progress(line)))
        task = self._adding[who] = asyncio.create_task(adding)
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
        task = self._adding.get((request.session, request.body["name"]))
        if task is None:
            return {"cancelled": False}
        task.cancel()
        await asyncio.wait([task])
        name = request.body["name"]
        if task.cancelled() and not any(other == name for _, other in self._adding):
            await self._models.discard(name)
        return {"cancelled": task.cancelled()}


def make_model_verbs(models: ModelStore, examiner: Examiner) -> Mapping[str, Handler]:
    """Return the verbs on these models."""
    intakes = _Intakes(models)

    async def show_now() -> dict[str, Any]:
        listed = await models.list()
        rows = [row | {"abilities": examiner.figures(row["name"])} for row in listed["models"]]
        return listed | {"models": rows, "exam": examiner.facts()}

    async def show(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        if isinstance(mind.image, PastImage):  # where a model is in memory is of the present
            return {"models": await list_models(mind.image)}
        return await show_now()

    async def examine(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        return {"exam": examiner.start(request.body["name"])}

    async def cancel(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        if request.body.get("what"):  # told apart: an intake may have ended a moment ago
            return {"cancelled": await examiner.cancel(request.body["name"])}
        return await intakes.cancel(mind, request, say)

    async def remove(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        return await models.remove(request.body["name"])

    def setting(change: Callable[[str], None]) -> Handler:
        async def run(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
            change(request.body["name"])
            return await show_now()

        return run

    return {
        "models": in_time("models", show),
        "models.add": intakes.add,
        "models.cancel": cancel,
        "models.exam": examine,
        "models.remove": remove,
        "models.pin": setting(models.roster.pin),
        "models.unpin": setting(models.roster.unpin),
    }
