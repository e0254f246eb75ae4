"""bat_os.supervisor.restart: every row of the rules."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.errors import FormatError, LockedError, SettingsError, StorageError, StorageFullError
from bat_os.supervisor.restart import (
    Action,
    History,
    RestartPolicy,
    Run,
    can_pass,
    describe_exit,
    may_be_its_own,
)

POLICY = RestartPolicy()


def crash(at, *, code=1, served=0.0):
    return Run(code, at, served)


def judge_all(runs, policy=POLICY):
    history, verdicts = History(), []
    for run in runs:
        verdicts.append(policy.judge(history, run, jitter=0.0))
        history = verdicts[-1].history
    return verdicts


def test_a_kernel_that_stopped_as_asked_stays_down():
    assert POLICY.judge(History(), crash(1.0, code=0), jitter=0.0).action is Action.STAY_DOWN


def test_a_kernel_that_cannot_run_is_not_started_again():
    assert POLICY.judge(History(), crash(1.0, code=78), jitter=0.0).action is Action.GIVE_UP


@pytest.mark.parametrize("code", [75, 76])
def test_a_kernel_that_asks_for_it_is_started_again_at_once(code):
    after_crashes = History(restarts=(1.0, 2.0), crashes=2)
    verdict = POLICY.judge(after_crashes, crash(3.0, code=code), jitter=0.0)
    assert (verdict.action, verdict.delay) == (Action.RESTART, 0.0)


@pytest.mark.parametrize("code", [1, 2, 139, -9, -11, 3221225477])
def test_any_other_end_is_a_crash_and_leads_to_a_restart(code):
    assert POLICY.judge(History(), crash(1.0, code=code), jitter=0.0).action is Action.RESTART


def test_delays_double_from_one_second_to_sixty():
    runs = [crash(400.0 * n) for n in range(1, 11)]  # too far apart for the limit
    assert [v.delay for v in judge_all(runs)] == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_the_sixth_restart_within_the_window_is_not_made():
    actions = [v.action for v in judge_all([crash(float(n)) for n in range(1, 7)])]
    assert actions == [Action.RESTART] * 5 + [Action.GIVE_UP]


def test_an_upgrade_counts_towards_the_limit():
    actions = [v.action for v in judge_all([crash(float(n), code=76) for n in range(1, 7)])]
    assert actions[-1] is Action.GIVE_UP


@pytest.mark.parametrize("code", [74, 75])
def test_what_a_disk_does_is_waited_for_and_never_given_up(code):
    verdicts = judge_all([crash(float(n), code=code) for n in range(1, 100)])
    assert {v.action for v in verdicts} == {Action.RESTART}
    assert [v.delay for v in verdicts[:4]] == [0, 1, 2, 2]
    assert max(v.delay for v in verdicts) == 2  # service is back soon after the disk is


def test_what_is_waited_for_adds_nothing_to_the_crashes():
    runs = [crash(float(n), code=1 if n % 2 else 75) for n in range(1, 11)]
    assert {v.action for v in judge_all(runs)} == {Action.RESTART}
    assert judge_all([*runs, crash(11.0)])[-1].action is Action.GIVE_UP


def failed(error, *, why=None):
    error.__cause__ = why
    return error


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (LockedError("held"), True),
        (StorageFullError("full"), True),
        (failed(StorageError("x"), why=OSError(errno.EIO, "x")), True),
        (
            failed(StorageError("x"), why=failed(ValueError("y"), why=OSError(errno.ENOSPC, ""))),
            True,
        ),
        (StorageError("it is not a ZODB FileStorage"), False),
        (FormatError("newer"), False),
        (OSError(errno.EACCES, "x"), False),
        (failed(SettingsError("x"), why=OSError(errno.ENOENT, "x")), False),
    ],
)
def test_only_what_may_pass_is_waited_for(error, passes):
    assert can_pass(error) is passes


def test_restarts_older_than_the_window_do_not_count():
    runs = [crash(float(n)) for n in range(1, 6)] + [crash(301.0)]
    assert judge_all(runs)[-1].action is Action.RESTART


def test_ten_seconds_of_service_clears_the_sheet():
    runs = [crash(float(n)) for n in range(1, 6)] + [crash(70.0, served=10.0)]
    verdict = judge_all(runs)[-1]
    assert (verdict.action, verdict.delay) == (Action.RESTART, 0.0)
    assert verdict.history == History(restarts=(70.0,), crashes=1)


def test_less_than_ten_seconds_of_service_clear_nothing():
    runs = [crash(float(n)) for n in range(1, 6)] + [crash(70.0, served=9.9)]
    assert judge_all(runs)[-1].action is Action.GIVE_UP


@given(crashes=st.integers(0, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_chance_shortens_a_delay_by_a_fifth_at_most(crashes, jitter):
    verdict = POLICY.judge(History(crashes=crashes), crash(1.0), jitter=jitter)
    full = POLICY.backoff(crashes)
    assert full * 0.8 <= verdict.delay <= full <= 60.0


@pytest.mark.parametrize(
    ("code", "short", "own"),
    [
        (-9, False, False),  # somebody's kill -9
        (-9, True, True),  # the system's, as memory ran out
        (-15, True, False),
        (-1, True, False),
        (-11, False, True),
        (-6, False, True),
        (1, False, True),
        (3221225477, False, True),  # Windows: an access violation
        (0, True, False),
        (74, True, False),
        (75, True, False),
        (76, True, False),
        (78, True, False),
    ],
)
def test_a_death_that_came_from_outside_is_nobodys_fault(code, short, own):
    assert may_be_its_own(crash(1.0, code=code), ran_out_of_memory=short) is own


def test_a_kernel_that_we_killed_because_it_hung_died_of_its_own():
    hung = Run(-9, 1.0, 0.0, "the kernel's loop hung")
    assert may_be_its_own(hung, ran_out_of_memory=False)


@pytest.mark.parametrize(("code", "words"), [(-9, "signal 9"), (3, "status 3"), (0, "as asked")])
def test_an_exit_status_is_described_in_words(code, words):
    assert words in describe_exit(code)
