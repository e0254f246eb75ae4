"""Engines that need no model: answers by script, vectors by hashing. For tests and demos."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bat_os.core.digest import digest
from bat_os.engines.base import EngineBase, Halt, Row, check_sampling, make_rows
from bat_os.errors import ModelError, SettingsError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bat_os.ports import Completion, Prompt, Sampling

WIDTH: Final = 384
POLL_SECONDS: Final = 0.005
_TOKEN: Final = re.compile(r"\s*\S+|\s+")
_WORD: Final = re.compile(r"\w+")


class ScriptedEngine(EngineBase):
    """Fake of the port ``ModelEngine``: the script writes the answers.

    A token is a word with the space before it. ``stop``, ``max_tokens``, ``seconds``,
    ``cancel`` and ``on_text`` work as with a real model; a ``schema`` is checked, but not
    enforced: the script has to fit it. Adapters are known by name and change nothing.

    Args:
        script: ``script(prompt, sampling, index)`` gives the answer to the prompt at that
            index of the batch; or the answers one after the other, over all calls.
        gate: Every call waits until it is set.
        name: For ``stats`` and the digest.

    Attributes:
        prompts: All prompts so far, one tuple per call.
        used: The adapter of each call.
    """

    kind = "scripted"

    def __init__(
        self,
        script: Callable[[Prompt, Sampling, int], str] | Sequence[str],
        *,
        gate: asyncio.Event | threading.Event | None = None,
        name: str = "scripted",
    ) -> None:
        super().__init__(name)
        self.prompts: list[tuple[Prompt, ...]] = []
        self.used: list[str] = []
        self._script = script if callable(script) else _read_out(script)
        self._gate = gate
        self._adapters: set[str] = set()
        self._resident = False
        self._running: set[asyncio.Future[None]] = set()

    @property
    def digest(self) -> str:
        """SHA-256 of the name."""
        return digest(self._name)

    async def load(self) -> None:
        """Be resident."""
        self._check_open()
        self._resident = True

    async def unload(self) -> None:
        """Wait for the running calls, then be unloaded. Idempotent."""
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
        """Return what the script says, one completion per prompt."""
        check_sampling(sampling)
        if adapter and adapter not in self._adapters:
            raise ModelError(f"model {self._name} has no adapter {adapter}; add it first")
        await self.load()
        self.prompts.append(tuple(prompts))
        self.used.append(adapter)
        rows = make_rows(len(prompts), sampling.stop, on_text)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running.add(done)
        try:
            await self._fill(rows, prompts, sampling, Halt(cancel, sampling.seconds, self._closed))
        finally:
            self._running.discard(done)
            done.cancel()
        return self._finish(rows)

    async def add_adapter(self, name: str, folder: Path) -> None:
        """Know the adapter ``name``; its files are not read."""
        if not (folder / "adapter_config.json").is_file():
            raise ModelError(f"{folder} is not an adapter {name}: adapter_config.json is missing")
        self._adapters.add(name)

    def stats(self) -> dict[str, Any]:
        """Return plain facts; see ``ports.ModelEngine``."""
        state = "resident" if self._resident else "unloaded"
        return self._stats(
            state, adapters=sorted(self._adapters), calls=len(self.prompts), threads=0
        )

    async def close(self) -> None:
        """Let waiting calls go, unanswered. Idempotent."""
        self._closed.set()
        await self.unload()

    async def _fill(
        self, rows: list[Row], prompts: Sequence[Prompt], sampling: Sampling, halted: Halt
    ) -> None:
        """Write the answers into ``rows``, a token of each in turn."""
        while self._gate is not None and not (self._gate.is_set() or halted()):  # noqa: ASYNC110 - may be a thread's
            await asyncio.sleep(POLL_SECONDS)
        left = [deque[str]() for _ in rows]
        if not halted():
            for index, prompt in enumerate(prompts):
                whole = " ".join(text for _, text in prompt.messages) + prompt.prefill
                rows[index].read = len(_TOKEN.findall(whole))
                left[index].extend(_TOKEN.findall(self._script(prompt, sampling, index)))
        while not halted() and not all(row.ended for row in rows):
            for row, tokens in zip(rows, left, strict=True):
                if tokens and row.tokens < sampling.max_tokens:
                    row.add(tokens.popleft())
                else:
                    row.end(finished=not tokens)
            await asyncio.sleep(0)
        for row in rows:
            row.end(finished=False)


def _read_out(answers: Sequence[str]) -> Callable[[Prompt, Sampling, int], str]:
    left = deque(answers)

    def answer(_prompt: Prompt, _sampling: Sampling, _index: int) -> str:
        if not left:
            raise ModelError(f"all {len(answers)} answers of the script are used up; add more")
        return left.popleft()

    return answer


class HashEmbedder:
    """Fake of the port ``Embedder``: a bag of hashed words; shared words give nearness.

    >>> import asyncio
    >>> near, same, far = asyncio.run(HashEmbedder().embed(["red fox", "Fox, red", "a pie"]))
    >>> float(near @ same) > 0.999, float(near @ far) < 0.5
    (True, True)
    """

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 ``(len(texts), 384)``, every row of length 1."""
        vectors = np.zeros((len(texts), WIDTH), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in _WORD.findall(text.lower()):
                number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
                row[number % WIDTH] += 1.0 if number >> 63 else -1.0
            if not row.any():
                row[0] = 1.0  # no words, or words that cancel out
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    async def close(self) -> None:
        """Do nothing; there is nothing to free."""


def read_script(path: Path) -> Callable[[Prompt, Sampling, int], str]:
    """Return the script in ``path``: JSON lines {"contains": part of a prompt, "text": answer}.

    The first line whose ``contains`` is in the prompt writes the method; BRICK's plan is
    always the same.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rules = [(str(line["contains"]), str(line["text"])) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"BATOS_SCRIPT={path}: {error!r}") from error

    def answer(prompt: Prompt, sampling: Sampling, _index: int) -> str:
        if sampling.schema is not None:
            return '{"queries": ["how to write a method"]}'
        asked = prompt.messages[-1][1] + prompt.prefill
        return next((text for part, text in rules if part in asked), " pass")

    return answer
