"""The arguments of a call: by type, format and name, else a phrase; what is not clear is asked."""

from datetime import UTC, datetime

import pytest

from bat_os.kernel.agent.arguments import fill
from bat_os.kernel.agent.choosing import things_in
from bat_os.kernel.agent.phrases import own_words
from bat_os.sentence.reading import read_sentence

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
TEXT = {"type": "string"}
WATER = "Water a bed of the garden"
# request, what the tool says of itself, schema of its parameters, arguments
CALLS = {
    "a number": ("give the roses 2.5 litres", WATER, {"litres": {"type": "number"}},
                 {"litres": 2.5}),
    "a whole number": ("three cans, please", WATER, {"cans": {"type": "integer"}}, {"cans": 3}),
    "money is a number": ("it was 12.50 euros", "Note a price", {"price": {"type": "number"}},
                          {"price": 12.5}),
    "a date": ("water on 5 March", WATER, {"day": TEXT | {"format": "date"}},
               {"day": "2027-03-05"}),
    "a time": ("water at 6:30", WATER, {"at": TEXT | {"format": "time"}}, {"at": "06:30"}),
    "a text about a date is as it was said": ("water tomorrow", WATER, {"when": TEXT},
                                              {"when": "tomorrow"}),
    "an option that is said": ("water the roses gently", WATER,
                               {"how": TEXT | {"enum": ["gently", "hard"]}}, {"how": "gently"}),
    "a length of time": ("water for ten minutes", WATER, {"duration": TEXT},
                         {"duration": "ten minutes"}),
    "a path": ("water as in plan.md", WATER, {"path": TEXT}, {"path": "plan.md"}),
    "a phrase": ("please water the red roses", WATER, {"plant": TEXT}, {"plant": "the red roses"}),
    "a phrase and a number": ("give 3 litres to the vine", WATER,
                              {"plant": TEXT, "litres": {"type": "integer"}},
                              {"plant": "the vine", "litres": 3}),
    "what stands behind is no part of it": ("water the red roses again now", WATER,
                                            {"plant": TEXT}, {"plant": "the red roses"}),
    "a number that is a name": ("water bed B12 please", WATER, {"number": TEXT},
                                {"number": "B12"}),
    "a month": ("how much water in March", WATER, {"month": TEXT}, {"month": "March"}),
    "from and to": ("move the hose from the pond to the shed", "Move the garden hose",
                    {"start": TEXT, "destination": TEXT},
                    {"start": "the pond", "destination": "the shed"}),
    "to and from": ("move the hose to the shed, from the pond", "Move the garden hose",
                    {"start": TEXT, "destination": TEXT},
                    {"start": "the pond", "destination": "the shed"}),
    "a name beside other words": ("what does a litre of Evian cost", "Say a price", {"kind": TEXT},
                                  {"kind": "Evian"}),
    "what a word of the tool is of": ("give me the price of gravel", "Say a price",
                                      {"kind": TEXT}, {"kind": "gravel"}),
    "a place before a mere noun": ("bring a hose to the pond", WATER, {"place": TEXT},
                                   {"place": "the pond"}),
    "no word that says how": ("who watered something in greenhouse lately", WATER,
                              {"place": TEXT}, {"place": "greenhouse"}),
    "what its name stands before": ("what is in the folder photos", "List the files in a folder",
                                    {"folder": TEXT}, {"folder": "photos"}),
    "every Sunday": ("water every Sunday", WATER, {"when": TEXT}, {"when": "every Sunday"}),
    "a day and an hour": ("water tomorrow at 9:30", WATER, {"when": TEXT},
                          {"when": "tomorrow at 9:30"}),
    "a part of a day": ("water on Friday morning", WATER, {"when": TEXT},
                        {"when": "Friday morning"}),
    "a phrase beside a clause": ("open a ticket in greenhouse saying the tap leaks",
                                 "Report what is broken", {"place": TEXT, "title": TEXT},
                                 {"place": "greenhouse", "title": "the tap leaks"}),
    "a file and a text": ("write file '/a' 'hi'", "Write a file", {"path": TEXT, "content": TEXT},
                          {"path": "/a", "content": "hi"}),
    "a text and a file": ("write 'hi' to '/a'", "Write a file", {"path": TEXT, "content": TEXT},
                          {"path": "/a", "content": "hi"}),
    "the word for a file": ("write the file 'a' 'hi'", "Write a file",
                            {"path": TEXT, "content": TEXT}, {"path": "a", "content": "hi"}),
    "a pattern": ("find files called *.csv in /srv/a", "Find files",
                  {"path": TEXT, "pattern": TEXT}, {"path": "/srv/a", "pattern": "*.csv"}),
    "a clause": ("write that the roses need water at 5", "Send a message", {"message": TEXT},
                 {"message": "the roses need water at 5"}),
}  # fmt: skip
# request, what the tool says of itself, schema of its parameters, what is asked
ASKED = {
    "a whole number that is a part": ("2.5 cans", WATER, {"cans": {"type": "integer"}}, "cans"),
    "a number that is not there": ("water the roses", WATER, {"litres": {"type": "number"}},
                                   "litres"),
    "yes or no": ("water the roses", WATER, {"gently": {"type": "boolean"}}, "gently"),
    "no option": ("water the roses", WATER, {"how": TEXT | {"enum": ["gently", "hard"]}}, "how"),
    "two options": ("gently or hard", WATER, {"how": TEXT | {"enum": ["gently", "hard"]}}, "how"),
    "a date that is not there": ("water the roses", WATER, {"day": TEXT | {"format": "date"}},
                                 "day"),
    "which of two texts is the file": ("write 'hi' 'there'", "Write a file",
                                       {"path": TEXT, "content": TEXT}, "path"),
    "one of two phrases": ("the roses or the vine", WATER, {"plant": TEXT}, "plant"),
    "what may be a verb": ("water roses", "Say what it costs", {"plant": TEXT}, "plant"),
    "a number without a digit": ("water the bed", WATER, {"number": TEXT}, "number"),
    "one of two names": ("is Evian better than Vittel", "Say a price", {"kind": TEXT}, "kind"),
    "no phrase": ("water it", WATER, {"plant": TEXT}, "plant"),
    "only one end of a way": ("to the shed", "Move the hose", {"start": TEXT, "destination": TEXT},
                              "start"),
    "a list": ("water the roses", WATER, {"plants": {"type": "array"}}, "plants"),
    "a schema that is none": ("water the roses", WATER, {"plants": {"type": ["a"], "enum": 3}},
                              "plants"),
}  # fmt: skip


