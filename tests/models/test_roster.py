"""bat_os.models.roster: turns, room in memory, keep-alive, and those who leave too early."""

import asyncio
import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.engines.scripted import ScriptedEngine
from bat_os.errors import BusyError, ModelError, ModelMemoryError, NotFoundError, ShuttingDownError
from bat_os.models.memory import REMOTE_WIDTH
from bat_os.models.residency import MAX_WAIT, Assignment
from bat_os.models.roster import MAX_WAITING, Roster
from bat_os.ports import Completion, Prompt, Sampling

MB = 10**6
PROMPT = [Prompt((("user", "hello"),))]
UNFINISHED = [Completion("", 0, finished=False)]
WHO = {"ALFRED": "A", "BRICK": "B", "ROBIN": "C"}


class Bench:
    """A machine: its memory, its clock, and all that happens on it, in order."""

    def __init__(self):
        self.held = 1000 * MB
        self.on_gpu = 0
        self.now = 0.0
        self.events = []
        self.changed = asyncio.Condition()

    def take(self, device, size):
        if device == "cuda":
            self.on_gpu += size
        else:
            self.held += size

    async def note(self, *event):
        self.events.append(event)
        async with self.changed:
            self.changed.notify_all()

    async def until(self, *event, times=1):
        async with self.changed:
            await self.changed.wait_for(lambda: self.events.count(event) >= times)

    def happened(self, what):
        return [event[1:] for event in self.events if event[0] == what]


class BenchEngine:
    """A ModelEngine that takes memory of a Bench; gates hold loads and draws back.

    ``device`` is where its loads go, which it says after the first.
    """

    def __init__(
        self, bench, name, size=100 * MB, *, kind="bench", adapters=(), leak=0, device="cpu"
    ):
        self.bench, self.name, self.size, self.leak = bench, name, size, leak
        self.goes_to, self.device = device, ""
        self.kind, self.adapters = kind, adapters
        self.state, self.calls, self.drawing = "unloaded", 0, 0
        self.load_gate, self.draw_gate = asyncio.Event(), asyncio.Event()
        self.load_gate.set()
        self.draw_gate.set()
        self.load_errors, self.draw_errors = [], []
        self.closed = False
        self.digest = f"digest of {name}"

    async def load(self):
        if self.state == "resident":
            return
        await self.bench.note("loading", self.name)
        await self.load_gate.wait()
        if self.load_errors:
            raise self.load_errors.pop(0)
        self.state, self.device = "resident", self.goes_to
        self.bench.take(self.device, self.size)
        await self.bench.note("loaded", self.name)

    async def unload(self):
        if self.state == "resident":
            self.state = "unloaded"
            self.bench.take(self.device, self.leak - self.size)
            await self.bench.note("unloaded", self.name)

    async def generate(self, prompts, sampling, *, adapter="", cancel=None, on_text=None):
        assert self.state == "resident", "the roster loads first"
        self.drawing += 1
        try:
            await self.bench.note("drawing", self.name, adapter)
            await self.draw_gate.wait()
            if self.draw_errors:
                raise self.draw_errors.pop(0)
            if on_text:
                on_text(0, self.name)
            self.calls += 1
            return [
                Completion(f"{self.name}{adapter} {sampling.seconds:g}", 1, True) for _ in prompts
            ]
        finally:
            self.drawing -= 1

    def stats(self):
        return {
            "name": self.name,
            "engine": self.kind,
            "state": self.state,
            "device": self.device,
            "bytes": self.size if self.state == "resident" else 0,
            "load_seconds": 0.5,
            "adapters": list(self.adapters),
            "calls": self.calls,
        }

    async def close(self):
        self.closed = True
        await self.bench.note("closed", self.name)


@pytest.fixture
async def bench():
    return Bench()


@pytest.fixture
async def make(bench):
    """Return a function that makes a roster of models A, B, C for ALFRED, BRICK, ROBIN."""
    made = []

    def build(*engines, budget=1000 * MB, assign=None, sizes=None):
        rosters = Roster(
            {engine.name: engine for engine in engines},
            assign or {who: Assignment(model) for who, model in WHO.items()},
            budget,
            clock=lambda: bench.now,
            memory=lambda: bench.held,
            sizes=sizes or {},
        )
        made.append((rosters, engines))
        return rosters

    yield build
    for roster, engines in made:
        await roster.close()
        assert all(engine.closed and not engine.drawing for engine in engines)


