"""bat_os.cli.shell.wordings: in front of a real kernel."""

from dataclasses import replace

import pytest

from bat_os.cli.shell.translator import Translator
from bat_os.cli.shell.wordings import remember
from bat_os.clients.translate import translate

pytestmark = pytest.mark.slow
DOUBLE = translate("genesis_obj.double(5)")
WORDS = "make 5 twice as much"
NAME = translate(WORDS).selector


async def teach(client, source):
    await client.request("teach", target="genesis_obj", body={"source": source, "examples": []})


@pytest.fixture
async def kernel(thinking):
    async with thinking.client() as client:
        await teach(
            client, 'def double(self, number):\n    """Double it."""\n    return number * 2\n'
        )
        yield client


async def test_words_are_known_from_then_on_with_other_values_too(kernel):
    told = await remember(kernel, WORDS, DOUBLE)
    assert told == f"remembered: {NAME} is double; batos unlearn genesis_obj {NAME} forgets it"
    found = await Translator(None).read(kernel, "make 21 twice as much")
    assert (found.by, found.wish.selector, found.wish.args) == ("known", NAME, [21])
    answer = await kernel.request("send", target="genesis_obj", selector=NAME, args=[21])
    assert (answer["result"], answer["model_calls"]) == (42, 0)


async def test_they_are_found_like_a_skill_and_can_be_unlearned(kernel):
    await remember(kernel, WORDS, DOUBLE)
    found = await kernel.request("find", body={"text": "make a number twice as much"})
    signatures = [skill["signature"] for skill in found["skills"]]
    assert f"def {NAME}(self, number):" in signatures
    await kernel.request("unlearn", target="genesis_obj", selector=NAME)
    assert (await Translator(None).read(kernel, WORDS)).by != "known"


@pytest.mark.parametrize(
    "sentence", ["", "double 5", "genesis_obj.twice(5)", "make 6 twice as much"]
)
async def test_where_there_is_nothing_to_remember_nothing_changes(kernel, sentence):
    before = await kernel.request("list")
    assert await remember(kernel, sentence, DOUBLE) == ""
    assert await kernel.request("list") == before


async def test_a_name_that_holds_something_else_is_left_alone(kernel):
    await teach(kernel, f"def fill(self):\n    self.{NAME} = 1\n    self._p_changed = True\n")
    await kernel.request("send", target="genesis_obj", selector="fill")
    assert await remember(kernel, WORDS, DOUBLE) == ""
    assert (await kernel.request("inspect", target="genesis_obj"))["slots"][NAME] == 1


async def test_no_two_names_lead_to_each_other(kernel):
    await remember(kernel, WORDS, DOUBLE)
    assert await remember(kernel, "double 5", replace(DOUBLE, selector=NAME)) == ""
    answer = await kernel.request("send", target="genesis_obj", selector=NAME, args=[4])
    assert answer["result"] == 8


async def test_what_was_learned_wrongly_gets_a_new_version(kernel):
    await teach(kernel, f"def {NAME}(self, number):\n    return number\n")
    assert (await remember(kernel, WORDS, DOUBLE)).startswith("remembered: ")
    answer = await kernel.request("send", target="genesis_obj", selector=NAME, args=[4])
    assert answer["result"] == 8
    told = await kernel.request("inspect", target="genesis_obj", selector=NAME)
    assert told["methods"][NAME]["version"] == 2


async def test_what_cannot_be_taught_is_told(kernel):
    await teach(kernel, f"def {NAME}(self, number):\n    return number\n")
    await kernel.request("pin", target="genesis_obj", selector=NAME)
    told = await remember(kernel, WORDS, DOUBLE)
    assert told.startswith("these words are not remembered: ")
