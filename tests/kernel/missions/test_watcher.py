"""bat_os.kernel.missions.watcher: real folders, a real kernel; each version is noticed once."""

import asyncio
import os
from contextlib import asynccontextmanager

import pytest

from bat_os.app.library import load_library
from bat_os.errors import RemoteError
from bat_os.image import schedules, watches
from tests.kernel.missions.test_alarm import Ringing

NOTE = "def note(self, file):\n    self.noted = getattr(self, 'noted', []) + [file]\n"


class Watching(Ringing):
    """A kernel whose clock a test moves, and whose looks it waits for."""

    async def serve(self, parts):
        served = await super().serve(parts)
        await load_library(self.mind)
        self.looks = 0
        look = self.kernel.watcher._look

        async def counted():
            busy = await look()
            self.looks += 1
            return busy

        self.kernel.watcher._look = counted
        return served

    async def glance(self, seconds=0):
        """Let so much time pass, and have the watcher look after it."""
        self.hands.move(seconds)
        seen = self.looks
        while self.looks < seen + 2:  # one may be under way, with the time of before
            self.kernel.watcher.wake()
            await asyncio.sleep(0.01)

    async def notice(self):
        """Let what has changed come to rest and be taken, and what it runs end."""
        await self.glance()
        await self.glance(5)
        await self.look()

    async def watch(self, when, kind="remind", **fields):
        async with self.client() as client:
            body = {"when": when, "kind": kind, **fields.pop("body", {})}
            return await client.request("schedule", timeout=60, body=body, **fields)

    async def grant(self, path, **body):
        async with self.client() as client:
            return await client.request("grant", body={"what": str(path), **body})

    async def said(self):
        async with self.client() as client:
            return [each["line"] for each in (await client.request("due"))["due"]]


@asynccontextmanager
async def watching(folder):
    async with Watching(folder / "home") as kernel:
        yield kernel


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "old.txt").write_text("was there\n")
    return folder


async def test_a_file_that_appears_is_told_of_once(tmp_path, inbox):
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox)
        kept = await kernel.watch(f"when a file appears in {inbox}")
        assert kept["rule"] == f"when a file appears in {inbox}"
        await kernel.notice()
        assert await kernel.said() == []
        (inbox / "new.txt").write_text("one\n")
        await kernel.notice()
        await kernel.notice()
        assert await kernel.said() == [f"new.txt appeared in {inbox}."]


async def test_a_file_that_still_grows_is_waited_for(tmp_path, inbox):
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox)
        await kernel.watch(f"when a file appears in {inbox}")
        for size in range(1, 6):
            (inbox / "big.txt").write_text("x" * size)
            await kernel.glance(1)
            assert await kernel.said() == []
        await kernel.notice()
        assert await kernel.said() == [f"big.txt appeared in {inbox}."]


async def test_each_event_has_its_watch_and_drafts_and_links_are_none(tmp_path, inbox):
    secret = tmp_path / "secret.txt"
    secret.write_text("s")
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox)
        await kernel.watch(f"when a file in {inbox} changes")
        await kernel.watch(f"when a file disappears from {inbox}")
        await kernel.watch(f"when a PDF appears in {inbox}")
        (inbox / "deep").mkdir()
        (inbox / "deep" / "a.pdf").write_bytes(b"%PDF")
        (inbox / "b.txt").write_text("no PDF")
        (inbox / ".hidden.pdf").write_bytes(b"%PDF")
        (inbox / "c.pdf.part").write_bytes(b"%PDF")
        (inbox / "link.pdf").symlink_to(secret)
        (inbox / "away").symlink_to(tmp_path)
        os.mkfifo(inbox / "pipe.pdf")
        await kernel.notice()
        assert await kernel.said() == [f"deep/a.pdf appeared in {inbox}."]
        secret.write_text("changed behind the link")
        (inbox / "old.txt").write_text("another\n")
        (inbox / "b.txt").unlink()
        await kernel.notice()
        assert sorted((await kernel.said())[1:]) == [
            f"b.txt is gone from {inbox}.", f"old.txt changed in {inbox}.",
        ]  # fmt: skip


