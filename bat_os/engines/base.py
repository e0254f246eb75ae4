"""What the engines share: preparing the process, checks, texts in the making, common classes.

    worker or connection -> Inbox -> Row.add -> on_text, and at the end the Completion

``Halt``, ``Inbox`` and ``Row`` serve the engines whose tokens come from elsewhere (a native thread,
a server). They live on the event loop, so nothing in them needs a lock.

torch and the Hugging Face libraries read their switches from the environment while they are
imported, so ``prepare`` comes before the first import of any of them.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging as stdlib_logging
import math
import os
import re
import shutil
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

import regex  # type: ignore[import-untyped]  # it ships no types

from bat_os.errors import ArgumentsError, ImageError, ModelError
from bat_os.ports import Completion

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from bat_os.ports import Sampling

SWITCHES: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# What transformers needs to run a model; the second stage of set-up installs it.
LATER: Final = ("torch", "transformers", "accelerate", "peft")
# Written by the image beside the links, in the format of sha256sum; sorted by file name.
SUMS_NAME: Final = "SHA256SUMS"
_WEIGHTS: Final = re.compile(r"[\w-][\w.-]*\.safetensors\Z", re.ASCII)
_ONE_FILE: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
# A threading.Event cannot be awaited; this is how often a waiting call looks at it.
POLL_SECONDS: Final = 0.05
# A model that may write any white space sometimes writes nothing else.
JSON_STYLE: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_Item = TypeVar("_Item")


def default_threads() -> int:
    """Return the cores that this process may use, less one for the event loop; at least 1.

    More threads than free cores is the costliest mistake on a CPU: decoding becomes
    several times slower as soon as anything else runs.
    """
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)) - 1)
    return max(1, (os.cpu_count() or 1) - 1)


def need_packages(what: str = "the engine transformers") -> None:
    """Refuse what needs torch and transformers while set-up has not installed them yet.

    Set-up installs them after the first answer. pip writes what ``metadata`` reads last, so a
    package that is being installed is not there yet.

    Raises:
        ModelError: They are not installed; says what is missing and what installs it.
    """
    if lacking := [name for name in LATER if not _is_installed(name)]:
        raise ModelError(
            f"{what} is not installed yet (it needs {', '.join(lacking)}); "
            "`batos setup --all` installs it",
            packages=lacking,
        )


def _is_installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def prepare(threads: int) -> None:
    """Set the switches and the number of threads of torch for the calling thread.

    Raises:
        ModelError: Set-up has not installed them; see ``need_packages``.
    """
    need_packages()
    os.environ.update(SWITCHES)
    # Heavy, and only right after the switches are set.
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # theirs has no types
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # nor this
    torch.set_num_threads(threads)
    # It announces on standard error which kernels it could have downloaded.
    stdlib_logging.getLogger("bitsandbytes").setLevel(stdlib_logging.ERROR)


def package_folder(name: str) -> Path | None:
    """Return the folder of an installed package that carries a model; None if there is none."""
    # Not imported: the packages' own dependencies are not installed.
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that transformers would load from ``folder``."""
    if (folder / _ONE_FILE).is_file():
        return [folder / _ONE_FILE]
    if not (folder / _INDEX).is_file():
        raise OSError(f"{_ONE_FILE} is missing")
    index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    table = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table.values()):
        raise ValueError(f"{_INDEX} has no table of files")
    names = sorted(set(table.values()))
    if not names or not all(map(_WEIGHTS.match, names)):
        raise ValueError(f"{_INDEX} names no file, or one that is not beside it")
    return [folder / name for name in names]


def first_line(error: Exception) -> str:
    """Return what an error says in short."""
    return (str(error).splitlines() or ["no reason is given"])[0]


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Give a folder to write into, which replaces ``folder`` once the block has succeeded."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_sampling(sampling: Sampling, *, scores: bool = False) -> None:
    """Refuse what no engine can follow; takes half a millisecond if there is a schema."""
    if sampling.given and not scores:
        text = "this engine cannot say how likely a text is; run the model with llama.cpp"
        raise ArgumentsError(text, field="given")
    try:
        re.compile(sampling.stop)
    except (re.error, RecursionError) as error:
        text = f"stop is not a regular expression: {error}; correct it"
        raise ArgumentsError(text, field="stop") from error
    if sampling.schema is not None:
        from llguidance import LLMatcher  # needed only once something is constrained

        try:
            grammar = LLMatcher.grammar_from_json_schema(dict(sampling.schema))
            fault = LLMatcher.validate_grammar(grammar)
        except (ValueError, TypeError, RecursionError) as error:
            fault = str(error)
        if fault:
            raise schema_error(fault)


