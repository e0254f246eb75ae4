"""Sentences with values in them: each is found, typed, and stands where it is said."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from pathlib import Path

import pytest

from bat_os.sentence.reading import read_sentence

NOW = dt.datetime(2026, 11, 22, 17, 0, tzinfo=dt.UTC)  # a Sunday
CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "cases" / "values.jsonl")
    .read_text("utf-8")
    .splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=[case["text"] for case in CASES])
def test_the_values_of_a_sentence_are_read(case):
    sentence = read_sentence(case["text"], NOW, case.get("hint", ""))

    assert [[value.kind, value.value] for value in sentence.values] == case["values"]
    assert sentence.language == case["language"]


@pytest.mark.parametrize("case", CASES, ids=[case["text"] for case in CASES])
def test_values_stand_in_order_where_they_are_said(case):
    values = read_sentence(case["text"], NOW).values

    assert all(case["text"][value.start : value.end] == value.text for value in values)
    assert all(one.end <= other.start for one, other in itertools.pairwise(values))
