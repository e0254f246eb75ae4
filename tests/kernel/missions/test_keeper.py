"""bat_os.kernel.missions.keeper: documents are what their files are, through a real kernel."""

import pytest

from bat_os.errors import RemoteError
from bat_os.image.catalog import catalog_in
from bat_os.image.schedules import find
from tests.kernel.missions.test_watcher import watching

TODO = "# Todo\n\nBuy milk on Monday.\n\nThe plumber comes on 4 December.\n"


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "todo.md").write_text(TODO)
    (folder / "deep" / "bats.txt").write_text("Bats sleep upside down. They fly at night.\n")
    (folder / "raw.bin").write_bytes(b"\0\1\2" * 50)
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "x.txt").write_text("Somebody else wrote this.\n")
    return folder


async def learn(kernel, folder):
    await kernel.watch(f"when '{folder}' changes", "learn")
    await rest(kernel)


async def rest(kernel):
    """Let what has changed come to rest and be learned."""
    await kernel.glance()
    await kernel.glance(5)
    for task in list(kernel.kernel.watcher._keeper._tasks.values()):
        await task
    await kernel.glance()


async def sources(kernel, folder):
    def look(root):
        found = catalog_in(root).documents("document")
        return {each.meta["source"].removeprefix(f"{folder}/"): each for each in found}

    return await kernel.do(look)


async def passages(kernel, folder):
    return {name: each.passages for name, each in (await sources(kernel, folder)).items()}


async def test_a_folder_is_learned_and_what_is_no_text_is_said(tmp_path, notes):
    async with watching(tmp_path) as kernel:
        given = await kernel.grant(notes)
        await learn(kernel, notes)
        found = await sources(kernel, notes)
        assert sorted(found) == ["deep/bats.txt", "todo.md"]
        oid = await kernel.do(lambda root: find(root, 1).rule["grant"])
        assert found["todo.md"].label == (oid,), given
        (told,) = await kernel.said()
        assert told.startswith(f"I have learned {notes}: 2 documents. I left out one file: raw.bin")


async def test_files_that_change_come_and_go_are_followed(tmp_path, notes):
    async with watching(tmp_path) as kernel:
        await kernel.grant(notes)
        await learn(kernel, notes)
        (notes / "todo.md").write_text("# Todo\n\nBuy bread on Friday.\n")
        (notes / "new.md").write_text("# New\n\nFoxes hunt alone.\n")
        (notes / "deep" / "bats.txt").unlink()
        await rest(kernel)
        held = await passages(kernel, notes)
        assert sorted(held) == ["new.md", "todo.md"]
        assert "bread" in held["todo.md"][0]
        async with kernel.client() as client:
            found = await client.request("search", body={"text": "milk Monday plumber"}, timeout=60)
        assert not any("milk" in each["text"] for each in found["passages"])
        assert len(await kernel.said()) == 1, "only the first time is told"


async def test_a_file_that_is_moved_keeps_its_document(tmp_path, notes):
    async with watching(tmp_path) as kernel:
        await kernel.grant(notes)
        await learn(kernel, notes)
        first = (await sources(kernel, notes))["deep/bats.txt"].first
        (notes / "deep" / "bats.txt").rename(notes / "mammals.txt")
        await rest(kernel)
        found = await sources(kernel, notes)
        assert sorted(found) == ["mammals.txt", "todo.md"]
        assert (found["mammals.txt"].first, found["mammals.txt"].title) == (first, "mammals.txt")
        async with kernel.client() as client:
            listed = await client.request("documents")
        assert f"document:{notes}/mammals.txt" in [each["doc_id"] for each in listed["documents"]]


async def test_it_goes_on_after_a_restart_and_finds_what_changed_meanwhile(tmp_path, notes):
    async with watching(tmp_path) as kernel:
        await kernel.grant(notes)
        await learn(kernel, notes)
    (notes / "todo.md").write_text("# Todo\n\nBuy bread on Friday.\n")
    (notes / "deep" / "bats.txt").rename(notes / "mammals.txt")
    async with watching(tmp_path) as kernel:
        await rest(kernel)
        held = await passages(kernel, notes)
        assert sorted(held) == ["mammals.txt", "todo.md"]
        assert "bread" in held["todo.md"][0]


async def test_a_revoked_grant_stops_it_and_says_what_stays(tmp_path, notes):
    async with watching(tmp_path) as kernel:
        given = await kernel.grant(notes)
        await learn(kernel, notes)
        async with kernel.client() as client:
            await client.request("revoke", target=given["object"])
        (notes / "todo.md").write_text("# Todo\n\nA secret of later.\n")
        await rest(kernel)
        assert "milk" in (await passages(kernel, notes))["todo.md"][0]
        assert (await kernel.said())[-1] == (
            f"I do not keep {notes} current any more: my leave to read it has ended. The 2 "
            f"documents that I learned from it stay; batos forget {notes} takes them out."
        )


async def test_a_file_that_becomes_unreadable_is_not_answered_from(tmp_path, notes):
    async with watching(tmp_path) as kernel:
        await kernel.grant(notes)
        await learn(kernel, notes)
        (notes / "todo.md").write_bytes(b"\0" * 100)
        await rest(kernel)
        assert sorted(await passages(kernel, notes)) == ["deep/bats.txt"]


async def test_too_much_is_refused_before_anything_is_read(tmp_path, notes, monkeypatch):
    async with watching(tmp_path) as kernel:
        await kernel.grant(notes)
        monkeypatch.setattr("bat_os.kernel.watching.MAX_FILES", 1)
        with pytest.raises(RemoteError) as much:
            await learn(kernel, notes)
        assert much.value.body["code"] == "TOO_LARGE"
        assert "at most 1 with 200 MB" in str(much.value)


async def test_leave_to_see_names_alone_is_not_leave_to_learn(tmp_path, notes):
    async with watching(tmp_path) as kernel:
        await kernel.grant(notes, only="names,facts")
        await kernel.watch(f"when {notes} changes")
        with pytest.raises(RemoteError) as wanted:
            await learn(kernel, notes)
        assert wanted.value.body["code"] == "GRANT_WANTED"
