"""A learned method sends to the library: its writer is shown what the receiver can reach."""

import pytest

from bat_os.app.library import load_library
from bat_os.image.objects import find
from bat_os.kernel.learning.cycle import CognitiveCycle
from tests.kernel.minds import make_mind, open_mission

pytestmark = pytest.mark.asyncio(loop_scope="module")
BODY = " return self.units.convert(number, 'mile', 'kilometer')"


async def test_the_writer_sees_the_calls_and_the_method_uses_them(image, cell):
    prompts = []

    def write(prompt, sampling, index):
        prompts.append(prompt)
        return BODY

    mind = make_mind(image, cell, write)
    await load_library(mind)

    def refer(root):
        find(root, "genesis_obj").set_slot("units", root["objects"]["units_obj"])

    await image.transact(refer, note="refer")
    mission_id = await open_mission(
        image, "run_in_kilometres", 26.2, text="Say it in the other unit.",
        examples=({"args": [10], "kwargs": {}, "result": 16.09344},),
    )  # fmt: skip
    answer = await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    assert answer["type"] == "result", answer["body"]
    assert answer["body"]["status"] == "verified"
    assert answer["body"]["result"] == pytest.approx(42.1648, abs=1e-3)
    system = prompts[0].messages[0][1]
    assert "self.units.convert(number, unit, to)" in system
    assert "setSlot" not in system


async def test_an_object_that_refers_to_nothing_is_shown_nothing(image, cell):
    prompts = []

    def write(prompt, sampling, index):
        prompts.append(prompt)
        return " return number * 2"

    mission_id = await open_mission(image, "twice", 4, text="Double a number.")
    await CognitiveCycle(make_mind(image, cell, write), lambda *_: None).run(mission_id)
    assert "may call" not in prompts[0].messages[0][1]
