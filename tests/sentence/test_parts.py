"""bat_os.sentence.parts: what a wish speaks of."""

import pytest

from bat_os.sentence.parts import take_apart
from bat_os.sentence.translate import translate


def parts(sentence, **more):
    wish = translate(sentence)
    return take_apart(wish.text, values=len(wish.args) + len(wish.kwargs), **more)


@pytest.mark.parametrize("sentence", ["convert 150 minutes to hours", "150 minutes in hours"])
def test_a_unit_belongs_to_the_number_before_it(sentence):
    read = parts(sentence)
    assert (read.concepts, read.beside, read.target) == (("minute", "hour"), ("minute",), "hour")


def test_a_measure_is_converted_and_anything_else_counted():
    assert parts("how many hours are 150 minutes?").actions == frozenset()
    assert parts("how many words has 'a b'?").actions == {"count"}


def test_a_name_belongs_to_the_number_after_it():
    assert parts("what is the volume of a ball with radius 3?").beside == ("radius",)
    assert parts("multiply 2 by 3").beside == ("", "")


def test_values_are_told_by_their_kind_and_the_preposition_before():
    read = parts("replace 'a' with 'b' in ['a', 'c']")
    assert read.kinds == ("text", "text", "list")
    assert read.joints == ("", "with", "in")


def test_a_noun_is_a_value_only_where_a_parameter_has_its_name():
    told = "Calculate the area of a circle with a radius."
    assert take_apart(told, values=1, names=["radius"]).kinds == ("any",)
    assert take_apart(told, values=1, names=["size"]).kinds == ()


def test_without_values_every_noun_counts():
    assert take_apart("return a random number").concepts == ("random", "number")


@pytest.mark.parametrize(
    ("sentence", "asks"),
    [("is 7 prime?", True), ("check whether 7 is prime", True), ("what is 7 plus 1?", False),
     ("do you know a joke?", False)],
)  # fmt: skip
def test_a_question_for_yes_or_no_is_told(sentence, asks):
    assert parts(sentence).asks_whether is asks


def test_a_hash_in_a_wish_is_no_value():
    assert take_apart("count the #number signs", values=0).kinds == ()
