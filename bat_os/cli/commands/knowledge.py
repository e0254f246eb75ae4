"""Verbs about knowledge: learn, search, documents, forget."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import LONG, Command, columns
from bat_os.clients.reading import Document, read_all, read_stdin
from bat_os.errors import RemoteError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.clients.console import Screen
    from bat_os.clients.reading import Skipped

SEARCH_SECONDS: Final = 60.0
PREVIEW: Final = 300


async def _learn(ask: Ask) -> Mapping[str, Any]:
    """Take in document after document; what was taken in stays when it is broken off."""
    learned: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    for path in ask.options.files:
        found = iter([read_stdin()]) if path == "-" else read_all(path)
        while (one := await asyncio.to_thread(_next, found)) is not None:
            if not isinstance(one, Document):
                skipped.append({"path": one.source, "reason": one.reason, "count": one.count})
                continue
            try:
                learned.append(await _learn_one(ask, one))
            except RemoteError as error:
                skipped.append({"path": one.source or one.title, "reason": str(error), "count": 1})
    failed = bool(skipped) and not learned
    return {"learned": learned, "skipped": skipped, "exit_status": 1 if failed else 0}


def _next(found: Iterator[Document | Skipped]) -> Document | Skipped | None:
    return next(found, None)


async def _learn_one(ask: Ask, document: Document) -> dict[str, Any]:
    def show(_kind: str, told: Any) -> None:
        ask.screen.note(f"  {told.get('text', '')}")

    ask.screen.note(document.title)
    body = {
        "title": document.title,
        "text": document.text,
        "source": document.source,
        "meta": dict(document.meta),
    }
    told = await ask.kernel.request("learn", timeout=LONG, on_event=show, body=body)
    return {"title": document.title} | told


async def _search(ask: Ask) -> Mapping[str, Any]:
    body = {"text": " ".join(ask.options.words), "limit": ask.options.limit}
    body |= {"kind": ask.options.kind} if ask.options.kind else {}
    return await ask.kernel.request("search", timeout=SEARCH_SECONDS, body=body)


async def _documents(ask: Ask) -> Mapping[str, Any]:
    return await ask.kernel.request("documents", timeout=SEARCH_SECONDS)


async def _forget(ask: Ask) -> Mapping[str, Any]:
    body = {"doc_id": ask.options.doc_id}
    return await ask.kernel.request("forget", timeout=SEARCH_SECONDS, body=body)


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
    for line in columns(rows, ("ID", "PASSAGES", "TITLE")):
        screen.answer(line)
    if not rows:
        screen.note("no documents yet; batos learn FILE takes one in")


def _learn_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", help="files or folders: text, Markdown, HTML, PDF, source; - for stdin"
    )


def _search_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", help="a question, or words")
    parser.add_argument("--limit", type=int, default=5, help="at most so many (default: 5)")
    parser.add_argument(
        "--kind", choices=("document", "method", "codex", "seed"), help="look at these only"
    )


def _doc_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("doc_id", help="as batos documents lists it")


COMMANDS: Final[Mapping[str, Command]] = {
    "learn": Command(
        "take documents into the knowledge catalog", _learn, _learn_words, _show_learned
    ),
    "search": Command("search the knowledge catalog", _search, _search_words, _show_passages),
    "documents": Command("list the documents that were taken in", _documents, show=_show_documents),
    "forget": Command(
        "take a document out again",
        _forget,
        _doc_id,
        lambda body, screen: screen.answer(f"forgotten: {body['doc_id']}"),
    ),
}
