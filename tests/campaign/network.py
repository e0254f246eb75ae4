"""Clients that garble, go silent, never read, are many or are greedy: the kernel serves on."""

import asyncio
import contextlib
import os
import random
import select
import statistics
import subprocess
import sys
import time

import ormsgpack
import zmq

from bat_os.core.protocol import decode_request
from bat_os.errors import BatError
from tests.campaign.odd_kernel import MODEL
from tests.campaign.probes import (
    MAGIC,
    MIB,
    OddKernelProcess,
    Wire,
    at_rest,
    busy,
    descriptors,
    dial,
    grown,
    kernel,
    resident,
)
from tests.campaign.scenario import Scenario
from tests.kernels import ROOT

GREETING = b"\xff" + b"\x00" * 8 + b"\x7f\x03\x00NULL" + b"\x00" * 16 + b"\x00" + b"\x00" * 31
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
# Nothing in them, whole or garbled, may change the mind or stop the kernel: the target is nobody.
ENVELOPES = [
    {"v": 1, "type": "ping", "id": "a"},
    {"v": 1, "type": "health", "id": "b", "session": "s", "token": "t", "ttl_ms": 5},
    {"v": 1, "type": "send", "id": "c", "target": "nobody_obj", "selector": "x", "args": [1, {}]},
    {"v": 1, "type": "brief", "id": "d", "ik": "k", "target": "nobody_obj", "selector": "x",
     "kwargs": {"a": [b"\x00", None, 1.5]}, "body": {"text": "t", "examples": [{"args": [1]}]}},
    {"v": 1, "type": "inspect", "id": "e", "target": "nobody_obj"},
    {"v": 1, "type": "brief.get", "id": "f", "body": {"brief_id": "x", "after_seq": 3}},
    {"command": "initiate_cognitive_cycle", "target_oid": "nobody_obj",
     "mission_brief": {"type": "method", "selector": "x", "args": [], "kwargs": {}}},
]  # fmt: skip
SEEDS = [ormsgpack.packb(envelope) for envelope in ENVELOPES]
AT_ONCE = 200
# Seconds of the kernel's work that a flood may add to the p99 of others' requests. A list takes 2
# ms, or 5 after a commit; a write goes back and forth between threads, and meets one each time.
MOST_MORE = {"ping": 0.01, "known message": 0.01, "write with a key": 0.05}


def garble(chance):
    """Return frames: noise, an envelope with bytes changed, cut or doubled, or a bomb."""
    kind = chance.randrange(8)
    if kind == 0:
        noise = chance.randbytes(chance.randrange(200))
        return [noise] if chance.random() < 0.5 else [MAGIC, noise]
    if kind == 1:  # many or deep containers, in few bytes
        return [MAGIC, chance.choice((b"\x91", b"\x81\x01", b"\xdc\xff\xff", b"\xdf")) * 500]
    if kind == 2:
        return [chance.randbytes(9) for _ in range(chance.randrange(1, 7))]
    packed = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(packed))
        change = chance.randrange(3)
        if change == 0:
            packed[at] = chance.randrange(256)
        elif change == 1:
            del packed[at : at + chance.randrange(1, 9)]
            packed = packed or bytearray(b"\x80")
        else:
            packed[at:at] = packed[at : at + chance.randrange(1, 9)] or b"\xc0"
    return [MAGIC, bytes(packed)] if chance.random() < 0.9 else [bytes(packed)]


async def fuzz_frames(settings):
    """Garbled frames get a coded error each, from the decoder and from a kernel on its socket."""
    decoded, sent = (1_000_000, 50_000) if settings.full else (2_000, 2_000)
    chance = random.Random(settings.seed)  # noqa: S311 - the same noise every time
    for _ in range(decoded):
        with contextlib.suppress(BatError):
            decode_request(garble(chance))
    async with kernel(settings.folder / "fuzz") as process:
        pid = process.process.pid
        with Wire(process.endpoint()["ipc"]) as wire:
            codes = flood(wire, chance, AT_ONCE)  # warm
            before = resident(pid)
            codes |= flood(wire, chance, sent)
            assert wire.ask("health")[0] == "result"
        after = resident(pid)
        assert after - before < 10 * MIB, grown(before, after)
        assert not {"INTERNAL", "STORAGE_ERROR"} & codes, codes
        assert "Traceback" not in process.log()
    return (
        f"{decoded:,} decoded, {sent:,} on the socket, each with one coded answer; "
        f"{grown(before, after)}"
    )


