"""Requests made of the table of verbs: right, wrong, mutated and at random, one coded answer each.

A new verb is covered by itself. Two things are never asked: to shut down in earnest, and a path or
a model outside of the folder of the scenario.
"""

import contextlib
import itertools
import json
import random
import threading
import time
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ormsgpack

from bat_os.core.fields import MAX_EXAMPLES
from bat_os.core.protocol import MAX_FRAME
from bat_os.core.verbs import REQUESTS
from tests.campaign.network import garble
from tests.campaign.odd_kernel import EAR
from tests.campaign.probes import MAGIC, MIB, OddKernelProcess, Wire, at_rest, grown, kernel
from tests.campaign.scenario import Scenario
from tests.campaign.silence import LIMIT, read_silences
from tests.sentence.test_long import atoms

AT_ONCE = 25
CASES = Path(__file__).parents[1] / "cases"
NAMES = ("genesis_obj", "traits_obj", "pLLM_obj", "alfred_obj", "mine_obj", "nobody_obj", "0" * 16)
SELECTORS = ("double", "remember", "slotNames", "clone", "getSlot", "never_works", "__init__", "é")
TEXTS = (
    "", " ", "x", "double a number", "what is 2 + 2", "now", "2 hours ago", "0001-01-01", "k" * 201,
    "\x00\x1b[2J\u202e", "\U0001f600" * 50, "def double(self, number):\n    return number * 2\n",
    "def x(self):\n" + "    return 1\n" * 2000, '{"format": 1}', "bees dance. " * 3000,
    "a" * 300_000,
)  # fmt: skip
ENVELOPE = ("v", "id", "args", "kwargs", "ik", "token", "session", "ttl_ms")
NUMBERS = (
    0,
    1,
    -1,
    5,
    50,
    2**31,
    2**63 - 1,
    -(2**63),
    0.5,
    -0.0,
    1e308,
    float("inf"),
    float("nan"),
)


class Requests:
    """Makes requests; the same seed makes the same ones."""

    def __init__(self, seed, folder):
        self.chance = random.Random(seed)  # noqa: S311 - the same requests every time
        self.folder = folder
        self.numbers = itertools.count()
        (folder / "file").write_text("a file")

    def __iter__(self):
        """Go through all verbs again and again; some requests are mutated, some are noise."""
        while True:
            for verb in REQUESTS.values():
                envelope = self.envelope(verb)
                yield [MAGIC, ormsgpack.packb(envelope)]
                kind = self.chance.randrange(6)
                if kind == 0:
                    yield garble(self.chance)
                elif kind == 1 and verb.name not in ("shutdown", "subscribe"):
                    yield [MAGIC, self.mutate(ormsgpack.packb(envelope))]

    def envelope(self, verb):
        """Return a request of a verb: often right, else with fields wrong, missing or unknown."""
        chance = self.chance
        said = {"v": 1, "type": verb.name, "id": f"{next(self.numbers)}"}
        if verb.name == "subscribe" or chance.random() < 0.1:
            said["ttl_ms"] = 300
        said |= {
            "target": chance.choice(NAMES), "selector": chance.choice(SELECTORS),
            "args": [self.any() for _ in range(chance.randrange(3))],
        }  # fmt: skip
        if chance.random() < 0.3:
            said |= {"ik": f"k{chance.randrange(50)}", "kwargs": {"number": self.any()}}
        said["body"] = body = {}
        is_right = chance.random() < 0.5
        for name, field in verb.body.items():
            if field.required or chance.random() < 0.5:
                is_meant = is_right or chance.random() < 0.7
                body[name] = self.right(field) if is_meant else self.wrong(field)
        if verb.name == "shutdown":
            body["not in earnest"] = True
        elif not is_right:
            self.spoil(said, body)
        return said

    def spoil(self, said, body):
        """Change the envelope or the body here and there."""
        chance = self.chance
        if chance.random() < 0.2:
            said[chance.choice(ENVELOPE)] = self.any()
        if chance.random() < 0.1:
            body[chance.choice(("", "x", "at", "text", "__class__"))] = self.any()
        if body and chance.random() < 0.1:
            del body[chance.choice([*body])]
        if chance.random() < 0.05:
            said["body"] = self.any()

    def right(self, field):
        """Return a value that the field may have."""
        if field.choices:
            return self.chance.choice(field.choices)
        if field.kind == "path" or field.name == "source":
            return self.path()
        if field.kind in ("whole", "number"):
            low = -(2**31) if field.least is None else field.least
            high = 2**31 if field.most is None else int(field.most)
            return self.chance.choice((low, high, self.chance.randint(low, high)))
        return {
            "any": self.any, "flag": lambda: self.chance.random() < 0.5, "list": self.items,
            "map": self.map, "examples": self.examples,
        }.get(field.kind, self.text)()  # fmt: skip

    def wrong(self, field):
        """Return a value of any kind."""
        if field.kind == "path" or field.name == "source":
            return self.chance.choice((self.path(), 7, None, [], {}, True))
        return self.any()

    def path(self):
        inside = ("new", "file", "file/below", "kept", "x.tar.gz", "y" * 300, "nul\0")
        outside = ("relative/place", "/dev/null/x", "", "~")
        return self.chance.choice((*(f"{self.folder}/{name}" for name in inside), *outside))

    def text(self):
        if self.chance.random() < 0.1:
            return "".join(chr(self.chance.randrange(1, 0xD800)) for _ in range(20))
        return self.chance.choice((*TEXTS, *NAMES, *SELECTORS))

    def any(self):
        """Return a plain value; some are deep, some are long."""
        kinds = (
            self.text, self.text, lambda: self.chance.choice(NUMBERS), self.items, self.map,
            lambda: None, lambda: True, lambda: b"\xff\x00", self.deep, lambda: {"ref": "mine_obj"},
        )  # fmt: skip
        return self.chance.choice(kinds)()

    def items(self):
        many = self.chance.choice((0, 1, 5, 3000))
        return [self.chance.choice((1, "a", None, [2], {"b": 3})) for _ in range(many)]

    def map(self):
        keys = [self.text()[:60] for _ in range(self.chance.randrange(4))]
        return {key: self.chance.choice((1, "a", None)) for key in keys}

    def deep(self):
        value = []
        for _ in range(self.chance.choice((10, 31, 40))):
            value = [value] if self.chance.random() < 0.5 else {"k": value}
        return value

    def examples(self):
        return [
            {"args": [self.chance.choice((1, "a"))], "result": self.chance.choice((2, "a", None))}
            for _ in range(self.chance.choice((0, 1, 2, MAX_EXAMPLES + 1)))
        ]

    def mutate(self, packed):
        """Return the bytes with some of them changed, removed or doubled."""
        data = bytearray(packed)
        for _ in range(self.chance.randrange(1, 6)):
            at = self.chance.randrange(len(data))
            change = self.chance.randrange(3)
            if change == 0:
                data[at] = self.chance.randrange(256)
            elif change == 1:
                del data[at : at + self.chance.randrange(1, 4)]
            else:
                data[at:at] = data[at : at + self.chance.randrange(1, 9)]
            data = data or bytearray(b"\x80")
        return bytes(data)


