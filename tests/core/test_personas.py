import json
import re
from pathlib import Path

import pytest

from bat_os.core.personas import PERSONAS, CodexLine, parse_codex
from bat_os.errors import ArgumentsError
from bat_os.method.fixups import apply_fixups
from bat_os.method.guardian import PersistenceGuardian

CODEX = Path(__file__).parents[2] / "persona_codex.jsonl"
GOOD = {"persona": "BABS", "topic": "t", "prompt": "p", "response": "r"}


def codex():
    return parse_codex(CODEX.read_text(encoding="utf-8"))


def examples():
    for line in codex():
        for source in re.findall(r"```python\n(.*?\n)```", line.response, re.DOTALL):
            yield source, re.search(r"^def (\w+)\(", source, re.MULTILINE)[1]


def run(selector, receiver, *args):
    source = next(source for source, name in examples() if name == selector)
    scope = {}
    exec(source, scope)  # noqa: S102 (the codex's own example)
    return scope[selector](receiver, *args)


class Receiver:
    """A stand-in for an object of the image: slots as attributes."""


def test_there_are_four_personas_with_short_prompts_of_their_own():
    assert list(PERSONAS) == ["ALFRED", "BRICK", "ROBIN", "BABS"]
    for name, persona in PERSONAS.items():
        assert persona.name == name
        assert name in persona.system_prompt
        assert len(persona.system_prompt) <= 300


def test_the_codex_gives_every_persona_a_voice():
    lines = codex()
    assert len(lines) >= 48
    for name in PERSONAS:
        assert sum(line.persona == name for line in lines) >= 8


def test_no_prompt_of_the_codex_comes_twice():
    prompts = [line.prompt for line in codex()]
    assert len(set(prompts)) == len(prompts)


@pytest.mark.parametrize(
    "topic",
    [
        "socratic-counterpoint",
        "living-image",
        "persistence-covenant",
        "ship-of-theseus",
        "provenance",
        "undo",
        "cell",
        "method-time",
        "method-list",
        "method-text",
        "method-numbers",
        "method-state",
    ],
)
def test_the_codex_speaks_of_what_the_system_is_about(topic):
    assert any(line.topic == topic for line in codex())


@pytest.mark.parametrize(
    ("source", "selector"), list(examples()), ids=[name for _, name in examples()]
)
def test_an_example_method_of_the_codex_passes_the_guardian_untouched(source, selector):
    guardian = PersistenceGuardian()
    assert guardian.audit(source, selector).lines() == ()
    assert guardian.repair(source, selector) == source
    assert apply_fixups(source, selector) == (source, ())


@pytest.mark.parametrize(
    ("selector", "args", "value"),
    [
        ("area", (2, 3), 6),
        ("days_between", ("2024-02-28", "2024-03-01"), 2),
        ("unique_items", ([1, 2, 1],), [1, 2]),
        ("flatten", ([1, [2, [3]]],), [1, 2, 3]),
        ("group_by_length", (["a", "bc", "d"],), {1: ["a", "d"], 2: ["bc"]}),
        ("word_frequencies", ("a b A",), {"a": 2, "b": 1}),
        (
            "extract_emails",
            ("ann@example.com, bob@test.org.",),
            ["ann@example.com", "bob@test.org"],
        ),
        ("is_palindrome", ("Never odd or even",), True),
        ("is_prime", (25,), False),
        ("is_prime", (97,), True),
        ("calculate_factorial", (5,), 120),
        ("calculate_average", ([2, 4],), 3),
        ("calculate_average", ([],), None),
        ("celsius_to_fahrenheit", (-40,), -40),
        ("count_up", (), 1),
        ("remember_note", ("milk",), ["milk"]),
        ("set_setting", ("a", 1), {"a": 1}),
    ],
)
def test_an_example_method_of_the_codex_does_what_it_says(selector, args, value):
    assert run(selector, Receiver(), *args) == value


def test_a_plain_golden_line_is_read_as_the_steward_s():
    (line,) = parse_codex('{"prompt": "Who is there?", "response": "A bat."}')
    assert line == CodexLine("ALFRED", "Who is there?", "A bat.", "golden")


def test_empty_lines_of_a_codex_are_skipped():
    text = f"\n{json.dumps(GOOD)}\r\n  \n"
    assert parse_codex(text) == (CodexLine("BABS", "p", "r", "t"),)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "[" * 100_000,
        json.dumps({**GOOD, "extra": 1}),
        json.dumps({"persona": "BABS"}),
        json.dumps({**GOOD, "persona": "JOKER"}),
        json.dumps({**GOOD, "prompt": " "}),
        json.dumps({**GOOD, "topic": 3}),
        json.dumps({**GOOD, "response": "x" * 4_001}),
        '{"persona": "BABS", "persona": "ROBIN", "topic": "t", "prompt": "p", "response": "r"}',
    ],
)
def test_a_wrong_line_is_refused_with_its_number(line):
    with pytest.raises(ArgumentsError, match="codex line 2: ") as caught:
        parse_codex(f"{json.dumps(GOOD)}\n{line}\n")
    assert caught.value.details == {"line": 2}
