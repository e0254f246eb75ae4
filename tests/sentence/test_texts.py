"""bat_os.sentence.texts: each language says everything, with the same values."""

import datetime
import re

import pytest

from bat_os.sentence.texts import LANGUAGES, read_texts, say_value, text

CODES = sorted(path.name.split(".")[1] for path in LANGUAGES.glob("texts.*.toml"))


def wordings(key: str, language: str) -> list[str]:
    said = read_texts(language)["text"][key]
    return list(said.values()) if isinstance(said, dict) else [said]


def slots(key: str, language: str) -> set[str]:
    found = {slot for said in wordings(key, language) for slot in re.findall(r"{(\w+)}", said)}
    return found - {"count"}  # "one" may leave it out


@pytest.mark.parametrize("code", CODES)
def test_each_language_has_each_key_with_the_same_slots(code):
    keys = read_texts("en")["text"]
    assert set(keys) <= set(read_texts(code)["text"])
    assert {key: slots(key, code) for key in keys} == {key: slots(key, "en") for key in keys}


@pytest.mark.parametrize("code", CODES)
def test_a_text_with_plural_forms_has_both(code):
    for key, said in read_texts(code)["text"].items():
        assert isinstance(said, str) or set(said) == {"one", "many"}, key


@pytest.mark.parametrize("code", CODES)
def test_every_text_can_be_said(code):
    for key in read_texts("en")["text"]:
        values = dict.fromkeys(slots(key, code), "something") | {"count": 2}
        assert "{" not in text(code, key, **values)


def test_one_thing_is_said_in_the_singular():
    assert (
        text("en", "lists.count", count=1, list="shopping") == "One entry is on the shopping list."
    )
    assert text("en", "lists.count", count=12_000, list="x") == "12,000 entries are on the x list."


def test_an_unknown_language_is_answered_in_english():
    assert text("xx", "talk.praise") == text("../../etc", "talk.praise") == "Thank you."


def test_an_unknown_key_is_an_error():
    with pytest.raises(KeyError):
        text("en", "talk.nothing_of_the_kind")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("de", "1.234.567,5, ja und 3. Mai 2026"),
        ("fr", "1\u202f234\u202f567,5, oui et 3 mai 2026"),
        ("es", "1.234.567,5, s\u00ed y 3 de mayo de 2026"),
    ],
)
def test_numbers_dates_and_lists_have_the_form_of_the_language(code, said):
    assert say_value(code, [1234567.5, True, datetime.date(2026, 5, 3)]) == said


def test_a_spanish_list_says_e_before_an_i():
    assert say_value("es", ["Ana", "Isabel"]) == "Ana e Isabel"
    assert say_value("es", ["agua", "hielo"]) == "agua y hielo"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (57.8, "57.8"),
        (8.0, "8"),
        (-1234567, "-1,234,567"),
        (1986, "1986"),
        (0.1 + 0.2, "0.3"),
        (1e300, "1e+300"),
        (10**400, str(10**400)),
        (["a", 2, 3.5], "a, 2 and 3.5"),
        ([], ""),
        (None, "nothing"),
        (datetime.datetime(2026, 5, 3, 7, 5, tzinfo=datetime.UTC), "3 May 2026, 07:05"),
    ],
)
def test_values_are_written_as_a_person_writes_them(value, said):
    assert say_value("en", value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(1 / 3, "0.3333333333"), (0.1 + 0.2, "0.3"), (1e7 / 3, "3,333,333.333"), (57.8, "57.8"),
     (123456789.25, "123,456,789.25"), (2.0, "2")],
)  # fmt: skip
def test_a_fraction_has_ten_digits(value, said):
    assert say_value("en", value) == said
