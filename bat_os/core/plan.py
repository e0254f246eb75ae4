"""The plan that a persona writes for its own thinking, inside hard bounds.

Small models fill a form well and free text badly (none of six free plans could be read, five
of six constrained ones), so the plan is a JSON object whose fields have few values each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ModelOutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.limits import Limits

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
    """How a mission goes about its work.

    Attributes:
        queries: One to MAX_QUERIES texts to look up.
        temperature: Of the samples, one of TEMPERATURES, or 0 for the writer's own.
        candidates: How many to draw, or 0 for what the owner has set.
        system: Said to the writer on top of the persona's own words, or "".
    """

    queries: tuple[str, ...]
    temperature: float = 0.0
    candidates: int = 0
    system: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return plain data that ``Plan(**data)`` reads back."""
        return {
            "queries": list(self.queries),
            "temperature": self.temperature,
            "candidates": self.candidates,
            "system": self.system,
        }


def plan_schema(limits: Limits, *, whole: bool) -> Mapping[str, Any]:
    """Return the JSON Schema of a plan: of its queries alone, or of the whole plan."""
    fields: dict[str, Any] = {"queries": _QUERIES}
    if whole:
        fields |= {
            "temperature": {"enum": list(TEMPERATURES)},
            "candidates": {"enum": list(CANDIDATES)},
            "system": {"type": "string", "minLength": 10, "maxLength": limits.advice_chars},
        }
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def read_plan(text: str, limits: Limits) -> Plan:
    """Return the plan in a model's answer; what it leaves out has its default.

    Raises:
        ModelOutputError: It is not the JSON that was asked for; says what is wrong.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelOutputError(f"the plan is not JSON: {error}") from error
    if type(data) is not dict:
        raise ModelOutputError("the plan is not a JSON object")
    plan = Plan(
        _read_queries(data.get("queries")),
        data.get("temperature", 0.0),
        data.get("candidates", 0),
        _clean(data.get("system", "")),
    )
    if plan.temperature not in (0, *TEMPERATURES) or type(plan.temperature) is bool:
        raise ModelOutputError(f"the temperature is none of {TEMPERATURES}")
    if plan.candidates not in (0, *CANDIDATES) or type(plan.candidates) is not int:
        raise ModelOutputError(f"the number of candidates is none of {CANDIDATES}")
    if len(plan.system) > limits.advice_chars:
        most = limits.advice_chars
        raise ModelOutputError(f"the system prompt is longer than {most} characters")
    return plan


def _read_queries(queries: Any) -> tuple[str, ...]:
    if type(queries) is not list or not 1 <= len(queries) <= MAX_QUERIES:
        raise ModelOutputError("the JSON has no list of one to three queries")
    cleaned = [_clean(query) for query in queries]
    if not all(0 < len(query) <= MAX_QUERY for query in cleaned):
        raise ModelOutputError("a query is empty, too long or no text")
    return tuple(dict.fromkeys(cleaned))


def _clean(text: Any) -> str:
    # JSON can escape half of a surrogate pair, which no frame and no file can carry.
    return " ".join(text.encode(errors="ignore").decode().split()) if type(text) is str else ""
