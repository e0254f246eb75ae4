"""bat_os.sentence.forms: sentences of an exact shape, and those that only look like one."""

import datetime as dt
import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.sentence import forms, templates
from bat_os.sentence.forms import find_core, read_core, read_form
from bat_os.sentence.reading import MAX_READ, Sentence, Value, read_sentence
from bat_os.sentence.templates import MAX_WORDS, Limit, Spelling, Templates, split_words

FILE = Path(__file__).parents[1] / "cases" / "forms.jsonl"
CASES = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
CODES = sorted(path.name.split(".")[1] for path in forms.LANGUAGES.glob("forms.*.toml"))
NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
WORDS = st.sampled_from(
    ["remember", "that", "my", "list", "add", "to", "the", "is", "'s", "3", "what", "no", "'", '"',
     ":", "?", "()", "[", "]", "{", "}", "\u2019", "\n", "\0", "e.g.", "gives", "remind me"]
)  # fmt: skip


def read(text: str, language: str = "en") -> forms.Form | None:
    return read_form(Sentence(text, language, (), ""))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['language']}: {case['say']}")
def test_a_sentence_is_read_as_its_form(case):
    form = read(case["say"], case["language"])

    if case["form"]:
        assert form is not None
        assert form.name == case["form"]
        wanted = case.get("values", {})
        assert {name: form.values.get(name) for name in wanted} == wanted
    else:  # a general form may fit: a skill goes first
        assert form is None or not form.certain, form


@pytest.mark.parametrize(
    "said",
    [
        "ADD MILK TO MY SHOPPING LIST",
        "add milk to my shopping list!!!",
        "  Please add milk to my shopping list, thank you. ",
        "could you please add milk to our shopping list?",
        "Hey, can you add \u201cmilk\u201d to the shopping list",
    ],
)
def test_case_marks_and_politeness_do_not_matter(said):
    form = read(said)
    assert form is not None
    assert (form.name, form.values["list"].lower()) == ("lists_obj.add", "shopping")
    assert [item.lower() for item in form.values["items"]] == ["milk"]


def test_a_slot_keeps_what_was_said():
    form = read("remember that Dr. O\u2019Brien's fee is $40 (plus tax), i.e. $44.")
    assert form is not None
    assert form.values == {"text": "Dr. O\u2019Brien's fee is $40 (plus tax), i.e. $44"}


def test_a_number_is_what_the_reader_made_of_it():
    said = "I did twenty-five push-ups"
    value = Value("number", 25, 6, 17, "twenty-five")
    form = read_form(Sentence(said, "en", (value,), "i did {number} push-ups"))
    assert form is not None
    assert form.values == {"number": 25, "thing": "push-ups"}


def test_an_unknown_language_is_read_as_english():
    assert read("undo that", "xx") == read("undo that") == forms.Form("self_obj.undo", {})


def test_the_template_with_more_literal_words_wins():
    made = Templates({}, {"list": Limit(words=2)}, Spelling())
    made.add("add {items} to {list}", "any list")
    made.add("add {items} to my {list}", "my list")
    words = split_words("add bread to go to my list", Spelling())
    assert [match.payload for match in made.match(words, {})] == ["my list", "any list"]


def test_a_rule_may_be_optional_and_have_choices():
    spelling = Spelling({"what's": "what is"})
    made = Templates({"my": "(my|our)"}, {}, spelling)
    made.add("what's [on] <my> {list} [list]", 1)
    for said in ("what is on our shopping list", "What\u2019s my trip"):
        assert made.match(split_words(said, spelling), {})
    assert not made.match(split_words("what is your trip", spelling), {})


@pytest.mark.parametrize("template", ["(a|b", "a]", "[a", "[a]"])
def test_a_template_that_is_none_is_refused(template):
    with pytest.raises(ValueError, match=r"bracket|template"):
        Templates({}, {}, Spelling()).add(template, 1)


