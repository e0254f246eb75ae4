"""A running kernel is forked, rehearsed on, backed up, carried away and packed."""

import asyncio
import json

import pytest

from bat_os.core.settings import IMAGE
from bat_os.errors import RemoteError
from bat_os.image.files.restore import restore
from bat_os.image.store import ImageStore
from tests.cli.clients import verb
from tests.image.files.images import noise
from tests.kernels import KernelProcess

pytestmark = [pytest.mark.system, pytest.mark.slow]
WAVE = "def wave(self, name):\n    return 'hello ' + name\n"


async def told(home, *words, **more):
    """Return what a verb that succeeds prints as JSON."""
    ended = await verb(home, *words, "--json", **more)
    assert ended.status == 0, ended
    return ended.json


async def send(kernel, selector, *args, target="genesis_obj"):
    answer = await kernel.request(
        "send", timeout=60, target=target, selector=selector, args=list(args)
    )
    return answer["result"]


async def understands(kernel, selector):
    return await send(kernel, "respondsTo", selector)


async def teach(kernel, source, *examples):
    shown = [{"args": list(args), "kwargs": {}, "result": result} for args, result in examples]
    body = {"source": source, "examples": shown}
    return await kernel.request("teach", target="genesis_obj", body=body, timeout=60)


async def test_a_kernel_runs_on_a_fork_like_on_any_image_and_neither_sees_the_other(serving):
    home = serving.home
    async with serving.client() as kernel:
        await send(kernel, "remember", "milk")
        early = await kernel.request("fork", body={"name": "early"})
        await send(kernel, "remember", "bread")
        then = await told(home, "fork", "then", "--at", "now")
        await send(kernel, "remember", "salt")
        other = KernelProcess(home / "forks" / "then", serving.script).start()
        try:
            await other.until_ready()
            async with other.client() as there:
                assert await send(there, "notes") == ["milk", "bread"]
                await send(there, "remember", "tea")
                assert await send(there, "double", 21) == 42
            assert await send(kernel, "notes") == ["milk", "bread", "salt"]
            assert not await understands(kernel, "double")
            with pytest.raises(RemoteError, match="in use"):
                await kernel.request("fork.drop", body={"name": "then"})
        finally:
            other.stop()
        listed = await kernel.request("forks")
        assert [(one["name"], one["running"]) for one in listed["forks"]] == [
            ("early", False), ("then", False),
        ]  # fmt: skip
        assert listed["forks"][0]["home"] == early["home"]
        picked = await told(home, "cherry-pick", "then", "genesis_obj.double")
        assert picked["methods"][0]["selector"] == "double"
        assert await send(kernel, "double", 4) == 8
        assert await told(home, "fork", "then", "--drop") == {"name": "then", "dropped": True}
        assert then["image_id"] != (await kernel.request("health"))["image_id"]


async def test_a_rehearsal_shows_what_a_message_would_change_and_keeps_it_when_told_to(serving):
    home = serving.home
    async with serving.client() as kernel:
        shown = await told(home, "rehearse", "genesis_obj", "remember", "milk")
        assert shown["answer"]["body"]["result"] == ["milk"]
        assert shown["kept"] == {}
        assert [one["selector"] for one in shown["diff"]["methods"]] == ["remember"]
        assert [slot["slot"] for slot in shown["diff"]["objects"][0]["slots"]] == ["notes"]
        assert not await understands(kernel, "remember")
        assert list((home / "forks").iterdir()) == []

        kept = await verb(home, "rehearse", "genesis_obj", "remember", "milk", "--keep")
        assert kept.status == 0, kept
        assert kept.out.splitlines()[0] == 'it would answer: ["milk"]'
        assert kept.out.splitlines()[-1] == 'kept; here it answers: ["milk"]'
        assert await send(kernel, "notes") == ["milk"]
        why = await kernel.request("why", target="genesis_obj", selector="remember")
        assert why["origin"]["model"]

        about = {"target": "genesis_obj", "selector": "never_works"}
        failed = await kernel.request("rehearse", timeout=60, **about)
        assert failed["answer"]["type"] == "error"
        assert failed["diff"]["methods"] == []


