"""The schema layer: strict types, bounds, and messages that say where and what."""

import subprocess
import sys
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.schema import (
    Meta,
    Record,
    convert,
    describe,
    number,
    one_of,
    read_json,
    read_toml,
    text,
)
from bat_os.errors import ArgumentsError, SettingsError
from tests.kernels import ROOT


class Inner(Record, frozen=True):
    count: Annotated[int, number(1, 32)]
    code: Annotated[str, text(5, pattern="a+", takes="one to five a's")] = "a"

    def __post_init__(self):
        if self.count == 7:
            raise ValueError("seven is not possible here")


class Outer(Record, frozen=True):
    parts: dict[str, Inner]
    names: tuple[Annotated[str, text(5, least=1)], ...] = ()
    inner: Inner | None = None
    mode: Literal["fast", "slow"] = "fast"
    share: Annotated[float, number(0, 1)] = 0.0
    free: tuple[Any, ...] = ()
    pair: tuple[int, int] = (0, 0)


class Open(Record, frozen=True, forbid_unknown_fields=False):
    name: str = ""


def refuse(value, kind=Outer, where=""):
    with pytest.raises(ArgumentsError) as caught:
        convert(value, kind, ArgumentsError, where)
    return str(caught.value)


def test_a_map_becomes_a_frozen_record():
    outer = convert({"parts": {"a": {"count": 3}}, "names": ["x"]}, Outer, ArgumentsError)
    assert (outer.parts["a"], outer.names) == (Inner(3), ("x",))
    with pytest.raises(AttributeError):
        outer.mode = "slow"


@pytest.mark.parametrize("value", [True, "1", 1.0, None, 0, 33, 10**400])
def test_nothing_is_coerced_and_bounds_hold(value):
    message = refuse({"count": value}, Inner)
    assert message.startswith("count must be a whole number from 1 to 32, not ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, "0.5", True])
def test_a_share_is_a_number_within_its_bounds(value):
    assert "share must be a number from 0 to 1" in refuse({"parts": {}, "share": value})


def test_a_whole_number_serves_where_a_number_is_wanted():
    assert convert({"parts": {}, "share": 1}, Outer, ArgumentsError).share == 1.0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "it must be a map, not a list of 0"),
        ({}, "parts is missing; it must be a map"),
        ({"parts": {}, "mod": 1}, "mod is not known; did you mean mode?"),
        ({"parts": {"a b": {"count": "1"}}}, "parts.'a b'.count must be a whole number"),
        ({"parts": {"a": {"count": 7}}}, "parts.a: seven is not possible here"),
        ({"parts": {"a": {}}}, "parts.a.count is missing; it must be a whole number from 1 to 32"),
        ({"parts": {"a": {"count": 1, "x": 2}}}, "parts.a.x is not known; possible are count, "),
        ({"parts": {3: {"count": 1}}}, "parts key 3 must be a text, not 3"),
        ({"parts": {}, "names": ["x", ""]}, "names[1] must be a text of 1 to 5 characters, not ''"),
        ({"parts": {}, "inner": {"count": 1, "code": "a\n"}}, "inner.code must be one to five a's"),
        ({"parts": {}, "mode": "idle"}, "mode must be fast or slow, not 'idle'"),
        ({"parts": {}, "free": {}}, "free must be a list, not a map"),
        ({"parts": {}, "pair": [1]}, "pair must be a list of 2, not a list of 1"),
        ({"parts": {}, "share": 16**9000}, "share must be a number from 0 to 1, not a huge number"),
        ({"parts": {}, "mode": "\ud800"}, "mode must be fast or slow, not '\\ud800'"),
        ({"parts": {}, 5: 1}, "5 is not known"),
    ],
)
def test_a_message_says_where_and_what_is_taken(value, message):
    assert refuse(value).startswith(message)
    assert refuse(value, where="line 3").startswith(f"line 3: {message}")


