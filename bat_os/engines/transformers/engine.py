"""The default model engine: Hugging Face transformers, in one worker thread.

The model is loaded on first use, from a folder of plain files (config, tokenizer,
safetensors), which are mapped and not copied. torch and transformers are imported in the
worker, so that a kernel that answers only what it knows never pays for them.

    generate -> make sure that it is loaded -> worker: LocalModel.draw -> completions
        cancel, the deadline, close or a cancelled task: seen between any two tokens
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from bat_os.engines.offline import default_threads
from bat_os.engines.sampling import check_sampling, not_had
from bat_os.engines.streams import Halt
from bat_os.engines.transformers.model import LocalModel
from bat_os.errors import ImageError, ModelError
from bat_os.ports import Completion

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from bat_os.core.forms import Device
    from bat_os.engines.transformers.decoding import LoadedModel
    from bat_os.ports import Prompt, Sampling

# A threading.Event cannot be awaited; this is how often a waiting call looks at it.
POLL_SECONDS: Final = 0.1


class TransformersEngine:
    """Adapter of the port ``ModelEngine``.

    Args:
        name: For messages and ``stats``.
        folder: Awaited before a load; gives the folder of the model's files.
        threads: Threads for arithmetic; one less than the cores by default.
        device: What to compute with; by default a GPU where there is one.
        form: The form that the model's profile counts on, one of ``profiles.FORMS``.
    """

    def __init__(
        self,
        name: str,
        folder: Callable[[], Awaitable[Path]],
        *,
        threads: int | None = None,
        device: Device | None = None,
        form: str = "",
    ) -> None:
        self._name = name
        self._folder = folder
        self._threads = threads or default_threads()
        self._local = LocalModel(name, self._threads, device, form)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"model-{name}")
        self._closed = threading.Event()
        self._loading: asyncio.Task[None] | None = None
        self._calls = 0
        self._tokens = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the list of the files' SHA-256; "" before the model is loaded."""
        return self._local.digest

    async def load(self) -> None:
        """Bring the model into memory. Idempotent.

        Raises:
            ModelError: It cannot be loaded, or the engine is closed.
            ModelMemoryError: It does not fit into memory.
        """
        if not await self._load_once(self._closed.is_set):
            raise self._closed_error()

    async def unload(self) -> None:
        """Give the weights back, once what runs is through; keeps the skeleton. Idempotent."""
        if not self._closed.is_set():
            await self._work(self._local.park)

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

        Equal prompts cost one prefill, and so does the beginning that a prompt shares with one
        of the last calls. Calls run one after the other.

        Raises:
            ModelError: The model or the adapter cannot be had, or a prompt cannot be read.
            ModelMemoryError: It does not fit into memory.
            ArgumentsError: ``sampling.stop`` or ``sampling.schema`` cannot be followed.
        """
        check_sampling(sampling)
        if adapter and adapter not in self._local.adapters:
            raise ModelError(
                f"model {self._name} has no adapter {adapter}; add it or choose another",
                adapter=adapter,
            )
        if not prompts:
            return []
        left = threading.Event()
        halt = Halt(cancel, sampling.seconds, self._closed)

        def halted() -> bool:
            return left.is_set() or halt()

        nothing = [Completion("", 0, finished=False) for _ in prompts]
        if not await self._load_once(halted):
            return nothing
        tell = _on_loop(on_text, left) if on_text else None
        try:
            job = self._worker.submit(
                self._draw, tuple(prompts), sampling, halted, adapter=adapter, tell=tell
            )
        except RuntimeError:  # closed since
            return nothing
        future = asyncio.wrap_future(job)
        try:
            if not await _is_done(future, halted) and job.cancel():
                return nothing  # it was still waiting for its turn
            return await future
        except asyncio.CancelledError:
            left.set()
            future.cancel()
            raise

    async def add_adapter(self, name: str, folder: Path) -> None:
        """Make the LoRA adapter in ``folder`` (peft's files) known as ``name``; replaces one.

        Whether it fits is known at once where the model was loaded before, else when the
        model is: then calls that name it fail, and no others.

        Raises:
            ModelError: It is no plain LoRA adapter, or does not fit, or the engine is closed.
        """
        if self._closed.is_set():
            raise self._closed_error()
        await self._work(lambda: self._local.add_adapter(name, folder))

    def stats(self) -> dict[str, Any]:
        """Return plain facts; see ``ports.ModelEngine``."""
        form = self._local.form
        return {
            "name": self._name,
            "engine": "transformers",
            "state": self._local.state,
            "bytes": self._local.bytes,
            "load_seconds": round(self._local.load_seconds, 4),
            "adapters": self._local.adapters,
            "calls": self._calls,
            "tokens": self._tokens,
            "threads": self._threads,
            "device": self._local.device,
            "form": form.why if form else "",
        }

    async def close(self) -> None:
        """Stop what runs and free the memory. Idempotent."""
        self._closed.set()
        if self._loading is not None and not self._loading.done():
            self._loading.cancel()
        await asyncio.to_thread(self._worker.shutdown, wait=True, cancel_futures=True)
        self._local.drop()

    @property
    def _model(self) -> LoadedModel | None:
        return self._local.model  # for benchmarks

    async def _load_once(self, halted: Callable[[], bool]) -> bool:
        """Return True when the model is loaded, False when ``halted()`` came first."""
        if self._closed.is_set():
            raise self._closed_error()
        if self._local.resident:
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
            raise not_had(self._name, error) from error
        # The image may have other files under this name since the model was parked.
        if not await self._work(lambda: self._local.resume(folder)):
            await self._work(lambda: self._local.load(folder))

    async def _work(self, job: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._worker, job)

    def _draw(self, *args: Any, **kwargs: Any) -> list[Completion]:
        completions = self._local.draw(*args, **kwargs)
        self._calls += 1
        self._tokens += sum(completion.tokens for completion in completions)
        return completions

    def _closed_error(self) -> ModelError:
        return ModelError(f"model {self._name}: the engine is closed; start the kernel again")


def _on_loop(
    on_text: Callable[[int, str], None], left: threading.Event
) -> Callable[[int, str], None]:
    """Return ``on_text`` for another thread: called on this loop, until the caller has left."""
    loop = asyncio.get_running_loop()

    def deliver(index: int, text: str) -> None:
        if not left.is_set():
            on_text(index, text)

    def tell(index: int, text: str) -> None:
        with suppress(RuntimeError):  # the loop is gone, and so is everyone who listens
            loop.call_soon_threadsafe(deliver, index, text)

    return tell


async def _is_done(future: asyncio.Future[Any], halted: Callable[[], bool]) -> bool:
    """Return True once ``future`` is done, False when ``halted()`` first; never cancels it."""
    while not future.done():
        if halted():
            return False
        await asyncio.wait({future}, timeout=POLL_SECONDS)
    return True