async def test_a_backup_and_an_archive_make_a_mind_that_gives_the_same_answers(serving, tmp_path):
    home, backup, packed = serving.home, tmp_path / "backup", tmp_path / "mind.tar.gz"
    async with serving.client() as kernel:
        await send(kernel, "remember", "milk")
        taught = await teach(kernel, WAVE)
        first = await told(home, "backup", backup)
        await send(kernel, "remember", "bread")
        second = await kernel.request("backup", body={"folder": str(backup)})
        assert (first["full"], second["full"]) == (True, False)
        assert second["added"] < first["added"] / 2
        assert (await told(home, "backup", backup, "--verify"))["tid"] == second["tid"]
        kept = await told(home, "archive", packed, "--reason", "before the move")
        live = await verb(home, "restore", backup, home, "--replace")
        assert (live.status, live.out) == (1, ""), live  # a kernel holds it
        listed = (await kernel.request("chronicle"))["chronicle"]
        assert [(one["kind"], one.get("folder") or one["reason"]) for one in listed] == [
            ("backup", str(backup)),
            ("archive", "before the move"),
        ]
        assert kept["sha256"] == listed[1]["sha256"]
    serving.stop()
    # Without a kernel the verbs work on the image themselves.
    assert (await told(home, "backup", backup))["full"] is False
    assert (await told(tmp_path / "one", "restore", backup, tmp_path / "one"))["kept"] == ""
    restore(packed, tmp_path / "two")
    other = KernelProcess(tmp_path / "two", serving.script).start()
    try:
        await other.until_ready()
        async with other.client() as there:
            assert await send(there, "notes") == ["milk", "bread"]
            assert await send(there, "wave", "Ann") == "hello Ann"
            why = await there.request("why", target="genesis_obj", selector="wave")
            assert why["sha256"] == taught["sha256"]
    finally:
        other.stop()
    image = ImageStore.open(tmp_path / "one" / IMAGE)
    notes = await image.transact(
        lambda root: root["objects"]["genesis_obj"].slots["notes"], note="read"
    )
    await image.close()
    assert list(notes) == ["milk", "bread"]


async def test_objects_and_methods_go_over_as_text_and_are_tried_before_they_answer(
    serving, tmp_path
):
    home = serving.home
    async with serving.client() as kernel:
        await send(kernel, "clone", "robot_obj")
        await send(kernel, "setSlot", "colour", "red", target="robot_obj")
        await teach(kernel, WAVE, (["Ann"], "hello Ann"))
        assert (await verb(home, "export", "robot_obj", tmp_path / "robot.json")).status == 0
        made = await told(home, "import", tmp_path / "robot.json", "--as", "twin_obj")
        assert (made["object"], made["new"]) == ("twin_obj", True)
        assert await send(kernel, "colour", target="twin_obj") == "red"

        about = {"target": "genesis_obj", "selector": "wave"}
        text = (await kernel.request("export", **about))["text"]
        given = await told(home, "import", "-", "--into", "twin_obj", given=text.encode())
        assert given["methods"][0]["status"] == "verified"
        assert await send(kernel, "wave", "Bo", target="twin_obj") == "hello Bo"

        changed = json.loads(text)
        changed["content"]["source"] = "def wave(self, name):\n    return 1\n"
        with pytest.raises(RemoteError, match="SHA-256"):
            await kernel.request("import", body={"text": json.dumps(changed)})


async def until_packed(kernel, count):
    while True:
        listed = (await kernel.request("chronicle"))["chronicle"]
        if len(listed) >= count:
            return listed
        await asyncio.sleep(0.02)


async def test_it_packs_by_itself_when_the_file_has_doubled_and_when_it_is_asked(serving):
    home = serving.home
    async with serving.client() as kernel:
        for number in range(12):
            await send(kernel, "setSlot", "text", noise(number, 20_000))
        before = await kernel.request("space")
        policy = {"policy": {"days": 0, "floor": 100_000}}
        assert (await kernel.request("pack", body=policy))["policy"]["auto"]
        with pytest.raises(RemoteError):
            await kernel.request("pack", body={"policy": {"days": -1}})
    serving.stop()
    serving.start()
    await serving.until_ready()
    async with serving.client() as kernel:
        packed = (await until_packed(kernel, 1))[0]
        assert packed["after"] < packed["before"] - 200_000
        assert before["history"] > 200_000 > (await kernel.request("space"))["history"]
        await send(kernel, "setSlot", "text", noise(99, 42_000))
        await send(kernel, "setSlot", "text", "y")
        asked = await told(home, "pack", "--days", "0")
        assert asked["after"] < asked["before"] - 40_000
        assert await send(kernel, "text") == "y"
        assert (await told(home, "pack", "--auto", "off"))["policy"]["auto"] is False
