"""A year of use on a fake clock: the real daemon in its own process, on a real image.

    python -m benchmarks.year                    365 days; prints a line a month, then a table
    python -m benchmarks.year --days 3 --requests 10 --updates 0 --crashes 1      some seconds

Each day somebody remembers a fact, counts, asks for what was learned, told and read before, and
is reminded; two methods are learned, one document is read. In the night the daemon is left alone
for its idle work and its own backups. Once a week there is a backup by hand, and a wish that
nothing answers. Over the time there are updates (``batos update`` to a new version with an image
format of its own), kills in the middle of a request, a full disk, and a restore of a backup to
another home, where it goes on. The writer of methods is scripted; what it writes is judged,
tested and installed as ever. Exits with 1 if a bound is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bat_os import __version__
from bat_os.client.client import KernelClient
from bat_os.errors import KernelUnreachableError, RemoteError
from bat_os.image.migrations import FORMAT
from bat_os.supervisor.home import Home
from bat_os.supervisor.program import read_program
from benchmarks.clock import Clock
from benchmarks.processor import processor_seconds, resident_mb
from tests.kernels import ROOT, write_script

DAY, HOUR, MINUTE = 86_400.0, 3600.0, 60.0
KEYED = ("send", "say", "learn", "teach")  # may change something, so a key makes them count once
MORNING, EVENING = 8, 20
START_SECONDS, TIMES, GROWTH, BACKUPS = 1.5, 3.0, 1.1, 23  # the bounds
# fmt: off
COLOURS = (
    "red", "blue", "green", "yellow", "black", "white", "brown", "grey", "purple", "orange",
    "pink", "silver", "golden", "striped", "dotted", "small", "large", "old", "new", "broken",
)
THINGS = (
    "umbrella", "key", "lamp", "kettle", "bicycle", "jacket", "ladder", "hammer", "radio",
    "blanket", "suitcase", "basket", "camera", "drill", "teapot", "clock", "mirror", "guitar",
    "tent", "scarf",
)
PLACES = (
    "cellar", "attic", "garage", "kitchen", "hallway", "shed", "study", "cupboard", "wardrobe",
    "car",
)
# fmt: on
PARTS = (
    "bat_os",
    "batos.py",
    "min_watchdog_service.py",
    "persona_codex.jsonl",
    "CHANGELOG.md",
    "requirements-first.txt",
    "requirements.txt",
    "requirements-models.txt",
)  # fmt: skip
GIT = ("git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=0")
STEP = """
def migrate(root):
    root["objects"]["genesis_obj"].set_slot("converted", {number})
