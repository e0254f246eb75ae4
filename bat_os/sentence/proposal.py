"""A second reading of a sentence, by a small model, and which of the two counts.

    rules ──sure──────────────────────────────→ their reading
      └─in doubt─→ model, under a JSON schema ─→ supported by the sentence? its reading : the rules'

Rules never invent a value, and a small model often does. So a model's reading counts only
if every value and every word of its selector is in the sentence, and no value is lost.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.prompts import Prompt
from bat_os.core.schema import Record, object_schema, parse_json
from bat_os.core.values import check_selector
from bat_os.errors import ArgumentsError
from bat_os.method.text import words as word_set
from bat_os.ports import Sampling
from bat_os.sentence.grammar import mark_names, read_numbers
from bat_os.sentence.sameness import is_same_message, name_words
from bat_os.sentence.tokens import scan, singular

if TYPE_CHECKING:
    from bat_os.ports import ModelEngine
    from bat_os.sentence.translate import Translated

MAX_SENTENCE: Final = 600  # characters; a longer one is not a single request
SECONDS: Final = 20.0
_MANY_WORDS: Final = 6
_VERB_AND_VALUE: Final = 2  # words: "reverse hello"
_PERSONAL: Final = word_set("i me my you your we us our he she they them him her")
_VALUE: Final[dict[str, Any]] = {
    "anyOf": [{"type": "number"}, {"type": "string", "maxLength": 80}, {"type": "boolean"}]
}
_ARGUMENT: Final = {"anyOf": [*_VALUE["anyOf"], {"type": "array", "maxItems": 12, "items": _VALUE}]}
_SCHEMA: Final = object_schema(
    selector={"type": "string", "pattern": "^[a-z][a-z0-9_]{1,50}$"},
    args={"type": "array", "maxItems": 6, "items": _ARGUMENT},
)
_TASK: Final = (
    "Turn the sentence into a call. selector: what to do, in snake_case, in words of the "
    "sentence, without its values. args: the values of the sentence, in order."
)
_SHOWN: Final[tuple[tuple[str, str, list[Any]], ...]] = (
    ("please compute the cube of 16", "compute_cube", [16]),
    ("introduce Alice to Bob", "introduce", ["Alice", "Bob"]),
    ("my words are ['b', 'a']. Can you sort them?", "sort_words", [["b", "a"]]),
    ("what is the weather like?", "weather", []),
    ("shout hurrah", "shout", ["hurrah"]),
    ("count the words in 'a b c'", "count_words", ["a b c"]),
)


def find_misreading(wish: Translated) -> str:
    """Return why the rules may have misread a sentence; "" if nothing says so."""
    words = wish.selector.split("_")
    if wish.selector.startswith("skill_"):
        return "its words make no name"
    if set(words) & _PERSONAL:
        return "it speaks of someone"
    if len(words) > _MANY_WORDS:
        return "it is long"
    if len(words) == len(wish.text.split()) == _VERB_AND_VALUE and not (wish.args or wish.kwargs):
        return "its last word may be a value"
    return ""


def make_prompt(sentence: str) -> Prompt:
    """Return what a model is asked."""
    messages = [("system", _TASK)]
    for said, selector, args in _SHOWN:
        answer = json.dumps({"selector": selector, "args": args}, ensure_ascii=False)
        messages += [("user", said), ("assistant", answer)]
    return Prompt(messages=(*messages, ("user", sentence)))


async def propose(engine: ModelEngine, sentence: str, wish: Translated) -> Translated | None:
    """Return a model's reading of a sentence; None where it cannot be used."""
    if len(sentence) > MAX_SENTENCE:
        return None
    sampling = Sampling(temperature=0.0, max_tokens=120, schema=_SCHEMA, seconds=SECONDS)
    (answer,) = await engine.generate([make_prompt(sentence)], sampling)
    return read_proposal(answer.text, wish)


class _Answer(Record, frozen=True, forbid_unknown_fields=False):
    selector: str
    args: list[Any]


def read_proposal(text: str, wish: Translated) -> Translated | None:
    """Return the reading that a model has written; the rest is as the rules found it."""
    try:
        answer = parse_json(text, _Answer, ArgumentsError, "the reading")
        selector = answer.selector.rstrip("_")
        check_selector(selector)
    except ArgumentsError:
        return None
    return replace(wish, selector=selector, args=answer.args, kwargs={})


def is_supported(proposal: Translated, sentence: str) -> bool:
    """Return True if the sentence has all of a reading's words and values, and it all values."""
    tokens = mark_names(read_numbers(list(scan(sentence))))
    values = [token.value for token in tokens if token.kind == "literal"]
    words = [token.text for token in tokens if token.kind == "word"]
    lower = {singular(part.lower()) for word in words for part in word.split("-")}
    given = _flat(proposal.args)
    if not set(name_words(proposal.selector)) <= lower:
        return False
    known = [*_flat(values), *words]
    in_selector = set(proposal.selector.split("_"))
    return all(
        any(value == item and type(value) is type(item) for item in known)
        and str(value).lower() not in in_selector
        for value in given
    ) and all(value in given for value in _flat(values))


def _flat(values: list[Any]) -> list[Any]:
    flat: list[Any] = []
    for value in values:
        flat += _flat(value) if isinstance(value, list) else [value]
    return flat


def choose_reading(
    rules: Translated, model: Translated | None, sentence: str
) -> tuple[Translated, str]:
    """Return the reading that counts, and whose it is: ``rules``, ``model`` or ``both``."""
    if model is None:
        return rules, "rules"
    if is_same_message(rules, model):
        return rules, "both"
    if not rules.kwargs and find_misreading(rules) and is_supported(model, sentence):
        return model, "model"
    return rules, "rules"
