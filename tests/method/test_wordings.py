"""bat_os.method.wordings: how people ask for the methods of the library."""

import re
from collections import Counter, defaultdict
from importlib import resources

import pytest

from bat_os.errors import ArgumentsError
from bat_os.method import wordings
from bat_os.method.shelf import SHELF, parameters_of
from bat_os.method.wordings import KINDS, read_wordings

FOLDER = resources.files("bat_os") / "seeds" / "wordings"
LANGUAGES = sorted(each.name for each in FOLDER.iterdir() if each.is_dir())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_wording_is_lower_case_words_and_slots(language):
    for wording in read_wordings(language):
        plain = re.sub(r"\{[a-z0-9_]+\}", "", wording.text)
        assert plain == plain.lower(), wording
        assert " ".join(wording.text.split()) == wording.text, wording
        assert not wording.text.endswith((".", "?", "!")), wording
        kinds = [kind for _, kind in wording.slots]
        assert plain.strip() or kinds == ["expression"], f"it has no word: {wording}"
        assert {kind for _, kind in wording.slots} <= KINDS


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_wording_asks_for_two_methods_or_comes_twice(language):
    seen = defaultdict(list)
    for wording in read_wordings(language):
        seen[wording.masked].append(f"{wording.target}.{wording.selector}")
    assert {text: names for text, names in seen.items() if len(names) > 1} == {}


def test_kinds_come_from_examples_annotations_and_the_english_file():
    (wording, *_) = [
        each for each in read_wordings("en") if each.text == "what is {percent} of {number}"
    ]
    assert (wording.target, wording.selector) == ("calculator_obj", "percent_of")
    assert wording.slots == (("percent", "percent"), ("number", "number"))
    assert wording.masked == "what is {percent} of {number}"
    kinds = {each.name: each.kind for each in parameters_of("calendar_obj")["days_between"]}
    assert kinds == {"first": "date", "second": "date"}
    assert [each.kind for each in parameters_of("statistics_obj")["median_of"]] == ["list"]
    assert [each.required for each in parameters_of("calculator_obj")["root"]] == [True, False]


# What another method does better, so that no sentence is sent to it: "the third Thursday of
# November" and "Easter 2027" are dates by the time that a method is looked for.
DOUBLES = {
    "calendar_obj.add_days": "calendar_obj.shift",
    "calendar_obj.add_minutes": "calendar_obj.time_after",
    "calendar_obj.add_months": "calendar_obj.shift",
    "calendar_obj.age_in_years": "calendar_obj.age",
    "calendar_obj.between_zones": "calendar_obj.convert_time",
    "calendar_obj.easter_sunday": "calendar_obj.date_of",
    "calendar_obj.holiday": "calendar_obj.date_of",
    "calendar_obj.nth_weekday": "calendar_obj.date_of",
    "calendar_obj.weekday_of": "calendar_obj.weekday",
    "calendar_obj.working_days": "calendar_obj.workdays_between",
    "number_obj.add_numbers": "calculator_obj.add",
    "number_obj.divide": "calculator_obj.divide",
    "number_obj.divide_with_remainder": "calculator_obj.divide_with_remainder",
    "number_obj.increase_by_percent": "calculator_obj.increase_by_percent",
    "number_obj.multiply": "calculator_obj.multiply",
    "number_obj.percent_change": "calculator_obj.percent_change",
    "number_obj.percent_of": "calculator_obj.percent_of",
    "number_obj.percentage": "calculator_obj.what_percent",
    "number_obj.raise_to_power": "calculator_obj.power",
    "number_obj.square_root": "calculator_obj.root",
    "number_obj.subtract": "calculator_obj.subtract",
} | {
    f"units_obj.{name}": "units_obj.convert"
    for name in (
        "celsius_to_kelvin", "convert_length", "days_to_seconds", "degrees_to_radians",
        "feet_to_centimeters",
        "hours_to_minutes", "inches_to_centimeters", "kilograms_to_pounds", "kilometers_to_miles",
        "liters_to_gallons", "meters_to_feet", "miles_to_kilometers", "ounces_to_grams",
        "pounds_to_kilograms", "radians_to_degrees", "to_meters_per_second",
    )
}  # fmt: skip
ASKED = [
    "calculator_obj", "calendar_obj", "game_obj", "geometry_obj", "health_obj", "kitchen_obj",
    "money_obj", "number_obj", "physics_obj", "random_obj", "statistics_obj", "travel_obj",
    "units_obj",
]  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_every_method_has_three_wordings_or_does_what_another_one_does(name):
    count = Counter(f"{each.target}.{each.selector}" for each in read_wordings("en"))
    for selector in parameters_of(name):
        method = f"{name}.{selector}"
        assert count[method] >= 3 or count[DOUBLES[method]] >= 3, method
        assert not (count[method] and method in DOUBLES), method


def test_a_language_without_files_has_no_wordings():
    assert read_wordings("tlh") == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('["calculator_obj.percent_of"', "not valid TOML"),
        ("", None),
        ('["calculator_obj.nothing"]\nsay = ["x"]', "no such method"),
        ('["calculator_obj.power"]\nsay = []', "say"),
        ('["calculator_obj.power"]\nsay = ["{base} to the {exp}"]', "exp, which is not"),
        ('["calculator_obj.power"]\nsay = ["{base} up"]', "does not say exponent"),
        ('["calculator_obj.power"]\nsay = ["{base} {base} {exponent}"]', "twice"),
        ('["calculator_obj.power"]\nsay = ["{base} {exponent} {"]', "brace"),
        ('["calculator_obj.power"]\nsay = ["x"]\ntakes = {base = "cat"}', "not a kind"),
        ('["calculator_obj.power"]\nsay = ["x"]\nother = 1', "other is not known"),
        ('["calculator_obj.power"]\nsay = [{say = "{base} squared", with = {exponent = 2}}]', None),
    ],
)
def test_a_file_that_is_wrong_is_refused(text, complaint, monkeypatch, tmp_path):
    folder = tmp_path / "seeds" / "wordings" / "en"
    folder.mkdir(parents=True)
    (folder / "test.toml").write_text(text)
    monkeypatch.setattr(wordings.resources, "files", lambda _: tmp_path)
    parameters_of("calculator_obj")
    read = read_wordings.__wrapped__
    if complaint is None:
        assert len(read("en")) == bool(text)
    else:
        with pytest.raises(ArgumentsError, match=complaint):
            read("en")


def test_every_object_of_the_shelf_can_be_read():
    assert all(parameters_of(name) for name in SHELF)
