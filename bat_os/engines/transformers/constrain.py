"""Holds generated text to a JSON Schema: which tokens may come next.

The grammar work is llguidance's; masking is done here with numpy, since its own in-place
masking costs 100 times more per token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from bat_os.engines.sampling import bad_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# A model that may write any white space sometimes writes nothing else.
STYLE: Final[Any] = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Vocabulary:
    """The tokens of one model, prepared for constraints; about 0.4 s to make, so keep it.

    Args:
        tokenizer: A fast Hugging Face tokenizer.
        size: Width of the model's logits.
        ends: Tokens that end a text.
    """

    def __init__(self, tokenizer: Any, size: int, ends: Iterable[int]) -> None:
        import llguidance.hf  # heavy, and needed only once something is constrained

        self.size = size
        self.tokens = llguidance.hf.from_tokenizer(tokenizer, n_vocab=size, eos_token=sorted(ends))


class JsonConstraint:
    """One text on its way to be an instance of a schema.

    Raises:
        ArgumentsError: ``schema`` is not a JSON Schema that can be followed.
    """

    def __init__(self, vocabulary: Vocabulary, schema: Mapping[str, Any]) -> None:
        from llguidance import LLMatcher

        grammar = LLMatcher.grammar_from_json_schema(dict(schema), overrides=STYLE)
        self._size = vocabulary.size
        self._matcher = LLMatcher(vocabulary.tokens, grammar, log_level=0)
        if self._matcher.is_error():
            raise bad_schema(self._matcher.get_error())

    @property
    def done(self) -> bool:
        """True when the text is whole and nothing can follow."""
        return bool(self._matcher.is_stopped())

    def mask(self, scores: torch.Tensor) -> torch.Tensor:
        """Return a copy of ``scores`` ``(size,)`` with every forbidden token at -inf."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(bits, bitorder="little")[: self._size].astype(bool)
        return scores.masked_fill(torch.from_numpy(~allowed).to(scores.device), -torch.inf)

    def accept(self, token: int) -> None:
        """Move past ``token``, which ``mask`` had allowed.

        Raises:
            ValueError: The grammar does not allow it here.
        """
        if not self._matcher.consume_token(token):
            raise ValueError(f"schema: token {token} is not allowed here")
