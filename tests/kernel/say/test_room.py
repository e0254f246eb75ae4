"""``say``: a sentence in, an answer of one of seven kinds out; through the real library."""

import pytest

from bat_os.image.objects import find

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_skill_of_the_library_computes(said):
    body = await said("what is 17% of 340")
    assert (body["kind"], body["value"], body["model_calls"]) == ("computed", 57.8, 0)
    assert body["reading"] == "percent_of(17, 340)"


async def test_a_call_is_sent_as_it_is_written(said):
    body = await said("calculator_obj.percent_of(15, 200)")
    assert (body["kind"], body["value"]) == ("computed", 30)


async def test_a_request_with_the_same_key_is_not_done_twice(said, image):
    first = await said("add milk to my shopping list", key="once")
    assert first["kind"] == "acted"
    again = await said("add milk to my shopping list", key="once")
    assert again["text"] == first["text"]
    shown = await said("what is on my shopping list?")
    assert shown["text"].count("milk") == 1


async def test_two_callers_do_not_share_a_conversation(said):
    await said("what is 17% of 340", caller="ann")
    body = await said("and of 100?", caller="ann")
    assert body["value"] == 17
    assert (await said("and of 100?", caller="bob"))["value"] != 17


async def test_what_only_drafts_speak_for_is_a_guess_and_not_installed(said, image):
    body = await said("frobnicate the number 12")
    if body["kind"] == "guess":
        held = await image.transact(
            lambda root: find(root, "genesis_obj").slots.get("frobnicate_number"), note="t"
        )
        assert held is None or held.current < 0
