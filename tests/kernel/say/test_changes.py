"""Sentences that change files: leave is asked for once, then it is done, and can be undone."""

import asyncio
from dataclasses import replace

import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.image import outbox
from bat_os.kernel.effects.performer import Performer
from bat_os.world.files import Files
from tests.kernel.minds import make_mind

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module")
async def mind(image, cell, minilm, writes):
    mind = make_mind(image, cell, writes, embedder=minilm)
    mind = replace(mind, drivers={"files": Files()}, home_id="home")
    await load_library(mind)
    mind.orchestrator.performer = performer = Performer(mind, lambda line: None)
    task = asyncio.create_task(performer.keep())
    yield mind
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "todo.md").write_text("buy milk\ncall Ann")
    return folder


async def test_a_file_is_written_once_it_is_allowed_and_undone(said, notes):
    asked = await said(f"write 'milk' into {notes}/shopping.txt")
    assert (asked["kind"], asked["needs"]) == ("asked", "grant")
    assert asked["choices"][0] == "yes, this once"
    done = await said("1")
    assert (done["kind"], done["undo"]) == ("acted", "undo that")
    assert (notes / "shopping.txt").read_text() == "milk\n"
    assert (await said("undo that"))["kind"] == "acted"
    assert not (notes / "shopping.txt").exists()
    assert (await said("undo that"))["kind"] == "acted"
    assert (notes / "shopping.txt").read_text() == "milk\n"


async def test_yes_from_now_on_is_asked_once_and_what_follows_is_done_at_once(said, notes):
    await said(f"append 'Call Bob' to todo.md in {notes}")
    added = await said("3")
    assert (added["kind"], "Call Bob" in added["text"]) == ("acted", True)
    assert (notes / "todo.md").read_text() == "buy milk\ncall Ann\nCall Bob\n"
    again = await said(f"add water the plants to {notes}/todo.md")
    assert again["kind"] == "acted"
    assert (notes / "todo.md").read_text().splitlines()[-1] == "water the plants"
    new = await said(f"write 'nothing' into {notes}/todo.md")
    assert "4 lines" in new["text"]
    await said("undo that")
    assert (notes / "todo.md").read_text().splitlines()[-1] == "water the plants"
    gone = await said(f"delete {notes}/todo.md")
    assert (gone["kind"], (notes / "todo.md").exists()) == ("acted", False)
    await said("undo that")
    assert (notes / "todo.md").read_text().startswith("buy milk")
    assert (await said(f"what does {notes}/todo.md say?"))["kind"] == "recalled"


async def test_no_changes_nothing_and_leave_to_read_is_not_leave_to_write(said, notes):
    await said(f"what does {notes}/todo.md say?")
    await said("2")
    asked = await said(f"delete {notes}/todo.md")
    assert asked["needs"] == "grant"
    assert (await said("no"))["kind"] == "said"
    assert (notes / "todo.md").exists()


async def test_what_was_changed_since_is_not_undone(said, notes):
    await said(f"append 'x' to {notes}/todo.md")
    await said("2")
    (notes / "todo.md").write_text("someone else")
    told = await said("undo that")
    assert (told["kind"], "changed since" in told["text"]) == ("unable", True)
    assert (notes / "todo.md").read_text() == "someone else"


async def test_what_is_missing_or_a_folder_is_said(said, notes):
    await said(f"delete {notes}/none.txt")
    assert (await said("1"))["kind"] == "unable"
    (notes / "deep").mkdir()
    await said(f"delete the folder {notes}/deep")
    assert (await said("1"))["kind"] == "unable"
    assert (notes / "deep").is_dir()
    assert (await said("undo that"))["kind"] == "unable"


async def test_a_grant_for_once_has_ended_and_nothing_is_left_waiting(said, mind, notes):
    await said(f"write 'x' into {notes}/b.txt")
    await said("1")
    assert (await said(f"write 'y' into {notes}/b.txt"))["needs"] == "grant"
    left = await mind.image.transact(
        lambda root: list(outbox.pending(root, {"staged"})), note="look"
    )
    assert left == []


@pytest.mark.parametrize(
    ("sentence", "held"),
    [
        ("Schreibe 'Milch' in {}/e.txt", "Milch\n"),
        ("Écris 'lait' dans {}/e.txt", "lait\n"),
        ("Escribe 'leche' en {}/e.txt", "leche\n"),
    ],
)
async def test_it_is_understood_in_other_languages(said, notes, sentence, held):
    assert (await said(sentence.format(notes)))["needs"] == "grant"
    assert (await said("1"))["kind"] == "acted"
    assert (notes / "e.txt").read_text() == held


@pytest.mark.parametrize(
    ("sentence", "stays"),
    [
        ("rename {}/todo.md to done.md", False),
        ("copy {}/todo.md to done.md", True),
        ("Benenne {}/todo.md in done.md um", False),
        ("copie {}/todo.md vers done.md", True),
        ("mueve {}/todo.md a done.md", False),
    ],
)
async def test_a_file_gets_another_name(said, notes, sentence, stays):
    said_so = sentence.format(notes)
    assert (await said(said_so))["needs"] == "grant"
    told = await said("3")
    assert (told["kind"], told["undo"] != "") == ("acted", True), told["text"]
    assert (notes / "done.md").read_text() == "buy milk\ncall Ann"
    assert (notes / "todo.md").exists() is stays
    again = await said(said_so)
    assert again["kind"] == "unable"
    assert (await said("undo that"))["kind"] == "acted"
    assert [path.name for path in notes.iterdir()] == ["todo.md"]
    assert (notes / "todo.md").read_text() == "buy milk\ncall Ann"


async def test_a_file_is_moved_into_a_folder_and_over_no_other_file(said, notes):
    (notes / "old").mkdir()
    (notes / "b.md").write_text("other")
    await said(f"you may read and change {notes}")
    moved = await said(f"move {notes}/todo.md to {notes}/old")
    assert (moved["kind"], (notes / "old" / "todo.md").exists()) == ("acted", True)
    kept = await said(f"rename {notes}/b.md to {notes}/old/todo.md")
    assert (kept["kind"], (notes / "b.md").read_text()) == ("unable", "other")
