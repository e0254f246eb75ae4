"""Sentences with values in them: each is found, typed, and stands where it is said."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bat_os.training
from bat_os.errors import ArgumentsError
from bat_os.natives import calculator, calendar, clock, units
from bat_os.sentence.language import languages, speak
from bat_os.sentence.reading import MAX_READ, Value, as_kind, mask, read_sentence

NOW = dt.datetime(2026, 11, 22, 17, 0, tzinfo=dt.UTC)  # a Sunday
FILE = Path(__file__).parents[1] / "cases" / "values.jsonl"
SAID = Path(bat_os.training.__file__).parent / "sentences"
CASES = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
# What values are made of, and what breaks readers: sentences of these in any order.
WORDS = """
5 3/4 1.234,5 -7 17% $40 km mile miles in to a one dozen half and und et y twenty-one . , : ; +
einundzwanzig quatre-vingt-dix ( ) [ ] { } * ^ ' " „ “ « » ` 's May 3rd Friday next 2026-11-22
1789 Easter 15:30 pm past to Berlin https://a.b ~/x.txt \u0301 é ß İ
"""
PARTS = st.sampled_from(WORDS.split())


@pytest.mark.parametrize("case", CASES, ids=[case["text"] for case in CASES])
def test_the_values_of_a_sentence_are_read(case):
    sentence = read_sentence(case["text"], NOW, case.get("hint", ""))

    assert [[value.kind, value.value] for value in sentence.values] == case["values"]
    assert sentence.language == case["language"]


@pytest.mark.parametrize("case", CASES, ids=[case["text"] for case in CASES])
def test_the_library_takes_the_values_that_are_read(case):
    for value in read_sentence(case["text"], NOW, case.get("hint", "")).values:
        if value.kind == "unit" and value.value != "workdays":
            assert units.convert(1, value.value, value.value) == 1
        if value.kind == "date":
            assert calendar.read_date(value.value, NOW).isoformat() == value.value
        if value.kind == "time":
            assert f"{clock.read_time(value.value):%H:%M}" == value.value
        if value.kind == "expression":
            calculator.evaluate(value.value)


@given(st.one_of(st.text(), st.lists(PARTS).map(" ".join), st.lists(PARTS).map("".join)))
@pytest.mark.slow
def test_values_stand_in_order_where_they_are_said(text):
    for language in languages():
        sentence = read_sentence(text, NOW, language)
        values = sentence.values

        assert all(text[value.start : value.end] == value.text != "" for value in values)
        assert all(one.end <= other.start for one, other in itertools.pairwise(values))
        json.dumps([value.value for value in values], allow_nan=False)


def count_calls(text):
    calls = 0

    def count(_frame, event, _argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        read_sentence(text, NOW)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    ["(", "(1+", "[1,", '"', "'a ", "1", "1 ", "1,", "5 km ", "one and ", "a, ", "half past ",
     "a\n", "e\u0301", "http://", "a@", "/a", "sqrt(", "monday next ", "twenty-", "ein", "a: ",
     "[ 1 1 ]"],
)  # fmt: skip
def test_the_work_grows_no_faster_than_the_sentence(part):
    read_sentence(part * 3, NOW)  # loads the tables
    few, many = (count_calls((part * MAX_READ)[: MAX_READ * size // 4]) for size in (1, 4))

    assert many < 5 * few + 1000
    assert count_calls((part * MAX_READ * 30)[: 60 * 1024]) < 35 * many


def test_a_quoted_text_is_taken_whole_however_long():
    text = "x" * 60_000

    (value,) = read_sentence(f"count the letters in '{text}'", NOW).values

    assert value.value == text


def test_the_mask_has_the_kinds_and_no_end_marks():
    sentence = read_sentence("What is 17% of  340?", NOW)

    assert sentence.masked == "what is {percent} of {number}"
    assert mask(sentence.text, sentence.values[:1]) == "what is {percent} of 340"


def test_a_hint_decides_where_the_words_do_not():
    read = {code: read_sentence("1.234", NOW, code).values[0].value for code in ("en", "de")}

    assert read == {"en": 1.234, "de": 1234}
    assert read_sentence("wie spät ist es", NOW, "en").language == "de"


@pytest.mark.parametrize("code", languages())
def test_the_language_of_an_everyday_sentence_is_told(code):
    lines = [
        line for place in SAID.glob("*.jsonl") for line in place.read_text("utf-8").split("\n")
    ]
    said = [one["text"] for one in map(json.loads, filter(None, lines)) if one["lang"] == code]
    told = [read_sentence(text, NOW).language for text in said]

    assert len(said) > 90
    assert told.count(code) >= 0.95 * len(said)


@pytest.mark.parametrize(
    "text", ["base64 of it", "its sha256 sum", "an mp3 file", "room101 and h2o"]
)
def test_digits_at_the_end_of_a_word_are_no_number(text):
    assert [each.kind for each in read_sentence(text, NOW).values if each.kind == "number"] == []


def only_value(text):
    (value,) = read_sentence(text, NOW).values
    return value


@pytest.mark.parametrize(
    ("text", "kind", "served"),
    [
        ("17%", "number", 17),
        ("$40", "number", 40),
        ("3 + 4", "number", 7),
        ("in 1999", "number", 1999),
        ("February", "number", 2),
        ("340", "percent", 340),
        ("340", "expression", "340"),
        ("3/4", "expression", "3/4"),
        ("17%", "expression", "17%"),
        ("3 + 4", "expression", "3 + 4"),
        ("340", "text", "340"),
        ("in 1999", "text", "1999"),
        ("'Berlin'", "name", "Berlin"),
        ("[1, 2]", "list", [1, 2]),
    ],
)
def test_a_value_serves_where_another_kind_is_wanted(text, kind, served):
    assert as_kind(only_value(text), kind) == served


@pytest.mark.parametrize(
    ("text", "kind"), [("3 May", "number"), ("'x'", "number"), ("340", "date"), ("noon", "date")]
)
def test_a_value_is_refused_where_it_cannot_serve(text, kind):
    with pytest.raises(ArgumentsError):
        as_kind(only_value(text), kind)


@pytest.mark.parametrize("code", languages())
def test_every_unit_and_holiday_of_a_language_is_known_to_the_library(code):
    named = {unit for _, unit in speak(code).phrases("units").items()} - {"workdays"}

    assert all(units.units_like(unit) is not None for unit in named)
    assert all(
        calendar.holiday(name, 2027, now=NOW) for _, name in speak(code).phrases("holidays").items()
    )


def test_a_value_keeps_what_was_said():
    assert Value("number", 12, 0, 7, "a dozen") == only_value("a dozen")
