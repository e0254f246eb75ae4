"""``erase``: remove words for good, from the image, its history, and the files beside it.

    look    where do they stand?                              without ``yes`` that is all
    redact  one transaction: the image as it is now           erase.redacted
    rewrite the image file, without the states that held them erase.switched
    blank   logs, journal, reports, the chat's history        erase.blanked
    look    is any of them left?                              said in the answer

If it is killed between two steps, nothing else is lost, and the same request does what is left: it
notes nowhere what it was to erase.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ZODB.TimeStamp import TimeStamp

import bat_os
from bat_os.core.erasing import Words, fold
from bat_os.errors import ArgumentsError, BatError, NotFoundError
from bat_os.failpoints import cross
from bat_os.image.catalog import catalog_in
from bat_os.image.erasure import STAYS, Place, erase_now, find_brought
from bat_os.image.files import scrub
from bat_os.image.files.chronicle import add_to_chronicle, chronicle
from bat_os.image.files.disk import in_thread
from bat_os.image.files.layers import is_in_files, path_of
from bat_os.image.files.rewrite import Past, look_at_past, note_erased, rewrite
from bat_os.image.gathering import gather, unit_of
from bat_os.image.memory import fact_of
from bat_os.image.objects import Method, connection_of, find
from bat_os.kernel import views

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping, Sequence

    from bat_os.core.protocol import Request
    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import Handler, KernelContext, Say

    Root = MutableMapping[str, Any]
    Stays = Mapping[bytes, bytes]  # what the program brought

ROUNDS: Final = 3  # what is written meanwhile may hold the words again
MAX_ROWS: Final = 500
_PROGRAM: Final = frozenset({".py", ".toml", ".jsonl"})


async def run(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Carry out ``erase`` in the kernel; see ``erase``. Passages get their new vectors."""
    for forget in mind.on_erase if request.body["yes"] else ():
        await forget()
    if (unit := unit_of(mind.image)) is not None:
        await unit.flush()
        unit.is_final = False  # the answer may name what was removed
    home = Path(mind.options.home)
    known = home.is_absolute()
    also = (home / mind.options.metacognition_log_file,) if known else ()
    with gather(None):
        done = await erase(mind.image, request.body, home=home if known else None, also=also)
    if done["erased"] and await mind.image.transact(_is_waiting, note="look for passages"):
        try:
            await mind.catalog.reindex(lambda line: say(views.progress(line)))
        except BatError as error:
            done["left"].append(f"blanked passages are found by words only for now: {error}")
    return done


async def erase(
    image: ImageStore,
    body: Mapping[str, Any],
    *,
    home: Path | None = None,
    also: Sequence[Path] = (),
) -> dict[str, Any]:
    """List where ``body.words`` stand, or what ``body.id`` names; with ``body.yes`` remove them.

    Returns:
        ``erased``; ``places``: kind, what and fate of each; ``past``: how many ``records`` of the
        history hold them and ``since`` when; ``files`` that hold them; ``elsewhere``: what holds
        them and is not touched, with the command that removes it; ``left``: what could not be done.
    """
    words = await _words_of(image, body)
    stays: dict[bytes, bytes] = {}
    if await asyncio.to_thread(_is_in_program, words):
        find = partial(find_brought, words=words)
        stays = await image.transact(find, note="look what the program brought")
    path = path_of(image.storage) if is_in_files(image.storage) else None
    home = home or (path.parent if path else None)
    if not body["yes"]:
        done = await _look(image, words, stays)
        files = partial(scrub.list_held, words=words, also=also)
    else:
        done = await _erase(image, words, stays)
        files = partial(scrub.blank, words=words, also=also)
    done["files"] = done["elsewhere"] = []
    if home is not None:
        beside = home, path or home / "no image"
        done["files"] = await in_thread(lambda _: files(*beside))
        cross("erase.blanked")
        archives = await image.transact(chronicle, note="look for archives")
        done["elsewhere"] = await in_thread(
            lambda _: scrub.list_elsewhere(*beside, words, archives, also)
        )
    return done


async def _look(image: ImageStore, words: Words, stays: Stays) -> dict[str, Any]:
    def rehearse(root: Root) -> list[Place]:
        before = connection_of(root).transaction_manager.get().savepoint()
        places = erase_now(root, words, stays)
        before.rollback()
        return places

    places = await image.transact(rehearse, note="look for words")
    past = await in_thread(lambda _: look_at_past(image.storage, words, stays))
    return _facts(places, past) | {"erased": False, "left": []}


