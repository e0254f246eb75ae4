"""The fast engine on a CPU: llama.cpp in this process, on a GGUF file.

One worker thread talks to the library, so calls run one after the other and what a call
draws does not depend on other calls. Equal prompts are one request with several answers,
and different prompts of a call are drawn together where the library can pair them up.

    generate -> worker: LlamaServer.complete -> Inbox -> Row -> completions
        cancel, deadline, close or a cancelled task raise a flag that the worker sees at
        the next piece; the caller does not wait for that

A prompt that is read anew and one that comes out of the cache differ in the last bits, which
a seeded text can show after some dozen tokens.

    python -m bat_os.engines.llamacpp FILE THREADS CONTEXT     the trial, in a child

llama.cpp refuses most damaged files, but some headers make it abort the whole process
(measured: a block count of 0). So a file that this process has not opened before is first
loaded, and made to write, by a child. Its log stays in llama.cpp: nothing reaches the
terminal. The library brings a loopback listener with it; a random key keeps it ours.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import os
import re
import secrets
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from bat_os.engines.base import (
    JSON_STYLE,
    SUMS_NAME,
    Halt,
    Inbox,
    Row,
    WorkerEngine,
    check_sampling,
    make_rows,
    run_module,
)
from bat_os.errors import ModelError, ModelMemoryError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from bat_os.ports import Completion, Prompt, Sampling

CONTEXT: Final = 4096  # tokens: 94 MB for a model of 135M parameters
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
        super().__init__(name, file, threads)
        self._context = context
        self._server: LlamaServer | None = None
        self._tried: tuple[Any, ...] = ()
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
        check_sampling(sampling)
        if adapter:
            raise self._no_adapters(adapter)
        if not prompts:
            return []
        rows = make_rows(len(prompts), sampling.stop, on_text)
        halted = Halt(cancel, sampling.seconds, self._closed)
        call = _Call(rows, Inbox(halted), threading.Event())
        requests = tuple(_plan(prompts, sampling.max_tokens, self._context))
        while await self._load_once(halted):
            job = self._worker.submit(self._draw, requests, sampling, call)
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

    async def _load(self, file: Path) -> None:
        started = time.monotonic()
        tried = await self._work(partial(_identify, file))
        if tried != self._tried:
            await try_file(file, self._threads, self._context)
            self._digest = await self._work(partial(_digest, file))
            self._tried = tried
        await self._work(partial(self._open, file))
        self._load_seconds = time.monotonic() - started

    def _open(self, file: Path) -> None:
        before = psutil.Process().memory_info().rss
        self._server = LlamaServer(file.resolve(), self._threads, self._context)
        self._bytes = max(0, psutil.Process().memory_info().rss - before)

    def _drop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = None
        self._bytes = 0

    def _draw(self, requests: tuple[_Request, ...], sampling: Sampling, call: _Call) -> bool:
        """Send what is drawn to ``call``; return False if the model was unloaded before."""
        server = self._server
        if server is None:
            return False
        for request in requests:
            if call.over.is_set() or self._closed.is_set():
                break
            texts = [server.render(p.messages) + p.prefill for p in request.prompts]
            body = _body(sampling, request, texts)
            server.complete(body, partial(self._take, request, call))
        return True

    def _take(self, request: _Request, call: _Call, piece: dict[str, Any]) -> bool:
        call.inbox.put_from_thread((request, piece))
        return call.over.is_set() or self._closed.is_set()


@dataclass(frozen=True)
class _Call:
    """One ``generate`` on its way."""

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
    }
    if sampling.schema is not None:  # as llama.cpp takes one
        schema = json.dumps({**sampling.schema, "x-guidance": JSON_STYLE})
        body["grammar"] = f"%llguidance {{}}\nstart: %json {schema}"
    return body


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


SLOTS: Final = 8  # texts that are drawn at the same time
MAGIC: Final = b"GGUF"
# The cache of prompts that left their slot: about 5000 tokens of a 135M model.
CACHE_MIB: Final = 128
# A raised flag is seen between two pieces of a prompt: 0.1 to 0.3 s for 135M on one core.
PREFILL_TOKENS: Final = 128
SILENT, ERRORS_ONLY = -1, 1
_LOG_PREFIX: Final = re.compile(r"^[\d.]+ E +")
_KILLED: Final = -9


class LlamaServer:
    """A GGUF file that ``try_file`` accepts, in memory. Blocks; for one worker thread.

    Args as ``LlamaCppEngine``, and the verbosity of llama.cpp's log.
    """

    def __init__(self, file: Path, threads: int, context: int, *, verbosity: int = SILENT) -> None:
        import httpx2  # heavy, and only needed for a GGUF file

        key = secrets.token_hex(16)
        try:
            library = importlib.import_module("xllamacpp")  # heavy, and it has no types
        except ImportError as error:
            raise ModelError("llama.cpp is not installed; pip install xllamacpp") from error
        parameters = library.CommonParams()
        parameters.n_ctx = context
        parameters.n_parallel = SLOTS
        parameters.kv_unified = True
        parameters.cache_ram_mib = CACHE_MIB
        parameters.n_batch = parameters.n_ubatch = PREFILL_TOKENS
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.n_threads_http = 2
        parameters.offline = True
        parameters.ui = False
        parameters.model.path = str(file)
        parameters.verbosity = verbosity
        parameters.api_keys = [key]
        try:
            self._native = library.Server(parameters)
        except RuntimeError as error:
            raise ModelError(f"llama.cpp cannot read {file.name}") from error
        # The library renders chats by HTTP only; what is drawn does not go that way.
        self._http = httpx2.Client(
            base_url=self._native.listening_address,
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,
            timeout=30,
        )

    def render(self, messages: Sequence[tuple[str, str]]) -> str:
        """Return the chat as the model's own template writes it, up to the answer."""
        import httpx2  # heavy

        chat = [{"role": role, "content": text} for role, text in messages]
        try:
            reply = self._http.post("/apply-template", json={"messages": chat})
        except httpx2.HTTPError as error:
            raise ModelError(f"llama.cpp does not answer: {error}; ask again") from error
        text = reply.json().get("prompt") if reply.status_code == 200 else None
        if not isinstance(text, str):
            raise ModelError(
                "the model's chat template cannot render these messages; "
                "drop the system message, or choose another model"
            )
        return text

    def complete(self, body: Mapping[str, Any], take: Callable[[dict[str, Any]], bool]) -> None:
        """Draw; ``take`` gets each piece of the stream, and returns True to end it."""
        self._native.handle_completions({**body, "stream": True}, take)

    def close(self) -> None:
        """Free the memory."""
        self._http.close()
        del self._native


