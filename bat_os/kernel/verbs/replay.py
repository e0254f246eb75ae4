"""replay: draw a version again from its recorded prompt, seed and sampling, and compare.

    prompts, batch, sampling --model--> text > signature > fix-ups > covenant > source: the same?

Reads only: what comes out is compared, and dropped.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief
from bat_os.core.choosing import MENDED
from bat_os.core.prompts import Prompt
from bat_os.errors import ArgumentsError, ModelError, NotFoundError
from bat_os.image.history import versions
from bat_os.image.objects import digest
from bat_os.kernel.snapshot import find
from bat_os.method.fixups import apply_fixups
from bat_os.method.mutate import make_variants
from bat_os.ports import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import KernelContext

    Say = Callable[[Mapping[str, Any]], None]

FENCE: Final = "```python\n"  # what a prompt's prefill has before the method begins


async def replay(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Draw version ``body.version`` (the current one) of a method again.

    Returns:
        ``version``, ``same`` (byte for byte), ``sha256`` as recorded, ``replayed`` (SHA-256 of
        what came out), ``source`` that came out, ``model``, ``seconds``.

    Raises:
        NotFoundError: No such method or version, or no model here wrote it.
        ArgumentsError: What is recorded is not what was hashed.
        ModelError: The persona thinks with another model or adapter now, or cannot.
    """
    number = versions.read_number(request.body, "version")

    def read(root: MutableMapping[str, Any]) -> tuple[int, str, Mapping[str, Any]]:
        _, method = versions.locate(find(root, request.target), request.selector)
        version = versions.version_of(method, number)
        return version.number, version.sha256, version.provenance

    number, sha256, told = await mind.image.transact(read, note=f"read {request.selector}"[:70])
    if not told.get("drawn"):
        by = f"adapted from {told['adapted_from']}" if told.get("adapted_from") else "not recorded"
        text = f"no model's draft to replay: {by}, {told.get('persona', '')}".rstrip(", ")
        raise NotFoundError(f"version {number} of {request.selector}: {text}")
    started = time.monotonic()
    text = await draw_again(mind, told)
    source = await asyncio.to_thread(_mend, mind, told, text, sha256)
    return {
        "target": request.target,
        "selector": request.selector,
        "version": number,
        "same": digest(source) == sha256,
        "sha256": sha256,
        "replayed": digest(source),
        "source": source,
        "model": told["model"],
        "seconds": round(time.monotonic() - started, 3),
    }


async def draw_again(mind: KernelContext, told: Mapping[str, Any]) -> str:
    """Return the text that the model writes for the recorded draft, with its whole batch.

    Args:
        mind: Whose roster draws.
        told: Provenance of a version that has ``drawn``.

    Raises:
        ArgumentsError: The recorded prompt has not the recorded hash.
        ModelError: The persona thinks with another model or adapter now, or cannot.
    """
    drawn, persona, roster = told["drawn"], told["persona"], mind.roster
    prompts = [
        Prompt(tuple((role, text) for role, text in one["messages"]), one["prefill"])
        for one in drawn["prompts"]
    ]
    batch = [prompts[place] for place in drawn["batch"]]
    if digest(repr(batch[drawn["place"]])) != told["prompt_sha256"]:
        raise ArgumentsError("the recorded prompt has not the recorded hash")
    now = roster.model_of(persona), roster.adapter_of(persona, writing=True)
    if now != (told["model"], told["adapter"]):
        then = f"{told['model']} {told['adapter']}".strip()
        raise ModelError(f"{persona} wrote it with {then}, and thinks with {' '.join(now)} now")
    written = await roster.generate(persona, batch, Sampling(**drawn["sampling"]), writing=True)
    if roster.digest_of(persona) != told["model_digest"]:
        raise ModelError(f"the files of {told['model']} are not those that it was written with")
    text: str = written[drawn["place"]].text
    return text


def _mend(mind: KernelContext, told: Mapping[str, Any], text: str, sha256: str) -> str:
    brief, drawn = Brief.from_plain(told["brief"]), told["drawn"]
    named = frozenset(drawn["slots"]), frozenset(drawn["selectors"])
    opening = drawn["prompts"][drawn["batch"][drawn["place"]]]["prefill"].removeprefix(FENCE)
    source, _ = apply_fixups(f"{opening}{text.rstrip()}\n", brief.selector, *named)
    repair, selector = mind.guardian.repair, brief.selector
    source = repair(source, selector)
    if MENDED in told["fixups"]:
        changed = (repair(one, selector) for one in make_variants(source, selector))
        source = next((one for one in changed if digest(one) == sha256), source)
    return source
