"""The examples that the shipped adapter learned from, and how such files are read."""

import sys
from collections import Counter
from dataclasses import replace

import pytest

from bat_os.cells.zygote.zygote_cell import ZygoteCell
from bat_os.core.brief import goal
from bat_os.core.prompts import read_method
from bat_os.errors import ArgumentsError
from bat_os.method.fixups import apply_fixups
from bat_os.method.guardian import PersistenceGuardian
from bat_os.training.evaluation import mark_answer
from bat_os.training.examples import (
    ask_plainly,
    hold_out,
    make_lessons,
    parse_examples,
    read_golden,
)
from bat_os.training.training import EXAMPLES

SHIPPED = parse_examples(EXAMPLES.read_text(encoding="utf-8"))
ADD = """
[[example]]
kind = "math"
wish = "add two numbers"
call = "add(a, b)"
body = "return a + b"
cases = [{ args = '2, 3', value = '5' }]
"""
BAD = {
    "no TOML": "[[example",
    "nothing": "",
    "another table": "[other]\nx = 1",
    "a field too many": ADD.replace('kind = "math"', 'kind = "math"\nmore = 1'),
    "no wish": ADD.replace('"add two numbers"', '" "'),
    "a wish that is no text": ADD.replace('"add two numbers"', "7"),
    "no call": ADD.replace("add(a, b)", "add"),
    "a call of a word of Python": ADD.replace("add(a", "class(a"),
    "a parameter twice": ADD.replace("(a, b)", "(a, a)"),
    "no cases": ADD.replace("{ args = '2, 3', value = '5' }", ""),
    "an unknown field in a case": ADD.replace("value", "result"),
    "neither value nor like": ADD.replace(", value = '5'", ""),
    "both value and like": ADD.replace("value = '5'", "value = '5', like = '5'"),
    "an argument too few": ADD.replace("2, 3", "2"),
    "arguments that are code": ADD.replace("2, 3", "print(1), 3"),
    "arguments nested without end": ADD.replace("2, 3", "[" * 1900),
    "slots that are no dict": ADD.replace("value", "slots = '[]', value"),
    "a bad regular expression": ADD.replace("value = '5'", "like = '('"),
}


@pytest.fixture(scope="module")
def add():
    return parse_examples(ADD)[0]


@pytest.fixture
async def cell():
    if sys.platform != "linux":
        pytest.skip("this cell is for Linux")
    cell = ZygoteCell()
    await cell.start()
    yield cell
    await cell.close()


def names_of(example):
    return (example.params, example.generic_params())


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_file_that_is_off_is_refused_and_the_entry_named(text):
    with pytest.raises(ArgumentsError, match=r"^(example 1|the examples): "):
        parse_examples(text)


def test_an_example_is_a_method_with_its_wish_as_docstring(add):
    assert add.to_source() == 'def add(self, a, b):\n    """Add two numbers."""\n    return a + b\n'


def test_parameters_are_renamed_but_neither_texts_nor_attributes_nor_names_of_keywords(add):
    body = "self.days = day(days=days)['days']"
    example = replace(add, params=("days",), body=body)

    assert example.rename(("number",)) == "self.days = day(days=number)['days']"
    assert example.rename(("day",)) == ""


def test_there_are_enough_examples_and_no_two_alike():
    wishes = Counter(goal(example.to_brief()).lower() for example in SHIPPED)
    selectors = Counter(example.selector for example in SHIPPED)

    assert len(SHIPPED) >= 350
    assert [name for name, times in (wishes + selectors).items() if times > 1] == []


@pytest.mark.slow
def test_every_example_passes_the_guardian_and_needs_no_fixup():
    guardian, refused = PersistenceGuardian(), []
    for example in SHIPPED:
        for names in names_of(example):
            source = example.to_source(names)
            mended, _ = apply_fixups(source, example.selector)
            if mended != source or not guardian.audit(source, example.selector).accepted:
                refused.append(source)

    assert refused == []


@pytest.mark.slow
@pytest.mark.system
async def test_every_example_runs_right_in_the_cell_under_both_names_of_its_parameters(cell):
    wrong = []
    for example in SHIPPED:
        for names in names_of(example):
            renamed = replace(example, params=names, body=example.rename(names))
            opening = read_method(renamed.to_brief(), "")
            mark = await mark_answer(cell, renamed, renamed.to_source()[len(opening) - 1 :])
            wrong += [mark] if mark.problem else []

    assert wrong == []


@pytest.mark.system
async def test_a_wrong_answer_is_marked_with_what_it_gave(cell, add):
    assert "gave -1" in (await mark_answer(cell, add, " return a - b")).problem
    assert "ZeroDivisionError" in (await mark_answer(cell, add, " return a / 0")).problem
    assert "open" in (await mark_answer(cell, add, " return open('x')")).problem


def test_examples_held_back_are_some_of_each_kind_and_the_same_each_time():
    learned, asked = hold_out(SHIPPED, 0.15, 1)

    assert (learned, asked) == hold_out(SHIPPED, 0.15, 1)
    assert sorted(learned + asked, key=SHIPPED.index) == list(SHIPPED)
    assert {example.kind for example in asked} == {example.kind for example in SHIPPED}


def test_a_lesson_is_the_question_of_a_mission_and_its_answer_the_rest_of_the_method():
    for example in SHIPPED:
        (lesson,) = make_lessons([example], count=1, seed=1)
        body = lesson.answer.removesuffix("\n```")
        sources = {example.to_source(names) for names in names_of(example)}
        written = lesson.prompt.prefill.removeprefix("```python\n") + body + "\n"
        assert written.replace("Create a method to ", "", 1).lower() in {s.lower() for s in sources}


def test_lessons_are_the_same_for_the_same_seed_and_come_in_both_forms():
    lessons = make_lessons(SHIPPED, count=len(SHIPPED), seed=3)
    lengths = Counter(len(lesson.prompt.messages) for lesson in lessons)

    assert lessons == make_lessons(SHIPPED, count=len(SHIPPED), seed=3)
    assert lengths[2] > lengths[6] > 0
    assert ask_plainly(SHIPPED[0]) in {
        lesson.prompt for lesson in make_lessons(SHIPPED[:1], count=20, seed=3)
    }


def test_a_golden_record_is_read_as_an_example():
    record = {
        "wish": "add two numbers", "call": "add(a, b)", "body": "return a + b",
        "cases": [{"args": "2, 3", "slots": "{}", "value": "5"}], "cluster": "m1",
    }  # fmt: skip
    example = read_golden(record)
    assert (example.kind, example.selector, example.params) == ("m1", "add", ("a", "b"))
    assert example.cases[0].accepts(5, {})
    with pytest.raises(ArgumentsError):
        read_golden(record | {"cases": []})