def ask(roster, persona="ALFRED", *, seconds=0.0, **options):
    asking = roster.generate(persona, PROMPT, Sampling(seconds=seconds), **options)
    return asyncio.create_task(asking)


def facts(roster, model="A"):
    return next(one for one in roster.stats()["models"] if one["name"] == model)


async def test_a_persona_is_answered_by_its_model_which_is_loaded_once(bench, make):
    roster = make(BenchEngine(bench, "A"), BenchEngine(bench, "B"))

    answers = [await ask(roster), await ask(roster), await ask(roster, "BRICK")]

    assert [text.text for [text] in answers] == ["A 0", "A 0", "B 0"]
    assert bench.happened("loaded") == [("A",), ("B",)]


async def test_the_scripted_engine_serves_in_a_roster():
    engine = ScriptedEngine(["good evening"])
    roster = Roster({"A": engine}, {"ALFRED": Assignment("A")}, budget=MB)

    [answer] = await roster.generate("ALFRED", PROMPT, Sampling())

    assert answer.text == "good evening"
    assert (roster.model_of("ALFRED"), roster.digest_of("ALFRED")) == ("A", engine.digest)
    await roster.close()


async def test_no_prompts_no_model(bench, make):
    roster = make(BenchEngine(bench, "A"))

    assert await roster.generate("ALFRED", [], Sampling()) == []
    assert bench.events == []


async def test_a_method_is_written_through_the_adapter_for_that(bench, make):
    assign = {"ALFRED": Assignment("A", adapter="dry", writing="writer")}
    roster = make(BenchEngine(bench, "A", adapters=("dry", "writer")), assign=assign)

    await ask(roster)
    await ask(roster, writing=True)

    assert bench.happened("drawing") == [("A", "dry"), ("A", "writer")]


async def test_an_adapter_that_the_model_lacks_is_left_out_and_told_once(bench, make, caplog):
    roster = make(BenchEngine(bench, "A"), assign={"ALFRED": Assignment("A", writing="writer")})

    with caplog.at_level(logging.WARNING):
        await ask(roster, writing=True)
        await ask(roster, writing=True)

    assert bench.happened("drawing") == [("A", ""), ("A", "")]
    assert [record.getMessage() for record in caplog.records] == [
        "model A has no adapter writer and goes without it"
    ]


async def test_waiting_requests_are_grouped_by_model_and_adapter(bench, make):
    a = BenchEngine(bench, "A", adapters=("x",))
    assign = {"ALFRED": Assignment("A", writing="x"), "BRICK": Assignment("B")}
    roster = make(a, BenchEngine(bench, "B"), assign=assign)
    a.draw_gate.clear()
    asked = [ask(roster)]
    await bench.until("drawing", "A", "")
    for writing in (False, True, False):
        asked += [ask(roster, "BRICK"), ask(roster, writing=writing)]
    await asyncio.sleep(0)
    a.draw_gate.set()
    await asyncio.gather(*asked)

    order = [("A", "")] * 3 + [("A", "x")] + [("B", "")] * 3
    assert bench.happened("drawing") == order
    assert bench.happened("loaded") == [("A",), ("B",)]


async def test_who_has_waited_too_long_goes_before_those_of_the_same_model(bench, make):
    a = BenchEngine(bench, "A")
    roster = make(a, BenchEngine(bench, "B"))
    a.draw_gate.clear()
    first = ask(roster)
    await bench.until("drawing", "A", "")
    others = [ask(roster, "BRICK"), ask(roster)]
    await asyncio.sleep(0)
    bench.now = MAX_WAIT
    a.draw_gate.set()
    await asyncio.gather(first, *others)

    assert bench.happened("drawing") == [("A", ""), ("B", ""), ("A", "")]


async def test_the_least_recently_used_model_makes_room(bench, make):
    engines = [BenchEngine(bench, name) for name in "ABC"]
    roster = make(*engines, budget=250 * MB, sizes={"C": 100 * MB})
    for now, persona in enumerate(("ALFRED", "BRICK", "ALFRED")):
        bench.now = now
        await ask(roster, persona)
    await ask(roster, "ROBIN")

    assert bench.happened("unloaded") == [("B",)]
    assert bench.events.index(("unloaded", "B")) < bench.events.index(("loading", "C"))
    assert roster.stats()["used"] == 200 * MB


