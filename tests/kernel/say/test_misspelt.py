"""A name that a shipped object does not understand may be a typing error: a guess needs a yes."""

import pytest

from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from tests.kernel.minds import script

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture
def writes():
    return script(' return "Nope"')


@pytest.fixture
def send(dispatcher):
    async def send(target, selector, *args, **body):
        request = Request("send", target=target, selector=selector, args=args, body=body)
        reply = await dispatcher.handle(check(request), lambda early: None)
        return dict(reply.body)

    return send


async def test_a_message_with_a_typing_error_keeps_nothing_without_a_yes(send, said, mind):
    told = await send("calculator_obj", "nope")
    assert told["code"] == "APPROVAL_WANTED", told
    assert "a guess for nope is 'Nope'" in told["message"]
    assert "batos approve calculator_obj nope" in told["message"]

    def look(root):
        return root["objects"]["calculator_obj"].lookup("nope")

    assert await mind.image.transact(look, note="look") is None
    assert not (await said("what have you learned?"))["value"]
    typed = await said("calculator_obj.jep()")
    assert (typed["kind"], typed["value"], typed["learned"]) == ("guess", "Nope", False)
    await said("no")
    assert not (await said("what have you learned?"))["value"]


async def test_a_wish_in_words_or_an_object_of_ones_own_is_an_order(send):
    told = await send("calculator_obj", "refuse", text="say that you will not")
    assert (told["result"], told["learned"]) == ("Nope", True), told
    told = await send("genesis_obj", "nope")
    assert (told["result"], told["learned"]) == ("Nope", True), told
