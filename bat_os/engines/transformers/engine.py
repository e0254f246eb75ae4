"""Models in Hugging Face transformers, in one worker thread: for CUDA, safetensors and training.

The model is loaded on first use, from a folder of plain files (config, tokenizer,
safetensors), which are mapped and not copied. torch and transformers are imported in the
worker, so that a daemon that answers only what it knows never pays for them.

    generate -> make sure that it is loaded -> worker: LocalModel.draw -> completions
        cancel, the deadline, close or a cancelled task: seen between any two tokens

``LocalModel`` is what the worker drives; all of it blocks:

    unloaded --load(folder)--> resident --park--> parked: a skeleton, no weights
                                        <-resume--
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import psutil
from safetensors import SafetensorError

from bat_os.core.forms import Device, Form, plan_form
from bat_os.engines.adapters import (
    AdapterFiles,
    attach_adapter,
    detach_adapter,
    read_adapter,
    use_adapter,
)
from bat_os.engines.base import Halt, WorkerEngine, check_sampling, first_line, is_done, prepare
from bat_os.engines.transformers.forms import inspect_device, measure_stored
from bat_os.errors import BatError, ModelError, ModelMemoryError
from bat_os.ports import Completion

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    from bat_os.engines.transformers.decoding import LoadedModel
    from bat_os.engines.transformers.loading import StoredWeights
    from bat_os.ports import Prompt, Sampling


class TransformersEngine(WorkerEngine):
    """Adapter of the port ``ModelEngine``.

    Args:
        name: For messages and ``stats``.
        folder: Awaited before a load; gives the folder of the model's files.
        threads: Threads for arithmetic; one less than the cores by default.
        device: What to compute with; by default a GPU where there is one.
        form: The form that the model's profile counts on, one of ``profiles.FORMS``.
    """

    kind = "transformers"

    def __init__(
        self,
        name: str,
        folder: Callable[[], Awaitable[Path]],
        *,
        threads: int | None = None,
        device: Device | None = None,
        form: str = "",
    ) -> None:
        super().__init__(name, folder, threads)
        self._local = LocalModel(name, self._threads, device, form)

    @property
    def digest(self) -> str:
        """SHA-256 of the list of the files' SHA-256; "" before the model is loaded."""
        return self._local.digest

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

        The beginning that the prompts share is read once. Calls run one after the other.
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
            if not await is_done(future, halted) and job.cancel():
                return nothing  # it was still waiting for its turn
            return await future
        except asyncio.CancelledError:
            left.set()
            future.cancel()
            raise

    async def add_adapter(self, name: str, folder: Path) -> None:
        """Make the adapter known; see ``ports.ModelEngine``.

        Whether it fits is known at once where the model was loaded before, else when the
        model is: then calls that name it fail, and no others.
        """
        self._check_open()
        await self._work(lambda: self._local.add_adapter(name, folder))

    def stats(self) -> dict[str, Any]:
        """Return plain facts; see ``ports.ModelEngine``."""
        form = self._local.form
        return self._stats(
            self._local.state,
            bytes=self._local.bytes,
            load_seconds=round(self._local.load_seconds, 4),
            adapters=self._local.adapters,
            threads=self._threads,
            device=self._local.device,
            form=form.why if form else "",
        )

    async def close(self) -> None:
        """Stop what runs and free the memory. Idempotent."""
        self._stop_loading()
        await asyncio.to_thread(self._worker.shutdown, wait=True, cancel_futures=True)
        self._local.drop()

    def _is_resident(self) -> bool:
        return self._local.resident

    async def _load(self, folder: Path) -> None:
        # The image may have other files under this name since the model was parked.
        if not await self._work(lambda: self._local.resume(folder)):
            await self._work(lambda: self._local.load(folder))

    def _draw(self, *args: Any, **kwargs: Any) -> list[Completion]:
        completions = self._local.draw(*args, **kwargs)
        self._calls += 1
        self._tokens += sum(completion.tokens for completion in completions)
        return completions


def _on_loop(
    on_text: Callable[[int, str], None], left: threading.Event
) -> Callable[[int, str], None]:
    """Return ``on_text`` for another thread: called on this loop, until the caller has left."""
    loop = asyncio.get_running_loop()

    def deliver(index: int, text: str) -> None:
        if not left.is_set():
            on_text(index, text)

    def tell(index: int, text: str) -> None:
        with suppress(RuntimeError):  # the loop is gone, and its listeners with it
            loop.call_soon_threadsafe(deliver, index, text)

    return tell


# transformers changes switches of the whole process while it loads.
_LOADING: Final = threading.Lock()


