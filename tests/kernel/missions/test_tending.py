"""bat_os.kernel.missions.tending: several kernels on one image of a server, with real sockets."""

import asyncio
import contextlib
import re
from types import SimpleNamespace

import pytest

from bat_os.cli.doctor.outcome import KernelFacts
from bat_os.cli.doctor.running import check_cluster, show_cluster
from bat_os.errors import FormatError, RemoteError
from bat_os.image import desks, missions
from bat_os.image.migrations import FORMAT
from bat_os.image.store import ImageStore
from bat_os.kernel.missions import tending
from bat_os.supervisor.restart import EXIT_WAIT, can_pass
from tests.kernels import ANSWERS, KernelProcess, ThinkingKernel, write_script
from tests.storages import storage_of, where_of

pytestmark = [pytest.mark.system, pytest.mark.slow]
PATIENCE = 300


@pytest.fixture(params=["zeo", "postgres"])
def engine(request):
    with storage_of(request.param) as place:
        yield place


class Counting(ThinkingKernel):
    """A kernel that counts how often its model answers."""

    drawn = 0

    def _answer(self, prompt, sampling, index):
        self.drawn += 1
        return ThinkingKernel._answer(prompt, sampling, index)


@pytest.fixture
async def make(engine, tmp_path):
    """Return a function that starts one more kernel of the cluster, in this loop."""
    async with contextlib.AsyncExitStack() as running:

        async def start(number, steps=(), uri=""):
            folder = tmp_path / f"home{number}"
            kernel = Counting(folder)
            kernel.steps = steps
            kernel.options = {
                "image": uri or engine.uri(60), "cluster": where_of(engine), "idle": "off",
                "tcp_port": -1, "cluster_seconds": 600.0,
            }  # fmt: skip
            await running.enter_async_context(kernel)
            kernel.ask = (await running.enter_async_context(kernel.client())).request
            return kernel

        yield start


async def until(condition):
    while not await condition():  # noqa: ASYNC110 - it asks a process, or the image
        await asyncio.sleep(0.05)


def brief(kernel, selector="give_seven", key="k", **more):
    return kernel.ask(
        "brief", target="genesis_obj", selector=selector, ik=key, timeout=PATIENCE,
        body={"text": "Give a number."}, **more,
    )  # fmt: skip


async def drawing(kernel):
    """Wait until the model of a kernel is asked; its gate is closed."""

    async def draws():
        rows = (await kernel.ask("missions", timeout=PATIENCE))["missions"]
        return any(row["state"] == "synthesizing" for row in rows)

    await until(draws)


async def cluster_of(kernel):
    return (await kernel.ask("health", timeout=PATIENCE))["cluster"]


async def knows(kernel, number):
    """Return whether a kernel has seen so many living ones, and a leader."""
    kernels = (await cluster_of(kernel)).get("kernels", [])
    living = [one for one in kernels if one["living"]]
    return len(living) == number and sum(one["leads"] for one in living) == 1


async def test_a_mission_runs_once_however_many_kernels_start_meanwhile(make):
    first = await make(0)
    asking = asyncio.create_task(brief(first))
    await drawing(first)
    others = [await make(number) for number in range(1, 5)]
    await until(lambda: knows(others[-1], 5))
    await until(lambda: knows(first, 5))
    lines = show_cluster(await cluster_of(first))
    assert sum(" lives, leads" in line for line in lines) == 1
    (own,) = [line for line in lines if ", this one: 1 request," in line]
    assert str(first.home.path) in own
    for kernel in (first, *others):
        kernel.gate.set()
    answer = await asking
    row = await others[0].ask("brief.get", ik="k", timeout=PATIENCE)
    assert (answer["result"], row["attempts"]) == (7, 0)
    assert first.drawn
    assert not any(kernel.drawn for kernel in others)


async def test_the_doctor_sees_who_has_another_blob_folder_and_what_time_the_server_has(
    make, engine
):
    first, second = await make(0), await make(1)
    await until(lambda: knows(first, 2))
    rows = await rows_of(first)
    assert rows["blob folder"] == ("ok", "the same for 2 kernels that live")
    assert rows["clock"][0] == "ok"
    elsewhere = re.sub(r"(?<=[?&])blob_dir=[^&]+", f"blob_dir={engine.folder}/own", engine.uri(60))
    third = await make(2, uri=elsewhere)
    for kernel in (first, second, third):
        await until(lambda kernel=kernel: knows(kernel, 3))
    level, text = (await rows_of(first))["blob folder"]
    assert level == "broken"
    assert str(third.home.path) in text
    assert str(second.home.path) not in text


