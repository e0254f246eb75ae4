"""On battery, under load and in heat the daemon does less, and says so."""

import asyncio

import psutil
import pytest

from bat_os.cli.show.system import _describe_health
from bat_os.core.settings import Settings
from bat_os.kernel.idle import politeness as module
from bat_os.kernel.idle.politeness import KEEP_SECONDS, Politeness, why_busy


class Battery:
    power_plugged = False


class Sensor:
    current = 95.0


async def test_models_go_sooner_only_while_there_is_a_reason():
    reason, unloaded = ["it runs on its battery"], []
    polite = Politeness(polite=True, look=lambda: reason[0])

    async def unload(seconds):
        unloaded.append(seconds)

    task = asyncio.create_task(polite.keep(unload))
    while not unloaded:  # noqa: ASYNC110 - what ends it has no event
        await asyncio.sleep(0.01)
    task.cancel()
    assert unloaded == [KEEP_SECONDS]
    assert polite.reason == "it runs on its battery"


async def test_with_the_setting_off_the_machine_is_never_asked():
    polite = Politeness(polite=False, look=lambda: pytest.fail("it was asked"))
    await polite.keep(lambda seconds: pytest.fail("a model was unloaded"))
    assert await polite.ask() == ""
    assert Settings().polite is True


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sensors_battery", Battery(), "battery"),
        ("sensors_temperatures", {"cpu": [Sensor()]}, "hot"),
        ("cpu_percent", 100.0, "other programs"),
    ],
)
def test_each_reason_is_seen(monkeypatch, name, value, said):
    monkeypatch.setattr(psutil, "sensors_battery", lambda: None, raising=False)
    monkeypatch.setattr(psutil, "sensors_temperatures", dict, raising=False)
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds: 0.0)
    monkeypatch.setattr(module, "MEMORY", 0)
    assert why_busy() == ""
    monkeypatch.setattr(psutil, name, lambda *seconds: value, raising=False)
    assert said in why_busy()


def test_status_says_that_less_is_done_and_why():
    assert "does less: the machine is hot" in _describe_health({"less": "the machine is hot"})
    assert "does less" not in _describe_health({"less": ""})


async def test_health_has_the_reason(thinking):
    async with thinking.client() as kernel:
        thinking.kernel.heartbeat.politeness.reason = "little memory is free"
        assert (await kernel.request("health"))["less"] == "little memory is free"
