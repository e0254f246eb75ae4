"""What a model has read: the attention state of prompts, in a batch and kept for later.

The calls of one mission begin with the same system prompt and examples. The state of the
last prompts is therefore kept, and a new prompt is read from where it differs on:

    kept      s s s e e q q          (one row, no padding)
    batch     _ s s s e e | r r r    the part that was kept | the rest, padded on the left
              s s s e e x | _ _ r
              ............|......    masked columns count neither as tokens nor as positions
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_PROMPTS: Final = 6
MOST_BYTES: Final = 128 << 20
# The narrowest piece of a prompt that is worth a pass through the model.
PIECE_WIDTH: Final = 16


@dataclass(frozen=True, slots=True)
class PromptState:
    """What the model made of one prompt of n tokens."""

    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]  # keys, values: ``(heads, n, width)``
    scores: torch.Tensor  # of the token that follows, ``(vocabulary,)``

    @property
    def size(self) -> int:
        """Bytes."""
        return self.scores.nbytes + sum(keys.nbytes + values.nbytes for keys, values in self.layers)


class PrefixCache:
    """The states of the prompts read last, per adapter; the least recently used goes first.

    A state of more than ``most_bytes`` is not kept.
    """

    def __init__(self, most_prompts: int = MOST_PROMPTS, most_bytes: int = MOST_BYTES) -> None:
        self._most_prompts = most_prompts
        self._most_bytes = most_bytes
        self._states: OrderedDict[tuple[str, tuple[int, ...]], PromptState] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._states)

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._bytes

    def find(self, adapter: str, tokens: tuple[int, ...]) -> tuple[int, PromptState | None]:
        """Return how many of the first ``tokens`` are known, and the state that knows them.

        All of them only when just this prompt was read: otherwise the last token is read
        again, for the scores of what follows.
        """
        exact = (adapter, tokens)
        if exact in self._states:
            self._states.move_to_end(exact)
            return len(tokens), self._states[exact]
        best, known = None, 0
        for key in self._states:
            shared = min(_shared(key[1], tokens), len(tokens) - 1) if key[0] == adapter else 0
            if shared > known:
                best, known = key, shared
        if best is None:
            return 0, None
        self._states.move_to_end(best)
        return known, self._states[best]

    def keep(self, adapter: str, tokens: tuple[int, ...], state: PromptState) -> None:
        """Keep ``state``; what it makes superfluous, and the oldest beyond the limits, goes."""
        for key in [key for key in self._states if key[0] == adapter]:
            if tokens[: len(key[1])] == key[1]:
                self._drop(key)
        if state.size > self._most_bytes:
            return
        self._states[adapter, tokens] = state
        self._bytes += state.size
        while len(self._states) > self._most_prompts or self._bytes > self._most_bytes:
            self._drop(next(iter(self._states)))

    def forget(self, adapter: str) -> None:
        """Drop what was read with ``adapter``."""
        for key in [key for key in self._states if key[0] == adapter]:
            self._drop(key)

    def clear(self) -> None:
        """Drop everything."""
        self._states.clear()
        self._bytes = 0

    def _drop(self, key: tuple[str, tuple[int, ...]]) -> None:
        self._bytes -= self._states.pop(key).size


def _shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


class Batch:
    """The attention state of some rows, one prompt each to begin with.

    Args:
        net: The causal language model.
        device: Where its inputs go.
        prompts: At least one; different from each other.
        prefixes: Where to look for what was read before.
        adapter: The adapter that ``net`` uses.
    """

    def __init__(
        self,
        net: Any,
        device: torch.device,
        prompts: Sequence[tuple[int, ...]],
        prefixes: PrefixCache,
        adapter: str = "",
    ) -> None:
        self._net = net
        self._device = device
        self._prompts = prompts
        self._prefixes = prefixes
        self._adapter = adapter
        hits = [prefixes.find(adapter, tokens) for tokens in prompts]
        self.reused = [known for known, _ in hits]  # tokens of each prompt
        self._states = [state for _, state in hits]
        self._cache = self._begin()
        rests = [tokens[known:] for tokens, known in zip(prompts, self.reused, strict=True)]
        self._ids = self._tensor(_pad_left(rests))
        known = [tokens[:count] for tokens, count in zip(prompts, self.reused, strict=True)]
        masks = [_pad_left([[1] * len(row) for row in part]) for part in (known, rests)]
        self._mask = torch.cat([self._tensor(mask) for mask in masks], dim=1)

    def prefill(self, halted: Callable[[], bool], piece: int) -> torch.Tensor | None:
        """Read the prompts; return the scores of what follows, or None once ``halted()``.

        ``piece`` tokens, over all rows, are read at once; ``halted`` is looked at before each.
        """
        rows, width = self._ids.shape
        piece = max(PIECE_WIDTH, piece // rows)
        known = self._mask.shape[1] - width
        scores = None
        for start in range(0, width, piece):
            if halted():
                return None
            scores = self._forward(self._ids[:, start : start + piece], known + start + piece)
        return self._keep_states(scores)

    def keep(self, rows: Sequence[int]) -> None:
        """Become the batch of these rows, in this order; a row may come more than once."""
        index = self._tensor(rows)
        self._cache.batch_select_indices(index)
        self._mask = self._mask[index]

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Add one token to each row; return the scores of the next, ``(rows, vocabulary)``."""
        ones = self._mask.new_ones((len(tokens), 1))
        self._mask = torch.cat([self._mask, ones], dim=1)
        return self._forward(self._tensor(tokens)[:, None], self._mask.shape[1])

    def bytes_for(self, rows: int, more: int) -> int:
        """Return what ``rows`` rows, ``more`` tokens longer than now, will hold in bytes."""
        now: int = sum(
            layer.keys.nbytes + layer.values.nbytes
            for layer in self._cache.layers
            if getattr(layer, "keys", None) is not None
        )
        have, width = self._mask.shape
        return now * rows * (width + more) // (have * width)

    def _forward(self, ids: torch.Tensor, end: int) -> torch.Tensor:
        mask = self._mask[:, :end]
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        answer = self._net(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        scores: torch.Tensor = answer.logits[:, -1].float()
        return scores

    def _begin(self) -> Any:
        """Return a cache that holds the known part of each prompt, padded on the left."""
        from transformers import DynamicCache  # after base.prepare; heavy

        cache = DynamicCache(config=self._net.config)
        rows = list(zip(self.reused, self._states, strict=True))
        width = max(self.reused)
        sample = next((state for state in self._states if state is not None), None)
        if sample is None:
            return cache
        for at, pair in enumerate(sample.layers):
            filled = []
            for side, like in enumerate(pair):
                heads, _, size = like.shape
                part = like.new_zeros((len(rows), heads, width, size))
                for row, (known, state) in enumerate(rows):
                    if state is not None:
                        part[row, :, width - known :] = state.layers[at][side][:, :known]
                filled.append(part)
            cache.update(filled[0], filled[1], at)
        return cache

    def _keep_states(self, scores: torch.Tensor | None) -> torch.Tensor:
        """Remember what was read; return ``scores``, completed from what was known already."""
        rows = []
        plain = _is_plain(self._cache)
        for row, tokens in enumerate(self._prompts):
            state = self._states[row]
            if state is not None and self.reused[row] == len(tokens):
                rows.append(state.scores)
                continue
            assert scores is not None, "there was something to read"  # noqa: S101 - for the type checker
            rows.append(scores[row])
            if plain and row >= len(self._prompts) - MOST_PROMPTS:
                layers = tuple(self._one_row(layer, row) for layer in self._cache.layers)
                self._prefixes.keep(self._adapter, tokens, PromptState(layers, scores[row].clone()))
        return torch.stack(rows)

    def _one_row(self, layer: Any, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        columns = self._mask[row].nonzero()[:, 0].to(layer.keys.device)
        return layer.keys[row][:, columns], layer.values[row][:, columns]

    def _tensor(self, rows: Any) -> torch.Tensor:
        return torch.tensor(rows, device=self._device, dtype=torch.long)


def _pad_left(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    width = max(map(len, rows))
    return [[0] * (width - len(row)) + list(row) for row in rows]


def _is_plain(cache: Any) -> bool:
    """Return True when every layer keeps all it was given, so that a part can be cut out."""
    from transformers.cache_utils import DynamicLayer  # after base.prepare; heavy

    return all(type(layer) is DynamicLayer and layer.is_initialized for layer in cache.layers)
