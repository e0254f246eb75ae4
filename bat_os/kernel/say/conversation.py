"""Conversations: what was said last, what was answered, and which question is open.

    root["conversations"]  key of a conversation -> an object with plain slots

A conversation belongs to a caller and a session, so two callers who choose the same name do not
meet. It lives in memory. It is written with a question that is open, and else WRITE_SECONDS after
the last sentence, so a kill loses at most the last follow-up. It expires after DAY seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.errors import BatError, NotFoundError
from bat_os.image.gathering import unit_of
from bat_os.image.objects import UvmObject, tree_of

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.image.store import ImageStore
    from bat_os.image.unit_of_work import UnitOfWork

    Root = MutableMapping[str, Any]

CONVERSATIONS: Final = "conversations"
PREFIX: Final = "conversation:"  # of the name by which ``inspect`` shows one
DAY: Final = 86_400.0
WRITE_SECONDS: Final = 5.0
MAX_KEPT: Final = 1_000  # conversations in memory, and in the image
MAX_EXCHANGES: Final = 20  # that a conversation shows
MAX_SHOWN: Final = 500  # characters of each sentence and answer in it
MAX_SERIES: Final = 50  # answers in a row that are kept
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Conversation:
    """What a follow-up may refer to. All of it is plain data."""

    session: str  # its name, as the caller gave it
    at: float = 0.0  # Unix time of the last sentence
    language: str = ""  # of the last sentence
    # of the last answer: ``text`` (the sentence), ``kind``, ``value``, ``call``, and what else
    # its maker noted; {} before the first
    last: dict[str, Any] = field(default_factory=dict)
    # the open question: ``needs``, ``sentence`` and ``choices``; {} if none is open
    question: dict[str, Any] = field(default_factory=dict)
    # sentence, kind and answer of the last exchanges, for people
    exchanges: list[dict[str, Any]] = field(default_factory=list)
    # key of the last request, and the body that answered it: asked again, it is not done again
    answered: tuple[str, dict[str, Any]] | None = None

    def follow(self, image: ImageStore) -> None:
        """Be what it was if the answer of this unit of work is lost; else name its transactions."""
        if (unit := unit_of(image)) is None:
            return
        before = replace(self)

        def go_back() -> None:
            for each in fields(self):
                setattr(self, each.name, getattr(before, each.name))

        def fill(unit: UnitOfWork) -> None:
            self.last, self.question = unit.fill(self.last), unit.fill(self.question)
            self.answered = unit.fill(self.answered) if unit.is_final else None

        unit.lost.append(go_back)
        unit.done.append(fill)

    def note(self, sentence: str, kind: str, answer: str) -> None:
        """Add an exchange."""
        said = {"at": self.at, "said": sentence[:MAX_SHOWN], "kind": kind}
        said["answer"] = answer[:MAX_SHOWN]
        self.exchanges = [*self.exchanges[1 - MAX_EXCHANGES :], said]


class Conversations:
    """The conversations of one image; for one event loop."""

    def __init__(self, image: ImageStore) -> None:
        self._image = image
        self._held: OrderedDict[str, Conversation] = OrderedDict()
        self._changed: dict[str, Conversation] = {}
        self._writer: asyncio.Task[None] | None = None

    async def open(self, caller: str, session: str) -> Conversation:
        """Return the conversation of a caller, a new one if it has expired."""
        key, now = _key(caller, session), time.time()
        held = self._held.get(key)
        if held is None:
            slots = await self._image.transact(
                lambda root: _read(root, key), note="read a conversation"
            )
            held = _from_slots(session, slots)
        if now - held.at > DAY:
            held = Conversation(session)
        held.at = now
        self._held[key] = held
        self._held.move_to_end(key)
        while len(self._held) > MAX_KEPT:
            self._held.popitem(last=False)
        return held

    async def keep(self, caller: str, conversation: Conversation) -> None:
        """Have a conversation written: at once with an open question, else soon."""
        key = _key(caller, conversation.session)
        self._changed[key] = conversation
        if conversation.question:
            await self.write(key)
        elif self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_soon(), name="write conversations")

    async def write(self, *keys: str) -> None:
        """Write what has changed, or some of it; what fails is tried again with the next change."""
        changed = {key: self._changed.pop(key) for key in keys or list(self._changed)}
        if not changed:
            return
        now = time.time()
        slots = {key: _to_slots(each) for key, each in changed.items()}
        try:
            await self._image.transact(
                lambda root: _write(root, slots, now), note="keep conversations"
            )
        except BatError as error:
            log.warning("a conversation is not kept: %s", error)
            self._changed = changed | self._changed

    async def forget(self) -> None:
        """Write what is waiting and keep nothing in memory: words are about to be erased."""
        await self.write()
        self._held.clear()
        self._changed.clear()

    async def close(self) -> None:
        """Write what is waiting. Idempotent."""
        if self._writer is not None:
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
            self._writer = None
        await self.write()

    async def _write_soon(self) -> None:
        await asyncio.sleep(WRITE_SECONDS)
        await self.write()


def find_conversation(root: Root, caller: str, session: str) -> UvmObject:
    """Return the stored conversation of a caller.

    Raises:
        NotFoundError: None is stored under that name, or it has expired.
    """
    obj = root.get(CONVERSATIONS, {}).get(_key(caller, session))
    if not isinstance(obj, UvmObject):
        raise NotFoundError(f"no conversation {session[:100]!r} of yours is kept")
    return obj


def _key(caller: str, session: str) -> str:
    return digest(f"{caller}\n{session}")[:32]


def _read(root: Root, key: str) -> Mapping[str, Any]:
    obj = root.get(CONVERSATIONS, {}).get(key)
    return dict(obj.slots) if isinstance(obj, UvmObject) else {}


def _write(root: Root, changed: Mapping[str, Mapping[str, Any]], now: float) -> None:
    kept = tree_of(root, CONVERSATIONS)
    for key, slots in changed.items():
        if key not in kept:
            kept[key] = UvmObject(f"{PREFIX}{slots['session']}")
        kept[key].slots = dict(slots)
        kept[key]._p_changed = True
    old = [key for key, obj in kept.items() if now - obj.slots.get("at", 0.0) > DAY]
    by_age = sorted(kept, key=lambda key: kept[key].slots.get("at", 0.0))
    for key in {*old, *by_age[: max(0, len(by_age) - MAX_KEPT)]}:
        del kept[key]


def _to_slots(conversation: Conversation) -> dict[str, Any]:
    names = ("session", "at", "language", "last", "question", "exchanges")
    return {name: getattr(conversation, name) for name in names}


def _from_slots(session: str, slots: Mapping[str, Any]) -> Conversation:
    if not slots:
        return Conversation(session)
    return Conversation(
        session, slots["at"], slots["language"], slots["last"], slots["question"],
        list(slots["exchanges"]),
    )  # fmt: skip


def series_of(last: Mapping[str, Any], noted: Mapping[str, Any]) -> list[Any]:
    """Return the numbers that one skill gave in a row: what "and together?" adds up."""
    value, call = noted.get("value"), noted.get("call") or {}
    if type(value) not in (int, float) or not call:
        return []
    before = last.get("call") or {}
    same = [call["target"], call["selector"]] == [before.get("target"), before.get("selector")]
    return [*(last.get("series") or ())[1 - MAX_SERIES :], value] if same else [value]
