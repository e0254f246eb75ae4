"""bat_os.core.prompts: what is asked, and how answers are read."""

import ast
import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.brief import Brief, goal, parameters, signature
from bat_os.core.personas import Limits
from bat_os.core.prompts import (
    CANDIDATES,
    STOP,
    STOP_STRINGS,
    TEMPERATURES,
    Plan,
    ask_method,
    ask_plan,
    plan_schema,
    read_method,
    read_plan,
)
from bat_os.errors import ModelOutputError


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ((), ()), ((5,), ("number",)), ((2, 3), ("a", "b")), (("x",), ("text",)),
        (("x", "y"), ("text1", "text2")), (([1, 2],), ("numbers",)), ((["x"],), ("items",)),
        (({"a": 1}, True), ("data", "flag")), (([], None), ("items", "value")),
        (([1], "x", 4), ("numbers", "text", "number")),
    ],
)  # fmt: skip
def test_parameters_are_named_after_their_values(args, names):
    assert parameters(Brief("o", "s", args)) == names


def test_a_parameter_never_clashes_with_a_keyword_argument():
    assert signature(Brief("o", "s", (5,), {"number": 1})) == "def s(self, number_1, number):"


def test_the_goal_falls_back_to_the_selector():
    assert goal(Brief("o", "tell_the_time")) == "Tell the time."


@pytest.mark.parametrize("text", ['say """hi"""', "back\\slash", "two\nlines", "x" * 5000])
def test_any_wish_gives_a_method_that_parses(text):
    brief = Brief("o", "s", (1,), text=text)
    ast.parse(read_method(brief, " return 1"))


def test_the_answer_begins_inside_the_function():
    prompt = ask_method(Brief("o", "double", (2,), text="double a number"), "You write.", None)
    assert prompt.prefill == '```python\ndef double(self, number):\n    """Double a number."""\n   '
    assert [role for role, _ in prompt.messages] == ["system", "user"]


def test_examples_are_shown_before_the_question():
    prompt = ask_method(Brief("o", "s"), "You write.", [("Add.", "def add(self):\n    return 1")])
    assert [role for role, _ in prompt.messages] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize("whole", [True, False])
def test_the_plan_is_asked_for_with_the_signature(whole):
    prompt = ask_plan(Brief("o", "s", (1,)), "You plan.", whole=whole)
    assert "def s(self, number):" in prompt.messages[-1][1]
    for role, text in prompt.messages:
        if role == "assistant":
            assert (read_plan(text, Limits()).candidates > 0) is whole


LIMITS = Limits()
WHOLE = {"queries": ["a"], "temperature": 0.4, "candidates": 12, "system": "Be short, please."}


def test_queries_are_read_from_strict_json():
    plan = read_plan('{"queries": ["how to tell time", " a  b ", "a b"]}', LIMITS)
    assert plan == Plan(("how to tell time", "a b"))


def test_a_whole_plan_is_read_and_comes_back_from_plain_data():
    plan = read_plan(json.dumps(WHOLE), LIMITS)
    assert plan == Plan(("a",), 0.4, 12, "Be short, please.")
    assert Plan(**plan.to_plain() | {"queries": tuple(plan.queries)}) == plan


@pytest.mark.parametrize(
    "text",
    ["", "hello", "[]", "{}", '{"queries": []}', '{"queries": "x"}', '{"queries": [1]}',
     '{"queries": [""]}', '{"queries": ["a","b","c","d"]}', '{"queries": ["%s"]}' % ("x" * 300)],
)  # fmt: skip
def test_anything_else_is_the_models_failure(text):
    with pytest.raises(ModelOutputError):
        read_plan(text, LIMITS)


@pytest.mark.parametrize(
    "off",
    [{"temperature": 7}, {"temperature": True}, {"temperature": "0.4"}, {"candidates": 1000},
     {"candidates": 8.0}, {"candidates": True}, {"system": "x" * (LIMITS.advice_chars + 1)}],
)  # fmt: skip
def test_the_bounds_are_hard(off):
    with pytest.raises(ModelOutputError):
        read_plan(json.dumps(WHOLE | off), LIMITS)


@given(st.text() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_no_text_raises_anything_but_a_coded_error(text):
    try:
        read_plan(text, LIMITS)
    except ModelOutputError:
        return


def test_the_schema_allows_what_is_read():
    fields = plan_schema(LIMITS, whole=True)["properties"]
    assert fields["temperature"]["enum"] == list(TEMPERATURES)
    assert fields["candidates"]["enum"] == list(CANDIDATES)


def test_the_strings_end_a_text_where_the_expression_does():
    rng, ended = random.Random(5), 0  # noqa: S311 - no secret
    for _ in range(500):
        letters = rng.choices('\n\n\n` )]}\t\rax#"@', k=rng.randrange(60))
        text = "".join(letters).replace("``", "```")
        match = re.search(STOP, text)
        found = [at for one in STOP_STRINGS if (at := text.find(one)) >= 0]
        assert min(found, default=-1) == (match.start() if match else -1), repr(text)
        ended += match is not None

    assert 300 < ended < 500
    assert len(STOP_STRINGS) == 92