def test_a_value_alone_is_named_by_its_path():
    with pytest.raises(ArgumentsError, match=r"^a.toml: threads must be true or false, not 1$"):
        convert(1, bool, ArgumentsError, "a.toml", "threads")


class Even(int):
    TAKES = "an even number as a text"

    @classmethod
    def parse(cls, value):
        if not isinstance(value, str) or int(value) % 2:
            raise ValueError("odd")
        return cls(value)


def test_a_type_of_our_own_reads_itself():
    assert convert({"a": "4"}, dict[str, Even], ArgumentsError) == {"a": 4}
    message = refuse({"a": "5"}, dict[str, Even])
    assert message == "a must be an even number as a text, not '5'"


def test_a_name_is_one_of_those_and_nothing_like_it():
    name = Annotated[str, one_of(["a.b", "c"])]
    assert convert("a.b", name, ArgumentsError) == "a.b"
    for value in ("axb", "a.b\n", "", "ca"):
        assert refuse(value, name).startswith("it must be a.b or c, not ")


def test_further_fields_pass_where_a_record_is_open():
    assert convert({"name": "x", "more": 1}, Open, ArgumentsError) == Open("x")


def test_the_error_is_the_callers():
    with pytest.raises(SettingsError) as caught:
        convert({}, Inner, lambda message: SettingsError(message, line=3))
    assert caught.value.details == {"line": 3}


@pytest.mark.parametrize(
    "source", ['{"a": 1, "a": 2}', '{"a": NaN}', "{", "[" * 100_000, b"\xff", "-Infinity"]
)
def test_json_that_could_be_read_in_two_ways_or_not_at_all_is_refused(source):
    with pytest.raises(ArgumentsError, match=r"^the plan: not valid JSON: "):
        read_json(source, ArgumentsError, "the plan")


@pytest.mark.parametrize("source", ["a", "a = 1\na = 2", "a = " + "[" * 100_000])
def test_toml_that_cannot_be_read_is_refused(source):
    with pytest.raises(SettingsError, match=r"^batos.toml: not valid TOML: "):
        read_toml(source, SettingsError, "batos.toml")


def test_types_are_described_in_words():
    assert describe(Annotated[str, text(9)]) == "a text of at most 9 characters"
    assert describe(list[int] | None) == "a list"
    assert describe(int | str) == "a whole number or a text"
    assert describe(Annotated[str, one_of(["a.b", "c"])]) == "a.b or c"
    assert describe(Annotated[list[int], Meta(min_length=1)]) == "a list of at least 1 items"
    assert describe(bool) == "true or false"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["parts", "names", "inner", "mode", "share", "free", "pair", "count", "z"]
            )
            | st.integers(),
            inner,
            max_size=4,
        )
    ),
)


@given(JSON)
def test_any_value_is_read_or_refused_with_a_short_message(value):
    messages = []
    try:
        convert(value, Outer, lambda message: messages.append(message) or ArgumentsError(message))
    except ArgumentsError:
        assert 0 < len(messages[0]) < 300
    else:
        assert set(value) <= set(Outer.__struct_fields__)


FIRST_USES = """
import sys, threading
from typing import Annotated
from bat_os.core.schema import Meta, Record, convert
from bat_os.errors import ArgumentsError

def make(name, letter, kind):
    fields = {f"{letter}{number}": kind for number in range(20)}
    return type(name, (Record,), {"__annotations__": fields, "__module__": __name__}, frozen=True)

sys.setswitchinterval(1e-6)
part = {f"a{number}": number for number in range(20)}
whole = {f"b{number}": part for number in range(20)}
for turn in range(40):
    kind = make(f"Whole{turn}", "b", make(f"Part{turn}", "a", Annotated[int, Meta(ge=0)]))
    gate = threading.Barrier(8)
    def work():
        gate.wait()
        convert(whole, kind, ArgumentsError)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
"""


def test_many_threads_may_be_the_first_to_use_a_record():
    subprocess.run([sys.executable, "-c", FIRST_USES], check=True, cwd=ROOT)  # it crashed
