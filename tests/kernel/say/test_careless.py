"""What is typed carelessly gets the answer of what is typed cleanly; through the real library."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("waht is 15 percnt of 240", 36),
        ("avrage of 4, 8 and 12", 8),
        ("wich is the largest of 4, 9 and 2", 9),
        ("how mnay minuts are in 3 huors", 180),
        ("reverce the word 'planet'", "tenalp"),
        ("count teh vowals in 'education'", 5),
        ("what is the squareroot of 144", 12),
        ("devide 144 by 12", 12),
        ("12 tims 7", 84),
        ("wahts 20 plus 22", 42),
        ("uppercas 'hello'", "HELLO"),
    ],
)
async def test_a_misspelt_question_is_computed(said, text, value):
    body = await said(text)
    assert (body["kind"], body["value"]) == ("computed", value)


async def test_a_misspelt_order_changes_what_was_meant(said):
    body = await said("plese add quinoaa to my shoping lsit")
    assert body["kind"] == "acted"
    assert "quinoaa" in body["text"]
    assert "shopping list" in body["text"]
    assert "quinoaa" in (await said("waht is on teh shopping list"))["text"]


async def test_a_follow_up_refers_to_what_was_meant(said):
    await said("waht is 15 percnt of 240")
    assert (await said("adn of 100?"))["value"] == 15
