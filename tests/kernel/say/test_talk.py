"""A conversation: guesses and yes or no, corrections, follow-ups, choices, why and undo."""

import pytest

from bat_os.image.objects import find
from bat_os.kernel.say import unable
from tests.kernel.minds import script

pytestmark = pytest.mark.asyncio(loop_scope="module")
WISH = "frobnicate the number 12"
SELECTOR = "frobnicate_number"


@pytest.fixture
def writes():
    return script(" return number * 2", " return number + 100", " return number + 1")


@pytest.fixture
def function(monkeypatch):
    """Let every sentence without a skill be one that a function could answer."""
    monkeypatch.setattr(unable, "classify", lambda sentence, vector: {"function": 1.0})


async def held(image):
    def look(root):
        method = find(root, "genesis_obj").slots.get(SELECTOR)
        return None if method is None or method.current < 0 else str(method.status)

    return await image.transact(look, note="look")


async def test_a_guess_is_marked_and_not_installed(said, image, function):
    body = await said(WISH)
    assert (body["kind"], body["value"], body["learned"]) == ("guess", 24, False)
    assert "24" in body["text"]
    assert "checked" in body["text"]
    assert await held(image) is None


async def test_no_other_sentence_gets_the_guess(said, function):
    await said(WISH)
    body = await said("frobnicate the number 15", session="t")
    assert body["kind"] != "computed"


async def test_yes_makes_it_a_method(said, image, function):
    await said(WISH)
    body = await said("yes")
    assert (body["kind"], body["value"], body["learned"]) == ("computed", 24, True)
    assert await held(image) in ("verified", "approved")
    again = await said("frobnicate the number 15", session="t")
    assert (again["kind"], again["value"]) == ("computed", 30)


async def test_another_value_becomes_an_example_and_the_search_goes_on(said, image, function):
    await said(WISH)
    body = await said("no, 112")
    assert (body["kind"], body["value"]) == ("computed", 112)
    assert await held(image) == "verified"


async def test_no_alone_asks_for_the_right_answer(said, image, function):
    await said(WISH)
    body = await said("no")
    assert (body["kind"], body["needs"]) == ("asked", "example")
    assert await held(image) is None
    body = await said("13")
    assert (body["kind"], body["value"]) == ("computed", 13)


async def test_an_ordered_method_is_installed_and_its_answer_still_a_guess(said, image):
    body = await said("create a method to frobnicate the number 12")
    assert (body["kind"], body["learned"]) == ("guess", True)


async def test_an_example_decides(said, image):
    body = await said("frobnicate the number 12, e.g. 5 gives 10")
    assert (body["kind"], body["value"], body["learned"]) == ("computed", 24, True)


async def test_undo_takes_back_the_last_act(said):
    await said("add milk and eggs to my shopping list")
    assert (await said("undo that"))["kind"] == "acted"
    assert (await said("what is on my shopping list?"))["kind"] != "recalled"


async def test_what_was_told_is_recalled_with_its_day(said):
    await said("remember that my sister's birthday is 3 May")
    body = await said("when is my sister's birthday?")
    assert body["kind"] == "recalled"
    assert "3 May" in body["text"]
    assert body["sources"][0]["kind"] == "fact"


async def test_nothing_is_open_to_say_yes_to(said):
    assert (await said("yes"))["kind"] == "said"


async def test_files_and_the_web_take_a_grant(said):
    for sentence in ("list the files in my home folder", "what is the weather in Paris?"):
        body = await said(sentence)
        assert (body["kind"], body["needs"], body["learned"]) == ("asked", "grant", False)


async def test_a_poem_is_refused_at_once(said):
    body = await said("write a short poem about rain")
    assert (body["kind"], body["model_calls"]) == ("unable", 0)