class LocalModel:
    """A model and its adapters; arguments as ``TransformersEngine``."""

    def __init__(
        self, name: str, threads: int, device: Device | None = None, wanted: str = ""
    ) -> None:
        self.model: LoadedModel | None = None  # or its skeleton, while it is parked
        self.form: Form | None = None  # how it was loaded
        self.device = ""  # kind of what it was loaded to, "cpu" or "cuda"
        self.resident = False
        self.digest = ""
        self.bytes = 0  # memory held, measured at the last load
        self.load_seconds = 0.0  # of the last load or return
        self._name = name
        self._threads = threads
        self._device = device
        self._wanted = wanted
        self._folder: Path | None = None
        self._stored: StoredWeights | None = None
        self._adapters: dict[str, tuple[str, AdapterFiles]] = {}
        self._refused: dict[str, str] = {}
        self._handles = 0

    @property
    def state(self) -> str:
        """``"resident"``, ``"parked"`` or ``"unloaded"``."""
        if self.resident:
            return "resident"
        return "unloaded" if self.model is None else "parked"

    @property
    def adapters(self) -> list[str]:
        """Names of the adapters that a call may name."""
        return sorted(self._adapters)

    def load(self, folder: Path) -> None:
        """Bring the model in ``folder`` into memory, or nothing of it."""
        self.drop()
        started = time.monotonic()
        with self._explained(f"cannot be loaded from {folder}"):
            stored = measure_stored(folder)
            prepare(self._threads)
            from bat_os.engines.transformers import loading  # imports torch, after prepare

            device = self._device or inspect_device()
            form = plan_form(device, stored, self._wanted)
            before = loading.used_bytes(device.kind)
            with _LOADING:
                model = loading.load_model(folder, form, device)
            self.digest = loading.digest_of(folder)
            self._stored = loading.find_weights(model, folder)
            self.form, self._folder, self.model = form, folder, model
            self.device = device.kind
            for name, (handle, adapter) in self._adapters.items():
                try:
                    self._attach(model, name, handle, adapter)
                except ModelError as error:
                    self._refused[name] = str(error)  # for calls that name it; the model works
            self.bytes = loading.measure(model, before)
            self.resident = True
        self.load_seconds = time.monotonic() - started

    def resume(self, folder: Path | None = None) -> bool:
        """Return True when the model can draw, its weights taken back if they were away.

        False when it has to be loaded: nothing was parked, the files are other ones now, or
        they are in another ``folder``. If the files cannot be read, the model is unloaded.
        """
        if self.resident:
            return True
        if self.model is None or self._stored is None or not self._stored.unchanged():
            return False
        if folder not in (None, self._folder):
            return False
        started = time.monotonic()
        with self._explained("cannot take its weights back"):
            if self.model.device.type == "cpu" and self.bytes > psutil.virtual_memory().available:
                raise MemoryError(f"{self.bytes} bytes of weights")
            self._stored.attach(self.model.net)
            self.resident = True
        self.load_seconds = time.monotonic() - started
        return True

    def park(self) -> None:
        """Give the weights back; keep the skeleton where they can return to it."""
        if self.model is None or not self.resident:
            return
        if self._stored is None:
            self.drop()
            return
        self.resident = False
        self._stored.detach(self.model.net)
        _empty_cache(self.model.device.type)  # nothing to collect: no cycle holds a weight

    def drop(self) -> None:
        """Forget the model, but not its digest and its adapters."""
        kind = self.model.device.type if self.model is not None else ""
        self.model = self._stored = None
        self.resident = False
        self._refused.clear()
        if kind:
            gc.collect()
            _empty_cache(kind)

    def add_adapter(self, name: str, folder: Path) -> None:
        """Make the adapter in ``folder`` known; an older one of that name goes if it fits."""
        try:
            adapter = read_adapter(folder)
        except ModelError as error:
            raise ModelError(f"adapter {name}: {error}", adapter=name) from error
        self._handles += 1
        new = f"adapter_{self._handles}"
        if self.model is not None and self.resume():
            self._attach(self.model, name, new, adapter)
            old, _ = self._adapters.get(name, ("", None))
            if old:
                detach_adapter(self.model.net, old)
        else:
            self.drop()
        self._adapters[name] = (new, adapter)
        self._refused.pop(name, None)

    def draw(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        halted: Callable[[], bool],
        *,
        adapter: str = "",
        tell: Callable[[int, str], None] | None = None,
    ) -> list[Completion]:
        """Return one completion per prompt; see ``decoding.draw``. The model was loaded before."""
        if not self.resume() and self._folder is not None:
            self.load(self._folder)  # it was unloaded since the caller made sure of it
        assert self.model is not None, "load comes first"  # noqa: S101 - for the type checker
        from bat_os.engines.transformers import decoding  # imports torch

        try:
            self._use(self.model, adapter)
            return decoding.draw(self.model, prompts, sampling, halted, tell)
        except (MemoryError, RuntimeError, ValueError) as error:  # of torch and of transformers
            raise self._explain(error, "failed") from error

    def _use(self, model: LoadedModel, adapter: str) -> None:
        if adapter in self._refused:
            raise ModelError(self._refused[adapter], adapter=adapter)
        handle = self._adapters[adapter][0] if adapter else ""
        use_adapter(model.net, handle)

    def _attach(self, model: LoadedModel, name: str, handle: str, adapter: AdapterFiles) -> None:
        try:
            attach_adapter(model.net, handle, adapter)
        except ModelError as error:
            raise ModelError(f"adapter {name}: {error}", adapter=name) from error

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except BatError:
            raise
        except (
            OSError, ValueError, RuntimeError, KeyError, ImportError, MemoryError, SafetensorError
        ) as error:  # fmt: skip
            raise self._explain(error, what) from error

    def _explain(self, error: Exception, what: str) -> BatError:
        """Return ``error`` as ours; gives back what the failure still holds."""
        traceback.clear_frames(error.__traceback__)
        if not self.resident:
            self.drop()
        elif self.model is not None:
            gc.collect()
            _empty_cache(self.model.device.type)
        if _is_out_of_memory(error):
            return ModelMemoryError(
                f"model {self._name} does not fit into memory; close other programs, "
                "or choose a smaller model or profile"
            )
        remedy = "ask again" if self.resident else "fetch or convert its files again"
        return ModelError(
            f"model {self._name} {what}: {first_line(error)}; {remedy}, or choose another model"
        )


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    # Only the text says so: torch has no type for main memory.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _empty_cache(kind: str) -> None:
    if kind == "cuda":
        import torch  # loaded long ago

        torch.cuda.empty_cache()
