"""The short form of the crash scenarios; the long one is ``python -m tests.campaign --full``."""

import re
from pathlib import Path

import pytest

from bat_os import failpoints
from bat_os.core.mission import State
from bat_os.errors import SettingsError
from bat_os.supervisor.upgrade.journal import Stage
from tests.campaign import crash, damage, effects, faults, once, steps, waits
from tests.campaign.checker import Told, find_faults
from tests.campaign.scenario import Settings

PACKAGE = Path(failpoints.__file__).parent
THEMES = (crash, once, effects, faults, steps, waits, damage)
SCENARIOS = [scenario for theme in THEMES for scenario in theme.SCENARIOS]


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_what_was_acknowledged_survives(scenario, tmp_path):
    told = scenario.run(Settings(full=False, seed=7, folder=tmp_path))
    assert await told


def test_every_failpoint_is_crossed_somewhere_and_every_crossing_has_a_name():
    called = set()
    for path in PACKAGE.rglob("*.py"):
        called |= set(re.findall(r"\bcross\((f?\"[^\"]+\"|[a-z_.]+)\)", path.read_text("utf-8")))
    literal = {text.strip('"') for text in called if text.startswith('"')}
    states = {state.value for state in State}
    stages = {f"upgrade.{stage.value}{when}" for stage in Stage for when in (".before", "")}
    files = {
        f"{stem}.{when}"
        for stem in ("endpoint", "status", "program", "journal")
        for when in ("written", "renamed")
    }
    assert literal <= set(failpoints.NAMES)
    assert set(failpoints.NAMES) - literal <= states | stages | files
    assert stages <= set(failpoints.NAMES)
    assert states - {"idle"} <= set(failpoints.NAMES)
    assert called - {f'"{name}"' for name in literal} == {
        "name",
        "mission.state.value",
        'f"{path.stem}.written"',
        'f"{path.stem}.renamed"',
        'f"upgrade.{stage.value}.before"',
        'f"upgrade.{stage.value}"',
    } - {"name"}


def test_every_failpoint_is_walked_by_a_scenario():
    walked = {*crash.KERNEL, *crash.SCHEDULES, *crash.WATCHDOG, *crash.UPGRADE, *crash.EFFECTS}
    walked |= {*crash.AWAITED, *crash.ACTING, *crash.ANSWERS}
    walked |= {name for names in crash.WORKS.values() for name in names}
    assert set(failpoints.NAMES) - walked == set()


@pytest.mark.parametrize("text", ["complete", "complete:exit", "no.such:kill", "complete:0:kill"])
def test_a_failpoint_that_is_none_is_refused(text):
    with pytest.raises(SettingsError, match="BATOS_FAILPOINT"):
        failpoints.arm(text)


FACTS = {
    "missions": {
        "m1": {"key": "k1", "answer": {"type": "result", "body": {"result": 1}},
               "brief": {"selector": "count", "args": ["t1"]}},
        "m2": {"key": "k2", "answer": None, "brief": {"selector": "count", "args": ["t2"]}},
    },
    "keys": {"k1": "m1", "k2": "m2"},
    "unfinished": ["m2"],
    "objects": {"genesis_obj": {"n": 1, "seen": ["t1"]}},
}  # fmt: skip
KNOWN = {"accepted": {"k1": "m1", "k2": "m2"}, "results": {"k1": 1}}


def test_the_checker_finds_nothing_wrong_with_what_is_right():
    assert find_faults(FACTS, Told(**KNOWN), ended=False) == []


@pytest.mark.parametrize(
    ("change", "sort"),
    [
        ({"missions": {"m1": FACTS["missions"]["m1"]}}, "lost: k2 was accepted"),
        ({"unfinished": []}, "lost: k2 has no answer"),
        ({"unfinished": ["m1", "m2"]}, "twice: m1 has ended"),
        ({"objects": {"genesis_obj": {"n": 2, "seen": ["t1", "t1"]}}}, "twice: t1"),
        ({"objects": {"genesis_obj": {"n": 2, "seen": ["t1"]}}}, "half: the counter"),
        ({"objects": {"genesis_obj": {}}}, "half: t1 was answered"),
        ({"keys": {"k2": "m2"}}, "lost: k1 was answered"),
    ],
)
def test_the_checker_names_what_is_wrong(change, sort):
    found = find_faults(FACTS | change, Told(**KNOWN), ended=False)
    assert any(fault.startswith(sort) for fault in found), found