async def test_a_pinned_model_stays_until_it_is_unpinned(bench, make):
    engines = [BenchEngine(bench, name) for name in "ABC"]
    roster = make(*engines, budget=250 * MB)
    roster.pin("A")
    for bench.now, persona in enumerate(("ALFRED", "BRICK", "ROBIN")):
        await ask(roster, persona)
    roster.unpin("A")
    bench.now = 10
    await ask(roster, "BRICK")

    assert bench.happened("unloaded") == [("B",), ("A",)]


async def test_what_does_not_fit_beside_the_pinned_fails_with_the_figures(bench, make):
    a, b = BenchEngine(bench, "A", 700 * MB), BenchEngine(bench, "B", 600 * MB)
    assign = {"ALFRED": Assignment("A", pinned=True), "BRICK": Assignment("B")}
    roster = make(a, b, assign=assign, sizes={"B": 600 * MB})
    await ask(roster)

    with pytest.raises(ModelMemoryError) as caught:
        await ask(roster, "BRICK")

    said = "model B needs 0.6 GB, and 0.3 GB of the budget for models (1.0 GB) are missing "
    assert str(caught.value).startswith(f"{said}beside A (0.7 GB); unpin")
    assert b.state == "unloaded"
    assert [one.text for one in await ask(roster)] == ["A 0"]


async def test_a_model_that_turns_out_larger_sends_others_away_afterwards(bench, make):
    roster = make(BenchEngine(bench, "A", 500 * MB), BenchEngine(bench, "B", 600 * MB))
    await ask(roster)
    await ask(roster, "BRICK")

    assert bench.happened("unloaded") == [("A",)]
    assert roster.stats()["used"] == 600 * MB


async def test_a_model_that_turns_out_larger_than_the_budget_is_put_out_again(bench, make):
    a = BenchEngine(bench, "A", 1100 * MB)
    roster = make(a)

    for _ in range(2):
        with pytest.raises(ModelMemoryError, match=r"needs 1\.1 GB"):
            await ask(roster)

    assert a.state == "unloaded"
    assert bench.happened("loading") == [("A",)], "the second time it is known before"


async def test_what_the_process_grew_by_counts_when_it_is_more_than_the_engine_says(bench, make):
    a = BenchEngine(bench, "A", 100 * MB)
    roster = make(a, BenchEngine(bench, "B"))
    a.load_gate.clear()
    asked = ask(roster)
    await bench.until("loading", "A")
    bench.held += 50 * MB
    a.load_gate.set()
    await asked

    assert facts(roster)["bytes"] == 150 * MB


async def test_a_guess_refuses_nobody_who_would_have_all_to_itself(bench, make):
    roster = make(BenchEngine(bench, "A"), BenchEngine(bench, "B"), sizes={"B": 3000 * MB})
    await ask(roster)
    await ask(roster, "BRICK")

    assert bench.happened("unloaded") == [("A",)], "what is thought to be large gets all the room"
    assert roster.stats()["used"] == 100 * MB


async def test_models_on_the_gpu_and_in_main_memory_do_not_send_each_other_away(bench, make):
    gpu = [BenchEngine(bench, name, 300 * MB, kind="transformers", device="cuda") for name in "AB"]
    here = BenchEngine(bench, "C", 900 * MB, kind="llama.cpp")
    roster = make(*gpu, here)
    roster.budget_gpu(500 * MB, lambda: bench.on_gpu)
    for persona in ("ALFRED", "ROBIN", "BRICK"):
        await ask(roster, persona)

    assert bench.happened("unloaded") == [("A",)]
    assert (bench.on_gpu, bench.held) == (300 * MB, 1900 * MB)
    told = roster.stats()
    assert (told["budget"], told["used"]) == (1000 * MB, 900 * MB)
    assert told["gpu"] == {"budget": 500 * MB, "used": 300 * MB, "lost": 0}
    assert [facts(roster, name)["device"] for name in "ABC"] == ["cuda", "cuda", "cpu"]