def schema_error(fault: str) -> ArgumentsError:
    """Return the error for a schema that cannot be followed."""
    line = (fault.splitlines() or [""])[0][:200]
    text = f"the JSON Schema cannot be followed: {line}; write it without that"
    return ArgumentsError(text, field="schema")


async def is_done(future: asyncio.Future[Any], halted: Callable[[], bool]) -> bool:
    """Return True once ``future`` is done, False if ``halted()`` first; never cancels it."""
    while not future.done():
        if halted():
            return False
        await asyncio.wait({future}, timeout=POLL_SECONDS)
    return True


class Halt:
    """Says when a call has to end early: withdrawn, out of time, or the engine is closed."""

    def __init__(
        self, cancel: threading.Event | None, seconds: float, closed: threading.Event
    ) -> None:
        self._flags = [closed] if cancel is None else [closed, cancel]
        self._end = time.monotonic() + seconds if seconds > 0 else math.inf

    def __call__(self) -> bool:
        """Return True as soon as the call has to end."""
        return any(flag.is_set() for flag in self._flags) or time.monotonic() >= self._end


class Inbox(Generic[_Item]):
    """What a worker sends to a coroutine that may have to stop waiting at any time."""

    def __init__(self, halted: Callable[[], bool]) -> None:
        self._halted = halted
        self._loop = asyncio.get_running_loop()
        self._items: deque[_Item] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: _Item) -> None:
        """Add an item; on the event loop."""
        self._items.append(item)
        self._wake()

    def put_from_thread(self, item: _Item) -> None:
        """Add an item; from any thread. Does nothing once the loop is gone."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.put, item)

    async def get(self) -> _Item | None:
        """Return the next item, or None as soon as the call has to end."""
        while not self._halted():
            if self._items:
                return self._items.popleft()
            # Per token, and a tenth of the cost of asyncio.wait_for.
            self._waiter = self._loop.create_future()
            alarm = self._loop.call_later(POLL_SECONDS, self._wake)
            try:
                await self._waiter
            finally:
                alarm.cancel()
        return None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Row:
    """One text in the making.

    A piece that was sent cannot be taken back, so a piece that a later match of ``stop`` may still
    cut off is held back: ``regex`` finds where such a match could begin.

    ``stop`` is a valid regular expression, or "".
    """

    def __init__(self, stop: str, send: Callable[[str], None] | None = None) -> None:
        self.text = ""  # what was drawn, cut at ``stop``
        self.tokens = 0  # how many that took
        self.finished = False  # it ended by itself or at ``stop``
        self.ended = False  # nothing is added any more
        self.read = 0  # tokens of the prompt
        self.reused = 0  # how many of them came out of a cache
        self.likelihood = 0.0
        self._stop = re.compile(stop) if stop else None
        try:
            self._open = regex.compile(stop) if stop else None
        except regex.error:  # it reads some expressions differently from ``re``
            self._open = None
        self._send = send
        self._sent = 0

    def add(self, piece: str, tokens: int = 1) -> None:
        """Go on with ``piece``; ends the row where ``stop`` matches."""
        if self.ended:
            return
        self.tokens += tokens
        self.text += piece
        match = self._stop.search(self.text) if self._stop else None
        if match:
            # Never less than was sent: regex and re may read the expression differently.
            self.text = self.text[: max(match.start(), self._sent)]
            self.end(finished=True)
        else:
            self._send_up_to(self._certain())

    def end(self, *, finished: bool) -> None:
        """Take no more pieces, and send what was held back. Idempotent."""
        if self.ended:
            return
        self.ended = True
        self.finished = finished
        self._send_up_to(len(self.text))

    def completion(self) -> Completion:
        """Return what the row has so far."""
        counts = self.tokens, self.finished, self.read, self.reused
        return Completion(self.text, *counts, self.likelihood)

    def _certain(self) -> int:
        if self._stop is None:
            return len(self.text)
        if self._open is None:
            return self._sent
        match = self._open.search(self.text, self._sent, partial=True)
        return match.start() if match else len(self.text)

    def _send_up_to(self, end: int) -> None:
        start, self._sent = self._sent, max(end, self._sent)
        if self._send is not None and end > start:
            self._send(self.text[start:end])


def make_rows(count: int, stop: str, on_text: Callable[[int, str], None] | None) -> list[Row]:
    """Return one row per prompt; ``on_text`` gets the row's number with each piece."""
    return [Row(stop, partial(on_text, index) if on_text else None) for index in range(count)]


