"""bat_os.supervisor.pulse: every row of the rule, and a real loop that beats to a real port."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from bat_os.supervisor import pulse
from bat_os.supervisor.pulse import VARIABLE, BeatListener, Pulse, PulseLimits, Vital, beating

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


def test_a_kernel_that_waits_is_not_late_until_it_has_waited():
    pulse = Pulse.begin(0.0)
    for now in range(1, 1000):
        pulse = pulse.look(float(now), LIMITS, beat=True, waits=True)
    assert pulse.judge(LIMITS) is Vital.WELL
    assert look_every_second(pulse, 1301, beats=range(1400)).judge(LIMITS) is Vital.LATE


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


@pytest.fixture
def listener():
    with BeatListener() as listener:
        yield listener


def send(invitation, data):
    host, port, _ = invitation.split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.sendto(data, (host, int(port)))


def token_of(invitation):
    return invitation.split(":")[2].encode()


async def hear(listener):
    """Wait for a beat; loopback delivers at once, the loop in its own time."""
    while not listener.drain():  # noqa: ASYNC110 - a datagram sets no event
        await asyncio.sleep(0.01)


async def test_beats_go_on_until_the_block_ends(listener, monkeypatch):
    monkeypatch.setattr(pulse, "EVERY", 0.01)
    async with beating(listener.invite()[VARIABLE]):
        for _ in range(3):
            await hear(listener)
    assert "beat" not in [task.get_name() for task in asyncio.all_tasks()]


async def test_a_beat_reports_what_is_wrong_until_it_is_well_again(listener, monkeypatch):
    monkeypatch.setattr(pulse, "EVERY", 0.01)
    async with beating(listener.invite()[VARIABLE]) as heart:
        heart.say("storing", "the disk is\nfull" + "." * 10_000)
        while not listener.report:
            await hear(listener)
        assert listener.report.startswith("the disk is full..")
        assert len(listener.report) <= pulse.LONGEST
        heart.say("storing", "")
        while listener.report:
            await hear(listener)
    listener.report = "of the one before"
    listener.invite()
    assert listener.report == ""


def test_several_beats_are_heard_at_once(listener):
    invitation = listener.invite()[VARIABLE]
    for _ in range(5):
        send(invitation, token_of(invitation))
    assert listener.drain()
    assert not listener.drain()


@pytest.mark.parametrize("data", [b"", b"guess", b"\xff\xfe", b"x" * 60_000])
def test_other_datagrams_do_not_count_and_do_no_harm(listener, data):
    invitation = listener.invite()[VARIABLE]
    send(invitation, data)
    assert not listener.drain()
    send(invitation, data)
    send(invitation, token_of(invitation))
    send(invitation, data)
    assert listener.drain()


def test_the_beats_of_an_earlier_kernel_do_not_count(listener):
    earlier = listener.invite()[VARIABLE]
    listener.invite()
    send(earlier, token_of(earlier))
    assert not listener.drain()


@pytest.mark.parametrize("invitation", ["", "x", "10.0.0.1:1:t", "127.0.0.1:x:t", "127.0.0.1:0:t"])
async def test_without_a_proper_invitation_nothing_is_sent(invitation):
    async with beating(invitation):
        assert [task.get_name() for task in asyncio.all_tasks()].count("beat") == 0


BLOCKED = """
import asyncio, os, threading
from bat_os.supervisor.pulse import PulseLimits
from bat_os.supervisor import pulse

pulse.LIMITS = PulseLimits(suspect=0.1)

async def main():
    async with pulse.beating(os.environ["BATOS_BEAT"]):
        await asyncio.sleep(0)
        where_it_hangs()

def where_it_hangs():
    threading.Event().wait()

asyncio.run(main())
"""


@pytest.mark.system
@pytest.mark.slow
def test_a_blocked_loop_writes_its_stacks_by_itself(listener):
    command = [sys.executable, "-c", BLOCKED]
    environ = os.environ | listener.invite()
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        lines = []
        while "main" not in (lines[-1] if lines else ""):
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        process.kill()
    assert lines[0].startswith("Timeout")
    assert any("where_it_hangs" in line for line in lines)