async def test_a_model_that_did_not_go_to_the_gpu_counts_where_it_is(bench, make):
    stays = BenchEngine(bench, "A", 800 * MB, kind="transformers")
    roster = make(stays, BenchEngine(bench, "B", 300 * MB))
    roster.budget_gpu(500 * MB, lambda: bench.on_gpu)
    await ask(roster)
    await ask(roster, "BRICK")

    assert bench.happened("unloaded") == [("A",)]
    assert roster.stats()["gpu"]["used"] == 0


async def test_a_gpu_that_is_too_small_is_named_in_the_refusal(bench, make):
    roster = make(BenchEngine(bench, "A", 600 * MB, kind="transformers", device="cuda"))
    roster.budget_gpu(500 * MB, lambda: bench.on_gpu)
    with pytest.raises(ModelMemoryError, match=r"budget for models \(0\.5 GB of the GPU\)"):
        await ask(roster)

    assert bench.on_gpu == 0


@pytest.mark.slow
async def test_memory_that_does_not_come_back_counts_as_used_until_it_does(bench, make, caplog):
    a = BenchEngine(bench, "A", 300 * MB, leak=200 * MB)
    roster = make(a, BenchEngine(bench, "B"), BenchEngine(bench, "C"))
    await ask(roster)
    with caplog.at_level(logging.WARNING):
        await roster.unload("A")

    assert [r.getMessage() for r in caplog.records] == [
        "model A: 0.2 GB did not come back after unloading; they count as used"
    ]
    assert (facts(roster)["lost"], roster.stats()["lost"]) == (200 * MB, 200 * MB)
    bench.held -= 200 * MB
    assert roster.stats()["lost"] == 0


@pytest.mark.slow
async def test_lost_memory_makes_others_leave_but_refuses_nobody(bench, make):
    a = BenchEngine(bench, "A", 300 * MB, leak=300 * MB)
    b, c = BenchEngine(bench, "B", 300 * MB), BenchEngine(bench, "C", 800 * MB)
    roster = make(a, b, c, sizes={"C": 800 * MB})
    await ask(roster)
    await roster.unload("A")
    await ask(roster, "BRICK")

    assert [one.text for one in await ask(roster, "ROBIN")] == ["C 0"]
    assert bench.happened("unloaded") == [("A",), ("B",)]


async def test_a_model_that_cannot_be_loaded_fails_only_its_own_requests(bench, make):
    a, b = BenchEngine(bench, "A"), BenchEngine(bench, "B")
    a.load_errors = [ModelError("a file is damaged")]
    roster = make(a, b)
    broken, fine = ask(roster), ask(roster, "BRICK")

    with pytest.raises(ModelError, match="a file is damaged"):
        await broken
    assert [one.text for one in await fine] == ["B 0"]
    assert [one.text for one in await ask(roster)] == ["A 0"], "and the next one tries again"


async def test_out_of_memory_at_loading_lets_idle_models_go_and_tries_once_more(bench, make):
    a, b, c = (BenchEngine(bench, name) for name in "ABC")
    c.load_errors = [ModelMemoryError("full"), ModelMemoryError("full")]
    roster = make(a, b, c)
    await ask(roster)
    await ask(roster, "BRICK")

    with pytest.raises(ModelMemoryError, match="full"):
        await ask(roster, "ROBIN")
    assert bench.happened("unloaded") == [("A",), ("B",)]
    assert bench.happened("loading").count(("C",)) == 2

    c.load_errors = [ModelMemoryError("full")]
    with pytest.raises(ModelMemoryError, match="no other model could make room"):
        await ask(roster, "ROBIN")


async def test_out_of_memory_at_drawing_lets_idle_models_go_and_tries_once_more(bench, make):
    a, b = BenchEngine(bench, "A"), BenchEngine(bench, "B")
    roster = make(a, b)
    await ask(roster, "BRICK")
    a.draw_errors = [ModelMemoryError("full")]

    assert [one.text for one in await ask(roster)] == ["A 0"]
    assert bench.happened("unloaded") == [("B",)]

    a.draw_errors = [ModelMemoryError("full")]
    with pytest.raises(ModelMemoryError, match="full"):
        await ask(roster)


