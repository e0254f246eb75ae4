"""Draws texts from a loaded transformers model: one batch, token by token.

A loop of its own in place of ``model.generate``, for what a mission needs: equal prompts are
read once and their state is copied, what an earlier call has read is not read again, a
finished row leaves the batch at once, each row has its own seed and its own end, and a raised
flag is seen between any two steps.

    unique prompts -> prefill, in pieces -> copy to rows -> [pick, drop finished, step] ...

A JSON Schema is followed by llguidance. The masking is done here with numpy, since its own
in-place masking costs 100 times more per token. Import this after ``base.prepare``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch
from jinja2 import TemplateError  # a part of what transformers needs

from bat_os.engines import base
from bat_os.engines.transformers.attention import Batch, PrefixCache
from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.ports import Completion, Prompt, Sampling


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory and what drawing needs to know of it."""

    net: Any  # the causal language model, in evaluation mode
    tokenizer: Any  # its fast tokenizer
    ends: frozenset[int]  # tokens that end a text
    context: int  # longest prompt and text together, in tokens
    device: torch.device  # where its inputs go
    piece: int  # tokens read between two looks at the flag
    prefixes: PrefixCache = field(default_factory=PrefixCache)

    @cached_property
    def vocabulary(self) -> Any:
        """The tokens, prepared for constraints on first use, which takes about 0.4 s."""
        import llguidance.hf  # heavy, and needed only once something is constrained

        return llguidance.hf.from_tokenizer(
            self.tokenizer, n_vocab=self.net.config.vocab_size, eos_token=sorted(self.ends)
        )

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the tokens of the chat up to and with the start of the answer."""
        if self.tokenizer.chat_template:
            text = self._apply_template(prompt.messages)
        else:
            text = "\n\n".join(text for _, text in prompt.messages) + "\n\n"
        return tuple(self.tokenizer(text + prompt.prefill, add_special_tokens=False)["input_ids"])

    def _apply_template(self, messages: Sequence[tuple[str, str]]) -> str:
        refused: Exception | None = None
        for chat in (messages, merge_system(messages)):  # some know no system messages
            try:
                text: str = self.tokenizer.apply_chat_template(
                    [{"role": role, "content": text} for role, text in chat],
                    tokenize=False,
                    add_generation_prompt=True,
                )
            except (TemplateError, ValueError, TypeError, KeyError) as error:
                refused = error
            else:
                return text
        raise ModelError(
            f"the model's chat template refuses the messages: {refused}; choose another model"
        ) from refused

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ``tokens``."""
        text: str = self.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def merge_system(messages: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    r"""Return ``messages`` without a system message: its text opens the first of the user.

    >>> merge_system([("system", "Be brief."), ("user", "Hello")])
    [('user', 'Be brief.\n\nHello')]
    """
    said = [text for role, text in messages if role == "system"]
    rest = [message for message in messages if message[0] != "system"]
    if said and rest:
        rest[0] = (rest[0][0], "\n\n".join([*said, rest[0][1]]))
    return rest


def draw(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    halted: Callable[[], bool],
    *,
    adapter: str = "",
    tell: Callable[[int, str], None] | None = None,
) -> list[Completion]:
    """Return one completion per prompt, in order; unfinished ones once ``halted()``.

    ``model`` has ``adapter`` switched on: what was read with one is of no use to another. A
    MemoryError means that the attention state does not fit into the device's memory.
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
    rows = [
        Row(model, tokens, sampling, index, partial(tell, index) if tell else None)
        for index, tokens in enumerate(encoded)
    ]
    chosen = [unique.index(tokens) for tokens in encoded]
    try:
        with torch.inference_mode():
            batch = Batch(model.net, model.device, unique, model.prefixes, adapter)
            scores = batch.prefill(halted, model.piece)
            if scores is not None:
                wanted = batch.bytes_for(len(rows), limit)
                # A device refuses by itself; the system would kill this process instead.
                if model.device.type == "cpu" and wanted > psutil.virtual_memory().available:
                    raise MemoryError(f"{wanted} bytes of attention state")
                batch.keep(chosen)
                _go_on(batch, rows, scores[chosen], sampling, limit=limit, halted=halted)
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    for row, at in zip(rows, chosen, strict=True):
        row.reused = batch.reused[at]
        row.end(finished=False)
    return [row.completion() for row in rows]


def _go_on(
    batch: Batch,
    rows: list[Row],
    scores: torch.Tensor,
    sampling: Sampling,
    *,
    limit: int,
    halted: Callable[[], bool],
) -> None:
    """Draw until every row is finished, has ``limit`` tokens, or ``halted()``."""
    live = rows
    for drawn in range(1, limit + 1):
        for row, token in zip(live, pick(live, scores, sampling), strict=True):
            row.draw(token)
        keep = [index for index, row in enumerate(live) if not row.ended]
        if not keep or drawn == limit or halted():
            return
        if len(keep) < len(live):
            batch.keep(keep)
            live = [live[index] for index in keep]
        scores = batch.step([row.drawn[-1] for row in live])


class Row(base.Row):
    """One text in the making, out of tokens behind those of ``prompt``.

    ``index`` is its place in the batch: every row has its own random numbers.
    """

    def __init__(
        self,
        model: LoadedModel,
        prompt: tuple[int, ...],
        sampling: Sampling,
        index: int,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(sampling.stop, tell)
        self.read = len(prompt)
        self.drawn: list[int] = []  # without the token that ended it
        # Seeded by text: the same draws on every platform, other ones for every row.
        self.random = random.Random(f"{sampling.seed}:{index}")  # noqa: S311 - sampling, no secret
        self._model = model
        self._given = 0
        # Some tokenizers drop a leading space: decode behind the prompt's last token.
        self._before = prompt[-1:]
        self._skip = len(model.decode(self._before))
        self._constraint = (
            JsonConstraint(model.vocabulary, sampling.schema) if sampling.schema else None
        )

    def mask(self, scores: torch.Tensor) -> torch.Tensor:
        """Return ``scores`` ``(vocabulary,)`` with what may not follow at -inf."""
        return scores if self._constraint is None else self._constraint.mask(scores)

    def draw(self, token: int) -> None:
        """Add one token; it may be the last."""
        if token in self._model.ends:
            self.end(finished=True)
            return
        self.drawn.append(token)
        text = self._model.decode([*self._before, *self.drawn])[self._skip :]
        text = text.rstrip("\ufffd")  # a character whose last bytes are still to come
        self.add(text[self._given :])
        self._given = max(self._given, len(text))
        if self._constraint is not None:
            self._constraint.accept(token)
            if self._constraint.done:
                self.end(finished=True)


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


class JsonConstraint:
    """One text on its way to be an instance of a schema."""

    def __init__(self, vocabulary: Any, schema: Mapping[str, Any]) -> None:
        from llguidance import LLMatcher

        style: Any = base.JSON_STYLE
        grammar = LLMatcher.grammar_from_json_schema(dict(schema), overrides=style)
        self._matcher = LLMatcher(vocabulary, grammar, log_level=0)
        if self._matcher.is_error():
            raise base.schema_error(self._matcher.get_error())

    @property
    def done(self) -> bool:
        """True when the text is whole and nothing can follow."""
        return bool(self._matcher.is_stopped())

    def mask(self, scores: torch.Tensor) -> torch.Tensor:
        """Return a copy of ``scores`` ``(vocabulary,)`` with every forbidden token at -inf."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(bits, bitorder="little")[: len(scores)].astype(bool)
        return scores.masked_fill(torch.from_numpy(~allowed).to(scores.device), -torch.inf)

    def accept(self, token: int) -> None:
        """Move past ``token``, which ``mask`` had allowed."""
        if not self._matcher.consume_token(token):
            raise ValueError(f"schema: token {token} is not allowed here")