async def rows_of(kernel):
    """Return what the doctor says of a kernel's cluster, by the names of its rows."""
    health = await kernel.ask("health", timeout=PATIENCE)
    found = check_cluster(SimpleNamespace(kernel=KernelFacts(health)))
    return {row.name: (row.state, row.found) for row in found}


async def test_one_key_at_three_kernels_is_one_mission_that_all_hear_of(make):
    kernels = [await make(number) for number in range(3)]
    heard = []
    asking = [asyncio.create_task(brief(kernels[0]))]
    await drawing(kernels[0])
    for kernel in kernels[1:]:
        await until(lambda kernel=kernel: knows(kernel, 3))
    asking += [
        asyncio.create_task(brief(kernel, on_event=lambda kind, body: heard.append((kind, body))))
        for kernel in kernels[1:]
    ]
    await until(lambda: _has(heard, 2, "accepted"))
    moved = {body["moved"] for kind, body in heard if kind == "accepted"}
    assert moved == {kernels[0].door}
    for kernel in kernels:
        kernel.gate.set()
    answers = await asyncio.gather(*asking)
    assert len({answer["brief_id"] for answer in answers}) == 1
    assert [answer["result"] for answer in answers] == [7, 7, 7]
    assert not kernels[1].drawn + kernels[2].drawn
    states = [body["state"] for kind, body in heard if kind == "event"]
    assert states.count("complete") == 2  # each of the two that asked elsewhere


async def _has(heard, count, kind):
    return sum(one == kind for one, _ in heard) >= count


async def test_a_mission_is_cancelled_and_watched_from_another_kernel(make):
    first, second = await make(0), await make(1)
    asking = asyncio.create_task(brief(first))
    await drawing(first)
    seen = []
    watching = asyncio.create_task(
        second.ask("subscribe", ik="k", timeout=PATIENCE, body={"after_seq": 0},
                   on_event=lambda _, body: seen.append(body["state"]))
    )  # fmt: skip
    told = await second.ask("cancel", ik="k", timeout=PATIENCE)
    assert told["cancelled"] is True
    with pytest.raises(RemoteError) as caught:
        await asking
    assert caught.value.body["code"] == "CANCELLED"
    assert (await watching)["ended"] == "complete"
    assert seen[-1] == "failed"
    again = await second.ask("cancel", ik="k", timeout=PATIENCE)
    assert (again["cancelled"], again["state"]) == (False, "failed")


async def test_what_a_kernel_leaves_when_it_stops_the_others_end(make):
    first, second = await make(0), await make(1)
    asking = asyncio.create_task(brief(first))
    await drawing(first)
    second.gate.set()
    first.kernel.stop()
    with pytest.raises(Exception, match=r"daemon|shutting"):
        await asking
    answer = await brief(second)
    assert answer["result"] == 7
    await until(lambda: knows(second, 1))
    assert (await cluster_of(second))["leads"] is True


async def test_who_asks_another_kernel_need_not_wait_until_it_looks(make, monkeypatch):
    monkeypatch.setattr(tending, "LOOK", 100_000.0)
    first = await make(0)
    await until(lambda: knows(first, 1))
    second = await make(1)
    await until(lambda: knows(second, 2))
    asking = asyncio.create_task(brief(first))
    await drawing(first)
    second.gate.set()
    first.kernel.stop()
    with pytest.raises(Exception, match=r"daemon|shutting"):
        await asking
    assert (await brief(second))["result"] == 7


async def test_a_kernel_that_prepares_takes_nothing_over(make):
    first = await make(0)
    asking = asyncio.create_task(brief(first))
    await drawing(first)
    prepared = asyncio.Event()

    async def prepare(report):
        await prepared.wait()

    second = await make(1, steps=(prepare,))
    second.gate.set()
    owner = first.mind.image.database.kernel
    first.kernel.stop()
    with pytest.raises(Exception, match=r"daemon|shutting"):
        await asking
    await first.task
    await second.kernel._tending.look()
    left = await second.mind.image.transact(desks.look, note="look")
    assert (left.counts[owner], left.own) == (1, ())
    prepared.set()
    assert (await brief(second))["result"] == 7


