"""Staged effects: committed with the turn, done after it, in order, and accounted for."""

import pytest

from bat_os.errors import ArgumentsError, GrantWantedError, NotFoundError, NotGrantedError

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_write_is_committed_with_the_turn_and_done_after_it(
    ask, send, notes, performing, pending
):
    await ask("grant", what=str(notes), write=True)
    assert await send("notes_obj", "write", "b.txt", "milk") == 4
    assert [state for state, _ in await pending()] == ["staged"]
    assert not (notes / "b.txt").exists()
    async with performing() as performer:
        await performer.settle(10)
        assert (notes / "b.txt").read_text() == "milk"
        assert await send("notes_obj", "append", "b.txt", "tea") == 3
        await performer.settle(10)
        assert (notes / "b.txt").read_text() == "milk\ntea\n", "it is woken by the turn"
        assert await send("notes_obj", "read", "b.txt") == "milk\ntea\n", "what was staged is done"
        await send("notes_obj", "remove", "a.txt")
        assert await send("notes_obj", "names") == ["b.txt"]
        assert await pending() == []


async def test_a_grant_for_reading_writes_nothing(ask, send, notes):
    told = await ask("grant", what=str(notes))
    assert told["operations"] == ["read", "names", "facts", "find", "search"]
    for message in (("write", "a.txt", "x"), ("append", "a.txt", "x"), ("remove", "a.txt")):
        with pytest.raises(NotGrantedError, match="no grant to"):
            await send("notes_obj", *message)
        with pytest.raises(GrantWantedError):
            await send("files_obj", *message)


async def test_a_turn_reads_its_own_writes(ask, send, taught, notes, pending):
    await ask("grant", what=str(notes), write=True)
    await taught(
        "def shop(self):\n"
        "    seen = [self.notes.read('a.txt')]\n"
        "    self.notes.append('a.txt', 'two')\n"
        "    seen.append(self.notes.read('a.txt'))\n"
        "    self.notes.write('b.txt', 'milk')\n"
        "    seen += [self.notes.read('b.txt', 2), self.notes.names(), self.notes.find('b*'),\n"
        "             self.notes.search('MILK'), self.notes.facts('b.txt')['bytes']]\n"
        "    self.notes.remove('a.txt')\n"
        "    seen.append(self.notes.names())\n"
        "    try:\n"
        "        self.notes.read('a.txt')\n"
        "    except RuntimeError:\n"
        "        seen.append('gone')\n"
        "    return seen"
    )
    assert await send("genesis_obj", "shop") == [
        "one\n", "one\ntwo\n", "lk", ["a.txt", "b.txt"], ["b.txt"],
        [{"path": "b.txt", "line": 1, "text": "milk"}], 4, ["b.txt"], "gone",
    ]  # fmt: skip
    assert (notes / "a.txt").read_text() == "one\n"
    assert [text.partition(" ")[0] for _, text in await pending()] == ["adds", "writes", "deletes"]


async def test_an_error_leaves_nothing_staged(ask, send, taught, notes, pending):
    await ask("grant", what=str(notes), write=True)
    await taught("def fall(self):\n    self.notes.write('b.txt', 'x')\n    return 1 // 0")
    with pytest.raises(Exception, match="division"):
        await send("genesis_obj", "fall")
    for path, text in (("../b.txt", "x"), ("b.txt", 5), ("b.txt", "x" * (1 << 20) + "x")):
        with pytest.raises((ArgumentsError, NotGrantedError)):
            await send("notes_obj", "write", path, text)
    assert await pending() == []


async def test_effects_of_one_object_are_done_in_order(ask, send, taught, notes, performing):
    await ask("grant", what=str(notes), write=True)
    await taught(
        "def count(self, start):\n"
        "    for number in range(start, start + 20):\n"
        "        self.notes.append('log.txt', str(number))"
    )
    await send("genesis_obj", "count", 0)
    async with performing() as performer:
        await send("genesis_obj", "count", 20)
        await performer.settle(30)
    assert (notes / "log.txt").read_text().split() == [str(number) for number in range(40)]


