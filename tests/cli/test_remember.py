"""bat_os.cli.remember: a sentence's words as another name of a skill."""

import ast
from dataclasses import replace

import pytest

from bat_os.cli.remember import as_another_name, remember
from bat_os.cli.shell.translator import Translator
from bat_os.method.names import stands_for
from bat_os.sentence.translate import translate

pytestmark = pytest.mark.slow
DOUBLE = translate("genesis_obj.double(5)")
WORDS = "make 5 twice as much"
NAME = translate(WORDS).selector
OTHER = "swell 5 by itself"


def test_what_was_said_sends_what_was_meant_with_the_values_in_their_order():
    said = translate("what do I leave at 10 percent on a bill of 60?")
    source = as_another_name(said, "calculate_tip")
    (function,) = ast.parse(source).body
    first, second = (one.arg for one in function.args.args[1:])
    assert function.name == said.selector
    assert source.endswith(f"return self.calculate_tip({first}, {second})\n")
    assert ast.get_docstring(function).startswith("What do I leave at")


def test_named_values_are_passed_by_name():
    said = translate("how large is a disc with radius=2")
    assert said.kwargs == {"radius": 2}
    source = as_another_name(said, "area")
    assert "return self.area(radius=radius)" in source
    assert stands_for(source, said.selector) == "area"


@pytest.mark.parametrize("word", ['"""', "\\", "a\nb", "\x00", "'''", '\\"'])
def test_whatever_was_said_the_source_is_one_function(word):
    said = replace(translate("leave 10 on 60"), text=f"leave {word} tip {word}")
    source = as_another_name(said, "calculate_tip")
    tree = ast.parse(source)
    assert [type(node) for node in tree.body] == [ast.FunctionDef]
    assert len(tree.body[0].body) == 2
    assert stands_for(source, said.selector) == "calculate_tip"


async def teach(client, source, **more):
    await client.request("teach", target="genesis_obj", body={"source": source, **more})


async def send(client, selector, *args):
    told = await client.request("send", target="genesis_obj", selector=selector, args=list(args))
    return told["result"], told["model_calls"]


async def method(client, selector):
    told = await client.request("inspect", target="genesis_obj", selector=selector)
    return told["methods"].get(selector)


@pytest.fixture
async def kernel(thinking):
    async with thinking.client() as client:
        await teach(client, "def double(self, number):\n    return number * 2\n")
        yield client


async def test_words_are_known_from_then_on_with_other_values_too(kernel):
    told = await remember(kernel, WORDS, DOUBLE)
    assert told == f"remembered: {NAME} is double; batos unlearn genesis_obj {NAME} forgets it"
    found = await Translator(None).read(kernel, "make 21 twice as much")
    assert (found.by, found.wish.selector, found.wish.args) == ("known", NAME, [21])
    assert await send(kernel, NAME, 21) == (42, 0)


async def test_a_skill_is_found_by_its_other_names_and_listed_once(kernel):
    await remember(kernel, WORDS, DOUBLE)
    found = await kernel.request("find", body={"text": "make a number twice as much"})
    assert [skill["selector"] for skill in found["skills"]] == ["double"]
    assert found["skills"][0]["wish"] == "Make a number twice as much."
    await kernel.request("unlearn", target="genesis_obj", selector="double")
    assert (await kernel.request("find", body={"text": WORDS}))["skills"] == []


async def test_what_was_remembered_can_be_forgotten(kernel):
    await remember(kernel, WORDS, DOUBLE)
    await kernel.request("unlearn", target="genesis_obj", selector=NAME)
    assert (await Translator(None).read(kernel, WORDS)).by != "known"
    assert (await remember(kernel, WORDS, DOUBLE)).startswith("remembered: ")


async def test_a_name_of_a_name_is_one_of_the_skill(kernel):
    await remember(kernel, WORDS, DOUBLE)
    told = await remember(kernel, OTHER, replace(DOUBLE, selector=NAME))
    assert f"is double; batos unlearn genesis_obj {translate(OTHER).selector} " in told
    assert await remember(kernel, "double 5", replace(DOUBLE, selector=NAME)) == ""
    assert await send(kernel, "double", 4) == (8, 0)


@pytest.mark.parametrize("sentence", ["", "double 5", "genesis_obj.twice(5)"])
async def test_where_there_is_nothing_to_remember_nothing_changes(kernel, sentence):
    before = await kernel.request("list")
    assert await remember(kernel, sentence, DOUBLE) == ""
    assert await kernel.request("list") == before


async def test_a_message_that_finds_a_slot_has_no_other_name(kernel):
    await teach(kernel, "def fill(self):\n    self.seen = 1\n    self._p_changed = True\n")
    await send(kernel, "fill")
    assert await remember(kernel, "how often was I here", translate("genesis_obj.seen()")) == ""


async def test_other_values_than_were_said_are_told(kernel):
    told = await remember(kernel, "make 6 twice as much", DOUBLE)
    assert (
        told == "these words are not remembered: the message has other values, or in another order"
    )
    assert await method(kernel, NAME) is None


@pytest.mark.parametrize(
    "source",
    [
        f"def {NAME}(self, number):\n    return number\n",
        f"def fill(self):\n    self.{NAME} = 1\n    self._p_changed = True\n",
    ],
)
async def test_a_name_that_is_something_else_is_left_alone(kernel, source):
    await teach(kernel, source)
    if "fill" in source:
        await send(kernel, "fill")
    before = await kernel.request("list")
    told = await remember(kernel, WORDS, DOUBLE)
    assert told.endswith(f"genesis_obj has {NAME} already, for something else")
    assert await kernel.request("list") == before


async def test_what_was_meant_may_change(kernel):
    await remember(kernel, WORDS, DOUBLE)
    await teach(kernel, "def triple(self, number):\n    return number * 3\n")
    await remember(kernel, WORDS, translate("genesis_obj.triple(5)"))
    assert await send(kernel, NAME, 4) == (12, 0)
    assert (await method(kernel, NAME))["version"] == 2


async def test_what_cannot_be_taught_is_told(kernel):
    await remember(kernel, WORDS, DOUBLE)
    await kernel.request("pin", target="genesis_obj", selector=NAME)
    await teach(kernel, "def triple(self, number):\n    return number * 3\n")
    told = await remember(kernel, WORDS, translate("genesis_obj.triple(5)"))
    assert told.startswith("these words are not remembered: ")
    assert await send(kernel, NAME, 4) == (8, 0)
