"""What a person can set on the objects of the program: personas, and the states of a mission.

    ENTRIES["brick_obj"]["temperature"]          what it takes, and what it is for
    ENTRIES["state_synthesizing_obj"]["order"]   how SYNTHESIZING asks

An entry is a slot with a rule for its value. The program and the profile give its default; a
person changes it, by ``batos personas set``, ``batos states set`` or the message ``setSlot``, and
learned code never does. ``bat_os.image.preferences`` keeps the versions,
``bat_os.kernel.cast`` uses the values.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_type_hints

from bat_os.core.personas import PERSONAS
from bat_os.core.prompts import ASK_FORM, ASK_PLAN, ORDER
from bat_os.core.schema import Record, convert, describe, field, number, text
from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.models.residency import Assignment
from bat_os.natives import context

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bat_os.core.personas import Persona
    from bat_os.core.settings import Settings
    from bat_os.models.profiles import Profile

MAX_PROMPT: Final = 4_000
PLAN_TRIES: Final = 3
UNSURE_ROUNDS: Final = 2  # batches that are drawn before an example is asked for
_Text = Annotated[str, text(MAX_PROMPT)]
_Name = Annotated[str, text(200)]
_FacetName = Annotated[
    str, text(40, pattern=r"[a-z][a-z0-9_-]*", takes="a name in small letters, such as tamland")
]
_Who = Literal["", "ALFRED", "BRICK", "ROBIN", "BABS"]
_Touched = Annotated[
    str, text(100, pattern=r"[A-Za-z0-9_.*?-]+", takes="reads, changes, forge, wish or files.*")
]
# BRICK plans, BABS gathers, ALFRED writes; ROBIN only says whether an answer serves who asks.
_TOUCHES: Final = MappingProxyType(
    {"ALFRED": ["reads", "changes", "forge", "wish"], "BRICK": ["wish"], "BABS": ["reads"]}
)
_HINTS: Final = get_type_hints(Assignment, include_extras=True)


class Codex(Record, frozen=True):
    """Who a persona is, in its own image."""

    core_identity: _Text = ""
    voice: _Text = ""
    pillars: list[Annotated[str, text(200, filled=True)]] = field(default_factory=list)


class Facet(Record, frozen=True):
    """Another way in which a persona speaks; what is empty is as in the persona."""

    model: _Name = ""
    adapter: _Name = ""
    writing: _Name = ""
    system_prompt: _Text = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one entry takes, and what it is for."""

    takes: Any  # a type, as ``bat_os.core.schema`` reads it
    about: str  # for people


def _holding(name: str) -> Any:
    takes = f"a text with {{{name}}} in it"
    return Annotated[str, text(MAX_PROMPT, pattern=rf"[\s\S]*\{{{name}\}}[\s\S]*", takes=takes)]