async def test_an_idle_model_goes_when_its_keep_alive_is_over(bench, make):
    assign = {
        "ALFRED": Assignment("A", keep_alive=300),
        "ROBIN": Assignment("A", keep_alive=10),
        "BRICK": Assignment("B", keep_alive=-1),
    }
    roster = make(BenchEngine(bench, "A"), BenchEngine(bench, "B"), assign=assign)
    for persona in assign:
        await ask(roster, persona)

    bench.now = 299
    assert await roster.sweep() == [], "the longest promise to any of its personas counts"
    bench.now = 301
    assert await roster.sweep() == ["A"]
    bench.now = 1e9
    assert await roster.sweep() == []


async def test_while_the_machine_is_needed_models_go_sooner_but_none_that_is_pinned(bench, make):
    assign = {
        "ALFRED": Assignment("A", keep_alive=300),
        "BRICK": Assignment("B", keep_alive=-1),
        "BABS": Assignment("C", keep_alive=300, pinned=True),
    }
    roster = make(*(BenchEngine(bench, name) for name in "ABC"), assign=assign)
    for persona in assign:
        await ask(roster, persona)

    bench.now = 59
    assert await roster.unload_unused(60) == []
    bench.now = 61
    assert sorted(await roster.unload_unused(60)) == ["A", "B"]


async def test_without_keep_alive_a_model_goes_by_itself_right_after_use(bench, make):
    roster = make(BenchEngine(bench, "A"), assign={"ALFRED": Assignment("A", keep_alive=0)})
    await asyncio.gather(*(ask(roster) for _ in range(3)))
    await bench.until("unloaded", "A")

    assert bench.happened("loaded") == [("A",)], "but not while others wait for it"


@pytest.mark.parametrize("later", [False, True], ids=["from the start", "assigned later"])
async def test_a_pinned_model_outlives_its_keep_alive(bench, make, later):
    assign = {"ALFRED": Assignment("A", keep_alive=5, pinned=True)}
    roster = make(BenchEngine(bench, "A"), assign=None if later else assign)
    if later:
        roster.assign(assign)
    await ask(roster)
    bench.now = 1e9

    assert await roster.sweep() == []
    roster.unpin("A")
    await bench.until("unloaded", "A")


async def test_a_model_that_was_loaded_ahead_answers_at_once_and_goes_when_it_is_not_used(
    bench, make
):
    roster, said = make(BenchEngine(bench, "A")), []
    await roster.load_ahead("ALFRED", said.append)
    assert (said, facts(roster)["state"]) == (["loading the model A"], "resident")
    await roster.load_ahead("ALFRED", said.append)
    await ask(roster)
    assert (bench.happened("loading"), len(said)) == ([("A",)], 1)

    bench.now = Assignment("A").keep_alive + 1
    assert await roster.sweep() == ["A"]
    await roster.load_ahead("ALFRED", said.append)
    bench.now *= 3
    assert await roster.sweep() == ["A"], "nobody has asked for it"


async def test_a_request_that_comes_while_its_model_loads_ahead_waits_for_that_load(bench, make):
    a = BenchEngine(bench, "A")
    roster = make(a)
    a.load_gate.clear()
    loading = asyncio.create_task(roster.load_ahead("ALFRED", lambda _: None))
    await bench.until("loading", "A")
    asked = ask(roster)
    a.load_gate.set()
    await asked
    await loading
    assert bench.happened("loading") == [("A",)]


async def test_no_model_is_loaded_ahead_that_would_send_another_away_or_not_stay(bench, make):
    assign = {
        "ALFRED": Assignment("A"),
        "BRICK": Assignment("B"),
        "ROBIN": Assignment("C", keep_alive=0),
        "BABS": Assignment("D"),
    }
    a, d = BenchEngine(bench, "A"), BenchEngine(bench, "D", kind="openai")
    engines = a, BenchEngine(bench, "B"), BenchEngine(bench, "C"), d
    sizes = dict.fromkeys("ABC", 100 * MB)
    roster = make(*engines, assign=assign, sizes=sizes, budget=150 * MB)
    a.draw_gate.clear()
    asked = ask(roster)
    await bench.until("drawing", "A", "")
    await roster.load_ahead("BRICK", pytest.fail)
    a.draw_gate.set()
    await asked
    for persona in ("BRICK", "ROBIN", "BABS"):
        await roster.load_ahead(persona, pytest.fail)
    assert bench.happened("loading") == [("A",)]


