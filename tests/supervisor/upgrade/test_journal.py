"""bat_os.supervisor.upgrade.journal: the table of stages, as a whole."""

import pytest

from bat_os.supervisor.upgrade.journal import STEPS, Stage

FINAL = {Stage.DONE, Stage.REFUSED, Stage.ROLLED_BACK}
GOOD_WAY = [
    Stage.RECEIVED,
    Stage.VERIFIED,
    Stage.STAGED,
    Stage.STOPPED,
    Stage.BACKED_UP,
    Stage.SWITCHED,
    Stage.PROVEN,
    Stage.DONE,
]


def follow(stage, choose):
    """Return the stages from ``stage`` on, each step chosen by ``choose``."""
    way = [stage]
    while not way[-1].is_final:
        way.append(choose(STEPS[way[-1]]))
        assert len(way) <= len(Stage) + 1, way
    return way


def test_a_good_upgrade_goes_through_all_stages_in_order():
    assert follow(Stage.RECEIVED, lambda step: step.then) == GOOD_WAY


def test_final_stages_have_no_step():
    assert {stage for stage in Stage if stage.is_final} == FINAL


@pytest.mark.parametrize("stage", STEPS)
def test_every_stage_comes_to_an_end(stage):
    assert follow(stage, lambda step: step.then)[-1] in FINAL


@pytest.mark.parametrize("stage", [Stage.RECEIVED, Stage.VERIFIED, Stage.STAGED, Stage.STOPPED])
def test_a_failure_before_the_switch_refuses_and_changes_nothing(stage):
    assert STEPS[stage].fails is Stage.REFUSED


@pytest.mark.parametrize("stage", [Stage.BACKED_UP, Stage.SWITCHED, Stage.PROVEN])
def test_a_failure_from_the_switch_on_puts_everything_back(stage):
    assert follow(STEPS[stage].fails, lambda step: step.then)[-1] is Stage.ROLLED_BACK


def test_a_program_that_was_on_trial_when_everything_died_gets_no_second_trial():
    assert STEPS[Stage.SWITCHED].resumes is Stage.ROLLING_BACK


@pytest.mark.parametrize("stage", [stage for stage in STEPS if stage is not Stage.SWITCHED])
def test_every_other_step_is_done_again_after_a_kill(stage):
    assert STEPS[stage].resumes is None


def test_the_kernel_serves_until_it_is_stopped_and_not_again_before_the_end():
    assert [stage.holds_kernel for stage in GOOD_WAY] == [False] * 3 + [True] * 4 + [False]
    assert Stage.ROLLING_BACK.holds_kernel
