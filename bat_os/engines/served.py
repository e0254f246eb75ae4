"""A model, or an embedding model, that servers have: the same one on each.

ServedEngine   ──┐                ┌─→ OpenAiEngine at http://a/v1
                 ├─→ ReplicaSet ──┤
ServedEmbedder ──┘                └─→ OpenAiEngine at http://b/v1, or _EmbeddingServer
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bat_os.engines.base import EngineBase, Halt, check_sampling
from bat_os.engines.model_server import Connection, Policy
from bat_os.engines.openai import OpenAiEngine
from bat_os.engines.replicas import ReplicaSet
from bat_os.errors import ModelError, ModelOutputError
from bat_os.ports import Completion

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from bat_os.ports import Prompt, Sampling

    Floats = NDArray[np.float32]

# A busy server, or one that is not there, is noticed at once: another one may do it.
_ONCE: Final = Policy(attempts=1, failures=1 << 30)
_LEAST_SECONDS: Final = 0.001
MAX_VECTOR_BYTES: Final = 1 << 24  # of one answer: 64 texts of 4,096 numbers have 6 MB
MAX_DIMENSIONS: Final = 8192


class ServedEngine(EngineBase):
    """Adapter of the port ``ModelEngine`` over several servers that have one model.

    Args:
        name: For messages and ``stats``.
        urls: Of the servers' APIs; https, or on this machine.
        key: Sent as bearer token; never shown.
        model: Which of each server's models; "" is its first.
        places: How many calls each server takes at a time.
        hedge: A second server is asked if the first one is late.
    """

    kind = "openai"
    place = "on servers"

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        *,
        key: str = "",
        model: str = "",
        places: int = 1,
        hedge: bool = False,
    ) -> None:
        super().__init__(name)
        policy = replace(_ONCE, requests=places)
        self._servers = ReplicaSet(
            name,
            [OpenAiEngine(name, url, key=key, model=model, policy=policy) for url in urls],
            places,
        )
        self._hedge = hedge
        self._resident = False

    @property
    def digest(self) -> str:
        """SHA-256 of what the servers say of their model; "" before one has answered."""
        return str(self._servers.identity or "")

    async def load(self) -> None:
        """Ask the servers which models they have. Idempotent."""
        self._check_open()
        if not self._servers.is_open:
            started = time.monotonic()
            await self._servers.open()
            self._load_seconds = time.monotonic() - started
        self._resident = True

    async def unload(self) -> None:
        """Wait for the running calls; the servers keep their own memory."""
        for server in self._servers.members:
            await server.unload()
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
        """Return one completion per prompt; see ``ports.ModelEngine``."""
        check_sampling(sampling)
        if adapter:
            raise self._no_adapters(adapter)
        self._check_open()
        self._resident = True
        end = time.monotonic() + (sampling.seconds or math.inf)
        heard: list[int] = []  # the attempt whose text the caller hears

        def speaker(number: int) -> Callable[[int, str], None] | None:
            def speak(index: int, text: str) -> None:
                if not heard:
                    heard.append(number)
                if heard[0] == number and on_text is not None:
                    on_text(index, text)

            return speak if on_text is not None else None

        async def ask(server: OpenAiEngine, number: int) -> list[Completion]:
            limits = sampling
            if sampling.seconds:
                left = max(end - time.monotonic(), _LEAST_SECONDS)
                limits = replace(sampling, seconds=left)
            speak = speaker(number)
            return await server.generate(prompts, limits, cancel=cancel, on_text=speak)

        # Each draw has a seed, so a second server is asked for the same text, not for another one.
        answer = await self._servers.call(
            ask,
            hedge=self._hedge,
            heard=lambda: heard[0] if heard else None,
            halted=Halt(cancel, sampling.seconds, self._closed),
        )
        if answer is None:
            return [Completion("", 0, finished=False) for _ in prompts]
        completions, url = answer
        self._calls += bool(completions)
        self._tokens += sum(completion.tokens for completion in completions)
        return [replace(completion, server=url) for completion in completions]

    def stats(self) -> dict[str, Any]:
        """Return plain facts; see ``ports.ModelEngine``."""
        return self._stats(
            "resident" if self._resident else "unloaded",
            places=self._servers.places,
            replicas=self._servers.facts(),
            hedged=self._servers.hedged,
        )

    async def close(self) -> None:
        """End what is being asked. Idempotent."""
        self._closed.set()
        for server in self._servers.members:
            await server.close()
        await self._servers.close()


class ServedEmbedder:
    """Adapter of the port ``Embedder`` over servers with ``/v1/embeddings``.

    Args:
        name: Of the model, for people.
        urls: Of the servers' APIs; https, or on this machine.
        probe: A text; servers whose models answer it differently do not have the same model.
        same: Compares two such answers.
        key: Sent as bearer token; never shown.
        model: What the servers call the model.
        places: How many requests each server takes at a time.
    """

    def __init__(  # noqa: PLR0913 - what the owner says of the servers
        self,
        name: str,
        urls: Sequence[str],
        probe: str,
        same: Callable[[Floats, Floats], bool],
        *,
        key: str = "",
        model: str = "",
        places: int = 1,
    ) -> None:
        self.name = name
        members = [_EmbeddingServer(url, key, model, probe) for url in urls]
        self._servers = ReplicaSet(name, members, places, same)

    async def embed(self, texts: Sequence[str]) -> Floats:
        """Return float32 ``(len(texts), d)``, every row of length 1; d is the model's."""

        async def ask(server: _EmbeddingServer, _number: int) -> Floats:
            return await server.embed(texts)

        if not texts:
            return np.zeros((0, 1), np.float32)
        answer = await self._servers.call(ask)
        if answer is None:
            raise ModelError("the embedding was stopped; ask again")
        return answer[0]

    def stats(self) -> list[dict[str, Any]]:
        """Return, for each server, plain facts for people."""
        return self._servers.facts()

    async def close(self) -> None:
        """End what runs in the background. Idempotent."""
        await self._servers.close()


