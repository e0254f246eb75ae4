"""Verbs about knowledge: learn, search, documents, forget, reindex."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import LONG, Command, read_input
from bat_os.cli.progress import Progress
from bat_os.documents.readers import STDIN, Document, Skipped, read_all, read_stdin, resolve, walk
from bat_os.errors import ArgumentsError, BatError, RemoteError

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Mapping, Sequence

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen
    from bat_os.client.client import Listener

SEARCH_SECONDS: Final = 60.0
PREVIEW: Final = 300


async def _learn(ask: Ask) -> Mapping[str, Any]:
    """Take in document after document; what was taken in stays when it is broken off."""
    learned: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    given, files = _pairs(ask.options.meta), ask.options.files
    total = await asyncio.to_thread(_count, files)
    try:
        with Progress(ask.screen, total) as bar:
            async for one in _read(files):
                told: dict[str, Any] | Skipped
                if isinstance(one, Document):
                    bar.begin(one.title)
                    told = await _learn_one(ask, one, given, bar.hear)
                    bar.end()
                else:
                    told = one
                if isinstance(told, Skipped):
                    skipped.append(
                        {"path": told.source, "reason": told.reason, "count": told.count}
                    )
                else:
                    learned.append(told)
    except asyncio.CancelledError:
        ask.screen.note(
            f"broken off with {len(learned)} of {total} taken in; the same command does the rest"
        )
        raise
    failed = bool(skipped) and not learned
    return {"learned": learned, "skipped": skipped, "exit_status": 1 if failed else 0}


def _count(paths: Sequence[str]) -> int:
    """Return how many files there are to read."""
    folders = [Path(path) for path in paths if path != STDIN and Path(path).is_dir()]
    inside = sum(isinstance(item, Path) for folder in folders for item in walk(folder))
    return len(paths) - len(folders) + inside


async def _read(paths: Sequence[str]) -> AsyncIterator[Document | Skipped]:
    """Yield what the files hold; among several, one that cannot be read is no reason to stop."""
    for path in paths:
        found = iter([read_input(read_stdin)]) if path == STDIN else read_all(path)
        try:
            while (one := await asyncio.to_thread(next, found, None)) is not None:
                yield one
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
        told = await ask.kernel.request("learn", timeout=LONG, on_event=hear, body=body)
    except RemoteError as error:
        return Skipped(document.source or document.title, str(error))
    return {"title": document.title} | told


async def _search(ask: Ask) -> Mapping[str, Any]:
    body = {"text": " ".join(ask.options.words), "limit": ask.options.limit}
    body |= {"kind": ask.options.kind} if ask.options.kind else {}
    body["filters"] = _pairs(ask.options.where)
    return await ask.kernel.request("search", timeout=SEARCH_SECONDS, body=body)


async def _documents(ask: Ask) -> Mapping[str, Any]:
    body = {"filters": _pairs(ask.options.where)}
    return await ask.kernel.request("documents", timeout=SEARCH_SECONDS, body=body)


async def _forget(ask: Ask) -> Mapping[str, Any]:
    """Forget a document by its id, or those that came from a file or folder."""
    doc_ids = await _ids_of(ask, ask.options.document)
    for doc_id in doc_ids:
        await ask.kernel.request("forget", timeout=SEARCH_SECONDS, body={"doc_id": doc_id})
    return {"forgotten": doc_ids}


async def _ids_of(ask: Ask, given: str) -> list[str]:
    if given.startswith("document:"):
        return [given]
    told = await ask.kernel.request("documents", timeout=SEARCH_SECONDS)
    place = str(resolve(given))
    inside = place.rstrip(os.sep) + os.sep
    found = []
    for one in told["documents"]:
        source = str(one["meta"].get("source", ""))
        if source == place or source.startswith(inside):
            found.append(one["doc_id"])
    return found or [given]  # the kernel says that there is none


def _pairs(given: list[str] | None) -> dict[str, Any]:
    """Return ``KEY=VALUE`` texts as a map; a key that comes again has a list.

    Raises:
        ArgumentsError: One of them has no ``=``.
    """
    found: dict[str, list[str]] = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ArgumentsError(f"{text!r} is not KEY=VALUE")
        found.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


async def _reindex(ask: Ask) -> Mapping[str, Any]:
    with Progress(ask.screen) as bar:
        return await ask.kernel.request("reindex", timeout=LONG, on_event=bar.hear)


def _show_learned(body: Mapping[str, Any], screen: Screen) -> None:
    for one in body["learned"]:
        how = f"{one['passages']} passages" if one["changed"] else "known already"
        screen.answer(f"{one['title']}: {how}")
    for one in body["skipped"]:
        screen.note(f"skipped {one['path']}: {one['reason']}", style="yellow")


def _show_passages(body: Mapping[str, Any], screen: Screen) -> None:
    for number, one in enumerate(body["passages"], start=1):
        text = " ".join(one["text"].split())
        cut = text if len(text) <= PREVIEW else text[: PREVIEW - 1] + "…"
        screen.answer(f"[{number}] {one['title']} ({one['kind']}, {one['similarity']:.2f})")
        screen.answer(f"    {cut}")
    if not body["passages"]:
        screen.note("nothing was found")


def _show_documents(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [(one["doc_id"], one["passages"], one["title"]) for one in body["documents"]]
    screen.table(rows, ("ID", "PASSAGES", "TITLE"))
    if not rows:
        screen.note("no documents yet; batos learn FILE takes one in")


def _show_forgotten(body: Mapping[str, Any], screen: Screen) -> None:
    for doc_id in body["forgotten"]:
        screen.answer(f"forgotten: {doc_id}")


def _learn_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", help="files or folders: text, Markdown, HTML, PDF, source; - for stdin"
    )
    parser.add_argument(
        "--meta",
        action="append",
        metavar="KEY=VALUE",
        help="to keep with each document; may come more than once",
    )


def _search_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", help="a question, or words")
    parser.add_argument("--limit", type=int, default=5, help="at most so many (default: 5)")
    parser.add_argument(
        "--kind", choices=("document", "method", "codex", "seed"), help="look at these only"
    )
    _where(parser)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--where",
        action="append",
        metavar="KEY=VALUE",
        help="documents with this meta data only, as format=pdf; may come more than once",
    )


def _document_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "document", help="an id, as batos documents lists it; or the file or folder it came from"
    )


COMMANDS: Final[Mapping[str, Command]] = {
    "learn": Command(
        "take documents into the knowledge catalog", _learn, _learn_words, _show_learned
    ),
    "search": Command("search the knowledge catalog", _search, _search_words, _show_passages),
    "documents": Command(
        "list the documents that were taken in", _documents, _where, _show_documents
    ),
    "forget": Command(
        "take a document out again",
        _forget,
        _document_words,
        _show_forgotten,
    ),
    "reindex": Command(
        "make all vectors anew, after a change of the embedding model",
        _reindex,
        show=lambda body, screen: screen.answer(f"reindexed: {body['documents']} documents"),
    ),
}
