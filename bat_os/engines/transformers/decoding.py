"""Draws texts from a loaded transformers model: one batch, token by token.

An own loop in place of ``model.generate``, for what a mission asks of it: equal prompts are
read once and their state is copied, what an earlier call has read is not read again, a
finished row leaves the batch at once, each row has its own seed and its own end, and a raised
flag is seen between any two steps.

    unique prompts -> prefill, in pieces -> copy to rows -> [pick, drop finished, step] ...

Import it after ``offline.prepare``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import psutil
import torch
from jinja2 import TemplateError  # a part of what transformers needs

from bat_os.engines.transformers.attention import Batch, PrefixCache
from bat_os.engines.transformers.constrain import Vocabulary
from bat_os.engines.transformers.rows import Row, pick
from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bat_os.ports import Completion, Prompt, Sampling


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory and what drawing needs to know of it.

    Attributes:
        net: The causal language model, in evaluation mode.
        tokenizer: Its fast tokenizer.
        ends: Tokens that end a text.
        context: Longest prompt and text together, in tokens.
        device: Where its inputs go.
        piece: Tokens read between two looks at the flag.
        prefixes: The prompts read last.
    """

    net: Any
    tokenizer: Any
    ends: frozenset[int]
    context: int
    device: torch.device
    piece: int
    prefixes: PrefixCache = field(default_factory=PrefixCache)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens, prepared for constraints on first use."""
        return Vocabulary(self.tokenizer, self.net.config.vocab_size, self.ends)

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the tokens of the chat up to and with the start of the answer.

        Raises:
            ModelError: The model's chat template refuses the messages.
        """
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

    Args:
        model: Has ``adapter`` switched on.
        prompts: At least one.
        sampling: How to draw.
        halted: Looked at between any two steps.
        adapter: What was read with one adapter is of no use to another.
        tell: Called with (index of the prompt, new text) while it is drawn.

    Raises:
        ModelError: A prompt is longer than the model's context.
        MemoryError: The attention state does not fit into the device's memory.
        ArgumentsError: ``sampling.schema`` cannot be followed.
    """
    encoded = [model.encode(prompt) for prompt in prompts]
    unique = list(dict.fromkeys(encoded))
    limit = min(sampling.max_tokens, _room(model, max(map(len, unique))))
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
                _check_memory(model, batch.bytes_for(len(rows), limit))
                batch.keep(chosen)
                _go_on(batch, rows, scores[chosen], sampling, limit=limit, halted=halted)
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    return [row.end(batch.reused[at]) for row, at in zip(rows, chosen, strict=True)]


def _room(model: LoadedModel, longest: int) -> int:
    """Return how many tokens fit behind the longest prompt."""
    if longest >= model.context:
        raise ModelError(
            f"a prompt of {longest} tokens is too long: the model reads {model.context}; "
            "shorten it or choose a model with a longer context"
        )
    return model.context - longest


def _check_memory(model: LoadedModel, wanted: int) -> None:
    # A device says no by itself; for a process, the system's way of saying no is to kill it.
    if model.device.type == "cpu" and wanted > psutil.virtual_memory().available:
        raise MemoryError(f"{wanted} bytes of attention state")


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
            row.add(token)
        keep = [index for index, row in enumerate(live) if not row.finished]
        if not keep or drawn == limit or halted():
            return
        if len(keep) < len(live):
            batch.keep(keep)
            live = [live[index] for index in keep]
        scores = batch.step([row.tokens[-1] for row in live])
