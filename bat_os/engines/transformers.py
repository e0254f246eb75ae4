"""The default model engine: Hugging Face transformers, in one worker thread.

The model is loaded on first use, from a folder of plain files (config, tokenizer,
safetensors), which are mapped and not copied. torch and transformers are imported in the
worker, so that a kernel that answers only what it knows never pays for them.

    generate -> load once -> worker: decoding.draw -> completions
        cancel, close or a cancelled task raise a flag that the worker sees between two tokens
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import psutil
from safetensors import SafetensorError

from bat_os.engines.offline import default_threads, prepare
from bat_os.errors import ImageError, ModelError, ModelMemoryError
from bat_os.ports import Completion

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from bat_os.engines.decoding import LoadedModel
    from bat_os.ports import Prompt, Sampling

# A threading.Event cannot be awaited; this is how often a waiting call looks at it.
POLL_SECONDS: Final = 0.1
# Written by the image beside the links, in the format of sha256sum; sorted by file name.
SUMS_NAME: Final = "SHA256SUMS"


class TransformersEngine:
    """Adapter of the port ``ModelEngine``.

    Args:
        name: For messages and ``stats``.
        folder: Awaited on first use; gives the folder of the model's files.
        threads: Threads for arithmetic; one less than the cores by default.
    """

    def __init__(
        self, name: str, folder: Callable[[], Awaitable[Path]], *, threads: int | None = None
    ) -> None:
        self._name = name
        self._folder = folder
        self._threads = threads or default_threads()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"model-{name}")
        self._closed = threading.Event()
        self._loading: asyncio.Task[None] | None = None
        self._model: LoadedModel | None = None
        self._digest = ""
        self._load_seconds = 0.0
        self._calls = 0
        self._tokens = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the list of the files' SHA-256; "" before the model is loaded."""
        return self._digest

    async def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        *,
        cancel: threading.Event | None = None,
    ) -> list[Completion]:
        """Return one completion per prompt; see ``ports.ModelEngine``.

        Equal prompts cost one prefill. Calls run one after the other.

        Raises:
            ModelError: The model cannot be loaded, or cannot read a prompt.
            ModelMemoryError: It does not fit into memory.
            ValueError: ``sampling.schema`` is no JSON Schema that can be followed.
            re.error: ``sampling.stop`` is no regular expression.
        """
        re.compile(sampling.stop)  # refused here, before anything is loaded
        if not prompts:
            return []
        left = threading.Event()

        def halted() -> bool:
            withdrawn = cancel is not None and cancel.is_set()
            return withdrawn or left.is_set() or self._closed.is_set()

        nothing = [Completion("", 0, finished=False) for _ in prompts]
        if not await self._load_once(halted):
            return nothing
        job = self._worker.submit(self._draw, tuple(prompts), sampling, halted)
        future = asyncio.wrap_future(job)
        try:
            if not await _is_done(future, halted) and job.cancel():
                return nothing  # it was still waiting for its turn
            return await future
        except asyncio.CancelledError:
            left.set()
            future.cancel()
            raise

    def stats(self) -> dict[str, Any]:
        """Return plain facts for ``health``."""
        return {
            "name": self._name,
            "loaded": self._model is not None,
            "calls": self._calls,
            "tokens": self._tokens,
            "load_seconds": round(self._load_seconds, 3),
            "threads": self._threads,
        }

    async def close(self) -> None:
        """Stop what runs and free the memory. Idempotent."""
        self._closed.set()
        if self._loading is not None and not self._loading.done():
            self._loading.cancel()
        await asyncio.to_thread(self._worker.shutdown, wait=True, cancel_futures=True)
        self._model = None
        gc.collect()

    async def _load_once(self, halted: Callable[[], bool]) -> bool:
        """Return True when the model is loaded, False when ``halted()`` came first."""
        if self._closed.is_set():
            raise ModelError(f"model {self._name}: the engine is closed; start the kernel again")
        if self._model is not None:
            return True
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())
            # Known here even when everyone who waited for it has left.
            self._loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        loading = self._loading
        if not await _is_done(loading, halted) or (loading.cancelled() and halted()):
            return False
        loading.result()
        return True

    async def _load(self) -> None:
        try:
            folder = await self._folder()
        except ImageError as error:
            raise ModelError(f"model {self._name}: {error}") from error
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._worker, self._load_in_worker, folder)

    def _load_in_worker(self, folder: Path) -> None:
        if self._model is not None:
            return
        started = time.monotonic()
        try:
            self._model = _load_model(folder, self._threads)
            self._digest = _digest(folder)
        except MemoryError as error:
            raise ModelMemoryError(_too_big(self._name)) from error
        except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"model {self._name} cannot be loaded from {folder}: {reason}; "
                "fetch or convert its files again, or choose another model"
            ) from error
        self._load_seconds = time.monotonic() - started

    def _draw(
        self, prompts: tuple[Prompt, ...], sampling: Sampling, halted: Callable[[], bool]
    ) -> list[Completion]:
        from bat_os.engines import decoding  # imports torch

        assert self._model is not None, "generate loads first"  # noqa: S101 - for the type checker
        try:
            completions = decoding.draw(self._model, prompts, sampling, halted)
        except MemoryError as error:
            raise ModelMemoryError(_too_big(self._name)) from error
        except RuntimeError as error:  # torch raises it for all that goes wrong inside
            raise ModelError(f"model {self._name} failed: {error}; ask again") from error
        self._calls += 1
        self._tokens += sum(completion.tokens for completion in completions)
        return completions


async def _is_done(future: asyncio.Future[Any], halted: Callable[[], bool]) -> bool:
    """Return True once ``future`` is done, False when ``halted()`` first; never cancels it."""
    while not future.done():
        if halted():
            return False
        await asyncio.wait({future}, timeout=POLL_SECONDS)
    return True


def _load_model(folder: Path, threads: int) -> LoadedModel:
    weights = list(folder.glob("*.safetensors"))
    if not weights or not (folder / "config.json").is_file():
        raise OSError("config.json or *.safetensors is missing")
    size = sum(file.stat().st_size for file in weights)
    if size > psutil.virtual_memory().available:
        raise MemoryError(f"{size} bytes of weights")
    prepare(threads)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from bat_os.engines.decoding import LoadedModel

    # Explicitly False: None may ask on the terminal whether to run the model's own code.
    safe = {"trust_remote_code": False, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
    # "auto" is the type of the stored weights, and only then are they mapped, not copied.
    net: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", use_safetensors=True, **safe
    )
    net.eval()
    ends = net.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends]) | {tokenizer.eos_token_id}
    return LoadedModel(
        net=net,
        tokenizer=tokenizer,
        ends=frozenset(token for token in ends if token is not None),
        context=int(getattr(net.config, "max_position_embeddings", 0) or 2048),
    )


def _digest(folder: Path) -> str:
    sums = folder / SUMS_NAME
    if sums.is_file():
        return hashlib.sha256(sums.read_bytes()).hexdigest()
    lines = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        lines.append(f"{digest}  {file.relative_to(folder).as_posix()}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _too_big(name: str) -> str:
    return (
        f"model {name} does not fit into memory; close other programs, "
        "or choose a smaller model or profile"
    )
