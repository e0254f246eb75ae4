"""One call to a model server: what is sent, in which dialect, and how it fills the rows."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.engines.remote import replies
from bat_os.errors import ModelError, ModelOutputError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence

    import httpx2

    from bat_os.engines.base import Row
    from bat_os.engines.remote.connection import Connection
    from bat_os.engines.remote.replies import Piece
    from bat_os.ports import Prompt, Sampling

MAX_TEMPLATE_BYTES: Final = 1 << 22
BYTES_PER_TOKEN: Final = 8192  # of a stream; llama-server's events have under 1000
MAX_STREAM_BYTES: Final = 1 << 26
_REFUSED: Final = frozenset({400, 422})
_NO_TEMPLATES: Final = frozenset({400, 403, 404, 405, 422, 500, 501})
_SEEDS: Final = 2**31 - 1
_GO_ON: Final = "\n\nBegin your answer with exactly this text, and go on from there:\n"


@dataclass
class Dialect:
    """What one server was found to take.

    Attributes:
        templates: It renders chats (llama-server); None is not known yet.
        extras: It takes fields beyond the common API.
        copies: It gives several answers to one request.
    """

    templates: bool | None = None
    extras: bool = True
    copies: bool = True


@dataclass(frozen=True)
class Asker:
    """Sends the requests of one call.

    Args:
        connection: To the server.
        client: Of this call; closing it ends the requests.
        model: The server's name of the model.
        sampling: How to draw.
        dialect: What is known of the server; what is found out is noted there.
        gate: Lets as many requests through as the server should have at the same time.
    """

    connection: Connection
    client: httpx2.AsyncClient
    model: str
    sampling: Sampling
    dialect: Dialect
    gate: asyncio.Semaphore

    async def ask(self, prompt: Prompt, rows: Sequence[Row]) -> None:
        """Fill ``rows`` with answers to ``prompt``.

        Raises:
            ModelError: The server refuses, fails or breaks off.
            ModelOutputError: Its answer cannot be read.
        """
        left = list(enumerate(rows))
        if len(rows) > 1 and self.dialect.copies:
            try:
                await self._request(prompt, rows, 0)
            except ModelError as error:
                if error.details.get("status") not in _REFUSED:
                    raise
            left = [(index, row) for index, row in left if not row.ended]
            if not left:
                return
        await gather(self._request(prompt, [row], index) for index, row in left)
        if len(rows) > 1:
            self.dialect.copies = False  # it works, one by one

    async def _request(self, prompt: Prompt, rows: Sequence[Row], offset: int) -> None:
        """Ask once; without extras if it is them that the server refuses."""
        if self.dialect.extras:
            try:
                await self._send(prompt, rows, offset, extras=True)
            except ModelError as error:
                if error.details.get("status") not in _REFUSED:
                    raise
            else:
                return
        await self._send(prompt, rows, offset, extras=False)
        self.dialect.extras = False

    async def _send(
        self, prompt: Prompt, rows: Sequence[Row], offset: int, *, extras: bool
    ) -> None:
        path, body = await self._compose(prompt, extras=extras)
        body["seed"] = (self.sampling.seed + offset) % _SEEDS
        if len(rows) > 1:
            body["n"] = len(rows)
        answer = _Answer(rows, prompt.prefill if path == "/chat/completions" else "")
        most = (1 << 16) + 4 * len(prompt.prefill) * len(rows)
        most += BYTES_PER_TOKEN * self.sampling.max_tokens * len(rows)
        url = self.connection.url + path
        async with (
            self.gate,
            self.connection.stream(self.client, url, body) as reply,
            aclosing(self._events(reply, min(most, MAX_STREAM_BYTES))) as events,
        ):
            async for pieces in events:
                for piece in pieces:
                    answer.take(piece)
                if answer.is_cut:
                    return
        answer.check()

    async def _events(
        self, reply: httpx2.Response, most: int
    ) -> AsyncGenerator[Sequence[Piece], None]:
        chunks, scrub = reply.aiter_raw(), self.connection.scrub
        if reply.headers.get("content-type", "").startswith("application/json"):
            body = scrub(await replies.read_body(chunks, most))
            yield replies.read_pieces(replies.parse(body))
            return
        async for pieces in replies.read_events(chunks, most, scrub):
            yield pieces

    async def _compose(self, prompt: Prompt, *, extras: bool) -> tuple[str, dict[str, Any]]:
        """Return path and body of a request."""
        sampling = self.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if extras:
            body |= {"top_k": sampling.top_k, "min_p": 0.0}
            body |= {"return_progress": True, "timings_per_token": True}
        messages = [{"role": role, "content": text} for role, text in prompt.messages]
        raw = await self._render(messages) if prompt.prefill and extras else None
        if raw is not None:
            constraint = {"json_schema": dict(sampling.schema)} if sampling.schema else {}
            return "/completions", body | constraint | {"prompt": raw + prompt.prefill}
        if prompt.prefill and extras:
            messages.append({"role": "assistant", "content": prompt.prefill})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        elif prompt.prefill:
            messages[-1]["content"] += _GO_ON + prompt.prefill
        if sampling.schema:
            form = {"name": "answer", "strict": True, "schema": dict(sampling.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return "/chat/completions", body | {"messages": messages}

    async def _render(self, messages: list[dict[str, str]]) -> str | None:
        """Return the chat as the server's template writes it, or None when it does not."""
        if self.dialect.templates is False:
            return None
        url = self.connection.url.removesuffix("/v1") + "/apply-template"
        body = {"messages": messages}
        try:
            data = await self.connection.fetch(self.client, url, body, MAX_TEMPLATE_BYTES)
        except ModelError as error:
            if error.details.get("status") not in _NO_TEMPLATES:
                raise
            data = {}
        except ModelOutputError:
            data = {}
        text = data.get("prompt")
        self.dialect.templates = isinstance(text, str)
        return text if isinstance(text, str) else None


