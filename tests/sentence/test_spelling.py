"""Typing errors become the words of commands; what a person writes for others stays as it is."""

import datetime as dt

import pytest

from bat_os.sentence.forms import read_form
from bat_os.sentence.spelling import correct, count_errors, known_words, read_spelt, vocabulary

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)


def meant(text, hint=""):
    return read_spelt(text, NOW, hint)[0].text


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("teh", "the"),
        ("taht", "that"),
        ("waht", "what"),
        ("wich", "which"),
        ("hwo", "how"),
        ("wht", "what"),
        ("fo", "of"),
        ("nxt", "next"),
        ("shoping", "shopping"),
        ("tommorow", "tomorrow"),
        ("rember", "remember"),
        ("remaind", "remind"),
        ("avrage", "average"),
        ("charaters", "characters"),
        ("kilometrs", "kilometers"),
        ("wendsday", "wednesday"),
        ("squareroot", "square root"),
        ("wahts", "what is"),
        ("tiem", "time"),
        ("lst", "list"),
        ("tripple", "triple"),
    ],
)
def test_a_misspelt_word_becomes_a_word_of_the_commands(wrong, right):
    assert correct(wrong, "en") == right


@pytest.mark.parametrize(
    "word",
    [
        *("sister", "milk", "house", "quinoa", "parsnips", "frobnicate", "zorkmid", "sortiere"),
        *("gist", "quip", "jist"),
    ],
)
def test_a_word_that_may_be_right_stays(word):
    assert correct(word, "en") == word


@pytest.mark.parametrize(
    ("language", "wrong", "right"),
    [
        ("de", "prozznt", "prozent"),
        ("de", "wochentg", "wochentag"),
        ("de", "milch", "milch"),
        ("de", "nudeln", "nudeln"),
        ("fr", "pourcentge", "pourcentage"),
        ("es", "porcentje", "porcentaje"),
    ],
)
def test_without_a_word_list_only_what_is_very_near_is_corrected(language, wrong, right):
    assert correct(wrong, language) == right


@pytest.mark.parametrize(
    "text",
    [
        "reverse 'teh tiem'",
        "count the words in: teh avrage tiem",
        "open /home/ann/tiem/avrage.txt",
        "send it to avrage@tiem.org",
        "what is the age of Tiem",
        "tiem_obj.wave(2)",
        "set tiem3 to 2",
    ],
)
def test_what_is_not_the_command_itself_is_not_touched(text):
    assert meant(text) == text


def test_the_words_of_the_list_and_of_the_commands_are_known():
    assert len(known_words("en")) > 20_000
    assert not known_words("de")
    assert vocabulary("de").counts["prozent"]


def test_values_are_read_from_the_words_that_were_meant():
    sentence, typed = read_spelt("convrt twleve kilometrs to mils", NOW)
    assert [value.value for value in sentence.values] == [12, "kilometer", "mile"]
    assert typed.text == "convrt twleve kilometrs to mils"
    assert sentence.as_typed(0, len(sentence.text)) == typed.text


def test_a_sentence_without_errors_is_read_once():
    sentence, typed = read_spelt("what is 17% of 340", NOW)
    assert sentence is typed


def test_a_free_slot_gets_what_was_typed_and_a_name_of_something_known_what_was_meant():
    sentence, _ = read_spelt("plese ad quinoaa and tpie to my shoping lsit", NOW)
    form = read_form(sentence)
    assert form is None or "tpie" in form.values["items"]
    sentence, _ = read_spelt("plese add quinoaa and adn to my shoping lsit", NOW)
    form = read_form(sentence)
    assert (form.name, form.values["list"]) == ("lists_obj.add", "shopping")
    assert form.values["items"][0] == "quinoaa"


def test_a_fact_is_kept_as_it_was_typed():
    form = read_form(read_spelt("rember that teh spare key is undr the mat", NOW)[0])
    assert form.name == "memory_obj.remember"
    assert form.values["text"] == "teh spare key is undr the mat"


def test_a_text_in_which_nearly_every_word_is_strange_is_left_alone():
    text = " ".join(["waht teh avrage tiem"] * 5)
    assert meant(text) == text


@pytest.mark.parametrize(
    ("one", "other", "errors"),
    [("time", "time", 0), ("tiem", "time", 1), ("avrage", "average", 1), ("abc", "xyz", 3)],
)
def test_errors_of_spelling_are_counted_up_to_a_bound(one, other, errors):
    assert count_errors(one, other, 2) == errors
