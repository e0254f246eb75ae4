"""Tokens of a sentence: what is a literal, what is a word, and what no parser should see."""

from __future__ import annotations

import pytest

from bat_os.sentence.tokens import parse_call, scan


def literals(sentence):
    return [token.value for token in scan(sentence) if token.kind == "literal"]


@pytest.mark.parametrize(
    ("sentence", "values"),
    [
        ("-5, +3, 2.50, .5, 1e3 and 1,000,000", [-5, 3, 2.5, 0.5, 1000.0, 1000000]),
        ("5-3 is 2.", [5, 3, 2]),
        ("the 3rd of 5kg", []),
        ("'it's' and \"a 'b' c\" and `x y`", ["it's", "a 'b' c", "x y"]),
        ("Alice's and Bob's hats don't fit", []),
        ("[1, [2.5, null, true]] and {'a': (1, 'b]')}", [[1, [2.5, None, True]], {"a": (1, "b]")}]),
        ("[see below] or {this}", []),
        ("2024-01-31, 10:30 and 3.11.2", ["2024-01-31", "10:30", "3.11.2"]),
        (
            "mail a.b@example.org or see https://example.org/x.",
            ["a.b@example.org", "https://example.org/x"],
        ),
        ("1e999", ["1e999"]),
        ("7" * 5000, ["7" * 5000]),
        ("[NaN]", []),
    ],
)
def test_literals_are_found_with_their_values(sentence, values):
    assert literals(sentence) == values


@pytest.mark.parametrize(
    ("sentence", "call"),
    [
        ("f()", ("", "f", [], {})),
        (
            " robot . wave ( -1.5, \"a, (b\", k = [None, {'x': 1}], ) ",
            ("robot", "wave", [-1.5, "a, (b"], {"k": [None, {"x": 1}]}),
        ),
        ("f(b'x', 'a\\n')", ("", "f", [b"x", "a\n"], {})),
    ],
)
def test_a_call_is_taken_exactly(sentence, call):
    assert parse_call(sentence) == call


@pytest.mark.parametrize(
    "sentence",
    [
        "f(" * 100 + ")" * 100,
        "f(" + "-" * 5000 + "1)",
        "f(" + "1+" * 5000 + "1)",
        "f(" + "lambda:" * 5000 + "1)",
        "f(x)",
        "f(1) and more",
        "f(1",
        "f(a=1, a=2)",
        "f(1j)",
        "f(__import__('os'))",
        "f([x for x in (1, 2)])",
    ],
    ids=lambda sentence: sentence[:20],
)
def test_what_is_no_call_with_literals_never_reaches_the_parsers_limits(sentence):
    assert parse_call(sentence) is None
