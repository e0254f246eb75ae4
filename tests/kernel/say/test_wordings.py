"""Wordings that a person has confirmed: kept with their slots, found with other values."""

import datetime as dt

import pytest

from bat_os.errors import NotFoundError
from bat_os.kernel.say.skills import find_candidates
from bat_os.kernel.say.wordings import WORDINGS, add_wording
from bat_os.sentence.reading import read_sentence

pytestmark = pytest.mark.asyncio(loop_scope="module")
WORDS = "zorb {} with {} of fizz"


def read(text):
    return read_sentence(text, dt.datetime.now().astimezone())


async def test_it_is_found_with_other_values(mind):
    said = read(WORDS.format(340, "17%"))
    assert await add_wording(mind, "calculator_obj", "percent_of", said, [17, 340])
    best = (await find_candidates(mind, read(WORDS.format(80, "25%"))))[0]
    assert (best.selector, best.args) == ("percent_of", (25, 80))
    assert best.probability > 0.9


async def test_a_value_that_is_not_said_stays_as_it_was(mind):
    assert await add_wording(mind, "calculator_obj", "percent_of", read("zorb 340"), [17, 340])
    best = (await find_candidates(mind, read("zorb 80")))[0]
    assert (best.selector, best.args) == ("percent_of", (17, 80))


async def test_the_same_words_are_kept_once_and_the_newest_counts(mind, image):
    said = read("zorb 340")
    await add_wording(mind, "calculator_obj", "percent_of", said, [17, 340])
    await add_wording(mind, "calculator_obj", "percent_of", said, [50, 340])
    kept = await image.transact(lambda root: [*root[WORDINGS].values()], note="look")
    assert [one["fixed"] for one in kept] == [{"percent": 50}]


async def test_words_without_words_are_not_kept(mind):
    assert not await add_wording(mind, "calculator_obj", "percent_of", read("17% 340"), [17, 340])


async def test_an_object_that_is_not_there_is_named(mind):
    with pytest.raises(NotFoundError, match="nobody_obj"):
        await add_wording(mind, "nobody_obj", "percent_of", read("zorb 340"), [340])
