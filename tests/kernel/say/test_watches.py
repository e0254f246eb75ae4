"""Sentences about files that are watched: leave is asked for at once, then they are kept."""

import pytest
import pytest_asyncio

from bat_os.image import schedules
from tests.kernel.minds import script
from tests.kernel.say.test_changes import mind  # noqa: F401 - the fixture: files that can be written
from tests.kernel.say.test_files import notes  # noqa: F401

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module")
async def ask(said):
    """Return a function that says a sentence and then its answers, and returns the last answer."""

    async def run(*sentences):
        for sentence in sentences:
            told = await said(sentence)
        return told

    return run


async def live(mind):  # noqa: F811
    found = await mind.image.transact(schedules.live, note="look")
    return [each for each in found if "watch" in each.rule]


async def test_leave_is_asked_for_once_and_for_good(ask, mind, notes):  # noqa: F811
    asked = await ask(f"tell me when {notes}/todo.md changes")
    assert (asked["kind"], asked["needs"]) == ("asked", "grant")
    assert [choice.partition(",")[0] for choice in asked["choices"]] == ["yes", "yes", "no"]
    kept = await ask("1")
    assert kept["text"] == f"I will tell you when {notes}/todo.md changes."
    assert (await ask("what do you watch?"))["value"] == [
        f"I tell you when {notes}/todo.md changes"
    ]
    assert (await ask("undo that"))["kind"] == "acted"
    assert await live(mind) == []
    again = await ask(f"tell me when {notes}/todo.md changes")  # the yes is taken back, too
    assert again["needs"] == "grant"


async def test_who_wants_a_fresh_answer_sets_no_watch(said, notes):  # noqa: F811
    told = await said(f"tell me when {notes}/todo.md changes", fresh=True)
    assert told.get("needs") != "grant"


async def test_all_that_an_order_needs_is_asked_for_before_it_is_kept(ask, mind, notes):  # noqa: F811
    out = notes.parent / "out"
    out.mkdir()
    sentence = f"when a file appears in {notes}, count its lines and append that to {out}/log.txt"
    questions = [await ask(sentence), await ask("1"), await ask("1")]
    assert [each["needs"] for each in questions] == ["grant"] * 3
    assert [each["text"].partition(",")[0] for each in questions] == [
        f"For that I would have to read {notes}",
        f"For that I would have to change {out}/log.txt",
        f"This would send something read from {notes} to {out}/log.txt. May I?",
    ]
    kept = await ask("1")
    assert kept["text"] == (
        f"I will do this when a file appears in {notes}: "
        f"count its lines and append that to {out}/log.txt."
    )
    (one,) = await live(mind)
    assert (one.kind, one.rule["each"], one.rule["on"]) == ("say", True, ["appear"])
    assert (await ask(f"stop watching {notes}"))["kind"] == "acted"
    assert await live(mind) == []
    again = await ask(sentence)
    assert again["kind"] == "acted", "nothing is asked a second time"
    await ask("stop watching")


async def test_an_order_that_is_not_understood_is_not_kept(ask, mind, notes):  # noqa: F811
    told = await ask(f"when a file appears in {notes}, frobnicate it", "1")
    assert (told["kind"], "frobnicate" in told["text"]) == ("unable", True)
    assert await live(mind) == []


class TestAnOrderThatNobodyHasTaught:
    @pytest.fixture
    def writes(self):
        return script("\n    return text.splitlines()[0].upper() + '!!'")

    async def test_is_learned_first_with_a_text_of_ours(self, ask, mind, notes):  # noqa: F811
        sentence = f"when a file appears in {notes}, exclaim its first line in capitals"
        guess = await ask(sentence, "1")
        assert guess["kind"] == "guess"
        assert "exclaim" in guess["text"]
        assert "ONE!!" in guess["text"]
        assert await live(mind) == []
        kept = await ask("yes")
        assert (kept["kind"], kept["text"]) == (
            "acted",
            f"I will do this when a file appears in {notes}: exclaim its first line in capitals.",
        )
        assert len(await live(mind)) == 1
        told = await ask(f"exclaim the first line of {notes}/todo.md in capitals")
        assert told["text"] == "BUY MILK!!", told

    async def test_is_not_kept_when_the_guess_is_refused(self, ask, mind, notes):  # noqa: F811
        sentence = f"when a file appears in {notes}, exclaim its first line in capitals"
        refused = await ask(sentence, "1", "no")
        assert refused["kind"] != "acted"
        assert await live(mind) == []


