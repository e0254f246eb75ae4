"""bat_os.cli.shell.translator: sentences, in front of a real kernel."""

import pytest

from bat_os.cli.shell.translator import (
    IN_CHAT,
    ON_COMMAND_LINE,
    Translator,
    find_model,
    make_translator,
)
from bat_os.client.client import KernelClient
from bat_os.engines.scripted import ScriptedEngine
from bat_os.errors import SettingsError

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
    assert "genesis_obj.double does this already" in found.note


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
    with pytest.raises(SettingsError, match="LLAMA_MODEL_PATH='nowhere' is no file"):
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