"""
GROWS = (
    "from bat_os.image.migrations.format_{number} import migrate as _{number}\n"
    "STEPS = {{**STEPS, {number}: _{number}}}\n"
    "FORMAT: Final = max("
)


def _make_lexicon() -> tuple[list[str], list[float]]:
    """Return words, and how often each is used: as in any language, few of them very often."""
    draw = random.Random(1)  # noqa: S311 - texts, no secrets
    parts = [a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u", "an", "er", "il")]
    words = dict.fromkeys("".join(draw.choices(parts, k=draw.randint(1, 4))) for _ in range(9_000))
    return list(words), [1 / (rank + 2) for rank in range(len(words))]


WORDS, WEIGHTS = _make_lexicon()


def words_for(seed: str, count: int) -> str:
    """Return sentences of so many words, the same for a seed."""
    draw = random.Random(seed)  # noqa: S311 - as above
    text: list[str] = []
    while len(text) < count:
        sentence = draw.choices(WORDS, WEIGHTS, k=draw.randint(7, 16))
        text += [sentence[0].capitalize(), *sentence[1:-1], f"{sentence[-1]}."]
    return " ".join(text)


@dataclass
class Known:
    """What the person has put in, and what must therefore be answered."""

    lessons: list[tuple[str, list[Any], Any]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)  # thing -> where it is
    documents: dict[str, str] = field(default_factory=dict)  # title -> its code
    counted: int = 0
    reminders: list[str] = field(default_factory=list)
    rung: Counter[str] = field(default_factory=Counter)
    bytes: int = 0

    def put(self, *texts: str) -> None:
        """Note what a person gave, in bytes."""
        self.bytes += sum(len(text.encode()) for text in texts)


@dataclass
class Figures:
    """What is printed."""

    wrong: list[str] = field(default_factory=list)
    asked: int = 0
    starts: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  # MB, each evening
    events: Counter[str] = field(default_factory=Counter)
    ideas: int = 0
    resting: Counter[str] = field(default_factory=Counter)  # why idle work ended, by night
    idle_seconds: float = 0.0


class Checkout:
    """The program under git, and where its newer versions come from."""

    def __init__(self, folder: Path) -> None:
        self.root, self._origin, self._number = folder / "program", folder / "origin", 0
        self._origin.mkdir(parents=True)
        for name in PARTS:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self._origin / name)
        shutil.rmtree(self._origin / "bat_os" / "__pycache__", ignore_errors=True)
        (self._origin / ".gitignore").write_text("__pycache__/\n")
        self._git("init", "-q", "-b", "main")
        self._commit(__version__)
        subprocess.run([*GIT, "clone", "-q", str(self._origin), str(self.root)], check=True)

    def publish(self) -> int:
        """Publish the next version; return the image format that it has."""
        self._number += 1
        version, number = f"90.{self._number}.0", FORMAT + self._number
        init = self._origin / "bat_os" / "__init__.py"
        lines = init.read_text().splitlines(keepends=True)
        init.write_text("".join(
            f'__version__ = "{version}"\n' if line.startswith("__version__") else line
            for line in lines
        ))  # fmt: skip
        steps = self._origin / "bat_os" / "image" / "migrations"
        (steps / f"format_{number}.py").write_text(STEP.format(number=number))
        table = (steps / "__init__.py").read_text()
        grown = table.replace("FORMAT: Final = max(", GROWS.format(number=number))
        (steps / "__init__.py").write_text(grown)
        self._commit(version)
        self._git("tag", f"v{version}")
        return number

    def follow(self) -> None:
        """Have the checkout follow what serves, as ``batos update`` says in the end."""
        subprocess.run([*GIT, "pull", "-q", "--ff-only"], cwd=self.root, check=True)

    def _commit(self, text: str) -> None:
        self._git("add", "-A")
        self._git("commit", "-q", "-m", text)

    def _git(self, *words: str) -> None:
        subprocess.run([*GIT, *words], cwd=self._origin, check=True)


class Daemon:
    """A home, and the process that serves it."""

    def __init__(self, folder: Path, clock: Clock, checkout: Checkout | None, days: int) -> None:
        self.home = Home(folder / "home")
        self._folder, self._checkout = folder, checkout
        rules = {f"def skill_{n}(self": f" return number * {n + 2} + 1" for n in range(days)}
        script = write_script(folder / "script.jsonl", rules)
        # Byte code is kept, as it is for a person, whatever this machine is set to.
        ours = {key: kept for key, kept in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        self.environ = ours | clock.environ | {
            "BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(script), "BATOS_POLITE": "false",
            "TZ": "UTC", "BATOS_TCP_PORT": "-1",
        }  # fmt: skip
        self.process: subprocess.Popen[bytes]

    @property
    def root(self) -> Path:
        """Where the three scripts are."""
        return self._checkout.root if self._checkout else ROOT

    @property
    def image(self) -> Path:
        """The image file."""
        return self.home.path / "live_image.fs"

    def client(self) -> KernelClient:
        """Return a client of the daemon."""
        return KernelClient.at(self.home.path)

    async def start(self) -> float:
        """Start the daemon; return the seconds until it is ready."""
        begun = time.perf_counter()
        self._launch()
        while True:
            assert self.process.poll() is None, (self._folder / "daemon.log").read_text()[-2000:]
            try:
                async with self.client() as kernel:
                    health = await kernel.request("health", timeout=30)
            except KernelUnreachableError:
                health = {}
            if health.get("pid") == self.process.pid and health["ready"]:
                return time.perf_counter() - begun
            await asyncio.sleep(0.01)

    def _launch(self) -> None:
        program = read_program(self.home, self.root, __version__)
        with (self._folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [program.python, program.tree / "batos.py", "serve", "--home", self.home.path,
                 "--supervised"],
                env=self.environ, stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process.stdin is not None
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def stop(self) -> None:
        """End it as its watchdog would."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        status = self.process.wait(120)
        assert status == 0, (status, (self._folder / "daemon.log").read_text()[-2000:])

    def run(self, *words: str) -> str:
        """Run a command of the command line; return what it prints."""
        command = [sys.executable, str(self.root / "batos.py"), *words]
        environ = self.environ | {"BATOS_HOME": str(self.home.path)}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout


