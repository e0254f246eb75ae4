"""Opens a GGUF file in llama.cpp, in this process, without betting the process on it.

    python -m bat_os.engines.llamaserver FILE THREADS CONTEXT     the trial, in a child

llama.cpp refuses most damaged files, but some headers make it abort the whole process
(measured: a block count of 0). So a file that this process has not opened before is first
loaded, and made to write, by a child. Its log stays in llama.cpp: nothing reaches the
terminal. The library brings a loopback listener with it; a random key keeps it ours.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

import bat_os
from bat_os.errors import ModelError, ModelMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SLOTS: Final = 8  # texts that are drawn at the same time
MAGIC: Final = b"GGUF"
# The cache of prompts that left their slot: about 5000 tokens of a 135M model.
CACHE_MIB: Final = 128
# A raised flag is seen between two pieces of a prompt: 0.1 to 0.3 s for 135M on one core.
PREFILL_TOKENS: Final = 128
SILENT, ERRORS_ONLY = -1, 1
_LOG_PREFIX: Final = re.compile(r"^[\d.]+ E +")
_KILLED: Final = -9
_POLL_SECONDS: Final = 0.1


class LlamaServer:
    """A model in memory. Blocks; for one worker thread.

    Args:
        file: A GGUF file that ``try_file`` accepts.
        threads: Threads for arithmetic.
        context: Tokens that all texts drawn at the same time can have together.
        verbosity: Of llama.cpp's log.

    Raises:
        ModelError: It cannot be opened.
    """

    def __init__(self, file: Path, threads: int, context: int, *, verbosity: int = SILENT) -> None:
        import httpx2  # heavy, and only for those who have a GGUF file

        key = secrets.token_hex(16)
        library = _library()
        parameters = _parameters(library.CommonParams(), threads, context)
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

    def render(self, messages: list[dict[str, str]]) -> str:
        """Return the chat as the model's own template writes it, up to the answer.

        Raises:
            ModelError: The template does not take it.
        """
        import httpx2  # heavy

        try:
            reply = self._http.post("/apply-template", json={"messages": messages})
        except httpx2.HTTPError as error:
            raise ModelError(f"llama.cpp does not answer: {error}; ask again") from error
        text = reply.json().get("prompt") if reply.status_code == 200 else None
        if not isinstance(text, str):
            raise ModelError(
                "the model's chat template does not take these messages; "
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


def _library() -> Any:
    try:
        return importlib.import_module("xllamacpp")  # heavy, and it has no types
    except ImportError as error:
        raise ModelError("llama.cpp is not installed; pip install xllamacpp") from error


def _parameters(parameters: Any, threads: int, context: int) -> Any:
    parameters.n_ctx = context
    parameters.n_parallel = SLOTS
    parameters.kv_unified = True
    parameters.cache_ram_mib = CACHE_MIB
    parameters.n_batch = parameters.n_ubatch = PREFILL_TOKENS
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.n_threads_http = 2
    parameters.offline = True
    parameters.ui = False
    return parameters


def grammar_for(schema: Mapping[str, Any] | None) -> str:
    """Return a schema that was checked as the grammar that llama.cpp takes; "" for None."""
    if schema is None:
        return ""
    # A model that may write any white space sometimes writes nothing else.
    style = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    return f"%llguidance {{}}\nstart: %json {json.dumps({**schema, 'x-guidance': style})}"


def check_file(file: Path) -> None:
    """Look at ``file`` without llama.cpp.

    Raises:
        ModelError: It is not there, or no GGUF file.
        ModelMemoryError: It is larger than the memory that is free.
    """
    try:
        with file.open("rb") as stream:
            magic = stream.read(len(MAGIC))
        size = file.stat().st_size
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error}; take the model in again") from error
    if magic != MAGIC:
        raise ModelError(f"{file.name} is no GGUF file; choose another model or engine")
    if size > psutil.virtual_memory().available:
        raise ModelMemoryError(_too_big(file))


def try_file(file: Path, threads: int, context: int, halted: Callable[[], bool]) -> None:
    """Load ``file`` in a child process and make it write; takes about a second per 100 MB.

    Raises:
        ModelError: It failed, crashed or was ``halted()``.
        ModelMemoryError: The system killed it.
    """
    command = [sys.executable, "-m", "bat_os.engines.llamaserver"]
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(  # noqa: S603 - our own module
            [*command, str(file.absolute()), str(threads), str(context)],
            cwd=Path(bat_os.__file__).parent.parent,  # where -m finds this package
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        status = _wait(child, halted)
        log.seek(0)
        lines = log.read().decode(errors="replace").splitlines()
    if status == _KILLED and not halted():
        raise ModelMemoryError(_too_big(file))
    if status:
        # The first line has the reason; those after it say what failed in consequence.
        why = next((line for line in lines if line.strip()), f"it crashed, status {status}")
        told = "".join(c for c in _LOG_PREFIX.sub("", why) if c.isprintable())[:300]
        raise ModelError(f"llama.cpp cannot use {file.name}: {told}; take the model in again")


def _wait(child: subprocess.Popen[bytes], halted: Callable[[], bool]) -> int:
    while True:
        try:
            return child.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if halted():
                child.kill()


def _too_big(file: Path) -> str:
    return (
        f"{file.name} does not fit into memory; close other programs, "
        "or choose a smaller model or profile"
    )


def main(argv: list[str] | None = None) -> int:
    """Load ``FILE`` and draw two tokens; return the exit status."""
    file, threads, context = sys.argv[1:] if argv is None else argv
    faults: list[str] = []

    def take(piece: dict[str, Any]) -> bool:
        if "error" in piece:
            faults.append(str(piece["error"]))
        return bool(faults)

    try:
        server = LlamaServer(Path(file), int(threads), int(context), verbosity=ERRORS_ONLY)
        prompt = server.render([{"role": "user", "content": "Hello"}])
        server.complete({"prompt": prompt, "max_tokens": 2}, take)
        server.close()
    except ModelError as error:
        faults.append(str(error))
    sys.stderr.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
