"""Effects that something comes before: a full disk, another person, the end of a grant, an upgrade.

Between its commit and the deed much can happen to what an effect is about. Each time nothing is
done twice and nothing is lost in silence: it is done, or ``effects`` has it, with the reason; and
what a person can put right is done once after ``effects redo``.
"""

import asyncio
import os
import resource
import signal

import pytest

from bat_os.errors import RemoteError
from tests.campaign.effects import LOOK, PATIENCE, TARGET, Shop, lines
from tests.campaign.scenario import Scenario

TIMES = (1, 5)
NOTE = '''def note(self, tag):
    """Add a line outside."""
    return self.seen.append("seen.txt", tag)
'''
TIDY = '''def tidy(self, name):
    """Delete a file outside."""
    return self.pages.remove(name)
'''
GONE = ("failed", "held", "unknown")


class Overtaken(Shop):
    """A shop whose deeds wait until something else has happened."""

    async def prepare(self):
        await super().prepare()
        self.kernel.start()
        await self.kernel.until_ready()
        async with self.kernel.client() as client:
            for source in (NOTE, TIDY):
                await client.request("teach", target="genesis_obj", body={"source": source})

    async def send(self, client, selector, *args):
        body = await client.request(
            "send", timeout=PATIENCE, target="genesis_obj", selector=selector, args=list(args)
        )
        return body.get("effects", ())

    async def stage(self, client, selector, *args):
        """Send a message, and return the number of its effect, which waits before it begins."""
        self.have_wait("look")
        (number,) = await self.send(client, selector, *args)
        await self.until_held()
        return number

    async def ended(self, client, number):
        """Return an effect once no kernel goes on with it by itself."""
        while True:
            listed = (await client.request("effects", body={"all": True}))["effects"]
            (found,) = [one for one in listed if one["number"] == number]
            if found["state"] not in ("staged", "performing"):
                return found
            await asyncio.sleep(LOOK)

    async def redo(self, client, number):
        await client.request("effects.redo", body={"number": number})
        return await self.ended(client, number)


async def file_changed(shop, client, tag):
    """Somebody else writes to the file: both lines are there."""
    number = await shop.stage(client, "note", tag)
    with (shop.world / "seen.txt").open("a") as stream:
        stream.write(f"{tag}-other\n")
    shop.release("look")
    found = await shop.ended(client, number)
    assert found["state"] == "done", found
    assert lines(shop.world / "seen.txt")[-2:] == [f"{tag}-other", tag]


async def file_removed(shop, client, tag):
    """What is to be added to is gone: it is made. What is to be deleted is gone: that is said."""
    number = await shop.stage(client, "note", tag)
    (shop.world / "seen.txt").unlink(missing_ok=True)
    shop.release("look")
    assert (await shop.ended(client, number))["state"] == "done"
    assert lines(shop.world / "seen.txt") == [tag]
    (shop.world / f"{tag}.txt").write_text(tag)
    number = await shop.stage(client, "tidy", f"{tag}.txt")
    (shop.world / f"{tag}.txt").unlink()
    shop.release("look")
    found = await shop.ended(client, number)
    assert found["state"] in GONE, found
    assert found["error"], found


async def grant_revoked(shop, client, tag):
    """The grant ends: nothing is done until there is one again."""
    number = await shop.stage(client, "note", tag)
    await client.request("revoke", target="seen_obj")
    shop.release("look")
    found = await shop.ended(client, number)
    assert found["state"] == "held", found
    assert tag not in lines(shop.world / "seen.txt")
    assert (await shop.redo(client, number))["state"] == "held", "a redo is no grant"
    assert tag not in lines(shop.world / "seen.txt")
    body = {"what": str(shop.world), "write": True, "name": "seen"}
    await client.request("grant", body=body)
    assert (await shop.redo(client, number))["state"] == "done"
    assert lines(shop.world / "seen.txt").count(tag) == 1


