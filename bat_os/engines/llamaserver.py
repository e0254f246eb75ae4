"""A GGUF file in memory by llama.cpp's own library, and the trial that comes before.

    python -m bat_os.engines.llamaserver FILE THREADS CONTEXT [ADAPTER ...]     that trial

llama.cpp refuses most damaged files, but some headers make it abort the whole process
(measured: a block count of 0). So files that this process has not opened before are first
loaded, and made to write, by a child. Its log stays in llama.cpp: nothing reaches the
terminal. The library brings a loopback listener with it; a random key keeps it ours.
"""

from __future__ import annotations

import importlib
import os
import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from bat_os.engines.child_module import run_module
from bat_os.errors import ModelError, ModelMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SLOTS: Final = 8  # texts that are drawn at the same time
MAGIC: Final = b"GGUF"
# Slots beyond those: prompts that were read stay there until the place is needed. The library's
# own cache of prompts that left their slot is off. It does not know which adapter a prompt was read
# through, and hands it to another (measured: log-probabilities off by 1.9, 0.3 without it).
SPARE_SLOTS: Final = 4
# A prompt goes to a slot with this share of it in common, else to the slot unused for longest.
ALIKE: Final = 0.3
# A raised flag is seen between two pieces of a prompt: 0.1 to 0.3 s for 135M on one core.
PREFILL_TOKENS: Final = 128
SILENT, ERRORS_ONLY = -1, 1
_LOG_PREFIX: Final = re.compile(r"^[\d.]+ E +")
_KILLED: Final = -9
_NO_LIBRARY: Final = 69  # of the child: no model can be loaded


class LlamaServer:
    """A GGUF file that ``try_file`` accepts, in memory. Blocks; for one worker thread.

    Args as ``LlamaCppEngine``; the adapters by name, and the verbosity of llama.cpp's log.

    Attributes:
        adapters: Their names; a request has the place of each here as its ``id``.
    """

    def __init__(
        self,
        file: Path,
        threads: int,
        context: int,
        adapters: Mapping[str, Path],
        *,
        verbosity: int = SILENT,
    ) -> None:
        import httpx2  # heavy, and only needed for a GGUF file

        key = secrets.token_hex(16)
        library = load_library()
        parameters = library.CommonParams()
        parameters.n_ctx = context
        parameters.n_parallel = SLOTS + SPARE_SLOTS
        parameters.kv_unified = True
        parameters.cache_ram_mib = 0
        parameters.slot_prompt_similarity = ALIKE
        parameters.warmup = False
        parameters.n_batch = parameters.n_ubatch = PREFILL_TOKENS
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.n_threads_http = 2
        parameters.offline = True
        parameters.ui = False
        parameters.model.path = str(file)
        parameters.verbosity = verbosity
        parameters.api_keys = [key]
        self.adapters = tuple(adapters)
        parameters.lora_adapters = [_as_adapter(library, path) for path in adapters.values()]
        parameters.lora_init_without_apply = True
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
        """Return the chat as the model's own template writes it, up to the answer; "" for none."""
        if not messages:
            return ""
        chat = [{"role": role, "content": text} for role, text in messages]
        text = self._ask("/apply-template", {"messages": chat}).get("prompt")
        if not isinstance(text, str):
            raise ModelError(
                "the model's chat template cannot render these messages; "
                "drop the system message, or choose another model"
            )
        return text

    def count(self, text: str) -> int:
        """Return how many tokens a rendered prompt has."""
        return len(self.tokens(text, special=True))

    def tokens(self, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of a text; of a prompt, with the ``special`` one before it."""
        reply = self._ask("/tokenize", {"content": text, "add_special": special})
        return list(reply.get("tokens", ()))

    def complete(self, body: Mapping[str, Any], take: Callable[[dict[str, Any]], bool]) -> None:
        """Draw; ``take`` gets each piece of the stream, and returns True to end it."""
        self._native.handle_completions({**body, "stream": True}, take)

    def close(self) -> None:
        """Free the memory."""
        self._http.close()
        del self._native

    def _ask(self, path: str, question: dict[str, Any]) -> dict[str, Any]:
        """Return the reply, or nothing if the library has refused."""
        import httpx2  # heavy

        try:
            reply = self._http.post(path, json=question)
        except httpx2.HTTPError as error:
            raise ModelError(f"llama.cpp does not answer: {error}; ask again") from error
        return dict(reply.json()) if reply.status_code == 200 else {}


def load_library() -> Any:
    """Return the module of llama.cpp, which is heavy and has no types.

    Raises:
        ModelError: It is not installed, or a library of the system that it needs is not.
    """
    try:
        return importlib.import_module("xllamacpp")
    except ModuleNotFoundError as error:
        raise ModelError("llama.cpp is not installed; pip install xllamacpp") from error
    except ImportError as error:
        raise ModelError(
            f"llama.cpp cannot be loaded: {error}; install what is missing "
            "(Debian, Ubuntu: apt install libgomp1)"
        ) from error


def _as_adapter(library: Any, file: Path) -> Any:
    info = library.CommonAdapterLoraInfo()
    info.path, info.scale = str(file.resolve()), 0.0
    return info


def identify(file: Path) -> tuple[Any, ...]:
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


async def try_file(file: Path, threads: int, context: int, adapters: Sequence[Path]) -> None:
    """Load ``file`` in a child process and make it write, without and through each adapter.

    Takes about a second per 100 MB.
    """
    lines: list[str] = []
    arguments = [str(file), str(threads), str(context), *map(str, adapters)]
    status = await run_module("bat_os.engines.llamaserver", arguments, lines.append)
    if status == _KILLED:
        raise ModelMemoryError(_too_big(file))
    if status:
        # The first line has the reason; those after it say what failed in consequence.
        why = next(filter(None, lines), f"it crashed, status {status}")
        if status == _NO_LIBRARY:
            raise ModelError(why)
        reason = "".join(c for c in _LOG_PREFIX.sub("", why) if c.isprintable())[:300]
        what = file.name if len(adapters) != 1 else adapters[0].name
        raise ModelError(f"llama.cpp cannot use {what}: {reason}; add it again from its source")


def _too_big(file: Path) -> str:
    return (
        f"{file.name} does not fit into memory; close other programs, "
        "or choose a smaller model or profile"
    )


def main(argv: list[str] | None = None) -> int:
    """Load ``FILE`` and draw two tokens in each way; return the exit status."""
    file, threads, context, *files = sys.argv[1:] if argv is None else argv
    os.environ["GGML_NO_BACKTRACE"] = "1"
    faults: list[str] = []

    def take(piece: dict[str, Any]) -> bool:
        if "error" in piece:
            faults.append(str(piece["error"]))
        return bool(faults)

    try:
        load_library()
    except ModelError as error:
        sys.stderr.write(f"{error}\n")
        return _NO_LIBRARY
    try:
        adapters = {path: Path(path) for path in files}
        server = LlamaServer(
            Path(file), int(threads), int(context), adapters, verbosity=ERRORS_ONLY
        )
        prompt = server.render([("user", "Hello")])
        for used in ("", *server.adapters):
            lora = [{"id": at, "scale": float(name == used)} for at, name in enumerate(files)]
            server.complete({"prompt": prompt, "max_tokens": 2, "lora": lora}, take)
        server.close()
    except ModelError as error:
        faults.append(str(error))
    sys.stderr.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
