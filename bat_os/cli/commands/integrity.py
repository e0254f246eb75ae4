"""``batos verify``: is the image what was committed? Works without a kernel too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import LONG, Command
from bat_os.cli.progress import Progress
from bat_os.errors import KernelUnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen


async def _verify(ask: Ask) -> Mapping[str, Any]:
    with Progress(ask.screen) as bar:
        try:
            body = await ask.kernel.request("verify", timeout=LONG, on_event=bar.hear)
        except KernelUnreachableError:
            from bat_os.app import offline  # ZODB: a third of a second

            body = await offline.verify_image(ask.home, bar.begin)
    return body | {"exit_status": 1 if body["damaged"] else 0}


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