class _EmbeddingServer:
    """One server with ``/v1/embeddings``."""

    def __init__(self, url: str, key: str, model: str, probe: str) -> None:
        self._connection = Connection(url, key, _ONCE)
        self._model, self._probe = model, probe

    @property
    def url(self) -> str:
        """Its address."""
        return self._connection.url

    async def look(self) -> Floats:
        """Return its model's vector for the probe."""
        vector: Floats = (await self.embed([self._probe]))[0]
        return vector

    async def embed(self, texts: Sequence[str]) -> Floats:
        """Return the unit vectors of the texts."""
        body = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        async with self._connection.client() as client:
            answer = await self._connection.fetch(
                client, f"{self.url}/embeddings", body, MAX_VECTOR_BYTES
            )
        return _read_vectors(answer.get("data"), len(texts))


def _read_vectors(data: Any, count: int) -> Floats:
    """Return unit vectors from a server's reply, in the order of the texts."""
    rows: list[Any] = [None] * count
    for place, entry in enumerate(data if type(data) is list else ()):
        at = entry.get("index", place) if type(entry) is dict else -1
        if type(at) is int and 0 <= at < count:
            rows[at] = entry.get("embedding")
    first = rows[0] if rows and type(rows[0]) is list else []
    if not 0 < len(first) <= MAX_DIMENSIONS or any(
        type(row) is not list or len(row) != len(first) for row in rows
    ):
        raise ModelOutputError("the embedding server did not send one vector for each text")
    if any(type(number) not in (int, float) for row in rows for number in row):
        raise ModelOutputError("the embedding server sent a vector that has other than numbers")
    try:
        with np.errstate(over="ignore"):  # what is too large has no length
            vectors = np.array(rows, np.float64)
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    except OverflowError as error:
        raise ModelOutputError("the embedding server sent a number that is too large") from error
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise ModelOutputError("the embedding server sent a vector without a direction")
    return np.asarray(vectors / lengths, np.float32)
