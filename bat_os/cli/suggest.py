"""An object or message that there is not: which one was probably meant, and how is it written?"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from bat_os.errors import BatError, RemoteError

if TYPE_CHECKING:
    from bat_os.client.client import KernelClient

PATIENCE: Final = 2.0  # seconds for a guess
# What comes of a message that nobody understands, or that its method does not take so.
_NOT_LEARNED: Final = frozenset(
    ("SANDBOX_FAILED", "AUDIT_REJECTED", "EXAMPLE_WANTED", "MODEL_UNAVAILABLE", "NOT_UNDERSTOOD")
)
_HEAD: Final = re.compile(r"def \w+\(self(?:, *)?([^)]*)\)")


async def suggest(kernel: KernelClient, error: RemoteError, target: str, selector: str) -> str:
    """Return what was probably meant, or how the message is written; "" without a guess."""
    if not target:
        return ""
    try:
        if error.body.get("code") == "NOT_FOUND":
            return await _guess_name(kernel, target, selector)
        if error.body.get("code") in _NOT_LEARNED and selector:
            return await _guess_message(kernel, error, target, selector)
    except (BatError, KeyError, TypeError):  # no guess, then
        pass
    return ""


async def _guess_name(kernel: KernelClient, target: str, selector: str) -> str:
    objects = (await kernel.request("list", timeout=PATIENCE))["objects"]
    known = [str(one["name"]) for one in objects]
    if target not in known:
        near = difflib.get_close_matches(target, known, n=1)
        return f"did you mean {near[0]!r}?" if near else ""
    told = await kernel.request("inspect", timeout=PATIENCE, target=target)
    return _nearest(selector, [*told["methods"], *told["inherited"]])


async def _guess_message(
    kernel: KernelClient, error: RemoteError, target: str, selector: str
) -> str:
    """Return what to write where a message was misspelt, or had not what its method takes."""
    told = await kernel.request("inspect", timeout=PATIENCE, target=target)
    messages = [*told["methods"], *told["inherited"]]
    if selector not in messages:
        return _nearest(selector, messages)
    told = await kernel.request("inspect", timeout=PATIENCE, target=target, selector=selector)
    details = error.body.get("details", {})
    wrong = str(details.get("text", "")).startswith(f"{selector}() ")
    if details.get("type") != "TypeError" or not wrong:
        return ""
    found = _HEAD.search(str(told["methods"].get(selector, {}).get("source", "")))
    takes = f"({found[1].strip()})" if found else ""
    return f"it is written {selector}{takes}" if takes else ""


def _nearest(selector: str, messages: list[str]) -> str:
    near = difflib.get_close_matches(selector, messages, n=1)
    return f"did you mean {near[0]!r}?" if near and near[0] != selector else ""
