"""How much a language model is shown and may write, apart from the methods themselves.

A small model loses the thread of a long prompt and does not finish a long answer, so each profile
sets these limits for its own models (``profiles.toml``).
"""

from __future__ import annotations

from typing import Annotated, Final

from bat_os.core.schema import Record, number

MAX_TOKENS: Final = 32_768
_Length = Annotated[int, number(1, MAX_TOKENS)]
_Count = Annotated[int, number(1, 50)]  # a search gives 100 passages at most


class Limits(Record, frozen=True):
    """The limits of one profile; the defaults suit a model of 135 million parameters."""

    plan_tokens: _Length = 160  # new tokens of BRICK's plan
    test_tokens: _Length = 200  # new tokens of the tests that ALFRED writes
    remark_tokens: _Length = 100  # new tokens of ROBIN's remark in a cascade
    fact_tokens: _Length = 120  # new tokens of the facts that BABS finds in a cascade
    answer_tokens: _Length = 96  # new tokens of an answer in a discussion
    sentences: _Count = 3  # sentences that are kept of such an answer
    tests: _Count = 4  # tests that are asked for
    facts: _Count = 1  # facts that are asked for
    remark_chars: _Length = 80  # characters of a remark, and of a fact
    advice_chars: _Length = 80  # characters that a plan may add to the writer's system prompt
    system_chars: _Length = 300  # characters of a persona's system prompt
    lacks: _Count = 6  # features missing from the cell's Python that a writer is warned about
    shots: _Count = 3  # known functions that a writer is shown
    shot_chars: _Length = 600  # characters of a known function that is shown or adapted
    passages: _Count = 4  # passages of documents that are looked up for a mission or a discussion
    passage_chars: _Length = 400  # characters that are shown of a passage in a discussion
    note_chars: _Length = 200  # characters that are shown of a passage in a cascade