class EngineBase:
    """What all engines do alike: names, counts, and refusals."""

    kind: ClassVar[str]  # as ``stats`` has it
    place: ClassVar[str] = ""  # where the model runs, in a message that refuses an adapter
    scores = False  # see ``ports.ModelEngine``

    def __init__(self, name: str) -> None:
        self._name = name
        self._closed = threading.Event()
        self._digest = ""
        self._load_seconds = 0.0
        self._calls = 0
        self._tokens = 0

    @property
    def digest(self) -> str:
        """SHA-256 of what the model is; "" before that is known."""
        return self._digest

    async def add_adapter(self, name: str, folder: Path) -> None:
        """Refuse: this engine cannot use adapters."""
        del folder
        raise self._no_adapters(name)

    def _stats(self, state: str, **facts: Any) -> dict[str, Any]:
        """Return plain facts; see ``ports.ModelEngine``."""
        return {
            "name": self._name,
            "engine": self.kind,
            "state": state,
            "bytes": 0,
            "load_seconds": round(self._load_seconds, 4),
            "adapters": [],
            "calls": self._calls,
            "tokens": self._tokens,
        } | facts

    def _finish(self, rows: Iterable[Row]) -> list[Completion]:
        """Return what the rows have become, and count it."""
        completions = []
        for row in rows:
            row.end(finished=False)
            completions.append(row.completion())
        self._calls += bool(completions)
        self._tokens += sum(completion.tokens for completion in completions)
        return completions

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise ModelError(f"model {self._name}: the engine is closed; start the daemon again")

    def _no_adapters(self, adapter: str) -> ModelError:
        return ModelError(
            f"model {self._name} runs {self.place}, which cannot use the adapter {adapter}; "
            "run its persona with the engine llama.cpp or transformers"
        )


class WorkerEngine(EngineBase):
    """An engine that holds its model in this process and computes in one worker thread."""

    def __init__(
        self, name: str, locate: Callable[[], Awaitable[Path]], threads: int | None
    ) -> None:
        super().__init__(name)
        self._locate = locate
        self._threads = threads or default_threads()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"model-{name}")
        self._loading: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Bring the model into memory; see ``ports.ModelEngine``."""
        if not await self._load_once(self._closed.is_set):
            raise ModelError(f"model {self._name}: the engine was closed while it loaded")

    async def _find_and_load(self) -> None:
        try:
            place = await self._locate()
        except ImageError as error:
            text = str(error) if self._name in str(error) else f"model {self._name}: {error}"
            raise ModelError(text, **error.details) from error
        await self._load(place)

    async def _load(self, place: Path) -> None:
        raise NotImplementedError

    def _is_resident(self) -> bool:
        raise NotImplementedError

    async def _load_once(self, halted: Callable[[], bool]) -> bool:
        """Return True when the model is loaded, False if ``halted()`` came first.

        All callers wait for the same load, and it goes on when they leave.
        """
        self._check_open()
        if self._is_resident():
            return True
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._find_and_load())
            # Its error is read here, also when every caller has left.
            self._loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        loading = self._loading
        if not await is_done(loading, lambda: halted() or self._closed.is_set()):
            return False
        if loading.cancelled():
            return False
        loading.result()
        return True

    async def _work(self, job: Callable[[], Any]) -> Any:
        """Return what ``job`` returns, once the worker has done it."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, job)

    def _stop_loading(self) -> None:
        self._closed.set()
        if self._loading is not None:
            self._loading.cancel()
