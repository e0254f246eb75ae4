"""bat_os.image.history.marks: what fails in use is counted by version, and three are a flag."""

import logging

import pytest

from bat_os.core.brief import Brief
from bat_os.core.digest import digest
from bat_os.errors import CellError
from bat_os.image.history.faults import FLAG_AT, MAX_FAULTS, Fault, note_faults
from bat_os.kernel.learning.trial import try_turn
from bat_os.kernel.turn import Candidate, take_turn

pytestmark = pytest.mark.asyncio(loop_scope="module")
HALF = "def half(self, number):\n    return 10 // number['by']\n"


async def fail(mind, selector, *args, target="genesis_obj"):
    with pytest.raises(CellError):
        await take_turn(mind.image, mind.cell, Brief(target, selector, args))


async def test_three_different_messages_that_fail_flag_the_method(mind, taught, ask, caplog):
    await taught(HALF)
    with caplog.at_level(logging.WARNING):
        for number in range(FLAG_AT):
            assert "failing" not in (await ask("inspect"))["methods"]["half"]
            await fail(mind, "half", number)
    told = (await ask("inspect"))["methods"]["half"]["failing"]
    assert (told["count"], "TypeError" in told["text"]) == (FLAG_AT, True)
    listed = {one["name"]: one for one in (await ask("list"))["objects"]}
    assert listed["genesis_obj"]["failing"] == ["half"]
    why = await ask("why", "half")
    assert (len(why["faults"]), why["failing"]["count"]) == (FLAG_AT, FLAG_AT)
    assert {one["kind"] for one in why["faults"]} == {"raised"}
    assert "batos relearn genesis_obj half" in caplog.text


async def test_the_same_message_again_is_no_new_fault_and_writes_nothing(mind, taught, ask, latest):
    await taught(HALF)
    await fail(mind, "half", 1)
    before = await latest()
    for _ in range(FLAG_AT):
        await fail(mind, "half", 1)
    assert await latest() == before
    assert len((await ask("why", "half"))["faults"]) == 1


async def test_a_new_version_begins_without_faults(mind, taught, ask):
    await taught(HALF)
    for number in range(FLAG_AT):
        await fail(mind, "half", number)
    await taught("def half(self, number):\n    return number / 2\n")
    why = await ask("why", "half")
    assert (why["version"], why["faults"], why["failing"]) == (2, [], {})
    assert len((await ask("why", "half", version=1))["faults"]) == FLAG_AT


async def test_only_the_method_that_failed_is_blamed_and_a_trial_is_not_counted(mind, taught, ask):
    await taught(HALF)
    outer = "def quarter(self, number):\n    return self.send('half', number)\n"
    await taught("def quarter(self, number):\n    return self.half(number)\n")
    await fail(mind, "quarter", 1)
    assert len((await ask("why", "half"))["faults"]) == 1
    assert (await ask("why", "quarter"))["faults"] == []
    brief, trial = Brief("genesis_obj", "eighth", (2,)), Candidate("eighth", outer)
    with pytest.raises(CellError):
        await try_turn(mind.image, mind.cell, brief, trial)
    assert len((await ask("why", "half"))["faults"]) == 1


async def test_what_is_kept_of_a_version_has_a_limit(mind, taught, ask):
    await taught(HALF)
    oid = (await ask("inspect"))["oid"]
    sha = (await ask("why", "half"))["sha256"]
    faults = [Fault(oid, "half", sha, f"call {n}", "raised", "no") for n in range(2 * MAX_FAULTS)]
    gone = Fault("f" * 16, "half", sha, "x", "raised", "no")
    other = Fault(oid, "half", digest("another text"), "x", "raised", "no")
    await note_faults(mind.image, [gone, other, *faults])
    assert len((await ask("why", "half"))["faults"]) == MAX_FAULTS


async def test_an_image_that_cannot_be_written_hides_no_error(mind, taught, caplog):
    await mind.image.close()
    await note_faults(mind.image, [Fault("0" * 16, "half", "", "", "raised", "no")])
    assert "faults were not written" in caplog.text
