"""bat_os.core.readable: plain data as people read it."""

import pytest

from bat_os.core.readable import show_value, to_json


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (57.80000000000001, "57.8"),
        (42.0, "42"),
        (1e300, "1e+300"),
        (True, "yes"),
        (None, "nothing"),
        ([], "nothing"),
        (["kiwi", "fig"], "kiwi, fig"),
        (["a, b", "c"], "a, b\nc"),
        (["x" * 50, "y" * 50], f"{'x' * 50}\n{'y' * 50}"),
        ({"min": 1, "max": 2.5}, "min: 1\nmax: 2.5"),
        ([{"name": "Ann", "age": 7}, {"name": "Bo", "age": 12}], "name  age\nAnn   7\nBo    12"),
        ("2026-05-03", "3 May 2026"),
        ("2026-05-03T07:49:09.636973", "3 May 2026, 07:49"),
        ("07:49:09.636973", "07:49:09"),
        ("2026-02-31", "2026-02-31"),
        ("2026-05-03 and more", "2026-05-03 and more"),
        (b"\x01\xff", "01ff"),
        ([[1], [2]], "[[1], [2]]"),
        (float("nan"), "nan"),
    ],
)
def test_a_value_is_text_for_people(value, shown):
    assert show_value(value) == shown


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        ("de", ("57,8", "3. Mai 2026", "ja")),
        ("fr", ("57,8", "3 mai 2026", "oui")),
        ("es", ("57,8", "3 de mayo de 2026", "sí")),
        ("ar", ("57.8", "3 May 2026", "yes")),
    ],
)
def test_numbers_dates_and_yes_are_in_the_language_of_the_sentence(language, shown):
    assert tuple(show_value(value, language) for value in (57.8, "2026-05-03", True)) == shown


def test_a_value_with_parts_of_its_own_is_json_that_any_reader_takes():
    assert show_value({"a": [1, float("inf")]}) == to_json({"a": [1, "inf"]})


def test_a_weekday_or_a_month_is_said_in_the_language():
    assert show_value("Friday", "fr") == "vendredi"
    assert show_value("March", "de") == "März"
    assert show_value("Friday") == "Friday"
    assert show_value("Friday night", "fr") == "Friday night"