def flood(wire, chance, count):
    """Send garbled frames and return the codes; every one of them gets one answer."""
    codes = set()
    for start in range(0, count, AT_ONCE):
        many = min(AT_ONCE, count - start)
        for _ in range(many):
            wire.socket.send_multipart(garble(chance))
        codes |= {wire.receive()[2].get("code", "") for _ in range(many)}
    return codes


async def garbled_connections(settings):
    """Raw TCP connections that speak anything but ZeroMQ, or only begin to."""
    count = 10_000 if settings.full else 50
    chance = random.Random(settings.seed)  # noqa: S311 - the same noise every time
    async with kernel(settings.folder / "garble") as process:
        pid, endpoint = process.process.pid, process.endpoint()
        with Wire(endpoint["ipc"]) as wire:
            for _ in range(20):
                talk_garbage(endpoint["tcp"], chance)
            wire.message("respondsTo", "clone")
            before, files = resident(pid), descriptors(pid)
            for number in range(count):
                talk_garbage(endpoint["tcp"], chance)
                if number % 25 == 0:
                    wire.message("respondsTo", "clone")
            while descriptors(pid) > files + 4:  # it closes them in its own time
                wire.ask("ping")
            after = resident(pid)
        with Wire(endpoint["tcp"], **process.curve()) as wire:
            assert wire.ask("ping")[0] == "pong"
        assert after - before < 10 * MIB, grown(before, after)
    return f"{count:,} connections, 0 exits, {grown(before, after)}, every message beside answered"


def talk_garbage(endpoint, chance):
    begin = chance.choice(
        (b"", b"GET / HTTP/1.1\r\n\r\n", GREETING[:10], GREETING, GREETING + READY)
    )
    with contextlib.suppress(OSError), dial(endpoint) as raw:  # it may hang up on us
        raw.sendall(begin + chance.randbytes(chance.randrange(3_000)))
        if chance.random() < 0.3:
            raw.shutdown(1)


async def flood_parts(settings):
    """One message of very many frames is refused as a whole, and its memory comes back."""
    parts = 300_000 if settings.full else 20_000
    async with kernel(settings.folder / "parts") as process:
        pid, endpoint = process.process.pid, process.endpoint()
        with Wire(endpoint["ipc"]) as wire, Wire(endpoint["ipc"]) as beside:
            flood_once(wire, 2_000)
            before = at_rest(pid)
            flood_once(wire, parts)
            started = time.perf_counter()
            beside.message("respondsTo", "clone")
            took = time.perf_counter() - started
            after = at_rest(pid)
        assert after - before < 10 * MIB, grown(before, after)
    return (
        f"{parts:,} frames of 1 kB refused; {grown(before, after)} after; next answer {took:.2f} s"
    )


def flood_once(wire, parts):
    wire.socket.send_multipart([b"x" * 1000] * parts)
    assert wire.receive()[2]["code"] == "TOO_LARGE"


async def half_open(settings):
    """Connections that never finish the handshake are dropped; the kernel answers meanwhile."""
    count = 900 if settings.full else 100
    chance = random.Random(settings.seed)  # noqa: S311 - no secrets
    async with kernel(settings.folder / "half") as process:
        pid, endpoint = process.process.pid, process.endpoint()
        with Wire(endpoint["ipc"]) as wire, contextlib.ExitStack() as stack:
            files = descriptors(pid)
            started = time.monotonic()
            raws = [stack.enter_context(dial(endpoint["tcp"])) for _ in range(count)]
            for raw in raws:
                raw.sendall(chance.choice((b"", GREETING[:1], GREETING[:11], GREETING)))
            answered = 0
            gone = asyncio.gather(*(asyncio.to_thread(until_closed, raw) for raw in raws[-1:]))
            while not gone.done() or descriptors(pid) > files + 4:
                assert await asyncio.to_thread(wire.ask, "ping")
                answered += 1
                await asyncio.sleep(0.01)
                assert time.monotonic() - started < 60, f"{descriptors(pid) - files} are left"
            took = time.monotonic() - started
    return f"{count} gone within {took:.0f} s, {answered:,} messages answered during that time"


def until_closed(raw):
    with contextlib.suppress(OSError):
        while raw.recv(4096):
            pass


