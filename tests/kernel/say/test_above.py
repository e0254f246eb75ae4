"""Text on the lines above a question is what the question is about."""

import pytest

from bat_os.sentence.reading import MAX_READ

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]


async def test_the_lines_above_a_question_are_what_it_counts(said):
    for asked, value in {
        "one two three\nhow many words?": 3,
        "The cat sat.\nThe dog ran.\n\nHow many words is that?": 6,
        "die Katze schläft\nwie viele Wörter sind das?": 3,
        "le chat dort\ncombien de mots ?": 3,
        "el gato duerme\n¿cuántas palabras hay?": 3,
        f"{'word ' * MAX_READ}\nhow many words is that?": MAX_READ,
        "The bill is 84 euros and we are 4.\nHow much does each pay?": 21,
    }.items():
        told = await said(asked, session=asked[:50])
        assert (told["kind"], told["value"]) == ("computed", value), (asked[:50], told["text"])
        assert told["model_calls"] == 0


async def test_lines_that_no_skill_takes_are_not_left_out_of_an_answer(said):
    told = await said("my cat is called Tom\nwho is the president?")
    assert told["kind"] in ("unable", "asked"), told["text"]
