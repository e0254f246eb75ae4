"""bat_os.kernel.learning.cycle: what a model wrote waits for the Architect's yes."""

import pytest

from bat_os.errors import ArgumentsError, DraftsError, NotFoundError, NotUnderstoodError
from tests.kernel.minds import make_mind, script
from tests.kernel.verbs.conftest import DOUBLE

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
async def mind(image, cell):
    return make_mind(image, cell, script(" return number * 2"), approve=True)


async def waiting(ask):
    return [(one["selector"], one["version"]) for one in (await ask("approve"))["waiting"]]


async def found(ask):
    skills = (await ask("find", text="double a number", limit=50))["skills"]
    return [skill["selector"] for skill in skills]


async def test_a_written_method_does_not_answer_before_the_yes_and_then_does(brief, ask, answer):
    told = await brief(examples=tuple(DOUBLE))
    body = told["body"]
    assert (told["type"], body["code"]) == ("error", "APPROVAL_WANTED")
    assert "batos approve genesis_obj double" in body["message"]
    assert (body["details"]["shown"], body["details"]["version"]) == ("42", 1)
    assert "return number * 2" in body["details"]["source"]
    with pytest.raises(NotUnderstoodError):
        await answer("double", 4)
    assert (await found(ask), await waiting(ask)) == ([], [("double", 1)])
    assert (await ask("inspect", "double"))["methods"]["double"]["status"] == "waiting"
    assert (await ask("why", "double"))["waiting"] == 1

    told = await ask("approve", "double")
    assert (told["status"], told["version"]) == ("verified", 1)
    assert await answer("double", 4) == 8
    assert (await found(ask), await waiting(ask)) == (["double"], [])
    why = await ask("why", "double")
    assert (why["current"], why["waiting"], why["approval"]["by"]) == (True, 0, "ARCHITECT")
    assert [move["what"] for move in why["moves"]] == ["hold", "approve"]


async def test_sent_again_before_the_yes_nothing_more_is_written(brief, ask):
    await brief()
    told = await brief()
    assert (told["body"]["code"], told["body"]["model_calls"]) == ("APPROVAL_WANTED", 0)
    assert len((await ask("versions", "double"))["versions"]) == 1


async def test_what_is_turned_down_never_answers_and_may_be_written_again(brief, ask):
    await brief()
    with pytest.raises(ArgumentsError, match="waits for approval"):
        await ask("unlearn", "double")
    assert (await ask("approve", "double", no=True))["status"] == "turned down"
    assert await waiting(ask) == []
    with pytest.raises(NotFoundError, match="waits"):
        await ask("approve", "double", no=True)
    with pytest.raises(NotFoundError):
        await ask("approve", "double")
    assert (await brief())["body"]["details"]["version"] == 2


async def test_a_yes_with_an_example_that_fails_leaves_it_waiting(brief, ask):
    await brief()
    with pytest.raises(DraftsError, match="gives 6, not 7"):
        await ask("approve", "double", examples=[{"args": [3], "result": 7}])
    assert await waiting(ask) == [("double", 1)]
    await ask("approve", "double", examples=[{"args": [3], "result": 6}])
    assert (await ask("verify-method", "double"))["examples"] == 1


async def test_while_a_relearned_version_waits_the_old_one_answers(taught, brief, ask, answer):
    await taught("def double(self, number):\n    return number + number\n", DOUBLE)
    assert (await brief(fresh=True))["body"]["code"] == "APPROVAL_WANTED"
    why = await ask("why", "double")
    assert (why["version"], why["waiting"]) == (1, 2)
    assert await answer("double", "ab") == "abab"
    assert (await ask("approve", "double"))["version"] == 2
    assert (await ask("why", "double"))["version"] == 2
    assert await found(ask) == ["double"]


async def test_a_no_that_is_neither_yes_nor_no_is_refused(ask):
    with pytest.raises(ArgumentsError, match="no must be true or false"):
        await ask("approve", "double", no="no")