async def test_a_flag_raised_while_waiting_returns_at_once_with_nothing(bench, make):
    a, flag = BenchEngine(bench, "A"), threading.Event()
    roster = make(a)
    a.draw_gate.clear()
    first, second = ask(roster), ask(roster, cancel=flag)
    await bench.until("drawing", "A", "")
    flag.set()

    assert await second == UNFINISHED
    assert (facts(roster)["in_use"], facts(roster)["waiting"]) == (1, 0)
    a.draw_gate.set()
    await first
    assert bench.happened("drawing") == [("A", "")]


async def test_time_spent_waiting_counts_towards_the_deadline(bench, make):
    a = BenchEngine(bench, "A")
    roster = make(a)
    a.draw_gate.clear()
    first = ask(roster)
    await bench.until("drawing", "A", "")
    short, long = ask(roster, seconds=3), ask(roster, seconds=10)
    await asyncio.sleep(0)
    bench.now = 4

    assert await short == UNFINISHED
    a.draw_gate.set()
    await first
    assert [one.text for one in await long] == ["A 6"]


async def test_a_flag_raised_while_loading_returns_at_once_and_the_load_goes_on(bench, make):
    a, flag = BenchEngine(bench, "A"), threading.Event()
    roster = make(a)
    a.load_gate.clear()
    asked = ask(roster, cancel=flag)
    await bench.until("loading", "A")
    flag.set()

    assert await asked == UNFINISHED
    a.load_gate.set()
    await ask(roster)
    assert bench.happened("loading") == [("A",)]
    assert bench.happened("drawing") == [("A", "")]


@pytest.mark.parametrize("moment", ["waiting", "loading", "drawing"])
async def test_an_asker_who_is_cancelled_leaves_no_trace(bench, make, moment):
    a = BenchEngine(bench, "A")
    roster = make(a)
    gate = a.load_gate if moment == "loading" else a.draw_gate
    gate.clear()
    first = ask(roster)
    await (bench.until("loading", "A") if moment == "loading" else bench.until("drawing", "A", ""))
    second = ask(roster)
    await asyncio.sleep(0)
    leaver, stayer = (second, first) if moment == "waiting" else (first, second)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    gate.set()

    assert [one.text for one in await stayer] == ["A 0"]
    assert (facts(roster)["in_use"], facts(roster)["waiting"]) == (0, 0)


async def test_closing_fails_who_waits_and_stops_who_draws(bench, make):
    a = BenchEngine(bench, "A")
    roster = make(a)
    a.draw_gate.clear()
    asked = [ask(roster), ask(roster), ask(roster, cancel=threading.Event())]
    await bench.until("drawing", "A", "")
    await roster.close()

    for answer in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(answer, ShuttingDownError)
    with pytest.raises(ShuttingDownError):
        await ask(roster)
    assert a.closed
    await roster.close()


async def test_closing_in_the_middle_of_a_load_fails_its_request(bench, make):
    a = BenchEngine(bench, "A")
    roster = make(a)
    a.load_gate.clear()
    asked = ask(roster)
    await bench.until("loading", "A")
    await roster.close()

    with pytest.raises(ShuttingDownError):
        await asked


async def test_a_model_that_is_missing_is_named_with_the_command_that_adds_it(bench, make):
    roster = make(BenchEngine(bench, "A"))
    with pytest.raises(ModelError, match="batos models add B SOURCE"):
        await ask(roster, "BRICK")


async def test_models_on_a_server_hold_no_memory_and_keep_nobody_waiting(bench, make):
    server, a = BenchEngine(bench, "B", 9000 * MB, kind="openai"), BenchEngine(bench, "A")
    roster = make(server, a)
    server.draw_gate.clear()
    served = [ask(roster, "BRICK") for _ in range(REMOTE_WIDTH + 1)]
    await bench.until("drawing", "B", "", times=REMOTE_WIDTH)

    await ask(roster)
    assert (facts(roster, "B")["in_use"], facts(roster, "B")["waiting"]) == (REMOTE_WIDTH, 1)
    assert roster.stats()["used"] == 100 * MB
    server.draw_gate.set()
    await asyncio.gather(*served)


