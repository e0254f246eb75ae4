"""What each step asks a model, and how its answer is read. Pure text work.

Measured with a 135M model: a forced ``def`` line with a docstring, ended at the first dedent, is
worth more than any instruction, so the answer begins inside the function and only its body is the
model's own. Such a model fills in a form well and writes free text badly (none of six free plans
could be read, five of six constrained ones), so a plan is a JSON object with few values per field.
"""

from __future__ import annotations

import json
import re
import string
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from bat_os.core.brief import goal, signature
from bat_os.core.schema import Meta, Record, object_schema, parse_json
from bat_os.errors import ModelOutputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.core.personas import Limits

# How a state asks, unless a person has changed it (``bat_os.kernel.entries``).
ASK_PLAN: Final = "Task: {task}\nName one to three short search queries for it, as JSON."
ORDER: Final = "Write a short Python method. {wish} Return the result."
ASK_FORM: Final = "Answer with one block of Python between ``` fences, with `{signature}` in it."
# The body ends where a line starts at the margin, or where the code fence closes.
STOP: Final = r"\n(?=[^\s)\]}])|\n?```"
# The same in ASCII as plain strings, for a library that takes no expressions: a text ends at the
# first of them exactly where STOP first matches.
STOP_STRINGS: Final = ("```", *(f"\n{c}" for c in string.printable if re.match(STOP, f"\n{c}")))
# Where nothing is forced, the answer ends behind the block that was asked for.
FENCE_STOP: Final = r"\n```[ \t]*\n"
_BLOCK: Final = re.compile(
    r"^```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:^```|\Z)", re.DOTALL | re.MULTILINE
)
_SHOTS: Final = (
    (
        "Join the words with a dash.",
        'def join_words(self, words):\n    """Join the words with a dash."""\n'
        '    return "-".join(words)',
    ),
    (
        "Count the even numbers.",
        'def count_even(self, numbers):\n    """Count the even numbers."""\n'
        "    return sum(1 for n in numbers if n % 2 == 0)",
    ),
)
_PLANS: Final[tuple[tuple[str, list[str], dict[str, Any]], ...]] = (
    (
        "Sort the words by length.",
        ["sort a list with a key function", "length of a text"],
        {"temperature": 0.4, "candidates": 8, "system": "Use sorted with a key."},
    ),
    (
        "Tell how old a person is.",
        ["difference between two dates", "today's date in Python"],
        {"temperature": 0.7, "candidates": 12, "system": "Mind the month and the day."},
    ),
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a model."""

    # (role, text) pairs; role is ``system``, ``user`` or ``assistant``; () for a text to go on with
    messages: tuple[tuple[str, str], ...]
    # how the answer begins; the model goes on from there, and the completion's text does not repeat
    # it
    prefill: str = ""


def ask_plan(brief: Brief, system: str, *, whole: bool, question: str = ASK_PLAN) -> Prompt:
    """Return BRICK's question: what should be looked up, and, ``whole``, how to go about it?

    The answer is read by ``bat_os.core.prompts.read_plan``.
    """
    messages = [("system", system)]
    for task, queries, how in _PLANS:
        plan = {"queries": queries} | (how if whole else {})
        messages += [("user", question.replace("{task}", task)), ("assistant", json.dumps(plan))]
    task = f"{goal(brief)} As `{signature(brief)}`"
    messages.append(("user", question.replace("{task}", task)))
    return Prompt(tuple(messages))


def ask_method(
    brief: Brief,
    system: str,
    shots: Sequence[tuple[str, str]] | None,
    *,
    forced: bool = True,
    order: str = ORDER,
    form: str = ASK_FORM,
) -> Prompt:
    """Return the question for one candidate.

    Args:
        brief: What is wanted.
        system: The persona's system prompt.
        shots: (wish, source) pairs shown before the question; None asks plainly, and an
            empty sequence shows the built-in ones.
        forced: The answer begins inside the function. Else the form is only asked for, the model
            may add helpers, and the answer is drawn up to FENCE_STOP.
        order: How a method is asked for, with the wish in place of ``{wish}``.
        form: How the form is asked for, with the ``def`` line in place of ``{signature}``.
    """
    messages = [("system", system)]
    for wish, source in () if shots is None else (shots or _SHOTS):
        messages += [
            ("user", order.replace("{wish}", wish)),
            ("assistant", f"```python\n{source}\n```"),
        ]
    if forced:
        messages.append(("user", order.replace("{wish}", goal(brief))))
        return Prompt(tuple(messages), f"```python\n{_opening(brief)}")
    asked = form.replace("{signature}", signature(brief))
    messages.append(("user", f"{order.replace('{wish}', goal(brief))}\n{asked}"))
    return Prompt(tuple(messages))


def ask_again(
    prompt: Prompt, brief: Brief, source: str, problem: str, form: str = ASK_FORM
) -> Prompt:
    """Return the question for a candidate in place of ``source``, which failed as ``problem``."""
    tried = ("assistant", f"```python\n{source.rstrip()}\n```")
    asked = form.replace("{signature}", signature(brief))
    error = f"That is not right: {problem}\nWrite the corrected method. {asked}"
    return Prompt((*prompt.messages, tried, ("user", error)), prompt.prefill)


def read_method(brief: Brief, text: str, stop: str = STOP) -> str:
    """Return the source of a candidate.

    That is the forced opening and the model's body; or, drawn up to FENCE_STOP, what the block
    holds, and all of the text where it has none.
    """
    if stop != FENCE_STOP:
        return f"{_opening(brief)}{text.rstrip()}\n"
    return f"{(read_block(text) or text).strip()}\n"


def read_block(text: str) -> str:
    r"""Return what the first fenced block of Python holds; "" if there is none.

    >>> read_block("Here it is:\n```python\ndef f(self):\n    return 1")
    'def f(self):\n    return 1'
    """
    block = _BLOCK.search(text)
    return block[1] if block else ""


def _opening(brief: Brief) -> str:
    return f'{signature(brief)}\n    """{goal(brief)}"""\n   '


ANSWERS: Final = ("yes", "no", "ask")  # ``ask``: only the person can say
SAME_SCHEMA: Final = object_schema(answer={"enum": list(ANSWERS)})
_SAME: Final = (
    ("Sort the names by length.", "Order names from short to long.", "yes"),
    ("Convert miles to kilometres.", "Convert kilometres to miles.", "no"),
    ("Round the price.", "Round the price up.", "no"),
    ("Tidy the list.", "Remove duplicates from the list.", "ask"),
)


def ask_same(one: str, other: str, system: str) -> Prompt:
    """Return the question whether two requests are one; the answer is read by ``read_same``."""
    messages = [("system", system)]
    for first, second, answer in _SAME:
        shown = json.dumps({"answer": answer})
        messages += [("user", _ask_same(first, second)), ("assistant", shown)]
    return Prompt((*messages, ("user", _ask_same(one, other))))


class _SameAnswer(Record, frozen=True, forbid_unknown_fields=False):
    answer: Literal["yes", "no", "ask"]


def read_same(text: str) -> str:
    """Return one of ANSWERS; ``ask`` if the model's answer cannot be read."""
    try:
        return parse_json(text, _SameAnswer, ModelOutputError, "the answer").answer
    except ModelOutputError:
        return "ask"


def _ask_same(one: str, other: str) -> str:
    return (
        f"First: {one}\nSecond: {other}\nDoes one and the same method serve both, with the same "
        "result? yes, no, or ask where only the person can say; as JSON."
    )


MAX_QUERIES: Final = 3
MAX_QUERY: Final = 200
TEMPERATURES: Final = (0.4, 0.7, 1.0)
CANDIDATES: Final = (4, 8, 12)
_QUERIES: Final[Mapping[str, Any]] = {
    "type": "array",
    "items": {"type": "string", "minLength": 3, "maxLength": 60},
    "minItems": 1,
    "maxItems": MAX_QUERIES,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How a mission goes about its work."""

    queries: tuple[str, ...]  # one to MAX_QUERIES texts to look up
    temperature: float = 0.0  # of the samples, one of TEMPERATURES, or 0 for the writer's own
    candidates: int = 0  # how many to draw, or 0 for what the owner has set
    system: str = ""  # said to the writer on top of the persona's own words, or ""

    def to_plain(self) -> dict[str, Any]:
        """Return plain data that ``Plan(**data)`` reads back."""
        return asdict(self) | {"queries": list(self.queries)}


def plan_schema(limits: Limits, *, whole: bool) -> Mapping[str, Any]:
    """Return the JSON Schema of a plan: of its queries alone, or of the whole plan."""
    fields: dict[str, Any] = {"queries": _QUERIES}
    if whole:
        fields |= {
            "temperature": {"enum": list(TEMPERATURES)},
            "candidates": {"enum": list(CANDIDATES)},
            "system": {"type": "string", "minLength": 10, "maxLength": limits.advice_chars},
        }
    return object_schema(**fields)


class _PlanAnswer(Record, frozen=True, forbid_unknown_fields=False):
    queries: Annotated[list[str], Meta(min_length=1, max_length=MAX_QUERIES)]
    temperature: float = 0.0
    candidates: Literal[0, 4, 8, 12] = 0
    system: str | None = None

    def __post_init__(self) -> None:
        if self.temperature not in (0, *TEMPERATURES):
            raise ValueError(f"temperature must be one of {TEMPERATURES}")


def read_plan(text: str, limits: Limits) -> Plan:
    """Return the plan in a model's answer; what it leaves out has its default."""
    answer = parse_json(text, _PlanAnswer, ModelOutputError, "the plan")
    queries, system = [*map(join_words, answer.queries)], join_words(answer.system or "")
    if not all(0 < len(query) <= MAX_QUERY for query in queries):
        raise ModelOutputError(f"the plan: a query must have 1 to {MAX_QUERY} characters")
    if len(system) > limits.advice_chars:
        raise ModelOutputError(f"the plan: system is over {limits.advice_chars} characters")
    return Plan(tuple(dict.fromkeys(queries)), answer.temperature, answer.candidates, system)


def join_words(text: str) -> str:
    """Return what a model wrote as one line that can be stored and sent."""
    # JSON can escape half of a surrogate pair, which no frame and no file can carry.
    return " ".join(text.encode(errors="ignore").decode().split())
