"""bat_os.cli.chat.once: sentences, in front of a real kernel, and what they are remembered as."""

import ast
from dataclasses import replace

import pytest

from bat_os.cli.chat.once import (
    IN_CHAT,
    ON_COMMAND_LINE,
    Translator,
    as_another_name,
    find_model,
    make_translator,
    remember,
)
from bat_os.client.client import KernelClient
from bat_os.engines.scripted import ScriptedEngine
from bat_os.errors import SettingsError
from bat_os.method.text import find_forwarded
from bat_os.sentence.translate import translate

pytestmark = pytest.mark.slow
SOURCE = 'def double(self, number):\n    """Double a number."""\n    return number * 2\n'


@pytest.fixture
async def kernel(thinking):
    async with thinking.client() as client:
        body = {"source": SOURCE, "examples": []}
        await client.request("teach", target="genesis_obj", body=body)
        yield client


async def read(kernel, sentence, engine=None, hints=ON_COMMAND_LINE, **options):
    return await Translator(engine, hints).read(kernel, sentence, **options)


def refuse(prompt, sampling, index):
    raise AssertionError("no model is wanted here")


async def test_a_message_that_is_understood_is_sent_as_it_is(kernel):
    found = await read(kernel, "genesis_obj.double(4)")
    assert (found.by, found.wish.args) == ("call", [4])


async def test_what_was_learned_is_recognised_in_other_words(kernel):
    found = await read(kernel, "please compute the double of 5", ScriptedEngine(refuse))
    assert (found.by, found.wish.selector, found.wish.args) == ("skill", "double", [5])
    assert "genesis_obj.double already does this" in found.note


async def test_a_skill_that_comes_near_is_offered_and_not_sent(kernel):
    found = await read(kernel, "double a number backwards 5")
    assert (found.by, found.wish.selector) == ("rules", "double_number_backwards")
    (near,) = found.near
    assert (near.message.target, near.message.selector) == ("genesis_obj", "double")
    assert (near.message.args, near.wish) == ([5], "Double a number.")
    far = await read(kernel, "flip a coin")
    assert (far.note, far.near) == ("", ())


async def test_fresh_does_not_look_for_a_skill(kernel):
    found = await read(kernel, "please compute the double of 5", fresh=True)
    assert (found.by, found.wish.selector) == ("rules", "compute_double")


async def test_the_model_is_asked_in_doubt_only(kernel):
    engine = ScriptedEngine(lambda *_: '{"selector": "reverse", "args": ["hello"]}')
    found = await read(kernel, "reverse hello", engine)
    assert (found.by, found.wish.selector, found.wish.args) == ("model", "reverse", ["hello"])
    assert '; --as "selector(values)" corrects it' in found.note
    sure = await read(kernel, "flip a coin", ScriptedEngine(refuse))
    assert sure.by == "rules"


async def test_without_a_model_doubt_is_told_and_the_rules_serve(kernel):
    found = await read(kernel, "reverse hello")
    assert (found.by, found.wish.selector) == ("rules", "reverse_hello")
    assert "I may have misread it" in found.note


async def test_without_a_kernel_the_rules_serve(tmp_path):
    async with KernelClient.at(tmp_path, lambda: False) as nobody:
        assert (await read(nobody, "flip a coin")).by == "rules"


def test_the_model_is_the_file_that_the_variable_names(tmp_path):
    file = tmp_path / "small.gguf"
    file.write_bytes(b"GGUF")
    assert find_model({"LLAMA_MODEL_PATH": str(file)}) == file
    assert find_model({}) is None
    with pytest.raises(SettingsError, match="LLAMA_MODEL_PATH='nowhere' is not a file"):
        make_translator({"LLAMA_MODEL_PATH": "nowhere"})


@pytest.mark.parametrize(
    ("hints", "fresh", "correct"),
    [
        (ON_COMMAND_LINE, "; --fresh learns it anew", '; --as "selector(values)" corrects it'),
        (IN_CHAT, "; /fresh learns it anew", "; /as selector(values) corrects it"),
    ],
)
async def test_what_can_be_done_is_told_in_the_words_of_the_place(kernel, hints, fresh, correct):
    known = await read(kernel, "please compute the double of 5", hints=hints)
    assert known.note.endswith(fresh)
    unsure = await read(kernel, "reverse hello", hints=hints)
    assert unsure.note.endswith(correct)


async def test_small_talk_is_answered_unless_the_object_knows_it_or_it_is_to_be_learned(kernel):
    found = await read(kernel, "hello")
    assert (found.by, found.reply.partition(".")[0]) == ("talk", "Hello")
    fresh = await read(kernel, "hello", fresh=True)
    assert (fresh.by, fresh.reply) == ("rules", "")
    source = 'def hello(self):\n    """Say hello."""\n    return "from the image"\n'
    await kernel.request("teach", target="genesis_obj", body={"source": source, "examples": []})
    known = await read(kernel, "hello")
    assert (known.by, known.wish.selector, known.reply) == ("known", "hello", "")


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
    assert find_forwarded(source, said.selector) == "area"


@pytest.mark.parametrize("word", ['"""', "\\", "a\nb", "\x00", "'''", '\\"'])
def test_whatever_was_said_the_source_is_one_function(word):
    said = replace(translate("leave 10 on 60"), text=f"leave {word} tip {word}")
    source = as_another_name(said, "calculate_tip")
    tree = ast.parse(source)
    assert [type(node) for node in tree.body] == [ast.FunctionDef]
    assert len(tree.body[0].body) == 2
    assert find_forwarded(source, said.selector) == "calculate_tip"


async def teach(client, source, **more):
    await client.request("teach", target="genesis_obj", body={"source": source, **more})


async def send(client, selector, *args):
    told = await client.request("send", target="genesis_obj", selector=selector, args=list(args))
    return told["result"], told["model_calls"]


async def method(client, selector):
    told = await client.request("inspect", target="genesis_obj", selector=selector)
    return told["methods"].get(selector)


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
    assert told == "these words are not remembered: the values differ, or are in a different order"
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
    assert told.endswith(f"genesis_obj already has {NAME} for something else")
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