async def test_text_is_passed_on_while_it_is_drawn(bench, make):
    heard = []
    roster = make(BenchEngine(bench, "A"))
    await ask(roster, on_text=lambda index, text: heard.append((index, text)))

    assert heard == [(0, "A")]


async def test_another_engine_takes_over_and_the_one_before_ends_what_it_has_begun(bench, make):
    old, new = BenchEngine(bench, "A"), BenchEngine(bench, "A", adapters=("new",))
    roster = make(old)
    old.draw_gate.clear()
    first = ask(roster)
    await bench.until("drawing", "A", "")
    change = asyncio.create_task(roster.change_engine("A", new))
    await bench.until("unloaded", "A")
    await asyncio.sleep(0.01)
    assert (old.closed, facts(roster)["adapters"]) == (False, ["new"])
    second = ask(roster)
    old.draw_gate.set()
    await first
    await change
    await second
    assert (old.closed, old.calls, new.calls) == (True, 1, 1)
    await new.close()


async def test_too_many_waiting_requests_are_refused(bench, make):
    a = BenchEngine(bench, "A")
    roster = make(a)
    a.draw_gate.clear()
    asked = [ask(roster) for _ in range(MAX_WAITING + 1)]
    await bench.until("drawing", "A", "")

    with pytest.raises(BusyError):
        await ask(roster)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.parametrize("verb", ["pin", "unpin", "unload"])
async def test_an_unknown_model_is_not_found(bench, make, verb):
    roster = make(BenchEngine(bench, "A"))
    with pytest.raises(NotFoundError, match="no model 'Z'"):
        await asyncio.ensure_future(getattr(roster, verb)("Z"))


async def test_a_persona_without_a_model_is_told(bench, make):
    with pytest.raises(ModelError, match="JOKER has no model"):
        await ask(make(BenchEngine(bench, "A")), "JOKER")


async def test_the_facts_of_a_model_say_where_it_is_and_who_uses_it(bench, make):
    roster = make(BenchEngine(bench, "A", adapters=("x",)), BenchEngine(bench, "B"))
    bench.now = 5
    await ask(roster)
    bench.now = 7

    assert facts(roster) == {
        "name": "A",
        "engine": "bench",
        "state": "resident",
        "device": "cpu",
        "bytes": 100 * MB,
        "lost": 0,
        "idle_seconds": 2,
        "load_seconds": 0.5,
        "in_use": 0,
        "waiting": 0,
        "pinned": False,
        "adapters": ["x"],
        "replicas": [],
        "hedged": 0,
        "personas": ["ALFRED"],
    }
    assert facts(roster, "B")["idle_seconds"] is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "ask", "leave", "unload", "sweep", "pin", "unpin"]),
        st.sampled_from(list(WHO)),
    ),
    max_size=25,
)


@given(STEPS, st.integers(100, 400))
def test_whatever_happens_the_budget_holds_and_everyone_is_answered(steps, budget):
    asyncio.run(play(steps, budget * MB))


async def play(steps, budget):
    bench = Bench()
    engines = {name: BenchEngine(bench, name, 100 * MB) for name in WHO.values()}
    sizes = dict.fromkeys(engines, 100 * MB)
    assign = {who: Assignment(model, keep_alive=5) for who, model in WHO.items()}
    roster = Roster(engines, assign, budget, lambda: bench.now, lambda: bench.held, sizes)
    asked, left = [], []
    for verb, persona in steps:
        bench.now += 1
        if verb == "ask":
            asked.append(ask(roster, persona))
        elif verb == "leave" and asked:
            asked[-1].cancel()
            left.append(asked.pop())
        elif verb == "unload":
            await roster.unload(WHO[persona])
        elif verb == "sweep":
            await roster.sweep()
        elif verb in ("pin", "unpin"):
            getattr(roster, verb)(WHO[persona])
        await asyncio.sleep(0)
        assert sum(engine.drawing for engine in engines.values()) <= 1
        assert bench.held - 1000 * MB <= budget
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(answer, list | ModelMemoryError), answer
        assert isinstance(answer, list) or "beside" in str(answer), "only pins are in the way"
    await asyncio.gather(*left, return_exceptions=True)
    stats = roster.stats()
    assert stats["waiting"] == 0
    assert [one["in_use"] for one in stats["models"]] == [0, 0, 0]
    await roster.close()