async def test_a_fenced_kernel_waits_for_the_image_like_any_other(make):
    first, second = await make(0), await make(1)
    asking = asyncio.create_task(brief(first))
    await drawing(first)
    owner = first.mind.image.database.kernel
    taken = await second.mind.image.transact(lambda root: desks.take_over(root, owner), note="rob")
    assert len(taken) == 1
    first.gate.set()  # it draws, and its next write is refused
    second.gate.set()
    answer = await asking  # and the client hears nothing of it
    assert answer["result"] == 7
    slots = await second.mind.image.transact(
        lambda root: dict(missions.stored(root, taken[0]).slots), note="look"
    )
    assert (slots["owner"], slots["epoch"]) == (second.mind.image.database.kernel, 1)


async def test_a_newer_program_waits_with_the_format_until_no_other_kernel_serves(
    make, engine, tmp_path
):
    first = await make(0)

    def age(root):
        root["about"] = {**root["about"], "format": 4}

    await first.mind.image.transact(age, note="age")
    home = tmp_path / "newer" / "data"
    home.mkdir(parents=True, mode=0o700)
    newer = KernelProcess(home, write_script(tmp_path / "script.jsonl", ANSWERS))
    newer.start(tcp_port=-1, image=engine.uri(60), cluster=where_of(engine))
    assert await asyncio.to_thread(newer.wait) == EXIT_WAIT
    assert re.search("stop them first: .*home0", newer.log())
    assert await first.mind.image.transact(lambda root: root["about"]["format"], note="look") == 4


async def test_a_program_that_is_too_old_does_not_have_the_newer_kernels_stopped(make):
    await make(0)

    def lift(root):
        root["about"] = {**root["about"], "format": FORMAT + 1}

    second = await make(1)
    await second.mind.image.transact(lift, note="lift")
    with pytest.raises(FormatError, match="start the newer program") as caught:
        await second.kernel._tending.check_alone()
    assert "stop" not in str(caught.value)
    assert not can_pass(caught.value)


async def test_briefs_of_a_killed_kernel_are_done_though_nobody_asks_again(make, engine, tmp_path):
    survivor = await make(0)
    survivor.gate.set()
    home = tmp_path / "killed" / "data"
    home.mkdir(parents=True, mode=0o700)
    script = write_script(tmp_path / "script.jsonl", ANSWERS)
    victim = KernelProcess(home, script)
    victim.start(tcp_port=-1, image=engine.uri(60), cluster=where_of(engine), idle="off")
    try:
        await victim.until_ready()
        source = (
            "def note(self, tag):\n    self.tags = (getattr(self, 'tags', None) or []) + [tag]\n"
            "    return len(self.tags)\n"
        )
        await survivor.ask(
            "teach",
            target="genesis_obj",
            selector="note",
            body={"source": source},
            timeout=PATIENCE,
        )
        for number in range(12):  # each has an object of its own
            await survivor.ask("send", target="genesis_obj", selector="clone", args=[f"c{number}"])
        accepted = []
        async with victim.client() as kernel:
            asking = [
                asyncio.create_task(
                    kernel.request("brief", target=f"c{number}", selector="note", args=[number],
                                   ik=f"b{number}", timeout=None,
                                   on_event=lambda kind, _: accepted.append(kind))
                )
                for number in range(12)
            ]  # fmt: skip
            await until(lambda: _has([(kind, 0) for kind in accepted], 12, "accepted"))
            victim.kill()
            for one in asking:
                one.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
    finally:
        victim.stop()

    async def is_done():
        return not await survivor.mind.image.transact(missions.unfinished, note="look")

    await until(is_done)
    tags = await survivor.mind.image.transact(
        lambda root: [root["objects"][f"c{n}"].slots.get("tags") for n in range(12)], note="look"
    )
    assert tags == [[number] for number in range(12)]


async def test_an_image_can_be_read_beside_the_cluster(make, engine):
    await make(0)
    image = await asyncio.to_thread(ImageStore.open, engine.uri(60))
    assert "genesis_obj" in await image.transact(lambda root: list(root["objects"]), note="look")
    await image.close()
