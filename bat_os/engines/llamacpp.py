"""The fast engine on a CPU: llama.cpp in this process, on a GGUF file.

One worker thread talks to the library, so calls run one after the other and what a call
draws does not depend on who else asks. Equal prompts are one request with several answers,
and different prompts of a call are drawn together where the library can pair them up.

    generate -> worker: LlamaServer.complete -> Inbox -> Row -> completions
        cancel, deadline, close or a cancelled task raise a flag that the worker sees at
        the next piece; the caller does not wait for that

A prompt that is read anew and one that comes out of the cache differ in the last bits, which
a seeded text can show after some dozen tokens.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import psutil

from bat_os.engines.base import (
    SUMS_NAME,
    Halt,
    Inbox,
    Row,
    WorkerEngine,
    check_sampling,
    make_rows,
    model_unavailable,
)
from bat_os.engines.llamaserver import SLOTS, LlamaServer, check_file, grammar_for, try_file
from bat_os.errors import ImageError, ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from bat_os.ports import Completion, Prompt, Sampling

CONTEXT: Final = 4096  # tokens: 94 MB for a model of 135M parameters
# The sampling order of the port: scale, then the top_k best, then those inside top_p.
_SEEDS: Final = 2**31 - 1  # the library's own "choose one" is beyond
_SAMPLERS: Final = ("temperature", "top_k", "top_p")


@dataclass(frozen=True, slots=True)
class _Request:
    """One call of the library: ``copies`` answers to each of ``prompts``, in this order.

    Attributes:
        prompts: Different ones.
        copies: Answers to each.
        rows: Index in the call of each answer, those to one prompt together.
        offset: What to add to the seed; the library adds the number of the copy.
    """

    prompts: tuple[Prompt, ...]
    copies: int
    rows: tuple[int, ...]
    offset: int


class LlamaCppEngine(WorkerEngine):
    """Adapter of the port ``ModelEngine``.

    Args:
        name: For messages and ``stats``.
        file: Awaited when the model is loaded; gives the path of the GGUF file.
        threads: Threads for arithmetic; one less than the cores by default.
        context: Tokens that the prompts and texts of one batch can have together.
    """

    kind = "llama.cpp"
    place = "in llama.cpp"

    def __init__(
        self,
        name: str,
        file: Callable[[], Awaitable[Path]],
        *,
        threads: int | None = None,
        context: int = CONTEXT,
    ) -> None:
        super().__init__(name, threads)
        self._file = file
        self._context = context
        self._server: LlamaServer | None = None
        self._tried: tuple[Any, ...] = ()
        self._digest = ""
        self._bytes = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the image's list of digests, or of the file; "" before it is loaded."""
        return self._digest

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
        """Return one completion per prompt; see ``ports.ModelEngine``.

        Raises:
            ModelError: The model cannot be had, it has no such adapter, or a prompt is too
                long for it.
            ModelMemoryError: It does not fit into memory.
            ArgumentsError: ``sampling.stop`` or ``sampling.schema`` cannot be followed.
        """
        check_sampling(sampling)
        grammar = grammar_for(sampling.schema)
        if adapter:
            raise self._no_adapters(adapter)
        if not prompts:
            return []
        rows = make_rows(len(prompts), sampling.stop, on_text)
        halted = Halt(cancel, sampling.seconds, self._closed)
        call = _Call(rows, Inbox(halted), threading.Event())
        requests = tuple(_plan(prompts, sampling.max_tokens, self._context))
        while await self._load_once(halted):
            job = self._worker.submit(self._draw, requests, sampling, grammar, call)
            if await call.follow(job):
                break
        return self._finish(rows)

    def stats(self) -> dict[str, Any]:
        """Return plain facts; see ``ports.ModelEngine``."""
        state = "resident" if self._is_resident() else "unloaded"
        return self._stats(state, bytes=self._bytes, threads=self._threads)

    async def close(self) -> None:
        """Stop what runs and free the memory. Idempotent."""
        self._stop_loading()
        await self.unload()
        await asyncio.to_thread(self._worker.shutdown, wait=True)

    def _is_resident(self) -> bool:
        return self._server is not None

    async def _load(self) -> None:
        try:
            file = await self._file()
        except ImageError as error:
            raise model_unavailable(self._name, error) from error
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._worker, self._load_in_worker, file)

    def _load_in_worker(self, file: Path) -> None:
        if self._server is not None:
            return
        started = time.monotonic()
        check_file(file)
        resolved = file.resolve()
        facts = resolved.stat()
        identity = (resolved, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if identity != self._tried:
            digest = _digest(file)
            try_file(resolved, self._threads, self._context, self._closed.is_set)
            self._tried, self._digest = identity, digest
        before = psutil.Process().memory_info().rss
        self._server = LlamaServer(resolved, self._threads, self._context)
        self._bytes = max(0, psutil.Process().memory_info().rss - before)
        self._load_seconds = time.monotonic() - started

    def _drop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = None
        self._bytes = 0

    def _draw(
        self, requests: tuple[_Request, ...], sampling: Sampling, grammar: str, call: _Call
    ) -> bool:
        """Send what is drawn to ``call``; return False when the model was unloaded meanwhile."""
        server = self._server
        if server is None:
            return False
        for request in requests:
            if call.over.is_set() or self._closed.is_set():
                break
            texts = [server.render(_messages(p)) + p.prefill for p in request.prompts]
            body = _body(sampling, request, texts, grammar)
            server.complete(body, partial(self._take, request, call))
        return True

    def _take(self, request: _Request, call: _Call, piece: dict[str, Any]) -> bool:
        call.inbox.put_from_thread((request, piece))
        return call.over.is_set() or self._closed.is_set()


class _Call:
    """One ``generate`` on its way."""

    def __init__(
        self,
        rows: list[Row],
        inbox: Inbox[tuple[_Request, dict[str, Any]] | None],
        over: threading.Event,
    ) -> None:
        self._rows = rows
        self.inbox = inbox
        self.over = over

    async def follow(self, job: Future[bool]) -> bool:
        """Fill the rows; return False when the model has to be loaded again.

        Raises:
            ModelError: The library failed.
        """
        job.add_done_callback(lambda _job: self.inbox.put_from_thread(None))
        try:
            while (item := await self.inbox.get()) is not None:
                self._deliver(*item)
                if all(row.ended for row in self._rows):
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
            row = self._rows[request.rows[at]]
            if "prompt_progress" in piece:  # of the first copy; the others share its state
                progress, first = piece["prompt_progress"], at - at % request.copies
                for index in request.rows[first : first + request.copies]:
                    self._rows[index].read = progress["total"]
                    self._rows[index].reused = progress["cache"]
            if choice["text"]:
                drawn = piece.get("timings", {}).get("predicted_n", row.tokens + 1)
                row.add(choice["text"], max(1, drawn - row.tokens))
            if choice["finish_reason"] is not None:
                row.end(finished=choice["finish_reason"] == "stop")


def _plan(prompts: Sequence[Prompt], max_tokens: int, context: int) -> Iterator[_Request]:
    """Yield requests that fit into the slots and the context, for all of ``prompts``.

    A token has at least one byte, so the length in bytes is never too small a guess.
    """
    rows: dict[Prompt, list[int]] = {}
    for index, prompt in enumerate(prompts):
        rows.setdefault(prompt, []).append(index)
    alike: dict[tuple[int, int], list[tuple[Prompt, list[int]]]] = {}
    for prompt, indexes in rows.items():
        room = (context - _size(prompt)) // max_tokens
        step = max(1, min(SLOTS, room))
        for start in range(0, len(indexes), step):
            part = indexes[start : start + step]
            alike.setdefault((len(part), start), []).append((prompt, part))
    for (copies, offset), members in alike.items():
        costs = [_size(prompt) + copies * max_tokens for prompt, _part in members]
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


def _size(prompt: Prompt) -> int:
    texts = [f"{role}{text}" for role, text in prompt.messages]
    return sum(len(text.encode(errors="replace")) + 16 for text in [*texts, prompt.prefill])


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in prompt.messages]


def _body(sampling: Sampling, request: _Request, texts: list[str], grammar: str) -> dict[str, Any]:
    body = {
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
    }
    return {**body, "grammar": grammar} if grammar else body


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
