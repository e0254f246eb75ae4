"""bat_os.kernel.learning.target: a fresh brief for what is understood already."""

import pytest

from tests.kernel.verbs.conftest import DOUBLE

pytestmark = pytest.mark.asyncio(loop_scope="module")
SUM = "def double(self, number):\n    return number + number\n"


async def test_a_relearned_method_is_a_new_version_that_reproduces_the_old_examples(
    taught, brief, ask, answer
):
    await taught(SUM, DOUBLE)
    told = await brief(fresh=True)
    assert (told["type"], told["body"]["learned"]) == ("result", True), told
    why = await ask("why", "double")
    assert (why["version"], why["status"], why["examples"]) == (2, "verified", DOUBLE)
    assert await answer("double", 5) == 10
    assert (await ask("redo", "double", version=1))["version"] == 1


async def test_a_relearned_method_that_fails_a_kept_example_changes_nothing(taught, brief, ask):
    capped = "def double(self, number):\n    return number * 2 if number < 100 else 0\n"
    await taught(capped, [*DOUBLE, {"args": [100], "kwargs": {}, "result": 0}])
    assert (await brief(fresh=True))["type"] == "error"
    versions = await ask("versions", "double")
    assert (versions["current"], len(versions["versions"])) == (1, 1)


async def test_the_same_text_again_is_no_new_version(brief, learned, ask):
    await learned()
    told = await brief(fresh=True)
    assert told["type"] == "error"
    assert "the same as version 1" in str(told["body"])
    assert len((await ask("versions", "double"))["versions"]) == 1


async def test_a_pinned_method_and_a_primitive_are_not_relearned(taught, brief, ask):
    await taught(SUM)
    await ask("pin", "double")
    told = await brief(fresh=True)
    assert (told["body"]["code"], "pinned" in told["body"]["message"]) == ("INVALID_ARGS", True)
    told = await brief("respondsTo", "double", fresh=True)
    assert (told["body"]["result"], told["body"]["status"]) == (True, "primitive")