async def never_reads(settings):
    """A client that asks and never reads costs no memory, and the others are answered."""
    count = 200_000 if settings.full else 20_000
    async with kernel(settings.folder / "deaf") as process:
        pid, door = process.process.pid, process.endpoint()["ipc"]
        with Wire(door) as wire, deaf_client(door) as deaf:
            quiet = Costs(wire, pid).take(800 if settings.full else 100)
            tell(deaf, 2_000)  # its pipes are full then
            assert deaf.stdout.readline() == b"said\n"
            wire.latencies(300)
            before = resident(pid)
            tell(deaf, count)
            beside = Costs(wire, pid)
            while not has_said(deaf):
                beside.take(1, "ping", "known message")
            wire.latencies(50)
            after = resident(pid)
            tell(deaf, count)
            while not has_said(deaf):  # what is stored is kept in memory too
                beside.take(1, "write with a key")
        assert after - before <= 5 * MIB, grown(before, after)
        told = beside.told(quiet, judge=settings.full)
        assert len(process.log()) < 100_000
    return f"{count:,} answers of 1 kB unread: {grown(before, after)}; {told}"


@contextlib.contextmanager
def deaf_client(door):
    """Give a process that says as many messages as it is told to, and never reads an answer."""
    code = "from tests.campaign.network import shout; import sys; shout(sys.argv[1])"
    with subprocess.Popen(
        [sys.executable, "-c", code, door], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process
        process.stdin.close()


def has_said(deaf):
    """Return True once a process has done what it was told."""
    return select.select([deaf.stdout], [], [], 0)[0] and deaf.stdout.readline() == b"said\n"


def tell(deaf, count):
    deaf.stdin.write(b"%d\n" % count)
    deaf.stdin.flush()


def shout(door):
    """Ask for answers of about a kilobyte, as often as each line of standard input says.

    It steps back for whoever measures on the same machine.
    """
    os.nice(10)
    with Wire(door, RCVHWM=1, SNDTIMEO=60_000) as wire:
        for line in sys.stdin:
            for _ in range(int(line)):
                wire.send("shout " + "x" * 150, "y" * 200, target="z" * 200)
            sys.stdout.write("said\n")
            sys.stdout.flush()


async def flood_of_lists(settings):
    """A client that asks for lists as fast as it can delays the others a little."""
    count = 500 if settings.full else 100
    async with kernel(settings.folder / "lists") as process:
        pid, door = process.process.pid, process.endpoint()["ipc"]
        with Wire(door) as wire:
            Costs(wire, pid).take(100)
            before = resident(pid)
            quiet = Costs(wire, pid).take(count)
            with flood_client(door) as flood:
                assert flood.stdout.readline() == b"asking\n"
                beside = Costs(wire, pid).take(count)
                assert flood.poll() is None
            after = resident(pid)
    assert after - before < 20 * MIB, grown(before, after)
    return f"{beside.told(quiet, judge=settings.full)}; {grown(before, after)}"


class Costs:
    """What requests of a client cost while another one floods the kernel or does not.

    The work is what is judged: the processor time that the kernel spends between a request and its
    answer, on that request and on all that it does first. How long that takes by the clock depends
    on what else the machine does.
    """

    def __init__(self, wire, pid):
        self._wire, self._pid = wire, pid
        self.work = {name: [] for name in wire.kinds()}
        self.wall = {name: [] for name in wire.kinds()}

    def take(self, count, *names):
        """Ask so many times for each kind, or those named, in turn; return these costs."""
        kinds = self._wire.kinds()
        for _ in range(count):
            for name in names or kinds:
                ask = kinds[name]
                spent, started = busy(self._pid), time.perf_counter()
                ask()
                self.wall[name].append(time.perf_counter() - started)
                self.work[name].append(busy(self._pid) - spent)
        return self

    def told(self, quiet, *, judge):
        """Return how they compare to those without a flood; fail where they are far more."""
        said = []
        for name in self.work:
            more = percentile(self.work[name], 0.99) - percentile(quiet.work[name], 0.99)
            half = percentile(self.work[name], 0.5) - percentile(quiet.work[name], 0.5)
            said.append(
                f"{name} {_signed(half)} ms of work, p99 {_signed(more)} "
                f"({_compare(quiet.wall[name], self.wall[name], 0.99)} by the clock)"
            )
            assert more <= MOST_MORE[name] or not judge, "; ".join(said)
        return "; ".join(said)


def _signed(seconds):
    return f"{1000 * seconds:+.1f}"


def _compare(peace, other, part):
    """Return one percentile without and with the flood, in milliseconds, and how they compare."""
    before, after = percentile(peace, part), percentile(other, part)
    return f"{1000 * before:.0f} to {1000 * after:.0f} ms, {after / before:.1f} x"


@contextlib.contextmanager
def flood_client(door):
    """Give a process that asks for lists, a hundred at a time, and reads the answers."""
    code = "from tests.campaign.network import ask_lists; import sys; ask_lists(sys.argv[1])"
    with subprocess.Popen(
        [sys.executable, "-c", code, door], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ask_lists(door):
    """Ask for lists for ever."""
    with Wire(door) as wire:
        for _ in range(AT_ONCE // 2):
            wire.send("list")
        wire.receive()
        sys.stdout.write("asking\n")
        sys.stdout.flush()
        while True:
            wire.send("list")
            wire.receive()


def percentile(values, part):
    return sorted(values)[int(len(values) * part)]


async def idle_clients(settings):
    """Clients that have said hello and stay cost a little memory and no time."""
    count = 1_000 if settings.full else 100
    async with kernel(settings.folder / "idle") as process:
        pid, door = process.process.pid, process.endpoint()["ipc"]
        with Wire(door) as wire, contextlib.ExitStack() as stack:
            many = 2_000 if settings.full else 300
            wire.latencies(many)
            quiet = statistics.median(wire.latencies(many))
            before = resident(pid)
            context = stack.enter_context(zmq.Context())
            context.set(zmq.MAX_SOCKETS, 2 * count + 100)
            sockets = []
            for _ in range(count):
                socket = stack.enter_context(context.socket(zmq.DEALER))
                socket.set(zmq.LINGER, 0)
                socket.set(zmq.RCVTIMEO, 60_000)
                socket.connect(door)
                socket.send_multipart([MAGIC, SEEDS[0]])
                socket.recv_multipart()
                sockets.append(socket)
            each = (resident(pid) - before) / count / 1000
            ratio = statistics.median(wire.latencies(many)) / quiet
        assert each <= 40, f"{each:.0f} kB each"
        if settings.full:
            assert ratio <= 1.5, f"p50 {ratio:.2f} x"
    return f"{count:,} clients, {each:.0f} kB each, p50 {ratio:.2f} x"


async def greedy_client(settings):
    """A client with every place taken keeps nobody else waiting behind all of its briefs."""
    passed = []
    for number in range(10 if settings.full else 1):
        folder = settings.folder / f"greedy{number}"
        async with kernel(folder, OddKernelProcess, knobs={MODEL: "odd"}, candidates=1) as process:
            door = process.endpoint()["ipc"]
            with Wire(door) as greedy, Wire(door) as modest:
                passed.append(be_greedy(greedy, modest))
    return f"40 briefs at once: 16 taken, 24 BUSY; another's ended after {max(passed)} of the 16"


def be_greedy(greedy, modest):
    """Return how many of the greedy client's briefs have ended when the modest one's has."""
    for brief in range(40):  # without a session, its connection is what counts
        selector = f"slow_{brief}"
        greedy.send("brief", selector, target="genesis_obj", selector=selector, session="")
    codes, ended = [], 0
    while len(codes) < 24:
        told, _, body = greedy.receive()
        ended += told == "result"
        if told == "error":
            codes.append(body["code"])
    assert codes == ["BUSY"] * 24, codes
    told, body = modest.ask("brief", target="genesis_obj", selector="slow_modest")
    assert told == "result", body
    while greedy.socket.poll(0):
        ended += greedy.receive()[0] == "result"
    assert ended < 16, "it had to wait for all of them"
    return ended


SCENARIOS = (
    Scenario("frame fuzz", "every frame a coded answer, 0 exits, RSS < +10 MB", fuzz_frames),
    Scenario("raw connections", "0 exits, RSS < +10 MB, others answered", garbled_connections),
    Scenario("multipart flood", "refused, RSS < +10 MB afterwards, others answered", flood_parts),
    Scenario("half-open connections", "gone after HANDSHAKE_IVL, others answered", half_open),
    Scenario("never-reading client", "RSS ≤ +5 MB; others +10 ms of work, writes +50", never_reads),
    Scenario("flood of lists", "RSS < +20 MB; others +10 ms of work, writes +50", flood_of_lists),
    Scenario("idle clients", "≤ 40 kB each, p50 ≤ 1.5 x", idle_clients),
    Scenario("greedy client", "BUSY for it; others are taken and progress", greedy_client),
)
