"""The engine that asks a model server: llama-server, Ollama, vLLM, or any that speaks OpenAI.

    generate -> one request per different prompt -> replies.Piece -> Row -> completions
        cancel, deadline, close or a cancelled task close the connections

Servers differ in what they take. What goes beyond the common API (``top_k``, several
answers to one request, going on from a prefill) is tried, and left out from then on where
the server refuses it:

    prefill:  llama-server's own template and the raw prompt, which is exact; else a last
              message of the assistant that is to be continued; else an instruction
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from bat_os.engines.base import POLL_SECONDS, Halt, Row, check_sampling, make_rows
from bat_os.engines.remote import replies
from bat_os.engines.remote.asking import Asker, Dialect, gather
from bat_os.engines.remote.connection import Breaker, Connection, Policy, check_url
from bat_os.errors import ModelError, ModelOutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import httpx2

    from bat_os.ports import Completion, Prompt, Sampling

MAX_LIST_BYTES: Final = 1 << 20


class OpenAiEngine:
    """Adapter of the port ``ModelEngine``.

    Args:
        name: For messages and ``stats``.
        url: Of the API, such as ``http://127.0.0.1:8080/v1``; https, or on this machine.
        key: Sent as bearer token; never shown.
        model: Which of the server's models; "" is its first.
        policy: How patient to be.

    Raises:
        SettingsError: ``url`` cannot be used.
    """

    def __init__(
        self, name: str, url: str, *, key: str = "", model: str = "", policy: Policy | None = None
    ) -> None:
        policy = policy or Policy()
        self._name = name
        self._policy = policy
        self._model = model
        self._connection = Connection(check_url(url, insecure=policy.insecure), key, policy)
        self._breaker = Breaker(policy)
        self._closed = threading.Event()
        self._running: set[asyncio.Future[None]] = set()
        self._asked_for = model
        self._resident = False
        self._digest = ""
        self._load_seconds = 0.0
        self._calls = 0
        self._tokens = 0
        self._dialect = Dialect()
        self._gate: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of address, model and what the server says of it; "" before it was asked."""
        return self._digest

    async def load(self) -> None:
        """Ask the server which models it has. Idempotent.

        Raises:
            ModelError: It does not answer, or lacks the model.
            ModelOutputError: Its answer cannot be read.
        """
        self._check_open()
        if not self._resident:
            async with self._connection.client() as client:
                with self._watched():
                    await self._look_up(client)

    async def unload(self) -> None:
        """Wait for the running calls and forget the server; it keeps its own memory."""
        if self._running:
            await asyncio.wait(set(self._running))
        self._resident = False

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
            ModelError: The server cannot be had, refuses, or has no such adapter.
            ModelOutputError: Its answer cannot be read.
            ArgumentsError: ``sampling.stop`` or ``sampling.schema`` cannot be followed.
        """
        check_sampling(sampling)
        if adapter:
            raise self._without_adapters(adapter)
        self._check_open()
        rows = make_rows(len(prompts), sampling.stop, on_text)
        halted = Halt(cancel, sampling.seconds, self._closed)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running.add(done)
        try:
            async with self._connection.client() as client:
                work = self._answer(client, prompts, rows, sampling)
                await _run(asyncio.ensure_future(work), halted)
        finally:
            self._running.discard(done)
            done.cancel()
        for row in rows:
            row.end(finished=False)
        self._calls += 1 if rows else 0
        self._tokens += sum(row.tokens for row in rows)
        return [row.completion() for row in rows]

    async def add_adapter(self, name: str, folder: Path) -> None:
        """Refuse: adapters belong to the server.

        Raises:
            ModelError: Always.
        """
        del folder
        raise self._without_adapters(name)

    def stats(self) -> dict[str, Any]:
        """Return plain facts; see ``ports.ModelEngine``."""
        return {
            "name": self._name,
            "engine": "openai",
            "state": "resident" if self._resident else "unloaded",
            "bytes": 0,
            "load_seconds": round(self._load_seconds, 3),
            "adapters": [],
            "calls": self._calls,
            "tokens": self._tokens,
            "url": self._connection.url,
            "model": self._model,
            "closed_for": round(self._breaker.closed_for, 1),
        }

    async def close(self) -> None:
        """End what is being asked. Idempotent."""
        self._closed.set()
        await self.unload()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise ModelError(f"model {self._name}: the engine is closed; start the kernel again")
        wait = self._breaker.closed_for
        if wait:
            raise ModelError(
                f"model {self._name}: the server at {self._connection.url} failed several times; "
                f"it is asked again in {wait:.0f} s"
            )

    def _gate_of(self, loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
        """Return what all calls on ``loop`` share; a semaphore cannot move to another one."""
        if self._gate is None or self._gate[0] is not loop:
            self._gate = (loop, asyncio.Semaphore(self._policy.requests))
        return self._gate[1]

    def _without_adapters(self, adapter: str) -> ModelError:
        return ModelError(
            f"model {self._name} runs on a server, which cannot take the adapter {adapter}; "
            "run its persona with the engine transformers"
        )

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Tell the breaker how the server does in this block."""
        try:
            yield
        except ModelError as error:
            if error.details.get("down"):
                self._breaker.fail()
            raise
        self._breaker.succeed()

    async def _look_up(self, client: httpx2.AsyncClient) -> None:
        started = time.monotonic()
        url = f"{self._connection.url}/models"
        data = (await self._connection.fetch(client, url, None, MAX_LIST_BYTES)).get("data")
        if type(data) is not list or not all(_is_model(entry) for entry in data):
            raise ModelOutputError("the model server's list of models cannot be read")
        wanted = self._asked_for
        fitting = [e for e in data if e["id"] == wanted or e["id"].startswith(f"{wanted}:")]
        entry = next(iter(fitting if wanted else data), None)
        if entry is None:
            has = replies.told(", ".join(e["id"] for e in data[:5])) or "none"
            raise ModelError(
                f"the model server at {self._connection.url} has no model {wanted}; it has: {has}"
            )
        self._model = entry["id"]
        known = [entry.get(key) for key in ("id", "owned_by", "root", "meta")]
        facts = json.dumps([self._connection.url, *known], sort_keys=True)
        self._digest = hashlib.sha256(facts.encode(errors="replace")).hexdigest()
        self._load_seconds = time.monotonic() - started
        self._resident = True

    async def _answer(
        self,
        client: httpx2.AsyncClient,
        prompts: Sequence[Prompt],
        rows: list[Row],
        sampling: Sampling,
    ) -> None:
        alike: dict[Prompt, list[Row]] = {}
        for prompt, row in zip(prompts, rows, strict=True):
            alike.setdefault(prompt, []).append(row)
        with self._watched():
            if prompts and not self._resident:
                await self._look_up(client)
            gate = self._gate_of(asyncio.get_running_loop())
            connection, model, dialect = self._connection, self._model, self._dialect
            asker = Asker(connection, client, model, sampling, dialect, gate)
            await gather(asker.ask(prompt, members) for prompt, members in alike.items())


def _is_model(entry: Any) -> bool:
    return type(entry) is dict and type(entry.get("id")) is str


async def _run(job: asyncio.Future[None], halted: Halt) -> None:
    """Await ``job``, but end it as soon as ``halted()``."""
    try:
        while not job.done() and not halted():
            await asyncio.wait({job}, timeout=POLL_SECONDS)
        if job.done():
            job.result()
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
