"""The table of verbs, continued: what the mind learns from, and does, while nobody needs it."""

from __future__ import annotations

from typing import Final

from bat_os.core.fields import Field, Verb
from bat_os.core.system_verbs import MINUTES

GRADES: Final = ("gold", "silver", "none")

# fmt: off
IDLE_VERBS: Final = (
    Verb("golden", "list the learned methods that are worth learning from", (
        Field("grade", "text", "of this grade only (default: gold and silver)", "--grade",
              choices=("", *GRADES)),
        Field("jsonl", "text", "write one JSON object a line; - for standard output", "--jsonl",
              place="client", shown="FILE"),
        Field("after", "text", "the page after this one", most=400),
        Field("limit", "whole", "of one page", default=200, least=1, most=200)),
        reply="golden:list after counts:map digest",
        prints="golden?:list counts:map digest file? records?:count",
        note="Computed when it is asked for (docs/self-improvement.md). `counts`: of each grade; "
             "`digest`: of all gold; `after`: for the next page, or \"\".",
        examples=("", "--grade gold --jsonl gold.jsonl", "--grade none"),
        access="reads", seconds=MINUTES),
)
# fmt: on
