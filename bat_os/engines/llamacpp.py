"""The fast engine on a CPU: llama.cpp in this process, on a GGUF file.

One worker thread talks to the library, so calls run one after the other and what a call
draws does not depend on other calls. Equal prompts are one request with several answers,
and different prompts of a call are drawn together where the library can pair them up.

    generate -> worker: LlamaServer.complete -> Inbox -> Row -> completions
        cancel, deadline, close or a cancelled task raise a flag that the worker sees at
        the next piece; the caller does not wait for that

A prompt that is read anew and one that comes out of the cache differ in the last bits, which
a seeded text can show after some dozen tokens.

Adapters are GGUF files (``loragguf``). The library takes them only while it loads a model, so a
new one unloads it. Each request names all of them with a scale of 1 or 0: what a request leaves
out may stay as it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import psutil

from bat_os.core.prompts import STOP, STOP_STRINGS
from bat_os.engines.adapters import ADAPTER_GGUF
from bat_os.engines.base import (
    JSON_STYLE,
    SUMS_NAME,
    Halt,
    Inbox,
    Row,
    WorkerEngine,
    check_sampling,
    make_rows,
)
from bat_os.engines.llamaserver import SLOTS, LlamaServer, identify, try_file
from bat_os.engines.loragguf import check_adapter
from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from bat_os.ports import Completion, Prompt, Sampling

log = logging.getLogger(__name__)

# Tokens: 47 MB for a model of 135M parameters. A mission needs eight texts of 110 and a prompt.
CONTEXT: Final = 2048
MOST_CONTEXT: Final = 4096  # where a call needs more than that
# Expressions with matches that the library finds itself: a text that ends there is not
# drawn on until the longest of its batch is done. The expression still has the last word.
_STRINGS: Final = {STOP: STOP_STRINGS}
# The sampling order of the port: scale, then the top_k best, then those inside top_p.
_SEEDS: Final = 2**31 - 1  # the library's own "choose one" is beyond
_SAMPLERS: Final = ("temperature", "top_k", "top_p")


@dataclass(frozen=True, slots=True)
class _Request:
    """One call of the library: ``copies`` answers to each of ``prompts``, in this order."""

    prompts: tuple[Prompt, ...]  # different ones
    copies: int
    rows: tuple[int, ...]  # index in the call of each answer, those to one prompt together
    offset: int  # to add to the seed; the library adds the number of the copy


class LlamaCppEngine(WorkerEngine):
    """Adapter of the port ``ModelEngine``.

    Args:
        name: For messages and ``stats``.
        file: Awaited when the model is loaded; gives the path of the GGUF file.
        threads: Threads for arithmetic; one less than the cores by default.
        context: Tokens that the prompts and texts of one batch can have together; a call
            that needs more has the model loaded again with ``MOST_CONTEXT``.
    """

    kind = "llama.cpp"
    scores = True

    def __init__(
        self,
        name: str,
        file: Callable[[], Awaitable[Path]],
        *,
        threads: int | None = None,
        context: int = CONTEXT,
    ) -> None:
        super().__init__(name, file, threads)
        self._context = context
        self._server: LlamaServer | None = None
        self._adapters: dict[str, Path] = {}
        self._refused: dict[str, str] = {}  # adapters with which the library fails: why
        self._tried: dict[tuple[Any, ...], str] = {}  # what a child has loaded: why it fails, or ""
        self._bytes = 0

    async def unload(self) -> None:
        """Give the memory back, after what is being drawn. Idempotent."""
        with suppress(RuntimeError):  # the worker is shut down: closed, so nothing is held
            await asyncio.wrap_future(self._worker.submit(self._drop))

    async def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        *,
        adapter: str = "",
        cancel: threading.Event | None = None,
        on_text: Callable[[int, str], None] | None = None,
    ) -> list[Completion]:
        """Return one completion per prompt; see ``ports.ModelEngine``."""
        check_sampling(sampling, scores=True)
        self._check_adapter(adapter)
        if not prompts:
            return []
        rows = make_rows(len(prompts), sampling.stop, on_text)
        halted = Halt(cancel, sampling.seconds, self._closed)
        call = _Call(tuple(prompts), sampling, adapter, rows, Inbox(halted), threading.Event())
        while await self._load_once(halted):
            self._check_adapter(adapter)
            job = self._worker.submit(self._draw, call)
            if await call.follow(job):
                break
        return self._finish(rows)

    async def add_adapter(self, name: str, folder: Path) -> None:
        """Make the adapter known; see ``ports.ModelEngine``.

        ``folder`` has what ``loragguf.convert_adapter`` wrote. Whether llama.cpp can use it with
        this model is known when the model is loaded: then calls that name it fail, and no others.
        """
        self._check_open()
        file = folder / ADAPTER_GGUF
        await asyncio.to_thread(check_adapter, name, file)
        self._adapters = {**self._adapters, name: file}  # a new one: ``_load`` compares them
        self._refused.pop(name, None)
        await self.unload()

    def stats(self) -> dict[str, Any]:
        """Return plain facts; see ``ports.ModelEngine``."""
        state = "resident" if self._is_resident() else "unloaded"
        usable = sorted(self._adapters.keys() - self._refused.keys())
        return self._stats(
            state, bytes=self._bytes, threads=self._threads, adapters=usable, context=self._context
        )

    async def close(self) -> None:
        """Stop what runs and free the memory. Idempotent."""
        self._stop_loading()
        await self.unload()
        await asyncio.to_thread(self._worker.shutdown, wait=True)

    def _is_resident(self) -> bool:
        return self._server is not None

    def _check_adapter(self, name: str) -> None:
        if name and name not in self._adapters:
            raise ModelError(
                f"model {self._name} has no adapter {name}; add it or choose another", adapter=name
            )
        if name in self._refused:
            raise ModelError(f"adapter {name} cannot be used: {self._refused[name]}", adapter=name)

    async def _load(self, file: Path) -> None:
        started = time.monotonic()
        while True:
            adapters = self._adapters
            await self._try(file, adapters)
            if adapters is self._adapters:  # one that comes from here on unloads the model again
                break
        usable = {name: path for name, path in adapters.items() if name not in self._refused}
        await self._work(partial(self._open, file, usable))
        self._load_seconds = time.monotonic() - started

    async def _try(self, file: Path, adapters: dict[str, Path]) -> None:
        """Have a child load what this process has not loaded before; note adapters that fail."""
        base = await self._work(partial(identify, file))
        refused, present = {}, {}
        for name, path in adapters.items():
            try:
                present[name] = (base, await self._work(partial(identify, path)))
            except ModelError as error:
                refused[name] = str(error)
        if {base, *present.values()} - self._tried.keys():
            failed = await self._try_together(file, {name: adapters[name] for name in present})
            self._tried = {base: ""} | {present[name]: failed.get(name, "") for name in present}
            self._digest = await self._work(partial(_digest, file))
        refused |= {name: why for name, key in present.items() if (why := self._tried[key])}
        for name in refused.keys() - self._refused.keys():
            log.warning("model %s goes without the adapter %s: %s", self._name, name, refused[name])
        self._refused = refused

    async def _try_together(self, file: Path, adapters: dict[str, Path]) -> dict[str, str]:
        """Return the adapters with which the model fails, and why; refuses a model that fails."""
        failed = {}
        try:
            await try_file(file, self._threads, self._context, list(adapters.values()))
        except ModelError:
            if not adapters:
                raise
            await try_file(file, self._threads, self._context, [])
            for name, path in adapters.items():
                try:
                    await try_file(file, self._threads, self._context, [path])
                except ModelError as error:
                    failed[name] = str(error)
            if not failed:
                raise
        return failed

    def _open(self, file: Path, adapters: dict[str, Path]) -> None:
        before = psutil.Process().memory_info().rss
        self._server = LlamaServer(file.resolve(), self._threads, self._context, adapters)
        self._bytes = max(0, psutil.Process().memory_info().rss - before)

    def _drop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = None
        self._bytes = 0

    def _draw(self, call: _Call) -> bool:
        """Send what is drawn to ``call``; return False if the model has to be loaded again."""
        server = self._server
        if server is None or (call.adapter and call.adapter not in server.adapters):
            return False
        texts = {prompt: server.render(prompt.messages) + prompt.prefill for prompt in call.prompts}
        sizes = {prompt: server.count(text) for prompt, text in texts.items()}
        given = server.tokens(call.sampling.given) if call.sampling.given else []
        if given:
            call = replace(call, sampling=replace(call.sampling, max_tokens=len(given)))
        if self._grew(_need(call, sizes)):
            return False
        for request in _plan(call.prompts, sizes, call.sampling.max_tokens, self._context):
            if call.over.is_set() or self._closed.is_set():
                break
            body = _body(call.sampling, request, [texts[prompt] for prompt in request.prompts])
            body |= _follow(given) if given else {}
            body["lora"] = [
                {"id": number, "scale": float(name == call.adapter)}
                for number, name in enumerate(server.adapters)
            ]
            server.complete(body, partial(self._take, request, call))
        return True

    def _grew(self, need: int) -> bool:
        """Return True when the model was unloaded to come back with a larger context."""
        if need <= self._context or self._context >= MOST_CONTEXT:
            return False
        self._context = MOST_CONTEXT
        self._drop()
        return True

    def _take(self, request: _Request, call: _Call, piece: dict[str, Any]) -> bool:
        call.inbox.put_from_thread((request, piece))
        return call.over.is_set() or self._closed.is_set()


@dataclass(frozen=True)
class _Call:
    """One ``generate`` on its way."""

    prompts: tuple[Prompt, ...]
    sampling: Sampling
    adapter: str  # "" draws from the model as it is
    rows: list[Row]
    inbox: Inbox[tuple[_Request, dict[str, Any]] | None]
    over: threading.Event

    async def follow(self, job: Future[bool]) -> bool:
        """Fill the rows; return False if the model has to be loaded again."""
        job.add_done_callback(lambda _job: self.inbox.put_from_thread(None))
        try:
            while (item := await self.inbox.get()) is not None:
                self._deliver(*item)
                if all(row.ended for row in self.rows):
                    return True
            return job.result() if job.done() else True
        finally:
            if not job.done():
                self.over.set()
                job.cancel()

    def _deliver(self, request: _Request, piece: dict[str, Any]) -> None:
        if "error" in piece:
            raise _failure(piece["error"])
        for choice in piece.get("choices", ()):
            at = choice["index"]
            row = self.rows[request.rows[at]]
            if "prompt_progress" in piece:  # of the first copy; the others share its state
                progress, first = piece["prompt_progress"], at - at % request.copies
                for index in request.rows[first : first + request.copies]:
                    self.rows[index].read = progress["total"]
                    self.rows[index].reused = progress["cache"]
            for token in (choice.get("logprobs") or {}).get("content", ()):
                row.likelihood += token["logprob"]
            if choice["text"]:
                drawn = piece.get("timings", {}).get("predicted_n", row.tokens + 1)
                row.add(choice["text"], max(1, drawn - row.tokens))
            if choice["finish_reason"] is not None:
                whole = choice["finish_reason"] == "stop" or bool(self.sampling.given)
                row.end(finished=whole)


def _need(call: _Call, sizes: Mapping[Prompt, int]) -> int:
    """Return the tokens of context with which no equal prompts have to be drawn in parts."""
    copies = Counter(call.prompts)
    longest = call.sampling.max_tokens
    return max(sizes[prompt] + min(SLOTS, copies[prompt]) * longest for prompt in copies)


def _plan(
    prompts: Sequence[Prompt], sizes: Mapping[Prompt, int], max_tokens: int, context: int
) -> Iterator[_Request]:
    """Yield requests that fit into the slots and the context, for all of ``prompts``.

    ``sizes`` has the tokens of each prompt.
    """
    rows: dict[Prompt, list[int]] = {}
    for index, prompt in enumerate(prompts):
        rows.setdefault(prompt, []).append(index)
    alike: dict[tuple[int, int], list[tuple[Prompt, list[int]]]] = {}
    for prompt, indexes in rows.items():
        room = (context - sizes[prompt]) // max_tokens
        step = max(1, min(SLOTS, room))
        for start in range(0, len(indexes), step):
            part = indexes[start : start + step]
            alike.setdefault((len(part), start), []).append((prompt, part))
    for (copies, offset), members in alike.items():
        costs = [sizes[prompt] + copies * max_tokens for prompt, _part in members]
        for start, end in _pack(costs, SLOTS // copies, context):
            taken = members[start:end]
            together = tuple(index for _prompt, part in taken for index in part)
            yield _Request(tuple(p for p, _part in taken), copies, together, offset)


def _pack(costs: Sequence[int], most: int, room: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of runs of at most ``most`` that cost ``room`` together, if they can."""
    start = 0
    for end in range(1, len(costs) + 1):
        full = end - start == most or end == len(costs)
        if full or sum(costs[start : end + 1]) > room:
            yield start, end
            start = end