async def test_of_several_it_is_asked_which_to_stop(ask, mind, notes):  # noqa: F811
    await ask(f"watch {notes}", "1")
    await ask(f"when a PDF appears in {notes}, remind me to file it")
    asked = await ask("stop watching")
    assert asked["choices"] == [
        f"I tell you when {notes} changes",
        f"when a file appears in {notes} (*.pdf): file it",
    ]
    assert (await ask("2"))["kind"] == "acted"
    (one,) = await live(mind)
    assert one.text == ""
    assert "no reminders" in (await ask("what reminders do I have?"))["text"]
    assert (await ask("stop watching /nowhere"))["kind"] == "unable"
    await ask(f"stop watching {notes}")
    assert (await ask("what do you watch?"))["text"] == "I watch nothing."


@pytest.mark.parametrize(
    ("sentence", "list_", "stop"),
    [
        ("sag mir Bescheid, wenn sich {}/todo.md ändert", "was beobachtest du?",
         "beobachte {}/todo.md nicht mehr"),
        ("préviens-moi quand {}/todo.md change", "que surveilles-tu ?",
         "arrête de surveiller {}/todo.md"),
        ("avísame cuando cambie {}/todo.md", "¿qué vigilas?", "deja de vigilar {}/todo.md"),
    ],
)  # fmt: skip
async def test_it_is_understood_in_other_languages(ask, mind, notes, sentence, list_, stop):  # noqa: F811
    asked = await ask(sentence.format(notes))
    assert asked["needs"] == "grant"
    kept = await ask("1")
    assert (kept["kind"], kept["language"]) == ("acted", asked["language"])
    assert len((await ask(list_))["value"]) == 1
    assert (await ask(stop.format(notes)))["kind"] == "acted"
    assert await live(mind) == []


async def test_a_name_without_a_folder_is_asked_for(ask):
    asked = await ask("tell me when diary.txt changes")
    assert (asked["kind"], asked["needs"]) == ("asked", "clarification")


async def test_that_is_the_last_answer_where_it_is_written(ask, notes):  # noqa: F811
    await ask(f"how many lines are in {notes}/todo.md?", "2")
    asked = await ask(f"append that to {notes}/log.txt", "2")
    assert "send something read from" in asked["text"]
    assert (await ask("2"))["kind"] == "acted"
    assert (notes / "log.txt").read_text() == "3\n"


async def test_a_folder_is_learned_by_a_sentence(ask, mind, notes):  # noqa: F811
    kept = await ask(f"learn the folder {notes} and keep it current", "1")
    assert kept["text"] == (f"I learn 4 files of {notes}, and keep them current from now on.")
    (one,) = await live(mind)
    assert one.kind == "learn"
    assert (await ask("what do you watch?"))["value"] == [f"I learn what changes in {notes}"]
    await ask(f"stop watching {notes}")


async def test_an_answer_out_of_a_file_names_file_and_line(ask, mind, notes):  # noqa: F811
    text = "# Home\n\nThe stove is old.\n\n## Repairs\n\nNothing leaks now.\n"
    text += "The plumber comes on 4 December. He is kind.\n"
    await mind.catalog.learn(
        "Home", text, source=f"{notes}/home.md", meta={"form": "markdown", "format": "markdown"}
    )
    told = await ask("when does the plumber come?")
    assert told["kind"] == "recalled"
    assert told["text"].endswith(f"(from {notes}/home.md, line 8)")
    assert told["sources"][0]["title"] == f"{notes}/home.md, line 8"
