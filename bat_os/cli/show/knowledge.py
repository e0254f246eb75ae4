"""Verbs about knowledge, sentences and questions.

learn, search, documents, forget, reindex; ask, discuss (ROBIN and BRICK), talks.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.answer import FIELDS
from bat_os.cli.chat.saying import as_fields, say, session_here
from bat_os.cli.chat.saying import show as show_said
from bat_os.cli.language import translate
from bat_os.cli.progress import Progress
from bat_os.cli.show.command import Command, cut, read_input, read_pairs, show_time, table_of
from bat_os.documents.readers import STDIN, Document, Skipped, read_all, read_stdin, resolve, walk
from bat_os.errors import ArgumentsError, BatError, RemoteError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask, Columns
    from bat_os.client.client import Listener

PREVIEW: Final = 300


async def _learn(ask: Ask) -> Mapping[str, Any]:
    """Learn document after document; after an interruption, what was learned stays."""
    if ask.options.watch:
        return await _learn_and_watch(ask)
    learned: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    given, files = read_pairs(ask.options.meta), ask.options.files
    total = await asyncio.to_thread(_count, files)
    try:
        with Progress(ask.screen, total) as bar:
            async for item in _read(files):
                result: dict[str, Any] | Skipped
                if isinstance(item, Document):
                    bar.begin(item.title)
                    result = await _learn_one(ask, item, given, bar.hear)
                    bar.end()
                else:
                    result = item
                if isinstance(result, Skipped):
                    row = {"path": result.source, "reason": result.reason, "count": result.count}
                    skipped.append(row)
                else:
                    learned.append(result)
    except asyncio.CancelledError:
        ask.screen.note(
            f"interrupted with {len(learned)} of {total} learned; the same command does the rest"
        )
        raise
    failed = bool(skipped) and not learned
    return {"learned": learned, "skipped": skipped, "exit_status": 1 if failed else 0}


async def _learn_and_watch(ask: Ask) -> Mapping[str, Any]:
    """Have the daemon learn files and folders and keep them current, with a grant for each."""
    watched = []
    for path in ask.options.files:
        if path == STDIN:
            raise ArgumentsError("standard input cannot be watched; name a file or folder")
        place, granted = str(resolve(path)), ""
        mark = "'" if "'" not in place else '"'
        body = {"when": f"when {mark}{place}{mark} changes", "kind": "learn"}
        try:
            kept = await ask.request("schedule", body=body)
        except RemoteError as error:
            if error.body.get("code") != "GRANT_WANTED":
                raise
            granted = (await ask.request("grant", body={"what": place}))["object"]
            kept = await ask.request("schedule", body=body)
        watched.append({"path": place, "number": kept["number"], "granted": granted})
    return {"learned": [], "skipped": [], "watched": watched, "exit_status": 0}


def _count(paths: Sequence[str]) -> int:
    """Return how many files there are to read."""
    folders = [Path(path) for path in paths if path != STDIN and Path(path).is_dir()]
    inside = sum(isinstance(item, Path) for folder in folders for item in walk(folder))
    return len(paths) - len(folders) + inside


async def _read(paths: Sequence[str]) -> AsyncIterator[Document | Skipped]:
    """Yield what the files hold; among several, one that cannot be read does not stop the rest."""
    for path in paths:
        items = iter([read_input(read_stdin)]) if path == STDIN else read_all(path)
        try:
            while (item := await asyncio.to_thread(next, items, None)) is not None:
                yield item
        except BatError as error:
            if len(paths) == 1:
                raise
            yield Skipped(path, str(error))


async def _learn_one(
    ask: Ask, document: Document, meta: Mapping[str, Any], hear: Listener
) -> dict[str, Any] | Skipped:
    body = {
        "title": document.title,
        "text": document.text,
        "source": document.source,
        "meta": {**document.meta, **meta},
    }
    try:
        answer = await ask.request(on_event=hear, body=body)
    except RemoteError as error:
        return Skipped(document.source or document.title, str(error))
    return {"title": document.title} | answer


async def _forget(ask: Ask) -> Mapping[str, Any]:
    """Forget a document by its id, or those that came from a file or folder."""
    given = doc_ids = [ask.options.document]
    if not given[0].startswith("document:"):
        listed = await ask.request("documents")
        place = str(resolve(given[0]))
        inside = place.rstrip(os.sep) + os.sep
        doc_ids = [
            document["doc_id"]
            for document in listed["documents"]
            if (source := str(document["meta"].get("source", ""))) == place
            or source.startswith(inside)
        ] or given  # the kernel says that there is none
    for doc_id in doc_ids:
        await ask.request(body={"doc_id": doc_id})
    return {"forgotten": doc_ids}


async def _reindex(ask: Ask) -> Mapping[str, Any]:
    with Progress(ask.screen) as bar:
        return await ask.request(on_event=bar.hear)


def _show_learned(body: Mapping[str, Any], screen: Screen) -> None:
    for row in body["learned"]:
        count = row["passages"]
        how = f"{count} passage{'s' * (count != 1)}" if row["changed"] else "known already"
        screen.answer(f"{row['title']}: {translate(how)}")
    for row in body.get("watched", ()):
        screen.say(f"{row['path']} is learned, and kept current from now on")
        if row["granted"]:
            screen.note(
                f"{row['granted']} may read it; to take that back: batos revoke {row['granted']}"
            )
        screen.note(f"to stop it: batos unschedule {row['number']}")
    for row in body["skipped"]:
        screen.note(f"skipped {row['path']}: {row['reason']}", style="yellow")


def _show_passages(body: Mapping[str, Any], screen: Screen) -> None:
    for number, hit in enumerate(body["passages"], start=1):
        screen.answer(f"[{number}] {hit['title']} ({hit['kind']}, {hit['similarity']:.2f})")
        screen.answer(f"    {cut(hit['text'], PREVIEW)}")
    if not body["passages"]:
        screen.note("nothing was found")


def _show_forgotten(body: Mapping[str, Any], screen: Screen) -> None:
    for doc_id in body["forgotten"]:
        screen.say(f"forgotten: {doc_id}")


_DOCUMENTS: Final[Columns] = {"ID": "doc_id", "PASSAGES": "passages", "TITLE": "title"}


async def _discuss(ask: Ask) -> Mapping[str, Any]:
    """Ask, and note each sentence while it comes; what counts follows once it is whole."""
    heard: dict[str, str] = {}

    def hear(_kind: str, event: Mapping[str, Any]) -> None:
        name = str(event.get("persona", ""))
        if event.get("again"):
            heard[name] = ""
            return
        text = heard.get(name, "") + str(event.get("text", ""))
        whole, stop, rest = text.rpartition(". ")
        if stop:
            ask.screen.note(f"  {name}: {' '.join(whole.split())}.")
        heard[name] = rest

    return await ask.request(on_event=hear)


def _show_talk(body: Mapping[str, Any], screen: Screen) -> None:
    for said in body["answers"]:
        screen.answer(f"{said['persona']}: {said['text']}")
    for hit in body["passages"]:
        if hit["cited"]:
            about = f"{hit['title']} ({hit['doc_id']}, {hit['similarity']:.2f})"
            screen.note(f"[{hit['n']}] {about}")
    if body["note"]:
        screen.note(body["note"], style="yellow")


def _show_talks(body: Mapping[str, Any], screen: Screen) -> None:
    for talk in body["talks"]:
        screen.answer(f"{show_time(talk['asked'])}  {talk['question']}")
        for said in talk["answers"]:
            screen.answer(f"    {said['persona']}: {said['text']}")
    if not body["talks"]:
        screen.note("nothing has been asked yet; batos discuss QUESTION asks")


async def _ask(ask: Ask) -> Mapping[str, Any]:
    options = vars(ask.options)
    session = options["session"] or session_here(ask.screen)
    words = " ".join(options["sentence"])
    fields = as_fields(words, session=session, fresh=options["fresh"], call=options["as"])
    body = await say(ask.kernel, ask.screen, fields)
    return {name: body.get(name) for name in FIELDS}


COMMANDS: Final[Mapping[str, Command]] = {
    "learn": Command(_show_learned, _learn),
    "search": Command(_show_passages),
    "documents": Command(
        table_of("documents", _DOCUMENTS, "no documents yet; batos learn FILE stores one")
    ),
    "forget": Command(_show_forgotten, _forget),
    "reindex": Command(
        lambda body, screen: screen.say(f"reindexed: {body['documents']} documents"), _reindex
    ),
    "ask": Command(show_said, _ask),
    "discuss": Command(_show_talk, _discuss),
    "talks": Command(_show_talks),
}
