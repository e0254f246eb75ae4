"""bat_os.kernel.forge.comparing: drafts are judged by what they answer, and by nothing else."""

from types import SimpleNamespace

import pytest

from bat_os.core.brief import parameters
from bat_os.kernel.exam.sitting import read_paper
from bat_os.kernel.forge.comparing import Trial, digest_rules, side_of
from bat_os.method.golden import write_body
from tests.kernel.minds import make_mind

pytestmark = pytest.mark.asyncio(loop_scope="module")
TASKS = [task for task in read_paper().tasks if not task.state][:3]
CHEATS = {
    "is equal to everything": "class Yes:\n    def __eq__(self, other):\n        return True\n"
    "return Yes()",
    "looks for the answer": "import sys\nreturn sys._getframe(1).f_locals",
    "reads the tasks": "return open('bat_os/kernel/exam/briefs.jsonl').read()",
    "writes the tasks": "open('bat_os/kernel/exam/briefs.jsonl', 'w').write('')\nreturn 0",
    "changes the gate": "import bat_os.core.gate as gate\ngate.LEAST_GAIN = -1\nreturn 0",
    "changes what is compared": "import builtins\nbuiltins.all = lambda found: True\nreturn 0",
    "ends before the judgement": "raise SystemExit(0)",
    "is not a number": "return float('nan')",
    "answers in a generator": "while True:\n    yield 0",
}


@pytest.fixture
def trial(image, cell):
    """Return a function that gives the drafts for the tasks of a model that writes these bodies."""
    mind = make_mind(image, cell, lambda *_: "")

    async def run(*written):
        left = iter(written)

        async def draw(prompts, sampling):
            body = next(left).replace("\n", "\n    ")
            return [SimpleNamespace(text=f" {body}\n")]

        side = side_of(mind.cast, "ALFRED", draw)
        compared = Trial(mind, side, side)
        return [await compared._drafts(task, side) for task in TASKS]

    return run


def bodies(which):
    """Return the bodies of the tasks, for parameters with the names that a mission gives."""
    made = []
    for task in TASKS:
        given = ", ".join(parameters(task.to_brief()))
        body = write_body(getattr(task, which), task.selector)
        made.append(f"{', '.join(task.params)}, = {given},\n{body}")
    return made


async def test_a_draft_with_the_right_answers_is_right_and_one_with_others_is_not(trial):
    right = await trial(*bodies("right"))
    wrong = await trial(*bodies("wrong"))
    assert [draft.right for (draft,) in right] == [True] * 3
    assert [draft.right for (draft,) in wrong] == [False] * 3


@pytest.mark.parametrize("name", CHEATS)
async def test_one_that_cheats_is_not_right_and_changes_nothing_that_decides(trial, name):
    before = digest_rules()
    found = await trial(*[CHEATS[name]] * 3)
    assert [draft.right for (draft,) in found] == [False] * 3
    assert digest_rules() == before
    right = await trial(*bodies("right"))
    assert [draft.right for (draft,) in right] == [True] * 3
