"""Real kernels: what is due rings once, whatever happens to the process meanwhile."""

import asyncio
import json
import shutil
import signal
import time

import pytest

from bat_os.image import schedules
from bat_os.image.schedules import Schedule
from bat_os.image.store import ImageStore
from bat_os.supervisor.home import IDENTITY, Home
from tests.kernels import ANSWERS, KernelProcess, copy_home, prepare_home, write_script

pytestmark = [pytest.mark.system, pytest.mark.slow]
POINTS = ("schedule.before", "schedule.taken", "schedule.ran", "commit.written", "accept.told")
DOCUMENTS = ("bats.md", "foxes.md", "owls.md")


async def send(kernel, selector, *args, **fields):
    return await kernel.request(
        "send", timeout=60, target="genesis_obj", selector=selector, args=list(args), **fields
    )


async def add(kernel_process, *many):
    """Put schedules into the image of a kernel that does not run."""
    image = ImageStore.open(kernel_process.home / "live_image.fs")
    home = Home(kernel_process.home).read_id()

    def work(root):
        for one in many:
            schedules.add(root, Schedule(**one, zone="UTC", home=home))

    await image.transact(work, note="schedule")
    await image.close()


async def rest(kernel):
    """Wait until nothing is due or runs; return what people are to see."""
    while True:
        listed = (await kernel.request("schedules", timeout=60))["schedules"]
        due = (await kernel.request("due", timeout=60))["due"]
        if all(one["next"] > time.time() and one["state"] == "live" for one in listed) and due:
            return due
        await asyncio.sleep(0.05)


def prepare(folder, prepared_home, work):
    """Make a home in which ``work(client)`` was done; return a function that copies it to one."""
    prepare_home(folder / "home", prepared_home)
    kernel = KernelProcess(folder / "home", write_script(folder / "script.jsonl", ANSWERS)).start()

    async def do():
        await kernel.until_ready()
        async with kernel.client() as client:
            await work(client)

    asyncio.run(do())
    kernel.stop()

    def copy_to(home):
        shutil.rmtree(home)
        copy_home(folder / "home", home)
        identity = home / IDENTITY  # a copy of it is not believed, and this is to be that home
        known = json.loads(identity.read_text()) | {"inode": identity.stat().st_ino}
        identity.write_text(json.dumps(known))

    return copy_to


@pytest.fixture(scope="module")
def remembering(prepared_home, tmp_path_factory):
    async def learn(kernel):
        assert (await send(kernel, "remember", "nothing", ik="first"))["result"] == ["nothing"]

    return prepare(tmp_path_factory.mktemp("remembering"), prepared_home, learn)


@pytest.mark.parametrize("round_", range(2))
@pytest.mark.parametrize("point", POINTS)
async def test_a_kernel_killed_at_the_due_moment_runs_it_once(
    kernel_process, remembering, point, round_
):
    remembering(kernel_process.home)
    brief = {"target": "genesis_obj", "selector": "remember", "args": ["milk"], "kwargs": {}}
    past = time.time() - 1
    await add(
        kernel_process,
        {"kind": "send", "text": "milk", "rule": {"at": past}, "next": past,
         "brief": {**brief, "text": "", "examples": [], "fresh": False, "mode": "", "persona": ""}},
        {"kind": "remind", "text": "call Ann", "rule": {"at": past}, "next": past},
    )  # fmt: skip
    count = 1 + round_
    kernel_process.start(failpoint=f"{point}:{count}:kill" if count > 1 else f"{point}:kill")
    ended = await asyncio.to_thread(kernel_process.process.wait, 60) if _dies(point, count) else 0
    if ended:
        assert ended == -signal.SIGKILL
        kernel_process.process.stdin.close()
        kernel_process.start()
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        due = await rest(kernel)
        assert sorted(each["text"] for each in due) == ["call Ann", "milk"]
        assert (await send(kernel, "notes"))["result"] == ["nothing", "milk"]


def _dies(point, count):
    """Return whether a kernel that has two things to do crosses a point so often."""
    return (point, count) not in {("schedule.ran", 2), ("accept.told", 2)}


async def test_what_was_missed_while_nobody_ran_is_made_up_for_once(kernel_process):
    start = time.time() - 5 * 3600 - 30
    rule = {"every": 3600, "start": start - 3600}
    await add(kernel_process, {"kind": "remind", "text": "drink", "rule": rule, "next": start})
    kernel_process.start()
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        (told,) = await rest(kernel)
    assert told["line"].startswith("drink")
    assert told["line"].endswith("5 more were missed.")