def filled(request, about, schema):
    sentence = read_sentence(request, NOW, "en")
    names, own = tuple(schema), own_words([about])
    return fill(sentence.text, things_in(sentence), names, names, own, schema)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_gets_what_the_request_says(name):
    request, about, schema, wanted = CALLS[name]
    given, lacking = filled(request, about, schema)
    assert (given, lacking) == (wanted, "")
    assert {key: type(value) for key, value in given.items()} == {
        key: type(value) for key, value in wanted.items()
    }


@pytest.mark.parametrize("name", ASKED)
def test_what_is_not_clear_is_asked(name):
    request, about, schema, wanted = ASKED[name]
    assert filled(request, about, schema)[1] == wanted


def test_without_a_schema_no_phrase_is_taken():
    sentence = read_sentence("open the red notes", NOW, "en")
    assert fill(sentence.text, things_in(sentence), ["path"], ["path"]) == ({}, "path")


def test_what_a_served_request_was_about_is_no_word_of_the_tool():
    served = own_words(["Say a price.", "what does gravel cost", "is it dear in Oslo"])
    sentence = read_sentence("is it dear in Oslo", NOW, "en")
    given, _ = fill(sentence.text, (), ["place"], ["place"], served, {"place": TEXT})
    assert given == {"place": "Oslo"}


READS = {
    "path": TEXT,
    "tail": {"type": "number", "description": "Returns only the last N lines"},
    "head": {"type": "number", "description": "Returns only the first N lines"},
}


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        ("read the first 2 lines of /srv/a.txt", {"path": "/srv/a.txt", "head": 2}),
        ("read the last 2 lines of /srv/a.txt", {"path": "/srv/a.txt", "tail": 2}),
        ("read 2 lines of /srv/a.txt", {"path": "/srv/a.txt"}),
    ],
)
def test_an_optional_number_goes_to_the_parameter_that_the_words_are_of(request_, wanted):
    sentence = read_sentence(request_, NOW, "en")
    own = own_words(["Read a file"])
    given, lacking = fill(sentence.text, things_in(sentence), [*READS], ["path"], own, READS)
    assert (given, lacking) == (wanted, "")
