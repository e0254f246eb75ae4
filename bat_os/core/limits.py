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
    """The limits of one profile; the defaults suit a model of 135 million parameters.

    Attributes:
        plan_tokens: New tokens of BRICK's plan.
        test_tokens: New tokens of the tests that ALFRED writes.
        remark_tokens: New tokens of ROBIN's remark in a cascade.
        fact_tokens: New tokens of the facts that BABS finds in a cascade.
        answer_tokens: New tokens of an answer in a discussion.
        sentences: Sentences that are kept of such an answer.
        tests: Tests that are asked for.
        facts: Facts that are asked for.
        remark_chars: Characters of a remark, and of a fact.
        advice_chars: Characters that a plan may add to the writer's system prompt.
        system_chars: Characters of a persona's system prompt.
        lacks: Things that the cell's Python lacks, of which a writer is warned.
        shots: Known functions that a writer is shown.
        shot_chars: Characters of a known function that is shown or adapted.
        passages: Passages of documents that are looked up for a mission or a discussion.
        passage_chars: Characters that are shown of a passage in a discussion.
        note_chars: Characters that are shown of a passage in a cascade.
    """

    plan_tokens: _Length = 160
    test_tokens: _Length = 200
    remark_tokens: _Length = 100
    fact_tokens: _Length = 120
    answer_tokens: _Length = 96
    sentences: _Count = 3
    tests: _Count = 4
    facts: _Count = 1
    remark_chars: _Length = 80
    advice_chars: _Length = 80
    system_chars: _Length = 300
    lacks: _Count = 6
    shots: _Count = 3
    shot_chars: _Length = 600
    passages: _Count = 4
    passage_chars: _Length = 400
    note_chars: _Length = 200
