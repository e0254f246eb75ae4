"""bat_os.core.mission: the state machine."""

import pytest

from bat_os.core.brief import Brief
from bat_os.core.mission import (
    MAX_DRAFTS,
    RESUMPTIONS,
    TRANSITIONS,
    BriefAccepted,
    Draft,
    MessageUnderstood,
    MethodDrafted,
    MethodRejected,
    MethodVerified,
    Mission,
    MissionFailed,
    MissionResumed,
    PassagesFound,
    QueriesPlanned,
    State,
)
from bat_os.errors import TransitionError

DRAFTED = MethodDrafted((Draft("ALFRED", "    return 1"),), model_calls=2, tokens=40)
TO_VALIDATING = (
    BriefAccepted(),
    QueriesPlanned(("time",), model_calls=1, tokens=12),
    PassagesFound(({"doc_id": "codex:1", "title": "ALFRED"},)),
    DRAFTED,
)
VERIFIED = MethodVerified(0, "provisional", ({"draft": 0},))


def after(*events):
    mission = Mission(Brief("genesis_obj", "tell_time"))
    for event in events:
        mission = mission.advance(event)
    return mission


def test_a_brief_that_is_not_understood_passes_all_states_to_complete():
    states = []
    mission = Mission(Brief("genesis_obj", "tell_time"))
    for event in (*TO_VALIDATING, VERIFIED):
        mission = mission.advance(event)
        states.append(mission.state)
    assert states == [
        State.DECOMPOSING,
        State.DELEGATING,
        State.SYNTHESIZING,
        State.VALIDATING,
        State.COMPLETE,
    ]


def test_a_message_that_is_understood_completes_at_once():
    assert after(MessageUnderstood()).state is State.COMPLETE


def test_a_rejection_goes_back_to_synthesizing_while_tries_are_left():
    assert after(*TO_VALIDATING, MethodRejected("bad")).state is State.SYNTHESIZING


def test_the_last_rejection_fails_the_mission():
    again = (MethodRejected("bad"), DRAFTED)
    mission = after(*TO_VALIDATING, *again * (MAX_DRAFTS - 1), MethodRejected("bad"))
    assert mission.state is State.FAILED


@pytest.mark.parametrize("count", range(len(TO_VALIDATING) + 1))
def test_any_state_that_is_not_final_can_fail(count):
    assert after(*TO_VALIDATING[:count], MissionFailed("DEADLINE", "late")).state is State.FAILED


@pytest.mark.parametrize("final", [VERIFIED, MissionFailed("INTERNAL", "x")])
@pytest.mark.parametrize("event", [*TO_VALIDATING, VERIFIED, MissionFailed("INTERNAL", "x")])
def test_a_final_state_accepts_nothing(final, event):
    with pytest.raises(TransitionError):
        after(*TO_VALIDATING, final).advance(event)


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("count", range(len(TO_VALIDATING) + 1))
def test_a_failed_mission_goes_on_where_the_table_says_with_all_its_drafts(count, more):
    before = after(*TO_VALIDATING[:count])
    failed = before.advance(MissionFailed("DEADLINE", "late"))
    mission = failed.advance(MissionResumed(more))
    assert mission.state is RESUMPTIONS[before.state][more]
    assert mission.last(MethodDrafted) is before.last(MethodDrafted)
    assert Mission.from_plain(mission.to_plain()) == mission


def test_every_state_but_the_final_ones_can_be_gone_on_from():
    assert set(RESUMPTIONS) == {state for state in State if not state.is_final}
    assert not any(state.is_final for pair in RESUMPTIONS.values() for state in pair)


def test_a_mission_whose_batches_are_used_up_goes_on_only_with_more_of_them():
    again = (MethodRejected("bad"), DRAFTED)
    used = after(*TO_VALIDATING, *again * (MAX_DRAFTS - 1), MethodRejected("bad"))
    with pytest.raises(TransitionError, match="all 3 batches were rejected"):
        used.advance(MissionResumed())
    mission = used.advance(MissionResumed(more=True))
    for left in reversed(range(MAX_DRAFTS)):
        assert mission.state is State.SYNTHESIZING
        mission = mission.advance(DRAFTED).advance(MethodRejected("bad"))
        assert (mission.state is State.FAILED) == (left == 0)


@pytest.mark.parametrize("events", [(), TO_VALIDATING, (*TO_VALIDATING, VERIFIED)])
def test_only_a_failed_mission_can_be_resumed(events):
    with pytest.raises(TransitionError, match="only a mission that failed"):
        after(*events).advance(MissionResumed())


def test_only_the_events_of_the_table_are_accepted():
    events = {
        type(e): e for e in (*TO_VALIDATING, VERIFIED, MethodRejected("x"), MessageUnderstood())
    }
    reached = {State.IDLE: after()} | {
        after(*TO_VALIDATING[: n + 1]).state: after(*TO_VALIDATING[: n + 1]) for n in range(4)
    }
    for state, mission in reached.items():
        for kind, event in events.items():
            if kind in TRANSITIONS[state]:
                assert mission.advance(event).state is TRANSITIONS[state][kind]
            else:
                with pytest.raises(TransitionError):
                    mission.advance(event)


def test_a_stored_mission_reads_back_equal():
    mission = after(*TO_VALIDATING, MethodRejected("bad", ({"draft": 0},)), DRAFTED, VERIFIED)
    assert Mission.from_plain(mission.to_plain()) == mission


def test_a_stored_mission_with_impossible_events_is_refused():
    data = after().to_plain() | {
        "events": [{"event": "MethodVerified", "chosen": 0, "status": "", "verdicts": ()}]
    }
    with pytest.raises(TransitionError):
        Mission.from_plain(data)


def test_model_calls_and_tokens_add_up_over_the_events():
    mission = after(*TO_VALIDATING)
    assert (mission.model_calls, mission.tokens, mission.rounds) == (3, 52, 1)


WRITTEN = {
    "text": " return 1", "finished": True, "temperature": 0.7, "seed": 3, "batch": "0 0.7",
    "sampling": {"seed": 3}, "prompt": "ab", "persona": "ALFRED", "model": "m", "digest": "cd",
    "adapter": "", "server": "", "asked": {"messages": (), "prefill": ""},
}  # fmt: skip
KNOWN = {
    "source": "def f(self):\n    return 1\n", "text": "", "finished": True, "temperature": 0.0,
    "seed": 0, "prompt": "", "persona": "ALFRED", "model": "", "digest": "", "adapter": "",
    "server": "",     "from": "seed:1", "weight": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("stored", [WRITTEN, KNOWN], ids=["written", "known"])
def test_a_draft_is_stored_under_the_names_that_records_have(stored):
    assert Draft.from_plain(stored).to_plain() == stored
