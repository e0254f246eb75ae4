"""bat_os.core.packet: what each persona is asked, and what its answer adds."""

import json
from dataclasses import FrozenInstanceError

import pytest

from bat_os.core.brief import Brief
from bat_os.core.packet import (
    CognitiveStatePacket,
    Stage,
    ask_facts,
    ask_final,
    ask_whether_it_serves,
    facts_schema,
    read_facts,
    read_whether_it_serves,
)
from bat_os.core.personas import ALFRED, BABS, ROBIN, Limits
from bat_os.errors import ModelOutputError

BRIEF = Brief("genesis_obj", "double", (21,))
PASSAGES = [{"doc_id": "document:a", "text": "Twice  is\ntwo times."}]
LIMITS = Limits()
PACKET = (
    CognitiveStatePacket("Double.")
    .after(Stage("BRICK", tokens=9), "def double(self, number):\n    return number * 2\n")
    .after(Stage("ROBIN", ("it is kind",), serves=True))
    .after(Stage("BABS", skipped="no passage was found"))
)


def test_a_packet_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        PACKET.draft = ""


def test_each_question_has_the_draft_and_the_last_one_the_remarks():
    assert PACKET.draft in ask_whether_it_serves(BRIEF, ROBIN, PACKET).messages[1][1]
    facts = ask_facts(BRIEF, BABS, PACKET, PASSAGES, LIMITS).messages[1][1]
    assert "[1] Twice is two times." in facts
    assert facts_schema(2, LIMITS)["properties"]["sources"]["items"] == {"enum": [1, 2]}
    final = ask_final(BRIEF, ALFRED, PACKET)
    assert "ROBIN: it is kind" in final.messages[1][1]
    assert PACKET.draft in final.messages[1][1]
    assert "def double(self, number):" in final.prefill


def test_answers_are_read_cut_to_their_limits_and_unknown_sources_left_out():
    long = {"serves": False, "remark": "too  long " * 50}
    told = read_whether_it_serves(json.dumps(long), LIMITS)
    assert (told.serves, len(told.remarks[0]) <= LIMITS.remark_chars) == (False, True)
    facts = {"facts": ["a fact", 7, "one too many"], "sources": [1, 1, 5, True, "x"]}
    assert read_facts(json.dumps(facts), PASSAGES, LIMITS) == Stage(
        "BABS", ("a fact",), sources=("document:a",)
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "no", "{}", '{"serves": 1, "remark": "x"}', '{"serves": true, "remark": 1}']
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused(text):
    with pytest.raises(ModelOutputError):
        read_whether_it_serves(text, LIMITS)
    with pytest.raises(ModelOutputError):
        read_facts(text, PASSAGES, LIMITS)
