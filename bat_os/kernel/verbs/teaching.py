"""teach: the Architect's own source for a method, through the same audit, cell and tests.

covenant repair > guardian's audit > a trial turn per example > one transaction
"""

from __future__ import annotations

import ast
import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief
from bat_os.core.choosing import preview, same
from bat_os.core.frames import read_examples
from bat_os.core.values import check_selector
from bat_os.errors import ArgumentsError, AuditError, DraftsError
from bat_os.image.history.entries import summary_of_taught
from bat_os.image.history.versions import Skill, install
from bat_os.image.objects import Method, digest, kept_examples, merge_examples
from bat_os.kernel.snapshot import find
from bat_os.kernel.turn import Candidate, try_turn
from bat_os.method.text import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import KernelContext
    from bat_os.method.guardian import PersistenceGuardian

    Say = Callable[[Mapping[str, Any]], None]

TEACHER: Final = "ARCHITECT"


async def teach(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Install a method that a person wrote; return what stands in the image afterwards.

    Teaching the source that is current already changes nothing.

    Args:
        mind: The image and the ports.
        request: ``target``; ``selector`` or "" for the first function of the source;
            ``body`` with ``source`` and perhaps ``examples``.
        say: Not used: it takes moments.

    Raises:
        ArgumentsError: No source, or no function of that name in it.
        AuditError: The guardian refuses it; the findings say what to write instead.
        DraftsError: It does not reproduce an example.
        CellError: It fails on an example.
        NotFoundError: No such target.
    """
    given = request.body.get("source")
    if type(given) is not str or not given.strip():
        raise ArgumentsError("teach needs a body with the source of one method")
    selector = request.selector or _first_function(given)
    check_selector(selector)
    source = await asyncio.to_thread(_audited, mind.guardian, given, selector)
    told = read_examples(request.body.get("examples", []))
    kept = await mind.image.transact(
        lambda root: kept_examples(find(root, request.target), selector), note="read examples"
    )
    examples = merge_examples(told, kept)
    for example in examples:
        brief = Brief(request.target, selector, tuple(example["args"]), example["kwargs"])
        answer = await try_turn(mind.image, mind.cell, brief, Candidate(selector, source))
        if not await asyncio.to_thread(same, answer.value, example["result"]):
            gives, wanted = preview(answer.value), preview(example["result"])
            raise DraftsError(f"{selector}{tuple(example['args'])} gives {gives}, not {wanted}")
    found_by = summary_of_taught(selector, source, examples)
    provenance = {
        "persona": TEACHER,
        "created": time.time(),
        "examples": list(examples),
        "cell": mind.cell.stats().get("kind", ""),
    }
    vector = await mind.catalog.embed([found_by.text])
    skill = Skill(selector, source, "taught", provenance, found_by.text, vector, found_by.kinds)

    def work(root: MutableMapping[str, Any]) -> int:
        target = find(root, request.target)
        known = target.slots.get(selector)
        if isinstance(known, Method) and known.current >= 0 and known.version.source == source:
            return known.version.number
        return install(root, target, skill)

    version = await mind.image.transact(work, note=f"teach {selector}"[:70])
    about = {"target": request.target, "selector": selector, "status": "taught"}
    return about | {"version": version, "sha256": digest(source), "source": source}


def _audited(guardian: PersistenceGuardian, source: str, selector: str) -> str:
    """Return the source with its covenant line, which the guardian lets pass."""
    mended = guardian.repair(source, selector)
    if findings := guardian.audit(mended, selector).lines():
        raise AuditError(findings)
    return mended


def _first_function(source: str) -> str:
    tree = parse(source)
    body = tree.body if isinstance(tree, ast.Module) else []
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    if not names:
        raise ArgumentsError("there is no function in the source; write def NAME(self, ...)")
    return names[0]
