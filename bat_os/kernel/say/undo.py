"""``undo that``: takes back what the last act has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bat_os.core.answer import Answer
from bat_os.errors import ConflictError, NotFoundError
from bat_os.image.history.undo import read_changes, revived, take_back
from bat_os.image.store import watch_commits
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.kernel.context import KernelContext


async def undo(mind: KernelContext, last: Mapping[str, Any], language: str) -> Answer:
    """Take back the transaction that ``last`` names, unless what it made was changed since.

    What it answers names the transaction of the undoing, so "undo that" again does it anew.
    """
    transaction = str(last.get("transaction") or "")
    if not transaction:
        return Answer("unable", text(language, "self.undo_nothing"), language=language)
    try:
        changes = await read_changes(mind.image, transaction)
        told = revived(changes)
        rows = await mind.catalog.embed([*told.values()])
        vectors = {each: rows[at : at + 1] for at, each in enumerate(told)}
        with watch_commits() as commits:
            undone = await mind.image.transact(
                lambda root: take_back(root, changes, vectors), note="undo"
            )
    except (ConflictError, NotFoundError):
        return Answer("unable", text(language, "self.undo_failed"), language=language)
    if not undone:
        return Answer("unable", text(language, "self.undo_nothing"), language=language)
    noted = {"transaction": commits[-1] if commits else "", "undone": transaction}
    said = str(last.get("said") or last.get("text") or "")
    return Answer(
        "acted", text(language, "self.undone", text=said), undo="undo that", language=language,
        memory=noted,
    )  # fmt: skip