async def test_a_copy_of_the_image_in_another_home_stays_silent_until_it_is_woken(
    kernel_process, tmp_path
):
    past = time.time() - 1
    await add(
        kernel_process, {"kind": "remind", "text": "call", "rule": {"at": past}, "next": past}
    )
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    for path in kernel_process.home.glob("live_image.fs*"):
        copy = shutil.copytree if path.is_dir() else shutil.copy2
        copy(path, other / path.name)
    copy_of = KernelProcess(other, kernel_process.script).start()
    try:
        await copy_of.until_ready()
        async with copy_of.client() as kernel:
            (one,) = (await kernel.request("schedules"))["schedules"]
            assert one["state"] == "asleep"
            assert (await kernel.request("due"))["due"] == []
            assert (await kernel.request("schedules", body={"wake": True}))["woken"] == 1
            assert [each["text"] for each in await rest(kernel)] == ["call"]
    finally:
        copy_of.stop()


WATCHED = ("watch.before", "watch.taken", "schedule.ran", "commit.written")


@pytest.fixture(scope="module")
def watching(prepared_home, tmp_path_factory):
    """A home that runs a method for each file that comes into a folder, and the folder."""
    folder = tmp_path_factory.mktemp("watching")
    inbox = folder / "inbox"
    inbox.mkdir()
    source = "def note(self, file):\n    self.noted = getattr(self, 'noted', []) + [file]\n"

    async def watch(kernel):
        await kernel.request("teach", target="genesis_obj", body={"source": source})
        await kernel.request("grant", body={"what": str(inbox)})
        await kernel.request(
            "schedule", target="genesis_obj", selector="note", args=["{file}"],
            body={"when": f"when a file appears in {inbox}", "kind": "send"},
        )  # fmt: skip

    return prepare(folder, prepared_home, watch), inbox


@pytest.mark.parametrize("round_", range(2))
@pytest.mark.parametrize("point", WATCHED)
async def test_a_kernel_killed_when_a_file_has_come_runs_it_once(
    kernel_process, watching, point, round_
):
    copy_to, inbox = watching
    copy_to(kernel_process.home)
    for path in inbox.iterdir():
        path.unlink()
    names = ["a.txt", "b.txt"]
    for name in names:  # while no kernel runs
        (inbox / name).write_text(name)
    count = 1 + round_
    kernel_process.start(failpoint=f"{point}:{count}:kill" if count > 1 else f"{point}:kill")
    assert await asyncio.to_thread(kernel_process.process.wait, 60) == -signal.SIGKILL
    kernel_process.process.stdin.close()
    kernel_process.start()
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        due = []
        while len(due) < len(names):
            await asyncio.sleep(0.1)
            due = (await kernel.request("due", timeout=60))["due"]
        shown = await kernel.request("inspect", target="genesis_obj")
    assert shown["slots"]["noted"] == [f"{inbox}/{name}" for name in names]
    assert [each["line"].partition(" ")[0] for each in due] == names


@pytest.fixture(scope="module")
def learning(prepared_home, tmp_path_factory):
    """A home that learns what is in a folder whenever it changes, and the folder."""
    folder = tmp_path_factory.mktemp("learning")
    notes = folder / "notes"
    notes.mkdir()
    for name in DOCUMENTS:
        (notes / name).write_text(f"# {name}\n\nThey hunt at night.\n")

    async def watch(kernel):
        await kernel.request("grant", body={"what": str(notes)})
        await kernel.request("schedule", body={"when": f"when {notes} changes", "kind": "learn"})

    return prepare(folder, prepared_home, watch), notes


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("point", ["watch.before", "watch.taken", "commit.written"])
async def test_a_kernel_killed_while_it_learns_a_folder_has_each_file_once(
    kernel_process, learning, point, count
):
    copy_to, notes = learning
    copy_to(kernel_process.home)
    kernel_process.start(failpoint=f"{point}:{count}:kill" if count > 1 else f"{point}:kill")
    assert await asyncio.to_thread(kernel_process.process.wait, 60) == -signal.SIGKILL
    kernel_process.process.stdin.close()
    kernel_process.start()
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        due = []
        while not due:
            await asyncio.sleep(0.1)
            due = (await kernel.request("due", timeout=60))["due"]
        listed = (await kernel.request("documents", timeout=60))["documents"]
    assert [each["line"] for each in due] == [f"I have learned {notes}: 3 documents."]
    assert sorted(each["doc_id"] for each in listed) == [f"document:{notes}/{n}" for n in DOCUMENTS]
