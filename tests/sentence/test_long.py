"""Sentences of one part, again and again: the work of reading grows no faster than they do."""

import contextlib
import datetime as dt
import random
import sys

import pytest

from bat_os.core.brief import Brief, goal, parameters
from bat_os.errors import ArgumentsError, TooLargeError
from bat_os.kernel.say.watches import read_said
from bat_os.sentence.language import languages, speak
from bat_os.sentence.tokens import QUOTES
from bat_os.sentence.translate import translate

pytestmark = pytest.mark.slow
NOW = dt.datetime(2026, 11, 24, 9, 30, tzinfo=dt.UTC)
MARKS = (
    *QUOTES,
    "[",
    "{",
    "(",
    "[1,",
    "1:",
    "1/",
    "-1",
    "/a",
    "a.",
    "@",
    "```",
    "x=1 ",
    ": ",
    "a;1\n",
    "4 gives 8, ",
)
FEW, MANY = 2_500, 10_000  # characters: above and below what is read word by word
MOST = 150  # calls for a character, of short sentences and long ones alike


def atoms():
    """Return marks, and words of the tables of each language."""
    draw = random.Random(5)  # noqa: S311 - no secret
    words = [draw.choice(sorted(speak(code).vocabulary)) + " " for code in languages() * 3]
    return [*MARKS, *words]


class Steps:
    """Counts calls of functions, those in C included."""

    def __enter__(self):
        self.count = 0
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _note(self, _frame, event, _arg):
        self.count += event in ("call", "c_call")


def steps_for(text):
    with Steps() as steps:
        for read in (lambda: read_said(text, NOW, ""), lambda: translate(text)):
            with contextlib.suppress(ArgumentsError, TooLargeError):
                read()
    return steps.count


@pytest.mark.parametrize("frame", ["{}", "zonk this: {}"])
@pytest.mark.parametrize("atom", atoms(), ids=repr)
def test_a_long_sentence_of_one_part_is_read_in_steps_that_grow_with_it(atom, frame):
    few, many = (frame.format(atom * (size // len(atom))) for size in (FEW, MANY))
    steps_for("what is 2 + 3?")  # reads the words of the language
    short, long = steps_for(few), steps_for(many)
    assert long <= 6 * short
    assert long <= MOST * MANY


class Noun(str):
    """A kind of value that counts how often it is compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other):
        Noun.compared += 1
        return str.__eq__(self, other)


def test_names_of_arguments_cost_one_look_each(monkeypatch):
    monkeypatch.setattr("bat_os.core.brief._noun", lambda value: Noun(type(value).__name__))
    names = parameters(Brief("genesis_obj", "add_all", tuple(range(1_000)), {}))
    assert len(set(names)) == 1_000
    assert Noun.compared < 10 * 1_000


def test_the_sentence_of_a_wish_is_made_of_its_beginning():
    goal(Brief("genesis_obj", "add", (), {}, "a b "))  # what is read once is read by now
    with Steps() as short:
        goal(Brief("genesis_obj", "add", (), {}, "a b " * 1_000))
    with Steps() as long:
        goal(Brief("genesis_obj", "add", (), {}, "a b " * 5_000))
    assert long.count == short.count
