"""``/v1``: the mind as if it were a model, for programs that speak OpenAI's interface.

    batos            ``say``: known skills, what is remembered, and what has to be learned first
    batos-known      the same, and nothing is learned
    batos/NAME       the same, with the object NAME as the receiver
    robin, brick ... the model of a persona as it is: all messages, no skill
    all-minilm-l6-v2 vectors

Whatever is said here, the owner's yes is given elsewhere: a request may at most what the scope
``own`` may.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from bat_os.core.program_verbs import MAX_PAGE, MAX_TEXTS
from bat_os.core.scopes import covers
from bat_os.errors import ArgumentsError, BatError
from bat_os.gateway.chats import (
    EMBEDDER,
    KNOWN,
    MIND,
    OBJECT,
    VOICES,
    Chat,
    Talks,
    check_model,
    in_words,
    read_chat,
)
from bat_os.gateway.problems import describe, openai_error, to_json
from bat_os.gateway.requests import body_of, caller_of, demand, identity_of, key_of, reply
from bat_os.gateway.streams import EventStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from bat_os.gateway.link import KernelLink
    from bat_os.gateway.streams import Streams

    Tell = Callable[[str, str], None]  # the field of a chunk that grows, and by what

SECONDS: Final = 240.0  # programs give up after 300 or more
ALIVE: Final = 10.0  # seconds between two signs of life in a stream
MAX_LISTED: Final = 100  # objects among the models
MAX_INPUT: Final = 2048  # texts of one request, as OpenAI has it
MADE: Final = 1767225600  # a model has to have a day
TOKENS: Final = "input is text or a list of texts; token numbers cannot be read here (LangChain: "


@dataclass(slots=True)
class Done:
    """One answer, and what it took."""

    text: str
    facts: dict[str, Any]  # our own, beside the usual members
    finish: str = "stop"
    read: int = 0  # tokens of the prompt that a model read
    written: int = 0  # tokens that it wrote

    @property
    def usage(self) -> dict[str, int]:
        """Return the tokens; of what no model answered there are none."""
        total = self.read + self.written
        return {
            "prompt_tokens": self.read, "completion_tokens": self.written, "total_tokens": total
        }  # fmt: skip


@dataclass(slots=True)
class Writing:
    """Text as a model writes it, up to the first of the ``stops``."""

    tell: Tell
    stops: tuple[str, ...]
    text: str = ""
    sent: int = 0
    ended: bool = False
    _held: int = field(init=False)

    def __post_init__(self) -> None:
        self._held = max((len(stop) - 1 for stop in self.stops), default=0)

    def add(self, piece: str, *, last: bool = False) -> None:
        """Send what is certain by now; the beginning of a stop is not."""
        self.text += piece
        until = len(self.text) - (0 if last else self._held)
        found = [at for stop in self.stops if (at := self.text.find(stop)) >= 0]
        if found and not self.ended:
            self.ended, self.text = True, self.text[: min(found)]
            until = len(self.text)
        if not self.ended or found:
            self._send(until)

    def _send(self, until: int) -> None:
        if until > self.sent:
            self.tell("content", self.text[self.sent : until])
            self.sent = until

    def end(self, whole: str) -> str:
        """Return the text, after what was not sent of it."""
        if not self.ended:
            self.add(whole[len(self.text) :] if whole.startswith(self.text) else "", last=True)
        return self.text


class Answering:
    """The answer to one request."""

    def __init__(self, link: KernelLink, talks: Talks, request: Request, chat: Chat) -> None:
        self._link = link
        self._talks = talks
        self._chat = chat
        self._caller = caller_of(request).name
        self._key = key_of(request) or f"http:{self._caller}:{secrets.token_hex(12)}"
        own = may_at_most(request, "send" if chat.model == KNOWN else "own")
        self._identity: dict[str, Any] = identity_of(request) | own
        self._mission = ""
        self.id, self.made = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())

    def head(self, kind: str) -> dict[str, Any]:
        """Return what every answer and every chunk begins with."""
        return {"id": self.id, "object": kind, "created": self.made, "model": self._chat.model,
                "system_fingerprint": None}  # fmt: skip

    async def answer(self, tell: Tell) -> Done:
        """Return the answer; ``tell`` hears of it before.

        Raises:
            BatError: The kernel has none.
        """
        if not self._chat.is_sentence:
            return await self._write(tell)
        asking = asyncio.ensure_future(self._say(tell))
        # A mission is stored, and goes on without the one who asked for it.
        asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        done, _ = await asyncio.wait((asking,), timeout=SECONDS)
        if done:
            return asking.result()
        text = "I am still thinking. Ask again in a moment."
        tell("content", text)
        return Done(text, {"kind": "running", "brief_id": self._mission})

    async def _say(self, tell: Tell) -> Done:
        chat, sentence = self._chat, self._chat.sentence
        session = self._talks.open(self._caller, chat.said)

        def hear(_: str, body: Mapping[str, Any]) -> None:
            self._mission = str(body.get("brief_id") or self._mission)
            if "state" in body:
                text = f"\n{str(body['state']).lower()}: {body['does']}\n"
            else:  # what is announced, or a piece of a draft
                text = str(body.get("text") or "")
                text = f"\n{text}" if text.startswith("def ") else text
            if text:
                tell("reasoning_content", text)

        target: dict[str, Any] = (
            {"target": chat.model.removeprefix(OBJECT)} if OBJECT in chat.model else {}
        )
        body = await self._link.request(
            "say", hear, ik=self._key, **self._identity | {"session": session}, **target,
            body={"text": sentence, "tokens": True},
        )  # fmt: skip
        text = in_words(sentence, body)
        self._talks.note(self._caller, chat.said, text, session)
        tell("content", text)
        known = ("kind", "reading", "needs", "learned", "sources", "model_calls", "seconds")
        facts = {name: body[name] for name in known if body.get(name)}
        return Done(text, facts | ({"brief_id": self._mission} if self._mission else {}))

    async def _write(self, tell: Tell) -> Done:
        """Have a model go on with the messages."""
        stops = self._chat.asked.stop or ()
        writing = Writing(tell, (stops,) if isinstance(stops, str) else tuple(filter(None, stops)))
        told = await self._link.request(
            "generate", lambda _, body: writing.add(str(body.get("text", ""))),
            body=self._chat.prompt(), **self._identity,
        )  # fmt: skip
        text = writing.end(told["text"])
        limited = self._chat.asked.max_completion_tokens or self._chat.asked.max_tokens
        cut = not told["finished"] and not writing.ended and limited
        facts = {"kind": "said", "model": told["model"], "model_calls": 1}
        return Done(text, facts, "length" if cut else "stop", told["read"], told["tokens"])

    async def stream(self) -> AsyncGenerator[bytes]:
        """Yield the answer as events, in OpenAI's form."""
        waiting: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()
        answering = asyncio.create_task(
            self.answer(lambda name, text: waiting.put_nowait((name, text)))
        )
        answering.add_done_callback(lambda _: waiting.put_nowait(None))
        try:
            yield self._chunk({"role": "assistant", "content": ""})
            while (told := await _next(waiting)) is not None:
                yield self._chunk({told[0]: told[1]}) if told[0] else b": thinking\n\n"
            try:
                done = answering.result()
            except BatError as error:  # the status is sent: an event, which the SDKs raise
                status, _, body = describe(error)
                yield b"data: " + openai_error(status, body) + b"\n\n"
                return
            yield self._chunk({}, done.finish, batos=done.facts)
            if self._chat.with_usage:
                last = self.head("chat.completion.chunk") | {"choices": [], "usage": done.usage}
                yield b"data: " + to_json(last) + b"\n\n"
            yield b"data: [DONE]\n\n"
        finally:
            answering.cancel()
            with contextlib.suppress(asyncio.CancelledError, BatError):
                await answering

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        body = self.head("chat.completion.chunk") | {"choices": [choice]} | more
        return (
            b"data: " + to_json(body | ({"usage": None} if self._chat.with_usage else {})) + b"\n\n"
        )


