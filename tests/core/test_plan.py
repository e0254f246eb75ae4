"""bat_os.core.plan: what a persona may decide about its own thinking, and what not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.limits import Limits
from bat_os.core.plan import CANDIDATES, TEMPERATURES, Plan, plan_schema, read_plan
from bat_os.errors import ModelOutputError

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
