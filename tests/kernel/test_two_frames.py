"""A simple client of one map per message: what its translator sends, and what it sends without."""

import ormsgpack
import pytest
import zmq
import zmq.asyncio

from bat_os.core.two_frames import COMMAND


@pytest.fixture
async def send(kernel):
    """Return a function that sends one map and returns the one that comes back."""
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(kernel.door)

    async def send(selector, *args, target="genesis_obj", **kwargs):
        brief = {
            "type": "unhandled_message", "selector": selector, "args": list(args), "kwargs": kwargs,
        }  # fmt: skip
        cycle = {"command": COMMAND, "target_oid": target, "mission_brief": brief}
        await socket.send(ormsgpack.packb(cycle))
        assert await socket.poll(60_000)
        return ormsgpack.unpackb(await socket.recv())

    yield send
    context.destroy(0)


def as_selector(sentence):
    """Return what a client without a translator makes of a sentence."""
    return "_".join(sentence.lower().split())


async def test_a_brief_of_a_translator_is_learned_and_answered(send):
    told = await send("give_seven")
    assert (told["status"], told["result"], told["learned"]) == ("success", 7, True)
    assert (await send("give_seven"))["learned"] is False


async def test_the_intent_is_the_wish_and_no_argument(send, kernel):
    told = await send("double", 21, intent="Double a number.")
    assert (told["status"], told["result"], told["kwargs"]) == ("success", 42, {})
    async with kernel.client() as client:
        brief = (await client.request("why", target="genesis_obj", selector="double"))["brief"]
    assert brief["text"] == "Double a number."


async def test_persona_id_chooses_who_writes(send, kernel):
    told = await send("give_seven", persona_id="ROBIN")
    assert told["result"] == 7
    async with kernel.client() as client:
        why = await client.request("why", target="genesis_obj", selector="give_seven")
    assert why["origin"]["persona"] == "ROBIN"
    told = await send("slow_one", persona_id="BATMAN")
    assert told["status"] == "error"
    assert "persona_id must be one of ALFRED" in told["message"]


async def test_a_decimal_oid_names_the_object(send, kernel):
    async with kernel.client() as client:
        oid = (await client.request("inspect", target="genesis_obj"))["oid"]
    for target in (int(oid, 16), str(int(oid, 16))):
        assert (await send("slotNames", target=target))["status"] == "success"


@pytest.mark.parametrize("sentence", ["What is 17% of 340?", "what is 17 percent of 340"])
async def test_a_sentence_as_selector_is_answered_as_what_it_says(send, sentence):
    told = await send(as_selector(sentence), intent=sentence)
    assert told["status"] == "success"
    assert told["kind"] == "computed"
    assert float(told["result"]) == 57.8


async def test_a_question_that_nothing_answers_becomes_no_method(send, kernel):
    sentence = "What is your core identity?"
    told = await send(as_selector(sentence), intent=sentence)
    async with kernel.client() as client:
        learned = (await client.request("inspect", target="genesis_obj"))["methods"]
    assert learned == {}
    assert told["message"]


async def test_a_long_sentence_is_no_selector(send):
    sentence = "What is 17% of 340" + ", please" * 60 + "?"
    told = await send(as_selector(sentence), intent=sentence)
    assert "selector" not in told["message"]