_PERSONA: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        "role": Entry(_Name, "one line for people"),
        "codex": Entry(Codex, "core_identity, voice and pillars, from which its prompt is made"),
        "system_prompt": Entry(_Text, "what its model hears instead of the codex"),
        "model": Entry(Annotated[str, text(200, filled=True)], "name of its model"),
        "adapter": Entry(_Name, "LoRA adapter that it always speaks through"),
        "writing": Entry(_Name, "the adapter that it writes methods through"),
        "touches": Entry(
            list[_Touched],
            "what it may do in steps: reads, changes, forge, wish, or tools as files.*",
        ),
        "facets": Entry(dict[_FacetName, Facet], "other models, adapters and prompts, by name"),
        **{
            name: Entry(_HINTS[name], about)
            for name, about in (
                ("temperature", "of candidates, second tries and answers"),
                ("top_p", "share of the likeliest tokens that it draws from"),
                ("top_k", "how many tokens it draws from"),
                ("max_tokens", "new tokens of a method"),
                ("keep_alive", "seconds that its model stays in memory unused; -1: for ever"),
            )
        },
    }
)
_STATES: Final[Mapping[str, Mapping[str, Entry]]] = MappingProxyType(
    {
        "state_idle_obj": {
            "step": Entry(Literal["reuse_or_begin", "begin"], "look for a known skill first?")
        },
        "state_decomposing_obj": {
            "step": Entry(
                Literal["auto", "none", "fixed", "written"], "what is planned; see the setting plan"
            ),
            "question": Entry(_holding("task"), "how BRICK is asked for queries"),
            "tries": Entry(Annotated[int, number(1, 9)], "how often BRICK is asked"),
            "max_tokens": Entry(Annotated[int, number(16, 4096)], "new tokens of a plan"),
        },
        "state_delegating_obj": {
            "step": Entry(
                Literal["search", "search_skills"], "look up documents as well as skills?"
            ),
            "passages": Entry(Annotated[int, number(1, 50)], "passages of documents at most"),
        },
        "state_synthesizing_obj": {
            "step": Entry(Literal["recall_or_write", "write"], "try known functions first?"),
            "order": Entry(_holding("wish"), "how a method is asked for"),
            "form": Entry(_holding("signature"), "how the form of the answer is asked for"),
            "advice": Entry(_Text, "said to the writer behind the persona's prompt"),
            "candidates": Entry(Annotated[int, number(1, 32)], "methods to draw per batch"),
        },
        "state_acting_obj": {
            "step": Entry(Literal["alone", "divided"], "does one persona do all of it?"),
            "plans": Entry(_Who, 'divided: who takes the request apart; "" for nobody'),
            "gathers": Entry(_Who, 'who finds what it needs; "" for nobody'),
            "writes": Entry(_Who, "who answers"),
            "checks": Entry(_Who, 'who says whether that serves who asks; "" for nobody'),
        },
        "state_validating_obj": {
            "step": Entry(
                Literal["auto", "none", "written"], "are tests written? see the setting tests"
            ),
            "unsure_rounds": Entry(
                Annotated[int, number(1, 9)], "batches until an example is asked for"
            ),
        },
    }
)
ENTRIES: Final[Mapping[str, Mapping[str, Entry]]] = MappingProxyType(
    {f"{name.lower()}_obj": _PERSONA for name in PERSONAS} | dict(_STATES)
)

# Slots that only a person changes: entries, and what they say of themselves.
OF_A_PERSON: Final[Mapping[str, Collection[str]]] = MappingProxyType(
    {**ENTRIES, context.NAME: frozenset(context.SLOTS)}
)


def check_entry(name: str, key: str, value: Any) -> Any:
    """Return the value of an entry if it can be that.

    Raises:
        ArgumentsError: It cannot; says what the entry takes.
        NotFoundError: The object has no such entry.
    """
    convert(value, entry_of(name, key).takes, ArgumentsError, path=f"{name}.{key}")
    return value


def entry_of(name: str, key: str) -> Entry:
    """Return what an entry takes, and what it is for."""
    entries = ENTRIES.get(name)
    if entries is None:
        raise NotFoundError(
            f"{name[:100]} has no entries to set; these have: {', '.join(sorted(ENTRIES))}"
        )
    if key not in entries:
        raise NotFoundError(
            f"{name} has no entry {key[:60]!r}; it has {', '.join(sorted(entries))}"
        )
    return entries[key]


def takes_of(name: str, key: str) -> str:
    """Return what an entry takes, in words."""
    return describe(entry_of(name, key).takes)


def find_defaults(
    profile: Profile, personas: Mapping[str, Persona], options: Settings
) -> dict[str, dict[str, Any]]:
    """Return the value of each entry where no person has set one, by object and key."""
    found: dict[str, dict[str, Any]] = {
        "state_idle_obj": {"step": "reuse_or_begin"},
        "state_decomposing_obj": {
            "step": options.plan, "question": ASK_PLAN, "tries": PLAN_TRIES,
            "max_tokens": profile.limits.plan_tokens,
        },
        "state_delegating_obj": {"step": "search", "passages": profile.limits.passages},
        "state_synthesizing_obj": {
            "step": "recall_or_write", "order": ORDER, "form": ASK_FORM, "advice": "",
            "candidates": options.candidates,
        },
        "state_acting_obj": {
            "step": "alone", "plans": "BRICK", "gathers": "BABS", "writes": "ALFRED",
            "checks": "ROBIN",
        },
        "state_validating_obj": {"step": options.tests, "unsure_rounds": UNSURE_ROUNDS},
    }  # fmt: skip
    for name, persona in personas.items():
        assigned = profile.personas[name]
        about = {"core_identity": persona.core_identity, "voice": persona.voice, "pillars": []}
        thinks = {key: getattr(assigned, key) for key in _PERSONA if hasattr(assigned, key)}
        found[f"{name.lower()}_obj"] = {
            "role": persona.role, "codex": about, "system_prompt": "", "facets": {},
            "touches": [*_TOUCHES.get(name, ())], **thinks,
        }  # fmt: skip
    return found