async def _next(waiting: asyncio.Queue[tuple[str, str] | None]) -> tuple[str, str] | None:
    """Return what comes next; ("", "") if nothing has for a while."""
    try:
        async with asyncio.timeout(ALIVE):
            return await waiting.get()
    except TimeoutError:
        return "", ""


def may_at_most(request: Request, scope: str) -> dict[str, str]:
    """Return what a request may, at most ``scope``, as a field of the envelope."""
    has = caller_of(request).scope
    return {"may": scope if covers(has, scope) else has}


class Completions:
    """The routes below ``/v1``."""

    def __init__(self, link: KernelLink, streams: Streams) -> None:
        self._link = link
        self._streams = streams
        self._talks = Talks()

    def routes(self) -> list[Route]:
        """Return the table of routes."""
        return [
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/v1/models/{id:path}", self.model, methods=["GET"]),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/embeddings", self.embeddings, methods=["POST"]),
        ]

    async def models(self, request: Request) -> Response:
        """List what can be asked: the mind, its objects that learned something, the personas."""
        demand(request, "read")
        page = await self._link.request("graph", body={"limit": MAX_PAGE}, **identity_of(request))
        own = [f"{OBJECT}{node['name']}" for node in page["nodes"] if node["methods"]]
        names = [MIND, KNOWN, *VOICES, *own[:MAX_LISTED], EMBEDDER]
        return reply(request, {"object": "list", "data": [_model(name) for name in names]})

    async def model(self, request: Request) -> Response:
        """Return one model."""
        demand(request, "read")
        name = request.path_params["id"]
        check_model(name)
        if name.startswith(OBJECT):
            await self._look_at(request, name)
        return reply(request, _model(name))

    async def _look_at(self, request: Request, name: str) -> None:
        """Refuse the model of an object that is not there."""
        target = name.removeprefix(OBJECT)
        await self._link.request("inspect", target=target, **identity_of(request))

    async def chat(self, request: Request) -> Response:
        """Answer the last message, at once or as a stream."""
        caller = demand(request, "send")
        chat = read_chat(await body_of(request))
        if chat.model.startswith(OBJECT):
            await self._look_at(request, chat.model)
        answering = Answering(self._link, self._talks, request, chat)
        if chat.asked.stream:
            return EventStream(self._streams, caller.name, answering.stream())
        done = await answering.answer(lambda name, text: None)
        message = {"role": "assistant", "content": done.text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": done.finish, "logprobs": None}
        about = {"choices": [choice], "usage": done.usage, "batos": done.facts}
        return reply(request, answering.head("chat.completion") | about)

    async def embeddings(self, request: Request) -> Response:
        """Return the vectors of texts; as base64 of little-endian floats if asked for."""
        demand(request, "send")
        body = await body_of(request)
        check_model(str(body.get("model") or EMBEDDER))
        texts = _texts_of(body)
        vectors: list[list[float]] = []
        tokens = 0
        for start in range(0, len(texts), MAX_TEXTS):
            part = {"input": texts[start : start + MAX_TEXTS]}
            told = await self._link.request("embed", body=part, **identity_of(request))
            vectors += told["vectors"]
            tokens += told["tokens"]
        wanted = body.get("dimensions")
        if wanted is not None and wanted != len(vectors[0]):
            raise ArgumentsError(f"dimensions is {len(vectors[0])} here")
        form = _in_base64 if body.get("encoding_format") == "base64" else list
        data = [{"object": "embedding", "index": at, "embedding": form(vector)}
                for at, vector in enumerate(vectors)]  # fmt: skip
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return reply(request, {"object": "list", "data": data, "model": EMBEDDER, "usage": usage})


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": MADE, "owned_by": "batos"}


def _texts_of(body: Mapping[str, Any]) -> list[str]:
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if type(texts) is not list or {*map(type, texts)} != {str} or not all(texts):
        raise ArgumentsError(f"{TOKENS}check_embedding_ctx_length=False)")
    if len(texts) > MAX_INPUT:
        raise ArgumentsError(f"input has at most {MAX_INPUT} texts")
    return texts


def _in_base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