async def folder_moved(shop, client, tag):
    """The folder has another name, and then a link to another folder has its name."""
    number = await shop.stage(client, "note", tag)
    away, elsewhere = shop.world.with_name("away"), shop.world.with_name("elsewhere")
    elsewhere.mkdir(exist_ok=True)
    shop.world.rename(away)
    shop.world.symlink_to(elsewhere)
    shop.release("look")
    found = await shop.ended(client, number)
    assert found["state"] in GONE, found
    assert not [*elsewhere.iterdir()], "what a link leads to is not written"
    assert tag not in lines(away / "seen.txt")
    shop.world.unlink()
    away.rename(shop.world)
    assert (await shop.redo(client, number))["state"] == "done"
    assert lines(shop.world / "seen.txt").count(tag) == 1


async def daemon_upgraded(shop, client, tag):
    """Another program goes on with it; and one that cannot do it any more says so."""
    for without in ("", "append"):
        number = await shop.stage(client, "note", tag + without)
        shop.kernel.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(shop.kernel.process.wait, PATIENCE)
        shop.kernel.process.stdin.close()
        shop.release("look")
        shop.kernel.without = without
        shop.kernel.start()
        await shop.kernel.until_ready()
        async with shop.kernel.client() as again:
            found = await shop.ended(again, number)
        assert found["state"] == ("failed" if without else "done"), found
        assert lines(shop.world / "seen.txt").count(tag + without) == (not without)
    shop.kernel.stop()
    shop.kernel.without = ""
    shop.kernel.start()
    await shop.kernel.until_ready()
    async with shop.kernel.client() as again:
        assert (await shop.redo(again, number))["state"] == "done"
    assert lines(shop.world / "seen.txt").count(tag + without) == 1


OVERTAKES = (file_changed, file_removed, grant_revoked, folder_moved, daemon_upgraded)


async def overtaken(settings):
    shop = Overtaken(settings.folder)
    await shop.prepare()
    for turn in range(TIMES[settings.full]):
        for overtake in OVERTAKES:
            async with shop.kernel.client() as client:
                await overtake(shop, client, f"t{turn}{overtake.__name__.replace('_', '')}")
    shop.kernel.stop()
    return f"{len(OVERTAKES)} ways x{turn + 1}: 0 lost, 0 twice, each one listed"


async def disk_full(settings):
    """The deed is done, and the disk is full before its result is stored; then room, or a kill."""
    shop, asked = Shop(settings.folder), 0
    await shop.prepare()
    for turn in range(TIMES[settings.full]):
        for is_killed in (False, True):
            tag = f"t{turn}{is_killed}"
            shop.kernel.start()
            await shop.kernel.until_ready()
            kernel = shop.kernel.process
            async with shop.kernel.client() as client:
                shop.have_wait("done")
                await shop.ask(client, tag)
                await shop.until_held()
                size = (shop.kernel.home / "live_image.fs").stat().st_size
                resource.prlimit(kernel.pid, resource.RLIMIT_FSIZE, (size, -1))
                shop.release("done")
                await until_refused(shop, client)
                states = {one["state"] for one in (await client.request("effects"))["effects"]}
                assert "performing" in states, states
                if is_killed:
                    kernel.send_signal(signal.SIGKILL)
                else:
                    resource.prlimit(kernel.pid, resource.RLIMIT_FSIZE, (-1, -1))
                    while await shop._is_busy(client):  # noqa: ASYNC110 - its, not ours
                        await asyncio.sleep(LOOK)
            if is_killed:
                await asyncio.to_thread(kernel.wait, PATIENCE)
                kernel.stdin.close()
            else:
                shop.kernel.stop()
            await shop.settle()
            asked = await shop.check()
    count = 2 * (turn + 1)
    return f"{count} times full, {turn + 1} of them killed: 0 lost, 0 twice, {asked} asked"


async def until_refused(shop, client):
    """Wait until a commit was refused: a line in the log, and a message that says it, too."""
    log = shop.kernel.home.parent / "kernel.log"
    while b"not stored yet" not in log.read_bytes():  # noqa: ASYNC110 - its, not ours
        await asyncio.sleep(LOOK)
    with pytest.raises(RemoteError) as refused:
        await client.request(
            "send", target="genesis_obj", selector="setSlot", args=["wide", "x" * 5_000]
        )
    assert refused.value.body["code"] == "STORAGE_FULL", refused.value.body
    os.truncate(log, 0)


SCENARIOS = (
    Scenario("effects, overtaken", TARGET, overtaken),
    Scenario("effects, disk full before the result", TARGET, disk_full),
)
