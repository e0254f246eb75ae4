"""bat_os.kernel.exam.sitting: scripted models sit the whole exam, judged in the real cell."""

from dataclasses import replace

import pytest

from bat_os.core.ability import Ability
from bat_os.core.exam import Paper
from bat_os.kernel.exam import sitting
from bat_os.kernel.exam.sitting import PARTS, Sitting, passes, read_paper
from tests.kernel.exam.minds import Middling, able, bad
from tests.kernel.minds import make_mind

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


def take(image, cell, script, paper=None):
    mind = make_mind(image, cell, script)

    async def ask(prompts, sampling, writing):
        return await mind.roster.generate("ALFRED", prompts, sampling, writing=writing)

    return Sitting(mind, "ALFRED", paper or read_paper(), ask)


async def test_a_model_that_knows_all_answers_has_full_figures(image, cell):
    exam = take(image, cell, able)

    found = await exam.take()
    assert replace(found, plans=1.0) == Ability(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert found.plans >= 0.95  # the vectors of this test know words only
    assert (exam.part, exam.done, exam.of) == ("judges", 200, 200)


async def test_a_model_that_knows_nothing_has_none_and_is_not_asked_all_pairs(image, cell):
    exam = take(image, cell, bad)
    found = await exam.take()

    assert found == Ability(0.0, 0.0, 0.0, found.plans, 0.0, 0.0)
    assert not found.plans_ahead
    assert exam.done < exam.of == 200


async def test_a_model_that_knows_every_second_answer_is_in_between(image, cell):
    found = await take(image, cell, Middling()).take()

    assert (found.writes, found.tests, found.form) == (0.5, 0.5, 0.5)
    assert (found.judges, found.tools) == (0.5, 0.5)
    assert 0.4 <= found.plans < 1


async def test_a_part_that_would_begin_too_late_is_left_out(image, cell, monkeypatch):
    monkeypatch.setattr(sitting, "SECONDS", 0.0)
    assert await take(image, cell, able).take() == Ability()


async def test_what_a_model_writes_cannot_reach_anything_from_the_exam(image, cell):
    paper = read_paper()
    task = paper.tasks[0]
    sends = f"def {task.selector}(self, a, b):\n    return self.send('genesis_obj', 'name')\n"
    assert not await passes(cell, task, sends, [([2, 1], 7)])
    names = await image.transact(lambda root: sorted(root["objects"]), note="look")
    await take(image, cell, able, Paper(paper.tasks[:9], paper.pairs[:2], paper.texts[:3])).take()
    assert await image.transact(lambda root: sorted(root["objects"]), note="look") == names


async def test_every_task_accepts_the_right_body_and_refuses_the_wrong_one(image, cell):
    mind = make_mind(image, cell, able)
    for task in read_paper().tasks:
        calls = [(one.args, one.result) for one in task.tests]
        right, wrong = (
            mind.guardian.repair(source, task.selector) for source in (task.right, task.wrong)
        )
        assert mind.guardian.audit(right, task.selector).lines() == ()
        assert await passes(cell, task, right, calls), task.brief
        assert not await passes(cell, task, wrong, calls), task.brief


async def test_the_parts_are_the_figures():
    assert set(PARTS) == set(Ability().to_plain())