async def _erase(image: ImageStore, words: Words, stays: Stays) -> dict[str, Any]:
    _forget_calls(image, words)
    places: list[Place] = []
    first = past = await in_thread(lambda _: look_at_past(image.storage, words, stays))
    for _ in range(ROUNDS):
        work = partial(_redact, words=words, past=past, stays=stays)
        places += await image.transact(work, note="erase")
        cross("erase.redacted")
        if not past.since:
            break
        await in_thread(partial(_rewrite, image, words, past.since))
        past = await in_thread(lambda _: look_at_past(image.storage, words, stays))
    left = []
    if past.since:
        left.append("the words were written again meanwhile; ask again")
    if past.frozen:
        left.append("the files that this fork began with hold them, and cannot be changed")
    return _facts(dict.fromkeys(places), first) | {"erased": True, "left": left}


def _redact(root: Root, words: Words, past: Past, stays: Stays) -> list[Place]:
    places = erase_now(root, words, stays)
    count = sum(place.fate != STAYS for place in places)
    if count or past.since:
        add_to_chronicle(root, {"kind": "erase", "at": time.time(), "places": count})
    if past.since:
        note_erased(root, past.since)
    return places


def _rewrite(image: ImageStore, words: Words, since: bytes, _: Any) -> None:
    if is_in_files(image.storage):
        rewrite(image.storage, words, since)
    else:
        image.database.pack()  # a server keeps no part of its history apart


def _facts(places: Any, past: Past) -> dict[str, Any]:
    rows = [asdict(place) for place in places]
    since = TimeStamp(past.since).timeTime() if past.since.strip(b"\0") else 0.0
    return {
        "places": rows[:MAX_ROWS],
        "more": max(0, len(rows) - MAX_ROWS),
        "past": {"records": past.records + past.frozen, "since": since},
    }


def _forget_calls(image: ImageStore, words: Words) -> None:
    """Drop the counted calls whose names hold the words, before they are written."""
    kept = {call: tally for call, tally in image.uses.take().items() if not words.in_value(call)}
    image.uses.put_back(kept)


async def _words_of(image: ImageStore, body: Mapping[str, Any]) -> Words:
    if bool(body["words"].strip()) == bool(body["id"]):
        raise ArgumentsError("say the words to erase, or with --id the fact, document or slot")
    if not body["id"]:
        words = Words([body["words"]])
        await asyncio.to_thread(_refuse_names, words)
        return words
    texts = await image.transact(lambda root: list(_texts_of(root, body["id"])), note="look it up")
    rare = await asyncio.to_thread(lambda: [text for text in texts if _is_rare(text)])
    if not rare:
        raise ArgumentsError(
            f"no text stands in {body['id'][:100]!r} that is long and rare enough to be erased"
        )
    return Words(rare)


def _is_rare(text: str) -> bool:
    try:
        _refuse_names(Words([text]))
    except ArgumentsError:
        return False
    return True


def _texts_of(root: Root, name: str) -> Iterator[str]:
    """Yield the texts of a document (or fact), of a slot, or of all slots of an object."""
    if (document := catalog_in(root).document(name)) is not None:
        yield from document.passages
        return
    if (fact := fact_of(root, name)) is not None:
        yield fact.text
        return
    target, _, slot = name.partition(".")
    try:
        slots = find(root, target).slots
    except NotFoundError:
        raise NotFoundError(
            f"there is no document, fact or slot {name[:100]!r}; batos documents and "
            "batos inspect OBJECT list them"
        ) from None
    if slot and slot not in slots:
        raise NotFoundError(f"{target} has no slot {slot[:100]!r}; batos inspect {target}")
    for value in [slots[slot]] if slot else slots.values():
        if isinstance(value, Method):
            yield from (version.source for version in value.versions)
        else:
            yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if type(value) is str and value.strip():
        yield value
    elif type(value) in (list, tuple, set, frozenset, dict):
        for part in value.values() if type(value) is dict else value:
            yield from _strings(part)


def _refuse_names(words: Words) -> None:
    """Raise ArgumentsError if the words are a name of the program: the image is made of those.

    Names are single words, and words that the program joins by an underscore.
    """
    names = ["_".join(fold(text).split()) for text in words.texts]
    for source in _read_program():
        if any(name in source.lower() for name in names):
            raise ArgumentsError(
                "these words are a name in the program itself, so they cannot be erased alone; "
                "give more of the text around them"
            )


def _is_in_program(words: Words) -> bool:
    return any(map(words.hold, _read_program()))


def _read_program() -> Iterator[str]:
    folder = Path(bat_os.__file__).parent
    shipped = [path for path in folder.rglob("*") if path.suffix in _PROGRAM]
    for path in (*shipped, bat_os.find_shipped("persona_codex.jsonl")):
        if path.is_file():
            yield path.read_text(encoding="utf-8")


def _is_waiting(root: Root) -> bool:
    return len(catalog_in(root).waiting) > 0


VERBS: Final[Mapping[str, Handler]] = MappingProxyType({"erase": run})
