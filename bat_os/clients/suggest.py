"""An object that there is not: which one was probably meant?"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from bat_os.errors import BatError, RemoteError

if TYPE_CHECKING:
    from bat_os.clients.client import KernelClient

PATIENCE: Final = 2.0  # seconds for a guess


async def suggest(kernel: KernelClient, error: RemoteError, target: str, selector: str) -> str:
    """Return "did you mean ...?" for a name that the kernel does not know; "" without a guess."""
    if error.body.get("code") != "NOT_FOUND" or not target:
        return ""
    try:
        objects = (await kernel.request("list", timeout=PATIENCE))["objects"]
        known = [str(one["name"]) for one in objects]
        if target not in known:
            near = difflib.get_close_matches(target, known, n=1)
            return f"did you mean {near[0]!r}?" if near else ""
        told = await kernel.request("inspect", timeout=PATIENCE, target=target)
    except BatError:
        return ""
    messages = [*told["methods"], *told["inherited"]]
    near = difflib.get_close_matches(selector, messages, n=1)
    return f"did you mean {near[0]!r}?" if near and near[0] != selector else ""