@given(st.text(max_size=200) | st.lists(WORDS, max_size=80).map(" ".join))
def test_reading_never_fails(text):
    for code in CODES:
        read(text, code)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(
    "part", ["remember that ", "my list ", "and ", "what is my ", "add a to b ", "please ", "3 "]
)
def test_the_work_grows_with_the_length_alone(code, part, monkeypatch):
    read_templates, put, steps = forms._forms_of(code).templates, templates._put, []
    monkeypatch.setattr(templates, "_put", lambda *args: (steps.append(1), put(*args)))
    counts = []
    for words in (MAX_WORDS // 4, MAX_WORDS // 2, MAX_WORDS):
        steps.clear()
        read_templates.match(split_words(part * words, Spelling())[:words], {})
        counts.append(len(steps))
    assert counts[2] <= 5 * counts[0]


# What a slot of a skill's wording may hold; every other one holds a number.
SAID = {"text": "'hello world'", "numbers": "3, 1, 2", "list": "[1, 2]", "date": "3 May 2026"}
OWN = ("lists_obj", "counters_obj", "memory_obj", "reminders_obj")


def test_wordings_of_skills_are_hardly_ever_taken_for_certain_forms():
    folder = forms.LANGUAGES.parents[1] / "seeds" / "wordings"
    wordings = [
        (file.parent.name, wording["say"] if isinstance(wording, dict) else wording)
        for file in sorted(folder.glob("*/*.toml"))
        for skill, entry in tomllib.loads(file.read_text(encoding="utf-8")).items()
        if not skill.startswith(OWN)
        for wording in entry["say"]
    ][::2]
    said = [
        (code, re.sub(r"{(\w+)}", lambda slot: SAID.get(slot[1], "7"), wording))
        for code, wording in wordings
    ]
    taken = [each for code, each in said if (form := read(each, code)) and form.certain]
    assert len(said) > 200
    assert len(taken) <= len(said) // 100, taken


def test_a_sentence_that_is_too_long_is_no_form():
    assert read("remember that " + "x" * MAX_READ) is None
    assert read("a " * (MAX_WORDS + 1)) is None


@pytest.mark.parametrize(
    ("text", "language", "core"),
    [
        ("could you please tell me the time, thanks?", "en", "the time"),
        ("Thanks. Great, so how far is it?", "en", "how far is it?"),
        ("next friday", "en", "next friday"),
        ("right triangle with sides 3 and 4", "en", "right triangle with sides 3 and 4"),
        ("right, what is 3 + 4", "en", "what is 3 + 4"),
        ("please", "en", "please"),
        ("please reverse 'tell me, please'", "en", "reverse 'tell me, please'"),
        ("translate to french: thank you", "en", "translate to french: thank you"),
        ("kurze frage: wie alt ist er? danke", "de", "wie alt ist er"),
        ("dis moi, combien font 3 et 4, merci", "fr", "combien font 3 et 4"),
        ("tengo una pregunta: qué hora es, por favor", "es", "qué hora es"),
    ],
)
def test_politeness_around_a_sentence_is_left_out(text, language, core):
    start, end = find_core(text, language)
    assert text[start:end] == core


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("can you tell me what the root of 81 is please", "what is the root of {number}"),
        ("may i ask what 12 squared is?", "what is {expression}"),
        ("i wonder how many days there are in may", "how many {unit} are there in may"),
        ("what is the root of 81", "what is the root of {number}"),
    ],
)
def test_an_indirect_question_is_asked(text, masked):
    core = read_core(read_sentence(text, NOW, "en"), NOW)
    assert core.masked == masked


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("will I need a scarf in Tromsø tomorrow?", "web_obj.weather"),
        ("should we pack gloves when we go to the mountains?", "web_obj.weather"),
        ("whether forecast for Leeds tomorrow", "web_obj.weather"),  # a typing error of "weather"
        ("will it be warm enough to swim?", "web_obj.weather"),
        ("what are the headlines this evening?", "web_obj.news"),
        ("move ~/a.txt to ~/old/a.txt", "files_obj.rename"),
        ("copy ~/a.txt as b.txt", "files_obj.rename"),
    ],
)
def test_what_lies_outside_is_known_in_more_words(said, name):
    form = read(said)
    assert form is not None
    assert form.name == name


@pytest.mark.parametrize("said", ["move the meeting to 10", "copy that to my list", "rename it"])
def test_only_what_looks_like_a_file_is_renamed(said):
    form = read(said)
    assert form is None or form.name != "files_obj.rename"
