"""bat_os.sentence.sameness: when two requests are one."""

import tomllib
from collections import Counter

import pytest

from bat_os.sentence.sameness import (
    ENGLISH,
    find_base_form,
    has_same_words,
    is_same_name,
    is_same_request,
    read_concepts,
    read_english,
    take_apart,
    weigh_known,
)
from bat_os.sentence.translate import translate


@pytest.mark.parametrize(
    ("wish", "known", "values"),
    [
        ("Reverse a text.", "Please reverse the text", 1),
        ("How many vowels are in a text?", "Count the vowels in a text.", 1),
        ("Sort a list of words.", "Please put a list of words in order", 1),
    ],
)
def test_the_same_in_other_words_is_one_wish(wish, known, values):
    assert is_same_request(wish, known, values=values)
    assert is_same_request(known, wish, values=values)


@pytest.mark.parametrize(
    ("wish", "known", "values"),
    [
        ("Is a text shorter than a text?", "Is a text longer than a text?", 2),
        ("Compute the yearly payment of a loan.", "Compute the monthly payment of a loan.", 0),
        ("Is a text in snake case?", "Convert a text to snake case.", 1),
        ("Count the different characters in a text.", "Count the characters in a text.", 1),
        ("Convert celsius to fahrenheit.", "Convert fahrenheit to celsius.", 0),
        ("List the vowels in a text.", "Count the vowels in a text.", 1),
        ("Decrypt a text with caesar shift a number.", "Encrypt a text with caesar shift a number.",
         2),
    ],
)  # fmt: skip
def test_a_word_that_turns_a_wish_makes_it_another(wish, known, values):
    assert not is_same_request(wish, known, values=values)
    assert not is_same_request(known, wish, values=values)


# --- quick comparison by plain words ---


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Convert celsius to fahrenheit.", "Convert fahrenheit to celsius."),
        ("Return the largest number of a list.", "Return the smallest number of a list."),
        ("Sum the even numbers.", "Sum the odd numbers."),
        ("Add 3 days to a date.", "Add 5 days to a date."),
        ("Tell the first word.", "Tell the last word."),
        ("Convert celsius to kelvin.", "Convert celsius to fahrenheit."),
        ("Check that a text is empty.", "Check that a text is not empty."),
    ],
)
def test_wishes_that_differ_in_one_word_that_counts_are_not_the_same(one, other):
    assert not has_same_words(one, other)
    assert not has_same_words(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Reverse a text.", "please reverse the text"),
        ("Report the current system time.", "What time is it now?"),
        ("Count the vowels in a text.", "How many vowels are in a text?"),
        ("Return the largest number of a list.", "find the largest number in a list"),
    ],
)
def test_wishes_that_differ_in_the_asking_only_may_be_the_same(one, other):
    assert has_same_words(one, other)


def test_a_function_for_the_same_wish_counts_as_much_as_all_that_were_written():
    assert (
        weigh_known(0.95, "Find the largest number in a list.", "Find the largest number.") == 1.0
    )


def test_the_less_alike_two_wishes_are_the_less_a_function_counts():
    wish, near, other = "Reverse a text.", "Turn a text round.", "Sort the words by length."
    weights = [
        weigh_known(0.8, wish, near),
        weigh_known(0.8, "Sort the rows.", other),
        weigh_known(0.6, wish, near),
    ]
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] == 0
    assert weigh_known(0.3, wish, near) is None


# --- many words for one concept ---

ENTRIES = tomllib.loads(ENGLISH.read_text(encoding="utf-8"))
MEANT = set(ENTRIES["concepts"])
SAID = [
    " ".join(phrase.split())
    for phrases in (*ENTRIES["concepts"].values(), ENTRIES["meaningless"])
    for phrase in phrases.split(",")
]


def test_what_is_said_means_one_concept_only():
    assert [words for words, times in Counter(SAID).items() if times > 1] == []


def test_no_concept_is_said_for_another_one():
    assert MEANT & set(SAID) == set()


def test_a_deciding_concept_is_what_its_words_are_read_as():
    english = read_english()
    deciding = english.actions | english.turns | english.units
    deciding -= {"any"}  # decides in a question for yes or no only, where take_apart adds it
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
    assert find_base_form("flattening") == "flattening"
    assert find_base_form("flattening", {"flatten"}) == "flatten"


# --- what a request speaks of ---


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


# --- names of the same request ---


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("report_current_system_time", "current_system_time", True),
        ("countVowels", "count_vowels", True),
        ("count_vowel", "count_vowels", True),
        ("is_prime", "check_if_prime", True),
        ("convert_celsius_to_fahrenheit", "convert_fahrenheit_to_celsius", False),
        ("add", "subtract", False),
        ("what_is_it", "is_it", False),
    ],
)
def test_names_are_the_same_but_for_words_of_asking(one, other, same):
    assert is_same_name(one, other) is same
