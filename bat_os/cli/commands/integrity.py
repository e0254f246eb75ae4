"""``batos verify``: is the image what was committed? Works without a kernel too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import LONG, Command
from bat_os.engines.scripted import HashEmbedder
from bat_os.errors import KernelUnreachableError, NotFoundError
from bat_os.image.integrity.verify import verify
from bat_os.image.librarian import CatalogService
from bat_os.image.store import ImageStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.clients.console import Screen

IMAGE: Final = "live_image.fs"


async def _verify(ask: Ask) -> Mapping[str, Any]:
    def show(kind: str, told: Mapping[str, Any]) -> None:
        if kind == "event":
            ask.screen.note(str(told.get("text", "")))

    try:
        body = await ask.kernel.request("verify", timeout=LONG, on_event=show)
    except KernelUnreachableError:
        body = await _verify_here(ask)
    return body | {"exit_status": 1 if body["damaged"] else 0}


async def _verify_here(ask: Ask) -> dict[str, Any]:
    path = ask.home / IMAGE
    if not path.exists():
        raise NotFoundError(f"there is no image in {ask.home}")
    image = ImageStore.open(path)  # fails where a kernel only does not answer
    try:
        # Nothing is embedded here.
        return await verify(image, CatalogService(image, HashEmbedder()), ask.screen.note)
    finally:
        await image.close()


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    counts = ", ".join(f"{count} {kind}s" for kind, count in body["checked"].items())
    for one in body["damaged"]:
        screen.answer(f"DAMAGED  {one['what']}: {one['why']}")
        screen.note(f"         {one['advice']}")
    if not body["damaged"]:
        screen.answer(f"whole: {counts}")
    if others := len(body["quarantined"]) - len(body["damaged"]):
        screen.note(f"{max(others, 0)} in quarantine from earlier")


COMMANDS: Final[Mapping[str, Command]] = {
    "verify": Command(
        "compare all that is stored with its SHA-256; status 1: damaged", _verify, show=_show
    ),
}
