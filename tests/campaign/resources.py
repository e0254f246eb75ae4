"""Descriptors used up, many messages, a stopped process, a blocked loop, a clock that jumps."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time

from bat_os.client.client import KernelClient
from bat_os.errors import BatError
from bat_os.supervisor.home import Home
from bat_os.supervisor.program import Program, point_to
from tests.campaign.odd_kernel import CLOCK, MODEL
from tests.campaign.probes import (
    MIB,
    OddKernelProcess,
    Wire,
    descriptors,
    dial,
    grown,
    kernel,
    odd_tree,
    resident,
)
from tests.campaign.scenario import Scenario
from tests.kernels import ANSWERS, ROOT, write_script

DAY = 86_400
FILES = 256
JUMPS = {"ahead": 400, "back": -400, "right": 0}  # days


async def use_up_descriptors(settings):
    """With every descriptor taken the kernel lives, and who was there before is answered."""
    rounds = 20 if settings.full else 2
    async with kernel(settings.folder / "files") as process:
        pid, endpoint = process.process.pid, process.endpoint()
        with Wire(endpoint["ipc"]) as wire:
            assert wire.message("double", 4) == 8
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (FILES, FILES))
            for number in range(rounds):
                with contextlib.ExitStack() as stack:
                    for _ in range(FILES + 50):  # the system's queue takes those beyond
                        stack.enter_context(dial(endpoint["tcp"]))
                    while descriptors(pid) < FILES:
                        wire.ask("ping")
                    be_starved(wire, number)
                while descriptors(pid) > FILES * 3 // 4:  # it sees in its own time who has left
                    wire.ask("ping")
                assert wire.message("remember", f"{number}", ik=f"{number}") == ["x", f"{number}"]
                with Wire(endpoint["ipc"]) as newcomer:
                    assert newcomer.message("double", 21) == 42
        assert "Traceback" not in process.log(), process.log()[-2000:]
    return f"{rounds} times all {FILES} taken: known messages and commits answered, then newcomers"


def be_starved(wire, number):
    """Whatever needs no new process is answered; the rest gets a code that says to come back."""
    assert wire.message("setSlot", "notes", ["x"]) == ["x"]
    codes = set()
    for _ in range(20):  # more than there are children that wait ahead
        told, body = wire.ask("send", target="genesis_obj", selector="double", args=[number])
        assert body.get("result", 2 * number) == 2 * number
        codes.add(told if told == "result" else body["code"])
    assert codes <= {"result", "BUSY"}, codes
    fields = {"target": "genesis_obj", "selector": "remember", "args": [f"{number}"]}
    told, body = wire.ask("send", ik=f"{number}", **fields)
    assert (told, body["code"], body["retryable"]) == ("error", "BUSY", True), body
    assert wire.message("notes") == ["x"]


async def many_messages(settings):
    """After a warm-up, messages cost no memory that stays."""
    count, warm = (300_000, 30_000) if settings.full else (5_000, 3_000)
    async with kernel(settings.folder / "many") as process:
        pid = process.process.pid
        with Wire(process.endpoint()["ipc"]) as wire:
            assert wire.message("setSlot", "kept", "x" * 500)
            send_many(wire, warm)
            before = resident(pid)
            started = time.perf_counter()
            send_many(wire, count)
            took = time.perf_counter() - started
            after = resident(pid)
    share = (after - before) / before
    assert share <= 0.01, f"{100 * share:+.2f} %, {grown(before, after)}"
    return (
        f"{count:,} messages, {count / took:,.0f}/s: {100 * share:+.2f} % of {before / MIB:.0f} MB"
    )


def send_many(wire, count, at_once=50):
    for _ in range(0, count, at_once):
        for number in range(at_once):
            args = ["kept"] if number % 2 else ["clone"]
            wire.send("send", f"{number}", target="genesis_obj", args=args,
                      selector="getSlot" if number % 2 else "respondsTo")  # fmt: skip
        for _ in range(at_once):
            told, _, body = wire.receive()
            assert told == "result", body


@contextlib.asynccontextmanager
async def watched(folder):
    """Give a home whose kernel, an odd one, is watched over by the real watchdog."""
    folder.mkdir(parents=True)
    home = Home(folder / "home")
    home.prepare()
    program = Program(odd_tree(home.versions / "odd"), sys.executable, "odd")
    point_to(home, program)
    script = write_script(folder / "script.jsonl", ANSWERS)
    environ = {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(script), "BATOS_TCP_PORT": "-1"}
    await watchdog(home, "start", "--wait", **environ)
    try:
        yield home
    finally:
        await watchdog(home, "stop")


async def watchdog(home, *words, **environ):
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, ROOT / "min_watchdog_service.py", *words, "--home", home.path],
        capture_output=True, text=True, timeout=200, check=False, env=os.environ | environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


async def restarted(home, hang):
    """Return after how many seconds another kernel serves, once ``hang`` was awaited."""
    async with KernelClient.at(home.path) as client:
        told = await client.request(
            "send", timeout=60, target="genesis_obj", selector="double", args=[4], ik="before"
        )
        assert told["result"] == 8
        before = (await client.request("health", timeout=60))["pid"]
        started = time.monotonic()
        await hang(client, before)
    while json.loads(home.status.read_text())["pid"] in (before, None):
        assert time.monotonic() - started < 60
        await asyncio.sleep(0.05)
    killed = time.monotonic() - started
    async with KernelClient.at(home.path) as client:
        while True:
            with contextlib.suppress(BatError):
                after = await client.request("health", timeout=60)
                break
            await asyncio.sleep(0.05)
        took = time.monotonic() - started
        assert after["pid"] != before
        told = await client.request("brief.get", ik="before")
        assert told["answer"]["body"]["result"] == 8
    assert killed <= 20, f"the next kernel was started after {killed:.1f} s"
    return took


async def stop_process(settings):
    """A kernel that is stopped by a signal is killed and another one takes its place."""

    async def hang(_client, pid):
        os.kill(pid, signal.SIGSTOP)

    took = []
    for number in range(3 if settings.full else 1):
        async with watched(settings.folder / f"stopped{number}") as home:
            took.append(await restarted(home, hang))
            check_report(home)
    return f"serving again after {max(took):.1f} s"


async def block_loop(settings):
    """A kernel whose loop is blocked leaves its stacks in the log, and is replaced."""

    async def hang(client, _pid):
        with contextlib.suppress(BatError):
            await client.request("campaign.block", timeout=0.5)

    took = []
    for number in range(3 if settings.full else 1):
        async with watched(settings.folder / f"blocked{number}") as home:
            took.append(await restarted(home, hang))
            check_report(home)
            logs = home.kernel_log.parent.glob(home.kernel_log.name + "*")
            assert any("in block" in log.read_text() for log in logs), "no stacks in the log"
    return f"serving again after {max(took):.1f} s, stacks in the log"


def check_report(home):
    status = json.loads(home.status.read_text())
    assert status["restarts"] == 1, status


async def jump_clock(settings):
    """With the clock off by 400 days either way nothing ends, restarts or is forgotten."""
    keys = [f"{days}_{n}" for n in range(3 if settings.full else 1) for days in JUMPS]
    settings.folder.mkdir(parents=True, exist_ok=True)
    clock = settings.folder / "seconds"
    clock.write_text("0")
    knobs = {CLOCK: str(clock), MODEL: "odd"}
    async with kernel(
        settings.folder / "clock", OddKernelProcess, knobs=knobs, candidates=1
    ) as process:
        boot = process.endpoint()["boot"]
        with Wire(process.endpoint()["ipc"]) as wire:
            for key in keys:
                clock.write_text(str(JUMPS[key[:-2]] * DAY))
                jump_under(process, wire, key)
        assert process.endpoint()["boot"] == boot
        downs = list(JUMPS.values()) if settings.full else [400, 0]
        for number, days in enumerate(downs, 1):  # and while it was down
            process.stop()
            clock.write_text(str(days * DAY))
            process.start(knobs=knobs)
            await process.until_ready()
            while process.log().count("the clock has jumped") < number:  # noqa: ASYNC110 - a log
                await asyncio.sleep(0.02)
            with Wire(process.endpoint()["ipc"]) as wire:
                for key in keys:
                    told, body = wire.ask("brief.get", ik=key)
                    assert told == "result", (days, key, body)
                    assert body["answer"]["body"]["result"] == 1
        log = process.log()
    assert not {word for word in ("forgot", "packed the", "Traceback") if word in log}, log[-2000:]
    return f"{len(keys)} jumps in a mission, {len(downs)} while down: all ended well and kept"


def jump_under(process, wire, key):
    """Have the clock read in the middle of a mission, which has to end well."""
    fields = {"target": "genesis_obj", "selector": f"slow_{key}", "ik": key, "ttl_ms": 600_000}
    wire.send("brief", key, **fields)
    told, _, body = wire.receive()
    assert told == "accepted", body
    process.process.send_signal(signal.SIGUSR1)
    while told in ("accepted", "event"):
        told, _, body = wire.receive()
    assert told == "result", body
    assert body["seconds"] >= 0
    assert wire.ask("brief", **fields)[1]["result"] == 1
    assert wire.message("setSlot", "day", key) == key
    assert wire.message("day") == key


SCENARIOS = (
    Scenario("descriptors used up", "nofile 256: survives, the client is answered",
             use_up_descriptors),
    Scenario("many messages", "RSS growth ≤ 1 % after warm-up", many_messages),
    Scenario("stopped process", "SIGSTOP: the next kernel is started ≤ 20 s", stop_process),
    Scenario("blocked loop", "the next kernel is started ≤ 20 s", block_loop),
    Scenario("clock ± 400 days", "no false deadline, restart or forgetting", jump_clock),
)  # fmt: skip
