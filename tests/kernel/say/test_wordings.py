"""Wordings that a person has confirmed: kept with their slots, found with other values."""

import datetime as dt

import pytest

from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.errors import NotFoundError
from bat_os.kernel.say.skills import find_candidates
from bat_os.kernel.say.wordings import WORDINGS, add_wording, confirmed
from bat_os.kernel.verbs import VERBS, objects
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


async def test_of_more_than_are_kept_the_oldest_goes(mind, image, monkeypatch):
    monkeypatch.setattr("bat_os.kernel.say.wordings.MOST", 2)
    for word in ("zorb", "blick", "knup"):
        await add_wording(mind, "calculator_obj", "percent_of", read(f"{word} 340"), [17, 340])
    kept = await image.transact(lambda root: [*root[WORDINGS].values()], note="look")
    assert [one["text"].split()[0] for one in kept] == ["blick", "knup"]


async def test_words_without_words_are_not_kept(mind):
    assert not await add_wording(mind, "calculator_obj", "percent_of", read("17% 340"), [17, 340])


async def test_an_object_that_is_not_there_is_named(mind):
    with pytest.raises(NotFoundError, match="nobody_obj"):
        await add_wording(mind, "nobody_obj", "percent_of", read("zorb 340"), [340])


TREBLE = 'def treble(self, number):\n    """Treble it."""\n    return number * 3\n'


async def teach(mind, source):
    body = {"source": source}
    await objects.teach(mind, check(Request("teach", target="genesis_obj", body=body)), print)


async def best_of(mind, text):
    found = await find_candidates(mind, read(text))
    return [(one.selector, one.args) for one in found if one.target == "genesis_obj"]


async def test_a_wording_goes_with_its_skill_and_comes_back_with_it(mind):
    await teach(mind, TREBLE)
    await add_wording(mind, "genesis_obj", "treble", read("zorb 4"), [4])
    assert ("treble", (9,)) in await best_of(mind, "zorb 9")
    for verb, names in (("unlearn", []), ("redo", [("treble", (9,))])):
        request = check(Request(verb, target="genesis_obj", selector="treble", body={}))
        await VERBS[verb](mind, request, print)
        assert await best_of(mind, "zorb 9") == names


async def test_a_taught_version_with_other_names_for_its_values_keeps_the_wording(mind, image):
    await teach(mind, TREBLE)
    await add_wording(mind, "genesis_obj", "treble", read("zorb 4"), [4])
    await teach(mind, TREBLE.replace("number", "amount"))
    assert ("treble", (9,)) in await best_of(mind, "zorb 9")
    (kept,) = await image.transact(lambda root: [*root[WORDINGS].values()], note="look")
    assert (kept["text"], set(kept["slots"])) == ("zorb {amount}", {"amount"})


async def test_a_wording_of_an_object_that_is_gone_is_passed_over(mind, image):
    await add_wording(mind, "calculator_obj", "percent_of", read("zorb 340"), [17, 340])

    def remove(root):
        del root["objects"]["calculator_obj"]

    await image.transact(remove, note="remove it")
    assert await confirmed(mind) is None