class _Answer:
    """The rows of one request, and what the server said of them."""

    def __init__(self, rows: Sequence[Row], prefill: str) -> None:
        self._rows = rows
        self._echoes = [replies.Echo(prefill) for _ in rows]
        self._heard: set[int] = set()
        self._open = set(range(len(rows)))

    @property
    def is_cut(self) -> bool:
        """True when all rows have ended, and at least one that the server still goes on with."""
        return bool(self._open) and all(row.ended for row in self._rows)

    def take(self, piece: Piece) -> None:
        """Add ``piece`` to its row."""
        if piece.read is not None:
            for row in self._rows:
                row.read = piece.read
                row.reused = min(piece.reused or 0, piece.read)
        if piece.index < 0:
            if len(self._rows) == 1 and not self._open and piece.counted is not None:
                self._rows[0].tokens = max(self._rows[0].tokens, piece.counted)
            return
        if piece.index >= len(self._rows):
            raise ModelOutputError("the model server sent an answer that nobody asked for")
        row, echo = self._rows[piece.index], self._echoes[piece.index]
        self._heard.add(piece.index)
        text = echo.pass_on(piece.text)
        if piece.reason:
            text += echo.rest()
            self._open.discard(piece.index)
        if text:
            drawn = row.tokens + 1 if piece.drawn is None else piece.drawn
            row.add(text, max(1, drawn - row.tokens))
        if piece.reason:
            row.end(finished=piece.reason == "stop")

    def check(self) -> None:
        """Look at the rows once the stream is over.

        Raises:
            ModelError: An answer has no end.
            ModelOutputError: There is no answer at all.
        """
        if not self._heard:
            raise ModelOutputError("the model server sent no answer")
        if any(not self._rows[index].ended for index in self._heard):
            raise ModelError("the model server broke off in the middle of an answer; ask again")


async def gather(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all of ``work``; the first error ends the rest."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
