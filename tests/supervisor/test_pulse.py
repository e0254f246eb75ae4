"""bat_os.supervisor.pulse: every row of the rule."""

import pytest

from bat_os.supervisor.pulse import Pulse, PulseLimits, Vital

LIMITS = PulseLimits()


def look_every_second(pulse, until, *, beats=()):
    """Return the pulse after a look at each whole second, with a beat at some of them."""
    for now in range(int(pulse.looked) + 1, until + 1):
        pulse = pulse.look(float(now), LIMITS, beat=now in beats)
    return pulse


@pytest.mark.parametrize(
    ("silence", "vital"),
    [(0, Vital.WELL), (5, Vital.WELL), (6, Vital.SUSPECT), (15, Vital.SUSPECT), (16, Vital.LOST)],
)
def test_silence_makes_a_kernel_suspect_and_then_lost(silence, vital):
    pulse = look_every_second(Pulse.begin(0.0), 10 + silence, beats=range(1, 11))
    assert pulse.judge(LIMITS) is vital


def test_a_beat_makes_a_suspect_well_again():
    pulse = look_every_second(Pulse.begin(0.0), 11, beats=(1, 11))
    assert pulse.judge(LIMITS) is Vital.WELL


def test_a_kernel_that_never_beats_is_not_missed():
    assert look_every_second(Pulse.begin(0.0), 200).judge(LIMITS) is Vital.WELL


@pytest.mark.parametrize(("after", "vital"), [(300, Vital.WELL), (301, Vital.LATE)])
def test_a_kernel_has_to_serve_within_the_start_up_limit(after, vital):
    pulse = look_every_second(Pulse.begin(0.0), after, beats=range(400))
    assert pulse.judge(LIMITS) is vital


def test_a_kernel_that_serves_is_never_late():
    pulse = Pulse(born=0.0, looked=0.0, serving=1.0)
    assert look_every_second(pulse, 1000, beats=range(1000)).judge(LIMITS) is Vital.WELL


@pytest.mark.parametrize("nap", [20.0, 400.0 * 86_400])
def test_time_in_which_the_watchdog_slept_counts_against_nobody(nap):
    pulse = look_every_second(Pulse.begin(0.0), 3, beats=(1, 2, 3))
    assert pulse.look(3.0 + nap, LIMITS, beat=False).judge(LIMITS) is Vital.WELL


def test_silence_before_and_after_a_nap_adds_up():
    pulse = look_every_second(Pulse.begin(0.0), 11, beats=(1,)).look(100.0, LIMITS, beat=False)
    assert look_every_second(pulse, 107).judge(LIMITS) is Vital.LOST
