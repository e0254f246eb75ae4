"""Draws texts from a loaded transformers model: one call of the library's ``generate``.

    prompts -> the beginning they share is read once -> its state is copied to every row
            -> generate, with a chooser of tokens in the place of its own

The chooser gives each row its own random numbers and its own end, so no row depends on the
others. A raised flag is seen before each pass through the model.

A JSON Schema is followed by llguidance. The masking is done here with numpy, since its own
in-place masking costs 100 times more per token. Import this after ``base.prepare``.
"""

from __future__ import annotations

import random
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psutil
import torch
from jinja2 import TemplateError  # a part of what transformers needs
from transformers import DynamicCache, LogitsProcessorList, StoppingCriteriaList

from bat_os.engines import base
from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.ports import Completion, Prompt, Sampling

# The narrowest piece of a prompt that is worth a pass through the model.
PIECE_WIDTH: Final = 16
GAP: Final = -1  # in the place of a token: nothing is read there


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory and what drawing needs to know of it."""

    net: Any  # the causal language model, in evaluation mode
    tokenizer: Any  # its fast tokenizer
    ends: frozenset[int]  # tokens that end a text
    context: int  # longest prompt and text together, in tokens
    device: torch.device  # where its inputs go
    piece: int  # tokens read between two looks at the flag

    @cached_property
    def vocabulary(self) -> Any:
        """The tokens, prepared for constraints on first use, which takes about 0.4 s."""
        import llguidance.hf  # heavy, and needed only once something is constrained

        return llguidance.hf.from_tokenizer(
            self.tokenizer, n_vocab=self.net.config.vocab_size, eos_token=sorted(self.ends)
        )

    def constrain(self, schema: Mapping[str, Any]) -> Any:
        """Return an llguidance matcher for one text that is to be an instance of ``schema``."""
        from llguidance import LLMatcher

        style: Any = base.JSON_STYLE
        grammar = LLMatcher.grammar_from_json_schema(dict(schema), overrides=style)
        matcher = LLMatcher(self.vocabulary, grammar, log_level=0)
        if matcher.is_error():
            raise base.schema_error(matcher.get_error())
        return matcher

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
    tell: Callable[[int, str], None] | None = None,
) -> list[Completion]:
    """Return one completion per prompt, in order; unfinished ones once ``halted()``.

    A MemoryError means that the attention state does not fit into the device's memory.
    """
    encoded = [model.encode(prompt) for prompt in prompts]
    longest = max(map(len, encoded))
    if longest >= model.context:
        raise ModelError(
            f"a prompt of {longest} tokens is too long: the model reads {model.context}; "
            "shorten it or choose a model with a longer context"
        )
    rows = [
        Row(model, tokens, sampling, index, partial(tell, index) if tell else None)
        for index, tokens in enumerate(encoded)
    ]

    def look(*_: Any) -> None:
        if halted():
            raise CancelledError

    hook = model.net.register_forward_pre_hook(look)
    try:
        with torch.inference_mode():
            _generate(model, encoded, rows, sampling)
    except CancelledError:
        pass  # what was drawn so far is the answer
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    finally:
        hook.remove()
    for row in rows:
        row.end(finished=False)
    return [row.completion() for row in rows]


def _generate(
    model: LoadedModel, encoded: Sequence[tuple[int, ...]], rows: Sequence[Row], sampling: Sampling
) -> None:
    """Draw until every row has ended or has all the tokens that it may have."""
    width = max(map(len, encoded))
    limit = min(sampling.max_tokens, model.context - width)
    cache = DynamicCache(config=model.net.config)

    def read(texts: list[list[int]], most: int, **more: Any) -> None:
        ids = torch.tensor(texts, device=model.device)
        model.net.generate(
            ids.clamp(min=0),
            attention_mask=(ids != GAP).long(),
            past_key_values=cache,
            prefill_chunk_size=max(PIECE_WIDTH, model.piece // len(texts)),
            max_new_tokens=most,
            do_sample=False,
            **more,
        )

    def choose(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores that leave one token of each row to choose, and add it to the row."""
        if ids.shape[1] == width:
            _check_memory(model, cache, limit / width)
        live = [at for at, row in enumerate(rows) if not row.ended]
        tokens = pick([rows[at] for at in live], scores[live], sampling)
        for at, token in zip(live, tokens, strict=True):
            rows[at].draw(token)
        chosen = torch.full_like(scores, -torch.inf)
        chosen[live, tokens] = 0
        return chosen

    def ended(ids: torch.Tensor, _scores: Any) -> torch.Tensor:
        return torch.tensor([row.ended for row in rows], device=ids.device)

    # All but the last token at most: the scores of what follows it are needed.
    columns = zip(*(tokens[:-1] for tokens in encoded), strict=False)
    shared = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]
    if shared and len(rows) > 1:
        read([shared], 1)
        _check_memory(model, cache, len(rows) * (width + limit) / len(shared))
        cache.batch_repeat_interleave(len(rows))
    # Padded behind what they share, which has the same place in every row of the state.
    read(
        [[*shared, *[GAP] * (width - len(tokens)), *tokens[len(shared) :]] for tokens in encoded],
        limit,
        logits_processor=LogitsProcessorList([choose]),
        stopping_criteria=StoppingCriteriaList([ended]),
    )


def _check_memory(model: LoadedModel, cache: Any, growth: float) -> None:
    """Refuse a state that will grow by this factor beyond what main memory has.

    A GPU refuses by itself; here the system would kill this process instead.
    """
    layers = [layer for layer in cache.layers if getattr(layer, "keys", None) is not None]
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in layers)
    if model.device.type == "cpu" and held * growth > psutil.virtual_memory().available:
        raise MemoryError(f"{held * growth:.0f} bytes of attention state")


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
        # Seeded by text: the same draws on every platform, other ones for every row.
        self.random = random.Random(f"{sampling.seed}:{index}")  # noqa: S311 - sampling, no secret
        self._model = model
        # Some tokenizers drop a leading space: decode behind the prompt's last token.
        self._drawn = list(prompt[-1:])
        self._given = len(model.decode(self._drawn))
        self._matcher: Any = model.constrain(sampling.schema) if sampling.schema else None

    def mask(self, scores: torch.Tensor) -> torch.Tensor:
        """Return a copy of ``scores`` ``(vocabulary,)`` with what the schema forbids at -inf."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(bits, bitorder="little")[: len(scores)].astype(bool)
        return scores.masked_fill(torch.from_numpy(~allowed).to(scores.device), -torch.inf)

    def draw(self, token: int) -> None:
        """Add one token; it may be the last."""
        if token in self._model.ends:
            self.end(finished=True)
            return
        self._drawn.append(token)
        # A character whose last bytes are still to come is left for later.
        text = self._model.decode(self._drawn).rstrip("\ufffd")
        self.add(text[self._given :])
        self._given = max(self._given, len(text))
        if self._matcher is not None:
            if not self._matcher.consume_token(token):
                raise ValueError(f"schema: token {token} is not allowed here")
            if self._matcher.is_stopped():
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
