"""bat_os.sentence.concepts: many words for one concept."""

from collections import Counter

import pytest

from bat_os.sentence import concepts
from bat_os.sentence.concepts import read_concepts, unbend

LINES = [line.partition(": ") for line in concepts._SAID.strip().splitlines()]
SAID = [words for _, _, several in LINES for words in several.split(", ")]
MEANT = {concept for concept, _, _ in LINES}


def test_what_is_said_means_one_concept_only():
    assert [words for words, times in Counter(SAID).items() if times > 1] == []


def test_no_concept_is_said_for_another_one():
    assert MEANT & set(SAID) == set()


def test_a_deciding_concept_is_what_its_words_are_read_as():
    deciding = concepts.ACTIONS | concepts.TURNS | concepts.UNITS
    deciding -= {"any"}  # decides in a question for yes or no only, where parts.py adds it
    assert [word for word in sorted(deciding) if read_concepts([word])[-1:] != [word]] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("what is biggest of", "find maximum"),
        ("get rid of duplicates", "delete repeated"),
        ("gcd of", "what is largest common divisor of"),
        ("in alphabetical order", "sort alphabetically"),
        ("recommendation", "suggest"),
        ("5 metres", "5 meter"),
    ],
)
def test_other_words_for_the_same_are_one_concept(one, other):
    assert read_concepts(one.split()) == read_concepts(other.split())


@pytest.mark.parametrize(
    ("one", "other"),
    [("maximum", "minimum"), ("mean", "median"), ("first letter", "last letter"),
     ("square root", "cube root"), ("sort", "shuffle"), ("encrypt", "decrypt")],
)  # fmt: skip
def test_opposites_are_two_concepts(one, other):
    assert read_concepts(one.split()) != read_concepts(other.split())


def test_a_bent_word_is_led_back_to_a_word_of_the_other_wish():
    assert unbend("flattening") == "flattening"
    assert unbend("flattening", {"flatten"}) == "flatten"
