"""What a message needs the answer of: a page that takes a POST, a program; killed in between."""

import asyncio
import signal

import pytest

from bat_os.errors import RemoteError
from bat_os.world.confined import holds
from tests.world import hosts

pytestmark = pytest.mark.system
TELL = '''def tell(self, text):
    """Post a text, and count it."""
    self.told = getattr(self, "told", 0) + 1
    answer = self.out.post("in", {"text": text})
    return [answer["status"], answer["text"], self.told]
'''
KEEP = "def keep(self, text):\n    self.kept = self.out.post('in', text)['text']\n    return 1\n"
FORWARD = "def pass_on(self, text):\n    return self.far.post('in', self.kept)['status']\n"
COUNT = '''def count(self, name):
    """Count the lines of a file, and note that it was done."""
    answer = self.work.run("wc", ["-l", name])
    self.work.run("touch", ["seen"])
    return answer["output"].split()[0]
'''


@pytest.fixture
def host():
    pages = {"/in": hosts.says("taken", kind="text/plain")}
    with hosts.Host(pages) as host:
        yield host


async def prepare(kernel_process, source, *grants):
    kernel_process.start()
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        for what, name in grants:
            await kernel.request("grant", body={"what": what, "name": name, "write": True})
        for each in source:
            await kernel.request("teach", target="genesis_obj", body={"source": each})


async def send(kernel, selector, *args, **fields):
    return await kernel.request(
        "send", timeout=60, target="genesis_obj", selector=selector, args=list(args), **fields
    )


async def die_at(kernel_process, point, selector, arg):
    """Send a message with a key, have the kernel killed at a point, start it; return the error."""
    kernel_process.stop()
    kernel_process.start(failpoint=f"{point}:kill")
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        asking = asyncio.ensure_future(send(kernel, selector, arg, ik="k1"))
        assert await asyncio.to_thread(kernel_process.wait) == -signal.SIGKILL
        kernel_process.start()
        return (await asyncio.gather(asking, return_exceptions=True))[0]


def posted(host):
    return [path for path in host.read() if path.startswith("POST")]


async def test_a_post_is_sent_once_and_its_answer_comes_back(kernel_process, host):
    await prepare(kernel_process, [TELL], (host.url, "out"))
    async with kernel_process.client() as kernel:
        assert (await send(kernel, "tell", "hi"))["result"] == [200, "taken", 1]
        (effect,) = (await kernel.request("effects", body={"all": True}))["effects"]
    assert posted(host) == ["POST /in"]
    assert host.bodies[-1] == b'{"text": "hi"}'
    assert (effect["state"], effect["by"]) == ("done", "genesis_obj.tell")


@pytest.mark.parametrize(("point", "sent"), [("await.begun", 0), ("await.done", 1)])
async def test_a_post_of_a_killed_kernel_is_asked_and_redone_with_its_key(
    kernel_process, host, point, sent
):
    await prepare(kernel_process, [TELL], (host.url, "out"))
    told = await die_at(kernel_process, point, "tell", "hi")
    assert told.body["code"] == "EFFECT_UNKNOWN"
    assert len(posted(host)) == sent
    async with kernel_process.client() as kernel:
        (effect,) = (await kernel.request("effects"))["effects"]
        assert effect["state"] == "unknown"
        await kernel.request("effects.redo", body={"number": effect["number"]})
        assert (await send(kernel, "tell", "hi", ik="k1"))["result"] == [200, "taken", 1]
        assert (await kernel.request("effects"))["effects"] == []
        assert (await send(kernel, "tell", "hi", ik="k1"))["result"] == [200, "taken", 1]
    assert len(posted(host)) == sent + 1
    keys = [each.get("Idempotency-Key") for each in host.headers if "Content-Type" in each]
    assert len(set(keys)) == 1, "a server that keeps keys does it once"
    assert all(keys)


async def test_one_that_was_dropped_is_not_done_and_the_message_says_so(kernel_process, host):
    await prepare(kernel_process, [TELL], (host.url, "out"))
    await die_at(kernel_process, "await.begun", "tell", "hi")
    async with kernel_process.client() as kernel:
        (effect,) = (await kernel.request("effects"))["effects"]
        await kernel.request("effects.drop", body={"number": effect["number"]})
        with pytest.raises(RemoteError, match="was not done: dropped") as caught:
            await send(kernel, "tell", "hi", ik="k1")
        assert caught.value.body["code"] == "SANDBOX_FAILED", "the method could have caught it"
        assert (await send(kernel, "tell", "hi", ik="k2"))["result"] == [200, "taken", 1]
    assert len(posted(host)) == 1


async def test_what_a_post_answered_is_labelled_wherever_it_goes(kernel_process, host):
    with hosts.Host({"/in": "ok"}) as far:
        grants = (host.url, "out"), (far.url, "far")
        await prepare(kernel_process, [KEEP, FORWARD], *grants)
        told = await die_at(kernel_process, "await.stored", "keep", "hi")
        assert told["result"] == 1
        assert len(posted(host)) == 1, "its answer was stored, and is given again"
        assert told["label"], "with the label that it had"
        async with kernel_process.client() as kernel:
            with pytest.raises(RemoteError, match="would send something read from") as caught:
                await send(kernel, "pass_on", "")
            assert caught.value.body["code"] == "GRANT_WANTED"
            assert far.read() == []
            await kernel.request("allow", body={"source": "out_obj", "sink": "far_obj"})
            assert (await send(kernel, "pass_on", ""))["result"] == 200
        assert far.bodies[-1] == b"taken"


@pytest.mark.skipif(not holds(), reason="this system has no cage")
async def test_a_program_runs_once_and_its_output_comes_back(kernel_process, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.txt").write_text("1\n2\n3\n")
    await prepare(kernel_process, [COUNT], (f"shell:wc,touch {work}", "work"))
    told = await die_at(kernel_process, "await.done", "count", "a.txt")
    assert told.body["code"] == "EFFECT_UNKNOWN"
    assert not (work / "seen").exists()
    async with kernel_process.client() as kernel:
        (effect,) = (await kernel.request("effects"))["effects"]
        await kernel.request("effects.redo", body={"number": effect["number"]})
        assert (await send(kernel, "count", "a.txt", ik="k1"))["result"] == "3"
        listed = (await kernel.request("effects", body={"all": True}))["effects"]
    assert [one["state"] for one in listed] == ["done", "done"]
    assert (work / "seen").exists()