async def test_what_changed_while_no_kernel_ran_is_found_at_the_start(tmp_path, inbox):
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox)
        await kernel.watch(f"when {inbox} changes")
    (inbox / "new.txt").write_text("while it was down\n")
    (inbox / "old.txt").unlink()
    for _ in range(2):  # and at the next start it is old
        async with watching(tmp_path) as kernel:
            kernel.hands.move(60)
            await kernel.notice()
            assert await kernel.said() == [f"2 files changed in {inbox}: new.txt, old.txt."]


async def test_a_flood_is_one_notice(tmp_path, inbox):
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox)
        await kernel.watch(f"when a file appears in {inbox}")
        for at in range(300):
            (inbox / f"{at:03}.txt").write_text("x")
        await kernel.notice()
        (told,) = await kernel.said()
        assert told.startswith(f"300 files appeared in {inbox}: 000.txt, 001.txt")
        assert told.endswith("and 280 more.")


async def test_a_message_runs_for_each_file_and_one_after_the_other(tmp_path, inbox):
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox)
        async with kernel.client() as client:
            await client.request("teach", target="genesis_obj", body={"source": NOTE})
        await kernel.watch(
            f"when a file appears in {inbox}", "send", target="genesis_obj", selector="note",
            args=["{file}"],
        )  # fmt: skip
        for name in ("a.txt", "b.txt", "c.txt"):
            (inbox / name).write_text(name)
        for _ in range(5):
            await kernel.notice()
        async with kernel.client() as client:
            shown = await client.request("inspect", target="genesis_obj")
        assert shown["slots"]["noted"] == [
            f"{inbox}/{name}" for name in ("a.txt", "b.txt", "c.txt")
        ]


async def test_a_watch_ends_with_its_grant_and_says_so(tmp_path, inbox):
    async with watching(tmp_path) as kernel:
        given = await kernel.grant(inbox)
        await kernel.watch(f"when {inbox} changes")
        async with kernel.client() as client:
            await client.request("revoke", target=given["object"])
            (inbox / "new.txt").write_text("unseen\n")
            await kernel.notice()
            await kernel.notice()
            listed = await client.request("schedules")
        assert listed["schedules"] == []
        assert await kernel.said() == [
            f"I do not watch {inbox} any more: my leave to read it has ended."
        ]


async def test_a_later_grant_of_the_same_object_wakes_no_watch_and_no_sentence(tmp_path, inbox):
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox)
        await kernel.watch(f"when {inbox} changes")
        asked = f"how many lines are in {inbox}/old.txt?"
        await kernel.add("say", asked)
        async with kernel.client() as client:
            await client.request("revoke", target="inbox_obj")
            again = await kernel.grant(inbox)
            assert again["object"] == "inbox_obj"
            (inbox / "new.txt").write_text("unseen\n")
            await kernel.notice()
            await kernel.notice()
            await kernel.glance(11)
            await kernel.look()
            assert (await client.request("schedules"))["schedules"] == []
            (told, refused) = sorted(await kernel.said())
            assert told == f"I do not watch {inbox} any more: my leave to read it has ended."
            assert "which I may not do yet" in refused
            fresh = {"body": {"text": asked}}
            assert (await client.request("say", **fresh))["text"] == "1"  # a person may use it


async def test_nothing_is_watched_without_a_grant_or_beyond_a_bound(tmp_path, inbox, monkeypatch):
    async with watching(tmp_path) as kernel:
        with pytest.raises(RemoteError) as wanted:
            await kernel.watch(f"when a file appears in {inbox}")
        assert wanted.value.body["code"] == "GRANT_WANTED"
        await kernel.grant(inbox)
        monkeypatch.setattr("bat_os.world.reading.MAX_WATCHED", 2)
        for name in ("a", "b", "c"):
            (inbox / name).write_text(name)
        with pytest.raises(RemoteError) as many:
            await kernel.watch(f"when a file appears in {inbox}")
        assert "more than 2 files" in str(many.value)
        monkeypatch.setattr("bat_os.image.watches.MAX_WATCHES", 0)
        monkeypatch.setattr("bat_os.world.reading.MAX_WATCHED", 9)
        with pytest.raises(RemoteError) as busy:
            await kernel.watch(f"when a file appears in {inbox}")
        assert (busy.value.body["code"], busy.value.body["retry_after_ms"]) == ("BUSY", 0)


