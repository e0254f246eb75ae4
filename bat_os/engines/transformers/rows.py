"""The texts in the making: one row each, with its own seed, constraint and end."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import torch

from bat_os.engines import streams
from bat_os.engines.transformers.constrain import JsonConstraint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bat_os.engines.transformers.decoding import LoadedModel
    from bat_os.ports import Completion, Sampling


class Row:
    """One text in the making.

    Args:
        model: Draws it.
        prompt: The tokens before it.
        sampling: How to draw.
        index: Place in the batch; every row has its own random numbers.
        tell: Called with each piece of the text that is certain to stay.

    Attributes:
        tokens: Drawn so far, without the one that ended it.
        random: Its random numbers.
    """

    def __init__(
        self,
        model: LoadedModel,
        prompt: tuple[int, ...],
        sampling: Sampling,
        index: int,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.tokens: list[int] = []
        # Seeded by text: the same draws on every platform, other ones for every row.
        self.random = random.Random(f"{sampling.seed}:{index}")  # noqa: S311 - sampling, no secret
        self._model = model
        self._read = len(prompt)
        self._text = streams.Row(sampling.stop, tell)
        self._given = 0
        # Some tokenizers drop a leading space: decode behind the prompt's last token.
        self._before = prompt[-1:]
        self._skip = len(model.decode(self._before))
        self._constraint = (
            JsonConstraint(model.vocabulary, sampling.schema) if sampling.schema else None
        )

    @property
    def finished(self) -> bool:
        """Nothing more is to be drawn."""
        return self._text.ended

    def mask(self, scores: torch.Tensor) -> torch.Tensor:
        """Return ``scores`` ``(vocabulary,)`` with what may not follow at -inf."""
        return scores if self._constraint is None else self._constraint.mask(scores)

    def add(self, token: int) -> None:
        """Add one token; it may be the last."""
        if token in self._model.ends:
            self._text.end(finished=True)
            return
        self.tokens.append(token)
        text = self._model.decode([*self._before, *self.tokens])[self._skip :]
        text = text.rstrip("\ufffd")  # a character whose last bytes are still to come
        self._text.add(text[self._given :])
        self._given = max(self._given, len(text))
        if self._constraint is not None:
            self._constraint.accept(token)
            if self._constraint.done:
                self._text.end(finished=True)

    def end(self, reused: int) -> Completion:
        """Tell what was held back and return the whole, of which ``reused`` was not read."""
        self._text.end(finished=False)
        self._text.read, self._text.reused = self._read, reused
        return self._text.completion()


def pick(rows: Sequence[Row], scores: torch.Tensor, sampling: Sampling) -> list[int]:
    """Return the next token of each row, chosen by ``scores`` ``(rows, vocabulary)``.

    The best one at temperature 0, else one drawn from the ``top_k`` and ``top_p`` best. All rows
    at once, and off the device in one piece.
    """
    if sampling.schema:
        scores = torch.stack([row.mask(one) for row, one in zip(rows, scores, strict=True)])
    if sampling.temperature <= 0:
        best: list[int] = scores.argmax(dim=1).tolist()
        return best
    size = scores.shape[1]
    count = min(sampling.top_k, size) if sampling.top_k > 0 else size
    top, tokens = (part.cpu() for part in torch.topk(scores / sampling.temperature, count))
    shares = torch.softmax(top, dim=1)
    inside = (shares.cumsum(dim=1) - shares) < sampling.top_p
    inside[:, 0] = True
    shares = (shares * inside).double()
    edges = shares.cumsum(dim=1)
    dice = torch.tensor([[row.random.random()] for row in rows], dtype=torch.double)
    at = torch.searchsorted(edges, dice * edges[:, -1:], right=True)
    last = (shares > 0).sum(dim=1, keepdim=True) - 1
    chosen: list[int] = tokens.gather(1, at.minimum(last).clamp(min=0))[:, 0].tolist()
    return chosen
