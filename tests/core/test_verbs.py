"""bat_os.core.verbs: the table is whole, and requests are checked by it."""

import pytest

from bat_os.core.fields import schema_of
from bat_os.core.mission import State
from bat_os.core.protocol import Request
from bat_os.core.scopes import PERSON, SCOPES
from bat_os.core.system_verbs import STATES
from bat_os.core.verbs import COMMANDS, SCOPE_OF, VERBS, check
from bat_os.errors import UnknownTypeError


def test_a_name_stands_once_on_each_side():
    for side in ("wire", "command line"):
        verbs = [verb for verb in VERBS if verb.on in ("both", side)]
        more = "aliases" if side == "wire" else "hidden"
        names = [name for verb in verbs for name in (verb.name, *getattr(verb, more))]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_verb_says_what_it_answers(verb):
    schema_of(verb.reply)
    schema_of(verb.prints)
    for field in verb.body.values():
        field.schema()


def test_the_states_to_ask_for_are_those_of_a_mission():
    assert set(STATES) == {"running", "waiting", *map(str, State)}


def test_an_alias_is_the_verb_itself():
    request = check(Request("ask", body={"text": "why?"}))
    assert (request.type, request.body["seed"]) == ("discuss", 0)


def test_a_verb_of_the_command_line_alone_is_unknown_on_the_wire():
    assert "doctor" in COMMANDS
    with pytest.raises(
        UnknownTypeError, match="unknown type 'doctor'; known are: accept, allow, approve"
    ):
        check(Request("doctor"))


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_words_of_people_have_a_bound(verb):
    for field in verb.body.values():
        bounded = field.kind != "words" or field.most is not None
        assert bounded or verb.on == "command line", field.name


def test_a_scope_stands_where_it_counts():
    asked = {verb.name: verb for verb in VERBS if verb.scope}
    assert [name for name, verb in asked.items() if verb.on == "command line"] == []
    assert set(SCOPE_OF.values()) == {*SCOPES, PERSON}
    assert not {"shutdown", "backup", "subscribe", "doctor"} & set(SCOPE_OF)
    assert (SCOPE_OF["say"], SCOPE_OF["inspect"], SCOPE_OF["grant"]) == ("send", "read", PERSON)