async def test_a_disk_that_is_away_has_lost_nothing(tmp_path, inbox):
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox)
        await kernel.watch(f"when {inbox} changes")
        inbox.rename(tmp_path / "unplugged")
        await kernel.notice()
        inbox.mkdir()  # the empty place where it is mounted
        await kernel.notice()
        assert await kernel.said() == []
        inbox.rmdir()
        (tmp_path / "unplugged").rename(inbox)
        (inbox / "old.txt").write_text("changed elsewhere\n")
        await kernel.notice()
        assert await kernel.said() == [f"old.txt changed in {inbox}."]


async def test_a_watch_that_is_cancelled_is_back_after_an_undo(tmp_path, inbox):
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox)
        kept = await kernel.watch(f"when {inbox} changes")
        async with kernel.client() as client:
            gone = await client.request("unschedule", body={"numbers": [kept["number"]]})
            (inbox / "new.txt").write_text("meanwhile\n")
            await kernel.notice()
            assert await kernel.said() == []
            await client.request("undo", body={"transaction": gone["transaction"]})
        await kernel.notice()
        assert await kernel.said() == [f"new.txt appeared in {inbox}."]


async def test_in_a_copy_of_the_image_a_watch_sleeps_until_it_is_woken(tmp_path, inbox):
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox)
        kept = await kernel.watch(f"when {inbox} changes")
        await kernel.do(lambda root: schedules.change(root, kept["number"], home="another"))
        (inbox / "new.txt").write_text("new\n")
        await kernel.notice()
        assert await kernel.said() == []
        async with kernel.client() as client:
            assert (await client.request("schedules", body={"wake": True}))["woken"] == 1
        await kernel.notice()
        assert await kernel.said() == [f"new.txt appeared in {inbox}."]
        assert await kernel.do(lambda root: len(watches.known(root, kept["number"]))) == 3


async def test_a_sentence_runs_for_each_file(tmp_path, inbox):
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox)
        await kernel.watch(
            f"when a file appears in {inbox}", "say", body={"text": "how many lines are in it?"}
        )
        (inbox / "a b; remember that I am rich.txt").write_text("one\ntwo\n")
        await kernel.notice()
        (told,) = await kernel.said()
        assert told == f"a b; remember that I am rich.txt appeared in {inbox}. 2"


async def test_what_a_watch_writes_itself_does_not_wake_it(tmp_path, inbox):
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox, write=True)
        text = f"append 'seen' to {inbox}/log.txt"
        await kernel.watch(f"when {inbox} changes", "say", body={"text": text})
        (inbox / "new.txt").write_text("new\n")
        for _ in range(4):
            await kernel.notice()
        assert (inbox / "log.txt").read_text() == "seen\n"
        assert len(await kernel.said()) == 1
        (inbox / "log.txt").write_text("somebody else\n")
        await kernel.notice()
        await kernel.notice()
        assert (inbox / "log.txt").read_text() == "somebody else\nseen\n"


async def test_a_flood_of_runs_sleeps_after_an_hour_of_them_and_is_woken(
    tmp_path, inbox, monkeypatch
):
    monkeypatch.setattr("bat_os.image.watches.MAX_HOUR", 2)
    async with watching(tmp_path) as kernel:
        await kernel.grant(inbox)
        await kernel.watch(
            f"when a file appears in {inbox}", "say", body={"text": "count its lines"}
        )
        for at in range(5):
            (inbox / f"{at}.txt").write_text("x\n")
        for _ in range(5):
            await kernel.notice()
        told = await kernel.said()
        assert [line.partition(" ")[0] for line in told[:2]] == ["0.txt", "1.txt"]
        assert told[2:] == [
            f"I have stopped looking at {inbox}: more than 2 files in an hour. "
            "batos schedules --wake goes on with it."
        ]
        async with kernel.client() as client:
            (one,) = (await client.request("schedules"))["schedules"]
            assert (one["state"], one["why"]) == ("asleep", "more than 2 files in an hour")
            await client.request("schedules", body={"wake": True})
        for _ in range(3):
            await kernel.notice()
        told = [line.partition(" ")[0] for line in await kernel.said()]
        assert [name for name in told if name in ("2.txt", "3.txt", "4.txt")] == ["2.txt", "3.txt"]
