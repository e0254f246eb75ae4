"""The wire verbs ``models``, ``models.add``, ``models.remove``, ``models.pin`` and ``unpin``.

They stand here and not in the kernel because taking a model in needs the engines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bat_os.errors import ArgumentsError
from bat_os.image.history.past import PastImage
from bat_os.image.models import list_models
from bat_os.kernel.verbs.moments import in_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.cli.models import Models
    from bat_os.core.protocol import Request
    from bat_os.kernel.mind import Mind
    from bat_os.kernel.verbs.table import Say, Verb


def make_model_verbs(models: Models) -> Mapping[str, Verb]:
    """Return the verbs on these models."""

    async def show(mind: Mind, request: Request, say: Say) -> dict[str, Any]:
        if isinstance(mind.image, PastImage):  # where a model is in memory is of the present
            return {"models": await list_models(mind.image)}
        return await models.list()

    async def add(mind: Mind, request: Request, say: Say) -> dict[str, Any]:
        source = request.body.get("source", "")
        if type(source) is not str:
            raise ArgumentsError("source is no text")
        return await models.add(_name(request), source, lambda line: say({"text": line}))

    async def remove(mind: Mind, request: Request, say: Say) -> dict[str, Any]:
        return await models.remove(_name(request))

    def setting(change: Callable[[str], None]) -> Verb:
        async def run(mind: Mind, request: Request, say: Say) -> dict[str, Any]:
            change(_name(request))
            return await models.list()

        return run

    return {
        "models": in_time("models", show),
        "models.add": add,
        "models.remove": remove,
        "models.pin": setting(models.roster.pin),
        "models.unpin": setting(models.roster.unpin),
    }


def _name(request: Request) -> str:
    name = request.body.get("name")
    if type(name) is not str or not name:
        raise ArgumentsError("the body needs the name of a model")
    return name
