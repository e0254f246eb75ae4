"""How much a language model is shown and may write, apart from the methods themselves.

A small model loses the thread of a long prompt and does not finish a long answer, so each profile
sets these limits for its own models (``profiles.toml``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
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

    plan_tokens: int = 160
    test_tokens: int = 200
    remark_tokens: int = 100
    fact_tokens: int = 120
    answer_tokens: int = 96
    sentences: int = 3
    tests: int = 4
    facts: int = 1
    remark_chars: int = 80
    advice_chars: int = 80
    system_chars: int = 300
    lacks: int = 6
    shots: int = 3
    shot_chars: int = 600
    passages: int = 4
    passage_chars: int = 400
    note_chars: int = 200
