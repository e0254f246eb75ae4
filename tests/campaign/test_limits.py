"""The short form of the campaign's scenarios about clients, resources and models."""

import asyncio

import pytest

from bat_os.core.verbs import REQUESTS
from tests.campaign import fuzzing, models, network, resources
from tests.campaign.scenario import Settings, run_scenario

pytestmark = [pytest.mark.slow, pytest.mark.system]
MODULES = (fuzzing, models, network, resources)
ALL = {one.name: one for module in MODULES for one in module.SCENARIOS}
# These wait more than they work, so they do it together.
WAITING = ("half-open connections", "stopped process", "blocked loop", "bad models")
MODEL = "killed model server"
LONG = "sentence fuzz"  # it measures the loop for many minutes, and has no short form


async def check(folder, *names):
    """Run scenarios at the same time; none may fail."""
    runs = [Settings(full=False, seed=1, folder=folder / str(n)) for n in range(len(names))]
    rows = await asyncio.gather(
        *(run_scenario(ALL[n], run) for n, run in zip(names, runs, strict=True))
    )
    assert not [f"{row.name}: {row.measured}" for row in rows if not row.ok]


@pytest.mark.parametrize("name", sorted({*ALL} - {*WAITING, MODEL, LONG}))
async def test_a_kernel_lives_through(name, tmp_path):
    await check(tmp_path, name)


async def test_a_kernel_lives_through_what_takes_a_while(tmp_path):
    await check(tmp_path, *WAITING)


def test_the_fuzzer_asks_for_every_verb_of_the_table(tmp_path):
    made = fuzzing.Requests(1, tmp_path)
    asked = [made.envelope(verb) for verb in REQUESTS.values()]
    assert {one["type"] for one in asked} == {verb.name for verb in REQUESTS.values()}
    (stop,) = [one for one in asked if one["type"] == "shutdown"]
    assert "not in earnest" in stop["body"]


@pytest.mark.model
async def test_a_kernel_lives_through_the_end_of_its_model_server(tmp_path):
    await check(tmp_path, MODEL)