async def test_a_revoked_grant_holds_what_was_staged(ask, send, notes, performing, pending):
    await ask("grant", what=str(notes), write=True)
    await send("notes_obj", "write", "b.txt", "milk")
    await ask("revoke", "notes_obj")
    async with performing() as performer:
        await performer.settle(10)
    assert [state for state, _ in await pending()] == ["held"]
    assert not (notes / "b.txt").exists()


async def test_an_effect_that_fails_is_told_to_its_object_and_the_journal(
    ask, send, taught, notes, performing, pending, told
):
    await ask("grant", what=str(notes), write=True)
    await taught(
        "def effect_failed(self, about):\n    self.failed = about['what']\n", target="notes_obj"
    )
    await send("notes_obj", "remove", "none.txt")
    await send("notes_obj", "write", "b.txt", "goes on")
    async with performing() as performer:
        await performer.settle(10)
    assert [state for state, _ in await pending()] == ["failed"]
    assert (notes / "b.txt").read_text() == "goes on"
    assert (await send("notes_obj", "failed")).startswith("deletes ")
    assert [(line["event_type"], line["code"]) for line in told] == [("EFFECT_FAILED", "NOT_FOUND")]


async def test_who_watches_the_image_is_told_of_what_becomes_of_an_effect(
    ask, send, mind, notes, performing
):
    await ask("grant", what=str(notes), write=True)
    heard = []
    mind.image.on_commit = lambda told: heard.append((told["note"], told["names"]))
    try:
        await send("notes_obj", "remove", "none.txt")
        async with performing() as performer:
            await performer.settle(10)
        await ask("effects.drop", number=1)
    finally:
        mind.image.on_commit = None
    assert ("store effects", []) in heard
    assert heard[-1] == ("drop effect 1", [])


async def test_a_link_is_never_written_and_a_mode_is_kept(ask, send, notes, performing, pending):
    (notes.parent / "secret.txt").write_text("SECRET")
    (notes / "link.txt").symlink_to(notes.parent / "secret.txt")
    (notes / "up").symlink_to(notes.parent)
    (notes / "a.txt").chmod(0o640)
    await ask("grant", what=str(notes), write=True)
    for path in ("link.txt", "up/secret.txt", "up/new.txt"):
        await send("notes_obj", "write", path, "x")
    await send("notes_obj", "remove", "link.txt")
    await send("notes_obj", "write", "a.txt", "x")
    async with performing() as performer:
        await performer.settle(10)
    assert [state for state, _ in await pending()] == ["failed"] * 4
    assert (notes.parent / "secret.txt").read_text() == "SECRET"
    assert sorted(path.name for path in notes.iterdir()) == ["a.txt", "link.txt", "up"]
    assert (notes / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (notes / "a.txt").read_text() == "x"


async def test_a_single_file_is_written_and_nothing_beside_it(ask, send, notes, performing):
    await ask("grant", what=str(notes / "a.txt"), write=True, name="a")
    await send("a_obj", "append", "", "two")
    with pytest.raises(NotGrantedError):
        await send("a_obj", "write", "../b.txt", "x")
    await send("a_obj", "write", "b.txt", "x")
    async with performing() as performer:
        await performer.settle(10)
    assert (notes / "a.txt").read_text() == "one\ntwo\n"
    assert [path.name for path in notes.iterdir()] == ["a.txt"]


async def test_a_file_that_is_to_be_made_can_be_granted_for_writing_alone(ask, notes):
    with pytest.raises(NotFoundError):
        await ask("grant", what=str(notes / "new.txt"))
    told = await ask("grant", what=str(notes / "new.txt"), write=True)
    assert told["what"].endswith("new.txt")
    (notes / "loose").symlink_to(notes / "nowhere")
    for what in (notes / "none" / "new.txt", notes / "loose", "/dev/null"):
        with pytest.raises(NotFoundError):
            await ask("grant", what=str(what), write=True)
