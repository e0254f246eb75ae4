"""Sentences that no skill answers: a tool that was granted does, and what a person says is kept."""

import asyncio
import json
from dataclasses import replace

import pytest
import pytest_asyncio

from bat_os.core.ability import Ability
from bat_os.kernel.effects.performer import Performer
from bat_os.world.files import Files

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture
def drivers():
    return {"files": Files()}


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "todo.md").write_text("buy milk\ncall Ann at 5\nwater the plants\n")
    (folder / "plan.md").write_text("milk and bread\n")
    return folder


async def test_a_tool_answers_what_no_skill_does(said, notes):
    await said(f"you may read {notes}")
    told = await said(f"find the files in {notes} that end in .md")
    assert (told["kind"], told["model_calls"]) == ("computed", 0)
    assert told["value"] == ["plan.md", "todo.md"]
    assert told["reading"].startswith("files.find(")
    assert [one["detail"].get("step", "")[:11] for one in told["events"]].count("files.find(") == 1


@pytest.mark.parametrize(
    "sentence",
    ["tell me a joke", "what is the capital of France?", "who won the match?", "I am tired",
     "sing a song about rain", "how do I bake bread?", "when does the train leave?"],
)  # fmt: skip
async def test_what_is_like_no_tool_is_not_taken_for_one(said, notes, sentence):
    await said(f"you may read {notes}")
    told = await said(sentence)
    assert told["kind"] in ("unable", "asked", "said")
    assert not any(str(one).startswith("files.") for one in told["choices"])


async def test_a_tool_that_a_person_chose_is_known_from_then_on(said, notes):
    await said(f"you may read {notes}")
    asked = await said(f"edit {notes}/todo.md")
    assert (asked["kind"], asked["needs"]) == ("asked", "clarification")
    assert [one.partition("(")[0] for one in asked["choices"]] == ["files.read", "files.facts"]
    told = await said("1")
    assert (told["kind"], told["value"][:8]) == ("computed", "buy milk")
    again = await said(f"edit {notes}/plan.md")
    assert (again["kind"], again["value"]) == ("computed", "milk and bread\n")


async def test_what_no_single_step_answers_is_not_answered_by_one(said, notes):
    await said(f"you may read {notes}")
    assert (await said(f"which file in {notes} is the nicest of all?"))["kind"] in (
        "unable",
        "asked",
    )


async def test_what_is_too_much_at_once_is_not_said_to_lack_leave(said, notes):
    await said(f"you may read {notes}")
    told = await said(f"what is the first line of the largest file in {notes}?")
    assert (told["kind"], told["needs"]) == ("unable", ""), told["text"]
    assert str(notes) in told["text"]


@pytest.mark.parametrize(
    ("sentence", "value", "other"),
    [
        ("which file in {notes} is the longest?", "todo.md", "b.txt"),
        ("which file in {notes} has the fewest lines?", "plan.md", "a.txt"),
        ("how many words are in all files of {notes} together?", 12, 3),
    ],
)
async def test_several_steps_become_a_method_with_a_loop(said, notes, sentence, value, other):
    await said(f"you may read {notes.parent}")
    (notes / "sub").mkdir()
    told = await said(sentence.format(notes=notes))
    assert (told["kind"], told["value"], told["model_calls"]) == ("computed", value, 0)
    assert told["learned"]
    elsewhere = notes.parent / "papers"
    elsewhere.mkdir()
    (elsewhere / "a.txt").write_text("x")
    (elsewhere / "b.txt").write_text("x\ny")
    again = await said(sentence.format(notes=elsewhere))
    assert (again["value"], again["model_calls"]) == (other, 0)
    assert not any(one.get("state") == "acting" for one in again["events"])


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("find the files in {notes} that end in .md", ["plan.md", "todo.md"]),
        ("look for the word bread in {notes}",
         [{"path": "plan.md", "line": 1, "text": "milk and bread"}]),
    ],
)  # fmt: skip
async def test_arguments_are_parts_of_the_request(said, notes, sentence, value):
    await said(f"you may read {notes}")
    told = await said(sentence.format(notes=notes))
    assert (told["kind"], told["value"]) == ("computed", value)


COMPARED = [
    "which is larger, {} or {}?", "which is longer, {} or {}?",
    "which one of {} and {} is bigger?", "which of {} and {} has more words?",
    "compare the length of {} and {}", "was ist größer, {} oder {}?", "was ist länger, {} oder {}?",
    "welche Datei ist größer, {} oder {}?", "welche von {} und {} hat mehr Wörter?",
]  # fmt: skip


@pytest.mark.parametrize("before", ["", "~/notes/", "{notes}/"], ids=["name", "home", "whole"])
async def test_files_that_are_compared_are_files_and_no_texts(said, notes, monkeypatch, before):
    monkeypatch.setenv("HOME", str(notes.parent))
    await said(f"you may read {notes}")
    (notes / "much-longer-name.md").write_text("x")
    folder = before.format(notes=notes)
    paths = f"{folder}much-longer-name.md", f"{folder}todo.md"
    for sentence in COMPARED:
        told = await said(sentence.format(*paths), session=sentence)
        assert told["kind"] == "computed", (sentence, told["text"])
        assert told["value"].endswith("todo.md"), (sentence, told["value"])
        assert told["reading"].count("files.") in (0, 2), told["reading"]