def _body(sampling: Sampling, request: _Request, texts: list[str]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "prompt": texts,
        "n": request.copies,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "samplers": list(_SAMPLERS),
        "seed": (sampling.seed + request.offset) % _SEEDS,
        "return_progress": True,
        "timings_per_token": True,
        "stop": _STRINGS.get(sampling.stop, ()),
    }
    if sampling.schema is not None:  # as llama.cpp takes one
        schema = json.dumps({**sampling.schema, "x-guidance": JSON_STYLE})
        body["grammar"] = f"%llguidance {{}}\nstart: %json {schema}"
    return body


def _follow(tokens: Sequence[int]) -> dict[str, Any]:
    """Return the fields that have these tokens written, and say how likely each was."""
    grammar = " ".join(f"<[{token}]>" for token in tokens)
    return {"grammar": f"%llguidance {{}}\nstart: {grammar}", "logprobs": 1, "temperature": 0.0}


def _failure(error: Any) -> ModelError:
    facts = error if isinstance(error, dict) else {}
    if facts.get("type") == "exceed_context_size_error":
        return ModelError(
            f"a prompt of {facts.get('n_prompt_tokens')} tokens is too long: the model reads "
            f"{facts.get('n_ctx')}; shorten it or choose a model with a longer context"
        )
    return ModelError(f"llama.cpp failed: {facts.get('message', error)}; ask again")


def _digest(file: Path) -> str:
    sums = file.parent / SUMS_NAME
    with (sums if sums.is_file() else file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