class Year:
    """The person, and what happens to them."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.options, self._folder = options, folder
        self.clock = Clock(folder / "clock")
        self._checkout = Checkout(folder) if options.updates else None
        self.daemon = Daemon(folder, self.clock, self._checkout, options.days)
        self.known, self.figures = Known(), Figures()
        self._draw = random.Random(options.seed)  # noqa: S311 - what is asked, no secrets
        self._plan = self._make_plan()
        self._keys = 0
        self._client: KernelClient | None = None

    def _make_plan(self) -> dict[int, list[str]]:
        """Return what happens on which day, spread over the time."""
        options, plan = self.options, dict[int, list[str]]()
        counts = {"update": options.updates, "crash": options.crashes, "full disk": 1, "restore": 1}
        shifts = {"update": 0.0, "crash": 0.25, "full disk": 0.1, "restore": 0.2}
        for name, count in counts.items():
            shift = shifts[name]
            for number in range(count):
                day = int((number + 0.5 + shift) / count * options.days)
                plan.setdefault(min(day, options.days - 1), []).append(name)
        return plan

    async def run(self) -> list[tuple[str, str, bool]]:
        """Do ``live`` and hang up."""
        try:
            return await self.live()
        finally:
            await self._leave()

    async def live(self) -> list[tuple[str, str, bool]]:
        """Live it; return the rows of the table: what, the figure, whether it is in its bound."""
        self.clock.forward(DAY + 7 * HOUR - self.clock.now() % DAY)  # tomorrow at 7
        await self.daemon.start()
        empty = self.daemon.image.stat().st_size
        first = None
        for day in range(self.options.days):
            if first is None:
                first = await self._ask_the_same()
            await self._spend_day(day)
            for event in self._plan.get(day, ()):
                await getattr(self, "_" + event.replace(" ", "_"))(day)
                self.figures.events[event] += 1
            await self._sleep(day)
            if day % 30 == 29:
                self._show(day)
        return await self._settle(empty, first)

    # ---- a day ----------------------------------------------------------------------------

    async def _spend_day(self, day: int) -> None:
        acts = [self._recall, self._use, self._compute, self._count, self._search]
        wanted = [
            self._remember,
            self._remind,
            *self._draw.choices(acts, (3, 8, 5, 5, 3), k=self.options.requests - 2),
        ]
        await self._learn(day)
        await self._teach(day)
        await self._read(day)
        if day % 7 == 3:
            await self._fail(day)
        pause = (EVENING - MORNING) * HOUR / (len(wanted) + 1)
        for act in wanted:
            self.clock.forward(pause)
            self.figures.asked += 1
            await act(day)
        if day % 7 == 6:
            await self._back_up()
        self.figures.memory.append(resident_mb(self.daemon.process.pid))

    async def _ask(self, verb: str, *, once: bool = False, **fields: Any) -> dict[str, Any]:
        """Ask, again with the same key where the daemon ended or says that it may be tried.

        With ``once`` an error is final: people do not repeat a request that no model can fulfil.
        """
        if verb in KEYED:
            self._keys += 1
            fields = {"ik": f"{verb}-{self._keys}", **fields}
        while True:
            try:
                if self._client is None:
                    self._client = await self.daemon.client().__aenter__()
                return await self._client.request(verb, timeout=120, **fields)
            except KernelUnreachableError:
                self.figures.events["request asked again"] += 1
                await self._leave()
                if self.daemon.process.poll() is not None:
                    self.figures.events["restart by itself"] += 1
                    await self.daemon.start()
            except RemoteError as error:
                full = error.body["code"] == "STORAGE_FULL"
                if once or full or not error.body["retryable"]:
                    raise
                self.figures.events[f"request asked again: {error.body['code']}"] += 1
                await asyncio.sleep(0.1)

    async def _leave(self) -> None:
        if self._client is not None:
            await self._client.__aexit__(None, None, None)
            self._client = None

    async def _begin(self) -> None:
        """Start the daemon, as its watchdog would, and note how long it took."""
        await self._leave()
        self.figures.starts.append(await self.daemon.start())

    async def _say(self, text: str) -> str:
        body = await self._ask("say", body={"text": text})
        self.known.put(text)
        return str(body["text"])

    async def _send(self, target: str, selector: str, *args: Any, **fields: Any) -> Any:
        reply = await self._ask("send", target=target, selector=selector, args=list(args), **fields)
        self.known.put(f"{target} {selector} {args}")
        return reply["result"]

    def _check(self, what: str, found: Any, wanted: Any) -> None:
        good = wanted in found if isinstance(wanted, str) and isinstance(found, str) else (
            found == wanted
        )  # fmt: skip
        if not good:
            self.figures.wrong.append(f"{what}: {found!r:.120}, not {wanted!r}")

    async def _learn(self, day: int) -> None:
        """Have a method written by a mission."""
        name = f"skill_{day}"
        result = await self._send(
            "genesis_obj", name, 3, body={"examples": [{"args": [2], "result": 2 * day + 5}]}
        )
        self._check(name, result, 3 * (day + 2) + 1)
        self.known.lessons.append((name, [5], 5 * (day + 2) + 1))

    async def _teach(self, day: int) -> None:
        """Give a method that the person wrote."""
        source = (
            f"def label_{day}(self, text):\n"
            f'    """Return the text with the label of day {day}."""\n'
            f'    return f"{{text.strip()}} [{day}]"\n'
        )
        await self._ask("teach", target="genesis_obj", body={"source": source})
        self.known.put(source)
        self.known.lessons.append((f"label_{day}", [" jam "], f"jam [{day}]"))

    async def _read(self, day: int) -> None:
        """Have a document read; somewhere in it stands a code."""
        title, code = f"{WORDS[day]}{WORDS[-1 - day]}", f"{WORDS[day]}{day}"
        text = words_for(title, self.options.words)
        half = text.find(".", len(text) // 2) + 1
        text = f"{text[:half]} The code of {title} is {code}. {text[half:]}"
        await self._ask("learn", body={"title": title, "text": text})
        self.known.put(title, text)
        self.known.documents[title] = code

    async def _fail(self, day: int) -> None:
        """Wish for something that is not written rightly; it becomes idle work."""
        try:
            await self._send("genesis_obj", f"wish_{day}", day, once=True)
        except RemoteError:
            self.figures.events["wish that failed"] += 1

    async def _remember(self, day: int) -> None:
        thing = f"{COLOURS[day % 20]} {THINGS[(day + day // 20) % 20]}"
        place = f"{self._draw.choice(PLACES)} behind box {day}"
        said = await self._say(f"remember that the {thing} is in the {place}")
        self._check("remember", said, thing)
        self.known.facts[thing] = place

    async def _remind(self, day: int) -> None:
        text = f"water plant {day}"
        said = await self._say(f"remind me tomorrow at 7 to {text}")
        self._check("remind", said, text)
        self.known.reminders.append(text)

    async def _recall(self, _day: int) -> None:
        if self.known.facts:
            thing = self._draw.choice(list(self.known.facts))
            said = await self._say(f"where is the {thing}?")
            self._check(f"where is the {thing}", said, self.known.facts[thing])

    async def _use(self, _day: int) -> None:
        name, args, wanted = self._draw.choice(self.known.lessons)
        self._check(name, await self._send("genesis_obj", name, *args), wanted)

    async def _compute(self, _day: int) -> None:
        a, b = self._draw.randint(2, 900), self._draw.randint(2, 900)
        self._check(f"{a} times {b}", await self._say(f"what is {a} * {b}?"), str(a * b))

    async def _count(self, _day: int) -> None:
        key = f"coffee-{self.known.counted}"
        await self._send("counters_obj", "add", "coffees", 1, ik=key)
        self.known.counted += 1

    async def _search(self, _day: int) -> None:
        title = self._draw.choice(list(self.known.documents))
        self._check(title, await self._find(title), self.known.documents[title])

    async def _find(self, title: str) -> str:
        self.known.put(title)
        body = {"text": title, "kind": "document", "limit": 60}  # all of one document
        found = await self._ask("search", body=body)
        return " ".join(one["text"] for one in found["passages"])

    async def _back_up(self) -> None:
        folder = str(self._folder / "safe")
        made = await self._ask("backup", body={"folder": folder})
        self._check("backup", made["damaged"], [])
        self.figures.events["backup by hand"] += 1

    async def _sleep(self, day: int) -> None:
        """Let the night go by: idle work until nothing is left, backups, what is due at 7."""
        begun = time.perf_counter()
        self.clock.forward(2 * HOUR)
        still, busy = 0, False
        while still < 3 and time.perf_counter() - begun < self.options.patience:
            self.clock.forward(0 if busy else MINUTE)
            used = processor_seconds(self.daemon.process.pid)
            await asyncio.sleep(0.1)
            busy = processor_seconds(self.daemon.process.pid) - used > 0.03
            still = 0 if busy else still + 1
        found = await self._ask("proposals")
        self.figures.resting[found["resting"]] += 1
        self.figures.idle_seconds += time.perf_counter() - begun
        self.figures.ideas = max([self.figures.ideas, *(one["n"] for one in found["proposals"])])
        morning = (MORNING * HOUR - self.clock.now()) % DAY
        for _ in range(4):
            self.clock.forward(morning / 4)
            await asyncio.sleep(0.03)
        wanted = f"water plant {day}"
        give_up = time.monotonic() + 60
        while not self.known.rung[wanted] and time.monotonic() < give_up:
            body = await self._ask("due")
            self.known.rung.update(one["text"] for one in body["due"])
            seen = [one["key"] for one in body["due"]]
            if seen:
                await self._ask("due", body={"seen": seen})
            # If the clock jumped while the alarm was working out its wait, it looks a minute later.
            self.clock.forward(1)
            await asyncio.sleep(0.02)

    # ---- what happens now and then --------------------------------------------------------

    async def _restart(self) -> None:
        self.daemon.stop()
        await self._begin()

    async def _update(self, _day: int) -> None:
        assert self._checkout is not None
        number = self._checkout.publish()
        self.daemon.stop()
        said = self.daemon.run("update")
        assert said.splitlines()[-1] == "done", said
        self._checkout.follow()
        await self._begin()
        slots = await self._ask("inspect", target="genesis_obj")
        self._check("format", slots["slots"].get("converted"), number)

    async def _crash(self, _day: int) -> None:
        """Kill it while it counts; ask again with the same key, as clients do."""
        key = f"coffee-{self.known.counted}"
        async with self.daemon.client() as kernel:
            asking = asyncio.create_task(
                kernel.request(
                    "send", timeout=60, target="counters_obj", selector="add",
                    args=["coffees", 1], ik=key,
                )
            )  # fmt: skip
            await asyncio.sleep(self._draw.random() * 0.02)
            self.daemon.kill()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await self._begin()
        await self._send("counters_obj", "add", "coffees", 1, ik=key)
        self.known.counted += 1

    async def _full_disk(self, day: int) -> None:
        """Let no file grow; what is known is answered, what is new refused until there is room."""
        process, size = self.daemon.process, self.daemon.image.stat().st_size
        hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, hard))
        try:
            await self._send("memory_obj", "remember", f"nothing of day {day}")
        except RemoteError as error:
            self._check("full disk", error.body["code"], "STORAGE_FULL")
        else:
            self._check("full disk", "it was stored", "refused")
        await self._use(day)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        while not (await self._ask("health"))["ready"]:
            self.clock.forward(10)
            await asyncio.sleep(0.05)
        await self._send("memory_obj", "remember", f"the disk was full on day {day}")

    async def _restore(self, day: int) -> None:
        """Go on in another home, made of a backup."""
        await self._back_up()
        self.daemon.stop()
        target = self._folder / f"home-of-day-{day}"
        self.daemon.run("restore", str(self._folder / "safe"), str(target))
        self.daemon.home = Home(target)
        await self._begin()
        await self._ask("schedules", body={"wake": True})

    # ---- how it went ----------------------------------------------------------------------

    async def _ask_the_same(self) -> list[str]:
        """Return what is answered on the first day and has to be answered on the last."""
        said = [await self._say(f"what is {a}% of {a + 323}?") for a in range(7, 30, 3)]
        said += [await self._say(f"how many {a} are {b}?") for a, b in (
            ("metres", "3 miles"), ("grams", "2 pounds"), ("minutes", "4 hours"),
        )]  # fmt: skip
        return [*said, str(await self._send("genesis_obj", "respondsTo", "clone"))]

    async def _ask_everything(self) -> Counter[str]:
        """Ask for all that was ever put in; return how much of it is right, by kind."""
        right: Counter[str] = Counter()
        known, before = self.known, len(self.figures.wrong)
        for name, args, wanted in known.lessons:
            self._check(name, await self._send("genesis_obj", name, *args), wanted)
            right["lessons"] += len(self.figures.wrong) == before
            before = len(self.figures.wrong)
        for thing, place in known.facts.items():
            self._check(thing, await self._say(f"where is the {thing}?"), place)
            right["facts"] += len(self.figures.wrong) == before
            before = len(self.figures.wrong)
        for title, code in known.documents.items():
            self._check(title, await self._find(title), code)
            right["documents"] += len(self.figures.wrong) == before
            before = len(self.figures.wrong)
        total = await self._send("counters_obj", "total", "coffees")
        self._check("coffees", total, known.counted)
        right["counted"] = total
        right["reminders"] = sum(known.rung[text] == 1 for text in known.reminders)
        return right

    async def _settle(self, empty: int, first: list[str] | None) -> list[tuple[str, str, bool]]:
        figures, known, image = self.figures, self.known, self.daemon.image
        put, during = known.bytes, len(figures.wrong)
        again = await self._ask_the_same()
        room = await self._ask("space")
        told = await self._ask("chronicle")
        packs = sum(one["kind"] == "pack" for one in told["chronicle"])
        size = image.stat().st_size
        right = await self._ask_everything()
        for _ in range(min(5, self.options.days)):
            await self._restart()
        wanted = {
            "lessons": len(known.lessons), "facts": len(known.facts), "counted": known.counted,
            "documents": len(known.documents), "reminders": len(known.reminders),
        }  # fmt: skip
        lost = {name: count - right[name] for name, count in wanted.items()}
        quarter = max(len(figures.memory) // 4, 1)
        early, late = (
            median(part) for part in (figures.memory[:quarter], figures.memory[-quarter:])
        )
        start = median(figures.starts[-5:])
        happened = ", ".join(f"{count} x {name}" for name, count in sorted(figures.events.items()))
        kept = len(list((self.daemon.home.path / "backups").glob("daily-*")))
        times, packed = (size - empty) / put, (size - empty - room["history"]) / put
        shown = ", ".join(f"{right[name]} of {count} {name}" for name, count in wanted.items())
        return [
            ("days; requests; what happened", f"{len(figures.memory)}; {figures.asked}; {happened}",
             True),
            ("answered wrongly on the way", str(during), not during),
            ("answers of the first day, on the last", "the same" if again == first else "OTHERS",
             again == first),
            ("right at the end", shown, not any(lost.values())),
            ("lost", str(sum(lost.values())), not any(lost.values())),
            ("put in by the person", f"{put / 1e6:.2f} MB", True),
            ("image; what shipped with it; history of 30 days and more",
             f"{size / 1e6:.1f}, {empty / 1e6:.1f}, {room['history'] / 1e6:.1f} MB; {packs} packs",
             True),
            ("image without what shipped, by what was put in; without history",
             f"{times:.1f} x, {packed:.1f} x", times <= TIMES),
            ("start, process to ready (median)", f"{start:.2f} s", start <= START_SECONDS),
            ("memory of the daemon, first and last quarter", f"{early:.0f} MB, {late:.0f} MB",
             late <= GROWTH * early),
            ("proposals of idle work; its seconds a night",
             f"{figures.ideas}; {figures.idle_seconds / len(figures.memory):.1f}", True),
            ("daily backups kept", str(kept), 0 < kept <= BACKUPS),
        ]  # fmt: skip

    def _show(self, day: int) -> None:
        today = dt.datetime.fromtimestamp(self.clock.now(), dt.UTC).date()
        size, put = self.daemon.image.stat().st_size / 1e6, self.known.bytes / 1e6
        print(
            f"day {day + 1} ({today}): image {size:.1f} MB, put in {put:.2f} MB, memory "
            f"{self.figures.memory[-1]:.0f} MB, "
            f"{len(self.figures.wrong)} wrong",
            flush=True,
        )


def main(words: list[str] | None = None) -> int:
    """Print the table; return 1 if a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--requests", type=int, default=30, help="a day")
    parser.add_argument("--words", type=int, default=3000, help="of a document")
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("--crashes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=26)
    parser.add_argument("--patience", type=float, default=10.0, help="seconds of idle work a night")
    parser.add_argument("--keep", type=Path, help="a new folder, where all of it stays")
    options = parser.parse_args(words)
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        if options.keep:
            options.keep.mkdir()
        folder = options.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="batos-year-"))
        )
        year = Year(folder, options)
        try:
            rows = asyncio.run(year.run())
        except BaseException:
            print((folder / "daemon.log").read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            if hasattr(year.daemon, "process"):
                year.daemon.kill()
    for text in year.figures.wrong[:20]:
        print(f"WRONG {text}")
    print("\n| what | figure | in its bound |\n|---|---|---|")
    for what, figure, good in rows:
        print(f"| {what} | {figure} | {'yes' if good else 'NO'} |")
    print(f"took {(time.monotonic() - begun) / 60:.1f} minutes; load {os.getloadavg()[1]:.1f}")
    return 0 if all(good for *_, good in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