@pytest.mark.parametrize("before", ["", "{notes}/"], ids=["name", "whole"])
@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("is {} longer than {}?", False), ("is {} shorter than {}?", True),
        ("does {} have more lines than {}?", False), ("ist {} länger als {}?", False),
    ],
)  # fmt: skip
async def test_whether_a_file_is_longer_is_answered_by_yes_or_no(
    said, notes, before, sentence, value
):
    await said(f"you may read {notes}")
    (notes / "much-longer-name.md").write_text("x")
    folder = before.format(notes=notes)
    paths = f"{folder}much-longer-name.md", f"{folder}todo.md"
    told = await said(sentence.format(*paths))
    assert (told["kind"], told["value"], told["model_calls"]) == ("computed", value, 0)
    assert told["learned"]
    turned = await said(sentence.format(*reversed(paths)))
    assert (turned["value"], turned["model_calls"]) == (not value, 0)
    assert not any(one.get("state") == "acting" for one in turned["events"])


@pytest.mark.parametrize(
    "sentence",
    ["how much longer is {notes}/todo.md than {notes}/plan.md?",
     "is {notes}/todo.md longer than 50 lines?", "which files in {notes} have more than 2 lines?"],
)  # fmt: skip
async def test_a_comparison_that_no_step_makes_is_not_answered(said, notes, sentence):
    await said(f"you may read {notes}")
    assert (await said(sentence.format(notes=notes)))["kind"] in ("unable", "asked")


async def test_what_may_be_too_many_words_to_look_for_is_asked_back(said, notes):
    await said(f"you may read {notes}")
    told = await said(f"look for the words bread and butter in {notes}")
    assert (told["kind"], told["needs"]) == ("asked", "clarification")
    assert "bread and butter" in told["text"]
    told = await said(f"find the lines in {notes} that say 'no such words'")
    assert told["kind"] in ("computed", "recalled")


async def test_a_file_that_is_not_there_is_said(said, notes):
    await said(f"you may read {notes}")
    told = await said(f"when was {notes}/none.md changed?")
    assert told["kind"] == "unable"


async def test_the_steps_become_a_method_that_the_next_request_runs(said, notes, mind):
    await said(f"you may read {notes}")
    sentence = f"which file in {notes} is the longest?"
    first = await said(sentence)
    assert (first["value"], first["learned"]) == ("todo.md", True)
    (notes / "new.md").write_text("x" * 100)
    again = await said(sentence)
    assert (again["kind"], again["value"], again["model_calls"]) == ("computed", "new.md", 0)
    assert not any(one.get("state") == "acting" for one in again["events"])
    why = await mind.image.transact(
        lambda root: root["objects"]["genesis_obj"].slots["which_file_in_path_is_longest"].version,
        note="look",
    )
    assert "self.notes.read(" in why.source
    assert why.provenance["world"], "what the world answered is kept"


async def test_a_method_for_one_folder_does_not_stand_in_the_way_of_another(said, notes, tmp_path):
    await said(f"you may read {notes}")
    assert (await said(f"how large is {notes}/todo.md?"))["value"] == 40
    other = tmp_path / "papers"
    other.mkdir()
    (other / "x.md").write_text("12345")
    await said(f"you may read {other}")
    assert (await said(f"how large is {other}/x.md?"))["value"] == 5


class Lines:
    """A model that says one line after the other, then the last one for ever."""

    def __init__(self):
        self.lines = []

    def __call__(self, prompt, sampling, index):
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        return json.dumps(line)


class TestAbleModels:
    """Requests with several steps that change files."""

    @pytest.fixture
    def writes(self):
        return Lines()

    @pytest_asyncio.fixture(loop_scope="module")
    async def mind(self, mind):
        mind = replace(mind, home_id="home")
        mind.orchestrator.performer = performer = Performer(mind, lambda line: None)
        task = asyncio.create_task(performer.keep())
        yield mind
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def test_undo_takes_back_the_steps_that_it_can_and_names_the_others(
        self, said, notes, mind, writes
    ):
        mind.abilities["ALFRED"] = Ability(tools=1.0)
        await said(f"you may change {notes}")
        writes.lines = [
            {"tool": "files.append", "args": {"path": f"{notes}/{name}", "text": "eggs"}}
            for name in ("todo.md", "plan.md")
        ]
        writes.lines.append({"answer": "eggs"})
        told = await said(f"both {notes}/todo.md and {notes}/plan.md lack the word eggs, see to it")
        assert (told["kind"], told["needs"]) == ("asked", "grant"), told
        told = await said("1")
        assert (told["kind"], told["needs"]) == ("asked", "grant"), told
        told = await said("1")
        assert told["undo"] == "undo that", told
        assert (notes / "todo.md").read_text().endswith("eggs\n")
        (notes / "plan.md").write_text("someone else was here\n")
        back = await said("undo that")
        assert back["kind"] == "unable"
        assert not (notes / "todo.md").read_text().endswith("eggs\n")
        assert "plan.md" in back["text"].partition("cannot")[2]
        assert (notes / "plan.md").read_text() == "someone else was here\n"

    async def test_undo_is_not_offered_where_no_step_can_be_taken_back(
        self, said, notes, mind, writes, monkeypatch
    ):
        monkeypatch.setattr(Files, "undoing", lambda *_: None)  # as of what was sent away
        mind.abilities["ALFRED"] = Ability(tools=1.0)
        await said(f"you may change {notes}")
        step = {"tool": "files.append", "args": {"path": f"{notes}/todo.md", "text": "eggs"}}
        writes.lines = [step, {"answer": "eggs"}]
        asked = await said(f"{notes}/todo.md lacks the word eggs, see to it")
        assert (asked["kind"], asked["needs"]) == ("asked", "grant"), asked
        told = await said("1")
        assert (told["value"], told["undo"]) == ("eggs", ""), told
        assert "cannot" in (await said("undo that"))["text"]
