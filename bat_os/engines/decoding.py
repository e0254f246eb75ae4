"""Draws texts from a loaded transformers model: one batch, token by token.

An own loop in place of ``model.generate``, for what a mission asks of it: equal prompts are
read once and their state is copied, a finished row leaves the batch at once, each row has
its own seed and its own end, and a raised flag is seen between any two steps. Eight samples
of one prompt come out 1.2 to 1.5 times faster (benchmarks/engines.py).

    unique prompts -> prefill, in pieces -> copy to rows -> [pick, drop finished, step] ...

Import it after ``offline.prepare``.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import torch

from bat_os.engines.constrain import JsonConstraint, Vocabulary
from bat_os.errors import ModelError
from bat_os.ports import Completion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bat_os.ports import Prompt, Sampling

# Tokens read between two looks at the flag: about 0.3 s for 135M parameters on one core.
PREFILL_TOKENS: Final = 128
PREFILL_WIDTH: Final = 16


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory and what drawing needs to know of it.

    Attributes:
        net: The causal language model, in evaluation mode.
        tokenizer: Its fast tokenizer.
        ends: Tokens that end a text.
        context: Longest prompt and text together, in tokens.
    """

    net: Any
    tokenizer: Any
    ends: frozenset[int]
    context: int

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens, prepared for constraints on first use."""
        return Vocabulary(self.tokenizer, self.net.config.vocab_size, self.ends)

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the tokens of the chat up to and with the start of the answer."""
        messages = [{"role": role, "content": text} for role, text in prompt.messages]
        if self.tokenizer.chat_template:
            text = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
        else:
            text = "\n\n".join(text for _, text in prompt.messages) + "\n\n"
        return tuple(self.tokenizer(text + prompt.prefill, add_special_tokens=False)["input_ids"])

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ``tokens``."""
        text: str = self.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def draw(
    model: LoadedModel, prompts: Sequence[Prompt], sampling: Sampling, halted: Callable[[], bool]
) -> list[Completion]:
    """Return one completion per prompt, in order; unfinished ones once ``halted()``.

    Raises:
        ModelError: A prompt is longer than the model's context.
        MemoryError: The attention state does not fit into the device's memory.
        ValueError: ``sampling.schema`` cannot be followed.
    """
    encoded = [model.encode(prompt) for prompt in prompts]
    unique = list(dict.fromkeys(encoded))
    longest = max(map(len, unique))
    if longest >= model.context:
        raise ModelError(
            f"a prompt of {longest} tokens is too long: the model reads {model.context}; "
            "shorten it or choose a model with a longer context"
        )
    limit = min(sampling.max_tokens, model.context - longest)
    rows = [_Row(model, tokens, sampling, index) for index, tokens in enumerate(encoded)]
    chosen = [unique.index(tokens) for tokens in encoded]
    try:
        with torch.inference_mode():
            batch = _Batch(model, unique)
            scores = batch.prefill(halted)
            if scores is not None:
                batch.keep(chosen)
                _go_on(batch, rows, scores[chosen], limit=limit, halted=halted)
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    return [Completion(row.text, len(row.tokens), row.finished) for row in rows]


def _go_on(
    batch: _Batch,
    rows: list[_Row],
    scores: torch.Tensor,
    *,
    limit: int,
    halted: Callable[[], bool],
) -> None:
    """Draw until every row is finished, has ``limit`` tokens, or ``halted()``."""
    live = rows
    for drawn in range(1, limit + 1):
        for row, row_scores in zip(live, scores, strict=True):
            row.draw_one(row_scores)
        keep = [index for index, row in enumerate(live) if not row.finished]
        if not keep or drawn == limit or halted():
            return
        if len(keep) < len(live):
            batch.keep(keep)
            live = [live[index] for index in keep]
        scores = batch.step([row.tokens[-1] for row in live])


class _Row:
    """One text in the making."""

    def __init__(
        self, model: LoadedModel, prompt: tuple[int, ...], sampling: Sampling, index: int
    ) -> None:
        self.tokens: list[int] = []
        self.text = ""
        self.finished = False
        self._model = model
        self._sampling = sampling
        # Some tokenizers drop a leading space: decode behind the prompt's last token.
        self._before = prompt[-1:]
        self._skip = len(model.decode(self._before))
        self._stop = re.compile(sampling.stop) if sampling.stop else None
        # Seeded by text: the same draws on every platform, other ones for every row.
        self._random = random.Random(f"{sampling.seed}:{index}")  # noqa: S311 - sampling, no secret
        self._constraint = (
            JsonConstraint(model.vocabulary, sampling.schema) if sampling.schema else None
        )

    def draw_one(self, scores: torch.Tensor) -> None:
        """Add one token, chosen by ``scores``; sets ``finished`` at the end."""
        if self._constraint is not None:
            scores = self._constraint.mask(scores)
        token = _pick(scores, self._sampling, self._random)
        if token in self._model.ends:
            self.finished = True
            return
        self.tokens.append(token)
        text = self._model.decode([*self._before, *self.tokens])[self._skip :]
        self.text = text.rstrip("\ufffd")  # a character whose last bytes are still to come
        if self._constraint is not None:
            self._constraint.accept(token)
            self.finished = self._constraint.done
        match = self._stop.search(self.text) if self._stop else None
        if match:
            self.text = self.text[: match.start()]
            self.finished = True


class _Batch:
    """The attention state of all live rows, padded on the left to one width."""

    def __init__(self, model: LoadedModel, prompts: Sequence[tuple[int, ...]]) -> None:
        from transformers import DynamicCache  # after offline.prepare; heavy

        width = max(map(len, prompts))
        ids = [[0] * (width - len(tokens)) + list(tokens) for tokens in prompts]
        mask = [[0] * (width - len(tokens)) + [1] * len(tokens) for tokens in prompts]
        self._net = model.net
        self._cache = DynamicCache(config=model.net.config)
        self._ids = torch.tensor(ids, device=model.net.device)
        self._mask = torch.tensor(mask, device=model.net.device)

    def prefill(self, halted: Callable[[], bool]) -> torch.Tensor | None:
        """Read the prompts; return the scores of what follows, or None once ``halted()``."""
        rows, width = self._ids.shape
        piece = max(PREFILL_WIDTH, PREFILL_TOKENS // rows)
        scores = None
        for start in range(0, width, piece):
            if halted():
                return None
            scores = self._forward(self._ids[:, start : start + piece], start + piece)
        return scores

    def keep(self, rows: Sequence[int]) -> None:
        """Become the batch of these rows, in this order; a row may come more than once."""
        index = torch.tensor(rows, device=self._mask.device)
        self._cache.batch_select_indices(index)
        self._mask = self._mask[index]

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Add one token to each row; return the scores of the next, ``(rows, vocabulary)``."""
        ones = self._mask.new_ones((len(tokens), 1))
        self._mask = torch.cat([self._mask, ones], dim=1)
        ids = torch.tensor(tokens, device=self._mask.device)[:, None]
        return self._forward(ids, self._mask.shape[1])

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


def _pick(scores: torch.Tensor, sampling: Sampling, dice: random.Random) -> int:
    """Return a token: the best at temperature 0, else drawn from the ``top_k``, ``top_p`` best."""
    if sampling.temperature <= 0:
        return int(scores.argmax())
    count = min(sampling.top_k, len(scores)) if sampling.top_k > 0 else len(scores)
    best, tokens = torch.topk(scores / sampling.temperature, count)
    shares = torch.softmax(best, dim=0)
    inside = (shares.cumsum(dim=0) - shares) < sampling.top_p
    inside[0] = True
    edges = (shares * inside).cumsum(dim=0)
    possible = int((shares * inside > 0).sum())
    at = int(torch.searchsorted(edges, dice.random() * float(edges[-1]), right=True))
    return int(tokens[min(at, possible - 1)])