@contextlib.contextmanager
def pinging(door):
    """Ping beside what happens; give the list of how long each answer took."""
    took, has_ended = [0.0], threading.Event()

    def ping():
        with Wire(door) as wire:
            while not has_ended.wait(0.02):
                started = time.monotonic()
                wire.ask("ping")
                took.append(time.monotonic() - started)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(ping)
        try:
            yield took
        finally:
            has_ended.set()
            running.result()


def ask_all(wire, requests, count, codes):
    """Send so many requests; each gets one last answer, whose code is counted."""
    frames = (one for one in requests if max(map(len, one), default=0) < MAX_FRAME)
    for start in range(0, count, AT_ONCE):
        batch = list(itertools.islice(frames, min(AT_ONCE, count - start)))
        for one in batch:
            wire.socket.send_multipart(one)
        for _ in batch:
            while (told := wire.receive())[0] in ("accepted", "event"):
                pass
            code = told[2].get("code", "") if told[0] == "error" else ""
            codes[code] += 1


async def fuzz_verbs(settings):
    """Every verb, with fields right, wrong, missing, huge and deep; and mutations of all that.

    The long form is many kernels, each with requests of its own: an image grows by what it is
    asked to keep, and some verbs read the whole of it.
    """
    kernels, count = (25, 4_000) if settings.full else (1, 1_000)
    codes, most, silence = Counter(), [], 0.0
    for number in range(kernels):
        place = settings.folder / f"{number}"
        sizes, waited = await fuzz_kernel(place, settings.seed + number, count, codes)
        assert sizes[3] - sizes[1] < 10 * MIB, [size // MIB for size in sizes]
        most.append(sizes[3] - sizes[1])
        silence = max(silence, waited)
    answered = codes.pop("", 0)
    assert "INTERNAL" not in codes, codes
    return (
        f"{kernels * count:,} requests of {len(REQUESTS)} verbs: {answered:,} results, "
        f"{len(codes)} codes, 0 INTERNAL, 0 silent; a ping waited at most {silence:.1f} s; "
        f"second half {grown(0, max(most))}"
    )


async def fuzz_kernel(place, seed, count, codes):
    """Ask a new kernel; return what it holds after each quarter, and the longest wait of a ping."""
    async with kernel(place / "verbs") as process:
        pid, door = process.process.pid, process.endpoint()["ipc"]
        sizes = []
        with Wire(door, RCVTIMEO=300_000) as wire, pinging(door) as silences:
            for _ in range(4):  # the same each time: only later growth is a leak
                ask_all(wire, iter(Requests(seed, place)), count // 4, codes)
                sizes.append(at_rest(pid))
            assert wire.ask("health")[0] == "result"
        log = process.log()
        assert "Traceback" not in log, log[log.index("Traceback") - 300 :][:3_000]
    return sizes, max(silences)


def known_sentences():
    """Return sentences of each form and skill, and follow-ups."""
    forms = (CASES / "forms.jsonl").read_text().splitlines()
    skills = (CASES / "skills.jsonl").read_text().splitlines()
    talks = tomllib.loads((CASES / "talks.toml").read_text())["talk"]
    said = [json.loads(line)["say"] for line in forms]
    said += [each for line in skills for each in json.loads(line).get("repeats", ())]
    return [*said, *(turn["say"] for talk in talks for turn in talk["turns"])]


class Sentences:
    """Makes requests to say, or of names and values that are read as a sentence; by a seed."""

    def __init__(self, seed):
        self.chance = random.Random(seed)  # noqa: S311 - the same sentences every time
        self.numbers = itertools.count()
        self.known = known_sentences()
        self.atoms = atoms()

    def __iter__(self):
        while True:
            kind, many = self.chance.randrange(8), self.chance.choice((2, 300))
            if kind == 0:  # hundreds of arguments, and names that are long
                verb = self.chance.choice(("send", "brief"))
                yield self.request(verb, target=self.chance.choice(NAMES), selector=self.name(),
                                   args=[self.deep() for _ in range(many)],
                                   kwargs={f"a{n}": n for n in range(many)})  # fmt: skip
            else:
                yield self.request("say", body={"text": self.sentence()})

    def request(self, verb, **fields):
        session = f"s{self.chance.randrange(5)}"  # so that some are follow-ups of others
        said = {"v": 1, "type": verb, "id": f"{next(self.numbers)}", "session": session}
        return [MAGIC, ormsgpack.packb({**said, "ttl_ms": 5_000, **fields})]

    def sentence(self):
        """Return a known sentence, one of some words, or one of one part again and again."""
        chance, kind = self.chance, self.chance.randrange(4)
        if kind == 0:
            return chance.choice(self.known)
        if kind == 1:
            return "".join(chance.choice(self.atoms) for _ in range(chance.randrange(1, 40)))
        frame = chance.choice(("{}", *(f"{one} {{}}" for one in self.known if "{" not in one)))
        atom, length = chance.choice(self.atoms), chance.choice((60, 500, 1_990, 20_000))
        return frame.format(atom * (length // len(atom)))

    def name(self):
        words = self.chance.choice(("add", "count_all", "x", "of_a", "1"))
        return "_".join([words] * self.chance.choice((1, 3, 40, 60)))[:200]

    def deep(self):
        value = self.chance.choice((1, "a", 2.5, None))
        for _ in range(self.chance.choice((0, 0, 1, 30))):
            value = [value] if self.chance.random() < 0.5 else {"k": value}
        return value


def end_of_trace(log):
    """Return the last lines of the first traceback in a log."""
    lines = log[log.index("Traceback") :].splitlines()
    ends = (at for at, line in enumerate(lines) if at and not line.startswith("  "))
    end = next(ends, len(lines))
    return "\n".join(lines[max(0, end - 7) : end + 1])[-480:]


async def fuzz_sentences(settings):
    """Sentences, and what is read as one: each has a coded answer, and the loop stays free."""
    count = settings.kills or (20_000 if settings.full else 300)
    codes, place = Counter(), settings.folder / "said"
    ear = settings.folder / "silences.jsonl"
    async with kernel(place, OddKernelProcess, knobs={EAR: str(ear)}) as process:
        ear.write_text("")  # what the start does is another matter
        with Wire(process.endpoint()["ipc"], RCVTIMEO=300_000) as wire:
            ask_all(wire, iter(Sentences(settings.seed)), count, codes)
        log = process.log()
    heard = read_silences(ear)
    found = [one for one in heard if one["kind"] == "loop"]
    beside = max((one["work"] for one in heard if one["kind"] != "loop"), default=0.0)
    assert "Traceback" not in log, end_of_trace(log)
    assert "INTERNAL" not in codes, codes
    assert not found, f"{len(found)} silences over {LIMIT} s of work: {found[:3]}"
    return (
        f"{count:,} requests: {codes['']:,} results, {len(codes) - 1} codes, 0 INTERNAL; the loop "
        f"never over {LIMIT} s; another thread had the interpreter for {beside:.2f} s at most"
    )


SCENARIOS = (
    Scenario("verb fuzz", "0 INTERNAL, 0 silent, RSS back within 10 MB", fuzz_verbs),
    Scenario("sentence fuzz", "0 INTERNAL, no silence over 50 ms of work", fuzz_sentences),
)
