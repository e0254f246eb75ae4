"""bat_os.core.fields: what a field takes, what a body becomes, what a reply looks like."""

import fastjsonschema
import pytest

from bat_os.core.fields import Field, Verb, schema_of
from bat_os.errors import ArgumentsError

FIND = Verb(
    "find",
    "find methods",
    (
        Field("text", "words", "what it does", required=True),
        Field("limit", "whole", default=5, least=1, most=50),
        Field("meta", "map"),
        Field("fresh", "flag"),
        Field("kind", "text", choices=("", "codex")),
        Field("examples", "examples"),
        Field("share", "number", least=0, most=1),
        Field("target", "text", place="envelope"),
    ),
    access="past",
)


def test_a_body_gets_the_default_of_each_field_that_it_lacks():
    body = FIND.read_body({"text": "double", "limit": None, "share": 0.5})
    assert body == {
        "text": "double", "limit": 5, "meta": None, "fresh": False, "kind": "", "examples": [],
        "share": 0.5,
    }  # fmt: skip


def test_an_example_gets_its_missing_parts():
    examples = FIND.read_body({"text": "x", "examples": [{"result": 1}]})["examples"]
    assert examples == [{"args": [], "kwargs": {}, "result": 1}]


def test_an_example_states_up_to_twenty_effects():
    effect = {"target": "notes", "selector": "write", "args": ["a.txt", "x"]}

    def read(count):
        stated = {"result": 1, "effects": [effect] * count}
        return FIND.read_body({"text": "x", "examples": [stated]})["examples"][0]["effects"]

    assert read(20) == [effect] * 20
    with pytest.raises(ArgumentsError, match="effects are a list of at most 20 messages"):
        read(21)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "find needs text in its body (what it does)"),
        ({"text": None}, "find needs text"),
        ({"text": "  "}, "text must be a text that is not empty"),
        ({"text": 5}, "text must be a text that is not empty"),
        ({"limit": 0}, "limit must be a whole number from 1 to 50"),
        ({"limit": 51}, "limit must be a whole number from 1 to 50"),
        ({"limit": True}, "limit must be a whole number"),
        ({"limit": 1.0}, "limit must be a whole number"),
        ({"share": float("nan")}, "share must be a number from 0 to 1"),
        ({"share": 2}, "share must be a number from 0 to 1"),
        ({"meta": {1: 2}}, "meta must be a map with text keys"),
        ({"meta": []}, "meta must be a map with text keys"),
        ({"fresh": 1}, "fresh must be true or false"),
        ({"kind": "seed"}, "kind must be one of '', codex"),
        ({"examples": [{}] * 21}, "examples must be a list of at most 20 maps"),
        ({"examples": [{"args": 1, "result": 1}]}, "an example has the form"),
        ({"examples": [{"args": []}]}, "an example has the form"),
        ({"at": None}, "at must be a moment, such as '2 hours ago'"),
        ({"wholly": "x"}, "find has no field 'wholly'; it takes at, examples"),
        ({"limt": 3}, "find has no field 'limt'; did you mean 'limit'?"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_with_what_is_right(body, said):
    with pytest.raises(ArgumentsError) as caught:
        FIND.read_body({"text": "double"} | body if "text" not in body and body else body)
    assert said in str(caught.value)


def test_a_verb_of_the_present_takes_no_moment():
    with pytest.raises(ArgumentsError, match="teach takes no moment"):
        Verb("teach", "teach").read_body({"at": "now"})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [("limit", 50, 51), ("text", "x", ""), ("kind", "codex", "seed"), ("share", 1, 2),
     ("examples", [{"result": 1}], [{}]), ("fresh", True, 1)],
)  # fmt: skip
def test_the_schema_of_a_field_takes_what_the_field_takes(name, good, bad):
    check = fastjsonschema.compile(FIND.body[name].schema())
    check(good)
    with pytest.raises(fastjsonschema.JsonSchemaException):
        check(bad)


def test_a_reply_is_described_with_its_inner_parts():
    schema = schema_of("hits:[name n:count state?:on|off] about:{home} last?")
    assert schema["required"] == ["hits", "about"]
    item = schema["properties"]["hits"]["items"]
    assert (item["required"], item["properties"]["state"]) == (
        ["name", "n"],
        {"enum": ["on", "off"]},
    )
    with pytest.raises(ValueError, match="cannot be read"):
        schema_of("a ]")
