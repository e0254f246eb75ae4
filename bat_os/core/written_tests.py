"""Tests that a persona writes for a method: what is asked, what can be read, what they count for.

A small model's test is often wrong, so it is tested itself: one that no candidate passes is
likely wrong, one that all pass says nothing. Such *weak* tests are dropped. What is left is
evidence beside the agreement of the candidates, and never instead of it:

    enough agree, 5 of 8 agree and pass all strong tests   verified
    enough agree, fewer of them pass                       provisional; one that passes is taken
    enough agree, none of them passes                      provisional, and the reason says so
    not enough agree                                       still unsure; what passes comes first
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.ability import USUAL
from bat_os.core.brief import goal, signature
from bat_os.core.choosing import RIVALS
from bat_os.core.prompts import Prompt
from bat_os.core.schema import Record, convert, object_schema, parse_json
from bat_os.core.values import check
from bat_os.errors import ModelOutputError, NotPlainError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.ability import Agreement
    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Choice, Verdict
    from bat_os.core.personas import Limits

_TEXT: Final = {"type": "string", "maxLength": 40}
_ATOM: Final = {"anyOf": [_TEXT, {"type": "number"}, {"type": "boolean"}]}
_VALUE: Final = {"anyOf": [*_ATOM["anyOf"], {"type": "array", "items": _ATOM, "maxItems": 6}]}
_SHOTS: Final = (
    (
        "Join the words with a dash. As `def join_words(self, items):`",
        [{"args": [["a", "b"]], "result": "a-b"}, {"args": [["one"]], "result": "one"}],
    ),
    (
        "Multiply two numbers. As `def multiply(self, a, b):`",
        [{"args": [2, 3], "result": 6}, {"args": [5, 0], "result": 0}],
    ),
)


def ask_tests(brief: Brief, system: str) -> Prompt:
    """Return the question for tests; the answer is read by ``read_tests``."""
    messages = [("system", system)]
    for task, tests in _SHOTS:
        messages += [("user", _order(task)), ("assistant", json.dumps({"tests": tests}))]
    messages.append(("user", _order(f"{goal(brief)} As `{signature(brief)}`")))
    return Prompt(tuple(messages))


def schema_for(brief: Brief, limits: Limits) -> dict[str, Any]:
    """Return the JSON Schema that tests are constrained to: as many arguments as the brief has."""
    count = len(brief.args)
    args = {"type": "array", "items": _VALUE, "minItems": count, "maxItems": count}
    test = object_schema(args=args, result=_VALUE)
    return object_schema(
        tests={"type": "array", "items": test, "minItems": 1, "maxItems": limits.tests}
    )


class _Tests(Record, frozen=True, forbid_unknown_fields=False):
    tests: list[Any]


class _Test(Record, frozen=True, forbid_unknown_fields=False):
    args: list[Any]
    result: Any


def read_tests(text: str, brief: Brief, limits: Limits) -> tuple[dict[str, Any], ...]:
    """Return the tests in a model's answer, each once: maps with ``args`` and ``result``."""
    listed = parse_json(text, _Tests, ModelOutputError, "the tests").tests
    tests: dict[str, dict[str, Any]] = {}
    for number, value in enumerate(listed[: limits.tests]):
        path = f"tests[{number}]"
        test = convert(value, _Test, ModelOutputError, path=path)
        if len(test.args) != len(brief.args):
            raise ModelOutputError(f"{path} has {len(test.args)} arguments")
        try:
            check([test.args, test.result], where=path)
        except NotPlainError as error:
            raise ModelOutputError(str(error)) from error
        tests.setdefault(repr(test.args), {"args": test.args, "result": test.result})
    return tuple(tests.values())


def find_strong(passed: Sequence[frozenset[int]], drafts: frozenset[int]) -> list[int]:
    """Return which tests say something: some candidates pass them, and some do not.

    >>> find_strong([frozenset({1}), frozenset(), frozenset({1, 2})], frozenset({1, 2}))
    [0]
    """
    return [number for number, those in enumerate(passed) if those & drafts and drafts - those]


def weigh(choice: Choice, passed: Sequence[frozenset[int]], agreement: Agreement = USUAL) -> Choice:
    """Return the choice after written tests; see the table at the top."""
    if not passed:
        return choice
    count = len(passed)
    tests = "the written test" if count == 1 else f"all {count} written tests"

    def passes(verdict: Verdict) -> bool:
        return all(verdict.draft in those for those in passed)

    best = choice.chosen
    if best is None:
        ranked = sorted(choice.rivals, key=lambda rival: not passes(rival))
        passing = f"; one answer passes {tests}" if any(map(passes, ranked)) else ""
        return replace(choice, rivals=tuple(ranked[:RIVALS]), reason=choice.reason + passing)
    with_it = [
        verdict
        for verdict in (best, *choice.verdicts)
        if verdict.meaning == best.meaning
        and not (verdict.problem or verdict.doubt)
        and passes(verdict)
    ]
    if not with_it:
        return replace(choice, reason=f"{choice.reason}; fails a written test")
    written = sum(not verdict.known for verdict in choice.verdicts)
    support = len({verdict.draft for verdict in with_it if not verdict.known})
    status = "verified" if support >= agreement.votes(written) else choice.status
    reason = f"{choice.reason}; passes {tests}"
    return replace(choice, chosen=with_it[0], status=status, reason=reason)


def with_results(
    tests: Sequence[Mapping[str, Any]], passed: Sequence[frozenset[int]], strong: Sequence[int]
) -> list[dict[str, Any]]:
    """Return the tests for the provenance, with ``passed`` (drafts) and ``strong`` of each."""
    return [
        {**test, "passed": sorted(those), "strong": number in strong}
        for number, (test, those) in enumerate(zip(tests, passed, strict=True))
    ]


def _order(task: str) -> str:
    return f"Task: {task}\nWrite two to four tests for it, as JSON."