def _identify(file: Path) -> tuple[Any, ...]:
    """Return the identity of a file, to know one that was tried; looks at it without llama.cpp."""
    try:
        with file.open("rb") as stream:
            magic = stream.read(len(MAGIC))
        facts = file.stat()
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error}; add the model again") from error
    if magic != MAGIC:
        raise ModelError(f"{file.name} is not a GGUF file; choose another model or engine")
    if facts.st_size > psutil.virtual_memory().available:
        raise ModelMemoryError(_too_big(file))
    return file.resolve(), facts.st_ino, facts.st_size, facts.st_mtime_ns


async def try_file(file: Path, threads: int, context: int) -> None:
    """Load ``file`` in a child process and make it write; takes about a second per 100 MB."""
    lines: list[str] = []
    arguments = [str(file), str(threads), str(context)]
    status = await run_module("bat_os.engines.llamacpp", arguments, lines.append)
    if status == _KILLED:
        raise ModelMemoryError(_too_big(file))
    if status:
        # The first line has the reason; those after it say what failed in consequence.
        why = next(filter(None, lines), f"it crashed, status {status}")
        reason = "".join(c for c in _LOG_PREFIX.sub("", why) if c.isprintable())[:300]
        raise ModelError(f"llama.cpp cannot use {file.name}: {reason}; add the model again")


def _too_big(file: Path) -> str:
    return (
        f"{file.name} does not fit into memory; close other programs, "
        "or choose a smaller model or profile"
    )


def main(argv: list[str] | None = None) -> int:
    """Load ``FILE`` and draw two tokens; return the exit status."""
    file, threads, context = sys.argv[1:] if argv is None else argv
    os.environ["GGML_NO_BACKTRACE"] = "1"
    faults: list[str] = []

    def take(piece: dict[str, Any]) -> bool:
        if "error" in piece:
            faults.append(str(piece["error"]))
        return bool(faults)

    try:
        server = LlamaServer(Path(file), int(threads), int(context), verbosity=ERRORS_ONLY)
        prompt = server.render([("user", "Hello")])
        server.complete({"prompt": prompt, "max_tokens": 2}, take)
        server.close()
    except ModelError as error:
        faults.append(str(error))
    sys.stderr.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
