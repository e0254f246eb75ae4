"""Engines that need no model: answers by script, vectors by hashing. For tests and demos."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from bat_os.errors import ModelError
from bat_os.ports import Completion

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from bat_os.ports import Prompt, Sampling

WIDTH: Final = 384
POLL_SECONDS: Final = 0.005
_TOKEN: Final = re.compile(r"\s*\S+|\s+")
_WORD: Final = re.compile(r"\w+")


class Gate(Protocol):
    """An asyncio.Event or a threading.Event."""

    def is_set(self) -> bool:
        """Return True when the way is free."""


class ScriptedEngine:
    """Fake of the port ``ModelEngine``: the script writes the answers.

    A token is a word with the space before it. ``stop``, ``max_tokens`` and ``cancel`` work
    as with a real model; a ``schema`` is not enforced, the script has to fit it.

    Args:
        script: ``script(prompt, sampling, index)`` gives the answer to the prompt at that
            index of the batch; or the answers one after the other, over all calls.
        gate: Every call waits until it is set.
        name: For ``stats`` and the digest.

    Attributes:
        prompts: All prompts so far, one tuple per call.
    """

    def __init__(
        self,
        script: Callable[[Prompt, Sampling, int], str] | Sequence[str],
        *,
        gate: Gate | None = None,
        name: str = "scripted",
    ) -> None:
        self.prompts: list[tuple[Prompt, ...]] = []
        self._script = script if callable(script) else _read_out(script)
        self._gate = gate
        self._name = name
        self._tokens = 0
        self._closed = False

    @property
    def digest(self) -> str:
        """SHA-256 of the name."""
        return hashlib.sha256(self._name.encode()).hexdigest()

    async def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        *,
        cancel: threading.Event | None = None,
    ) -> list[Completion]:
        """Return what the script says, one completion per prompt.

        Raises:
            ModelError: The engine is closed, or the answers are used up.
            re.error: ``sampling.stop`` is no regular expression.
        """
        re.compile(sampling.stop)
        if self._closed:
            raise ModelError(f"model {self._name}: the engine is closed; start the kernel again")
        self.prompts.append(tuple(prompts))
        if self._gate is not None:
            while not (self._gate.is_set() or self._is_over(cancel)):  # noqa: ASYNC110 - may be a thread's
                await asyncio.sleep(POLL_SECONDS)
        if self._is_over(cancel):
            return [Completion("", 0, finished=False) for _ in prompts]
        answers = [
            _cut(self._script(prompt, sampling, index), sampling)
            for index, prompt in enumerate(prompts)
        ]
        self._tokens += sum(answer.tokens for answer in answers)
        return answers

    def stats(self) -> dict[str, Any]:
        """Return plain facts for ``health``."""
        return {
            "name": self._name,
            "loaded": not self._closed,
            "calls": len(self.prompts),
            "tokens": self._tokens,
            "load_seconds": 0.0,
            "threads": 0,
        }

    async def close(self) -> None:
        """Let waiting calls go, unanswered. Idempotent."""
        self._closed = True

    def _is_over(self, cancel: threading.Event | None) -> bool:
        return self._closed or (cancel is not None and cancel.is_set())


def _read_out(answers: Sequence[str]) -> Callable[[Prompt, Sampling, int], str]:
    left = deque(answers)

    def answer(_prompt: Prompt, _sampling: Sampling, _index: int) -> str:
        if not left:
            raise ModelError(f"all {len(answers)} answers of the script are used up; add more")
        return left.popleft()

    return answer


def _cut(text: str, sampling: Sampling) -> Completion:
    tokens = _TOKEN.findall(text)
    finished = len(tokens) <= sampling.max_tokens
    tokens = tokens[: sampling.max_tokens]
    text = "".join(tokens)
    match = re.search(sampling.stop, text) if sampling.stop else None
    if match:
        drawn = len(_TOKEN.findall(text[: match.end()]))
        return Completion(text[: match.start()], drawn, finished=True)
    return Completion(text, len(tokens), finished)


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
