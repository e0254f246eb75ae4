"""bat_os.kernel.canary: what came out better, equal and worse, and that nothing of it stays."""

import asyncio
import signal

import pytest

from bat_os.core.brief import Brief
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.engines.scripted import ScriptedEngine
from bat_os.errors import ArgumentsError, BusyError, CancelledError, ModelError, NotFoundError
from bat_os.image import models
from bat_os.image.history.uses import flush
from bat_os.image.preferences import lay_defaults
from bat_os.image.proposals import standing
from bat_os.kernel.canary.verb import make_canary_verbs
from bat_os.kernel.exam import examiner as examiner_module
from bat_os.kernel.exam.examiner import Examiner
from bat_os.kernel.idle.heartbeat import Heartbeat
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs import VERBS
from bat_os.kernel.verbs.idle import install
from tests.kernel.idle.test_heartbeat import Clock, beat_all, graph
from tests.kernel.minds import make_mind
from tests.kernel.verbs import conftest as verbs_conftest
from tests.kernels import ANSWERS, KernelProcess, write_script

pytestmark = pytest.mark.asyncio(loop_scope="module")
learned, brief, taught, latest = (
    getattr(verbs_conftest, name) for name in ("learned", "brief", "taught", "latest")
)
DOUBLE = verbs_conftest.DOUBLE
FIVE = [{"args": [3], "kwargs": {}, "result": 6}]


class Model:
    """Writes rightly; with another prompt, adapter or name it writes as it is told to."""

    def __init__(self):
        self.right, self.other, self.gate = " return number * 2", None, None

    def __call__(self, prompt, sampling, index):
        if sampling.schema is not None:
            return '{"queries": ["x"]}'
        changed = "Be lazy." in prompt.messages[0][1] or self.engine.used[-1]
        return self.other if changed and self.other else self.right


@pytest.fixture
async def mind(image, cell, monkeypatch):
    monkeypatch.setattr(examiner_module, "QUIET_SECONDS", 0.0)
    model = Model()
    model.engine = ScriptedEngine(model)
    made = make_mind(image, cell, None, engine=model.engine)
    await image.transact(lambda root: lay_defaults(root, made.cast.defaults), note="awaken")
    made.abilities["model"] = model
    return made


@pytest.fixture
def model(mind):
    return mind.abilities.pop("model")


@pytest.fixture
def canary(mind):
    """Return a function that asks the verb, and what it told meanwhile."""
    table = make_canary_verbs(Examiner(mind))

    async def run(*of, **body):
        request = check(Request("canary", body={"of": list(of), **body}))
        return await table["canary"](mind, request, run.told.append)

    run.told = []
    return run


def teach(mind, selector, source, examples=()):
    body = {"source": f"def {selector}(self, n):\n{source}\n", "examples": list(examples)}
    request = check(Request("teach", target="genesis_obj", body=body))
    return VERBS["teach"](mind, request, lambda told: None)


async def test_a_version_that_answers_otherwise_is_reported_with_its_mission(
    mind, model, canary, brief, latest
):
    mission = (await brief("double", 22, examples=DOUBLE))["body"]["brief_id"]
    source = "def double(self, number):\n    return number * (3 if number == 22 else 2)\n"
    request = Request("teach", target="genesis_obj", body={"source": source, "examples": []})
    await VERBS["teach"](mind, check(request), lambda told: None)
    now = await latest()
    assert (await canary())["worse"][0]["mission"] == mission
    before = await graph(mind.image)
    told = await canary("genesis_obj", "double", "1")
    assert [row["what"] for row in told["better"]] == ["genesis_obj.double(22)"]
    assert told["worse"] == []
    assert told["take"] == "batos redo genesis_obj double 1"
    assert await graph(mind.image) == before
    assert await latest() == now


async def test_a_worse_version_is_seen_in_the_methods_that_call_it(mind, model, canary):
    await teach(mind, "base", "    return n + 1")
    await teach(mind, "twice", "    return self.base(n) * 2 - 2", FIVE)
    await teach(mind, "base", "    return 1 + n")
    await teach(mind, "base", "    return n + 7")
    await teach(mind, "base", "    return n - -1")
    told = await canary("genesis_obj", "base", "3")
    assert [row["what"] for row in told["worse"]] == ["genesis_obj.twice(3)"]
    assert told["worse"][0]["after"] == "18"
    told = await canary("genesis_obj", "base", "2")
    assert (told["better"], told["worse"], told["equal"]) == ([], [], told["replayed"])
    assert told["replayed"]


async def test_what_is_answered_by_chance_is_not_worse(mind, model, canary):
    await teach(mind, "roll", "    import random\n    return random.randint(0, 10 ** 9)")
    await take_turn(mind.image, mind.cell, Brief("genesis_obj", "roll", (1,)))
    await flush(mind.image)
    await teach(mind, "roll", "    import random\n    return random.randint(1, 10 ** 9)")
    assert (await canary("genesis_obj", "roll", "1"))["worse"] == []


async def test_changed_data_is_no_difference_and_a_changed_method_is(mind, model, canary):
    async def put(slot, value):
        brief = Brief("genesis_obj", "setSlot", (slot, value))
        await take_turn(mind.image, mind.cell, brief)

    await put("total", 1)
    await teach(mind, "rest", "    return self.total - n")
    await teach(mind, "left", "    return self.rest(n) + self.total")
    assert (await take_turn(mind.image, mind.cell, Brief("genesis_obj", "left", (1,)))).value == 1
    await flush(mind.image)
    await put("total", 5)
    told = await canary()
    assert (told["worse"], told["equal"]) == ([], told["replayed"])
    await teach(mind, "rest", "    return n")
    (row,) = (await canary())["worse"]
    assert (row["what"], row["known"], row["after"]) == ("genesis_obj.left(1)", "1", "6")


async def test_a_prompt_that_writes_worse_is_reported_with_the_wish_and_set_nowhere(
    mind, model, canary, learned, latest
):
    mission = await learned()
    now, seen = await latest(), dict(mind.roster._assign)
    model.other = " return number * 5"
    told = await canary("alfred", "voice", "Be lazy.")
    (row,) = told["worse"]
    assert (row["mission"], row["before"], row["after"]) == (
        mission,
        "8 of 8 drafts right",
        "0 of 8",
    )
    assert told["take"] == "batos personas set alfred voice 'Be lazy.'"
    assert await latest() == now
    assert dict(mind.roster._assign) == seen
    assert canary.told[0]["text"] == "1 wishes are written anew, 8 drafts each, in two ways"
    assert (canary.told[-1]["done"], canary.told[-1]["total"]) == (2, 2)

    model.other = None
    told = await canary("alfred", "voice", "Be lazy.")
    assert (told["worse"], told["better"], told["equal"]) == ([], [], 1)


async def test_a_prompt_that_was_set_is_compared_with_the_one_before(mind, model, canary, learned):
    await learned()
    model.other = " return None"
    body = {"key": "codex.voice", "do": "set", "value": "Be lazy."}
    request = check(Request("entry", target="alfred_obj", body=body))
    await VERBS["entry"](mind, request, lambda told: None)
    told = await canary("alfred", "voice")
    assert len(told["worse"]) == 1
    assert (told["take"], told["leave"]) == ("", "batos personas undo alfred voice")


async def test_an_adapter_that_writes_better_is_said_with_the_command_that_takes_it(
    mind, model, canary, learned, tmp_path
):
    await learned()
    model.right, model.other = " return number * 5", " return number * 2"
    for name in models.ADAPTER_FILES:
        (tmp_path / name).write_text("{}")
    await models.ingest_folder(mind.image, "own", tmp_path, meta={"kind": "adapter"})
    with pytest.raises(ModelError, match="own is not one for the model"):
        await canary("own")
    await model.engine.add_adapter("own", tmp_path)
    told = await canary("own")
    assert len(told["better"]) == 1
    assert told["take"] == "batos personas set alfred writing own"
    assert mind.cast.assigned["ALFRED"].writing != "own"


async def test_what_the_canary_cannot_tell_is_said(mind, model, canary):
    for of, error, why in (
        (("alfred", "role", "a poet"), ArgumentsError, "no part in how methods are written"),
        (("idle", "step", "begin"), ArgumentsError, "no part in how methods are written"),
        (("alfred",), ArgumentsError, "which entry"),
        (("alfred", "voice"), ArgumentsError, "is as the program has it"),
        (("alfred", "temperature", "hot"), ArgumentsError, "temperature"),
        (("nobody",), NotFoundError, "found no model, adapter or persona"),
        (("genesis_obj", "unheard_of", "2"), NotFoundError, "unheard_of"),
        (("genesis_obj", "double", "two"), NotFoundError, "SELECTOR VERSION"),
    ):
        with pytest.raises(error, match=why):
            await canary(*of)


async def test_one_runs_at_a_time_and_can_be_ended(mind, model, canary, learned):
    await learned()
    model.engine._gate = asyncio.Event()
    first = asyncio.create_task(canary("alfred", "voice", "Be lazy."))
    while not canary.told:  # noqa: ASYNC110 - what begins has no event
        await asyncio.sleep(0.01)
    with pytest.raises(BusyError):
        await canary()
    assert await canary(cancel=True) == {"cancelled": True}
    with pytest.raises(CancelledError):
        await first
    assert await canary(cancel=True) == {"cancelled": False}
    assert "as it is" not in mind.roster._assign
    assert (await canary())["worse"] == []


async def test_a_mended_version_that_makes_something_worse_is_not_proposed(mind, model):
    await teach(mind, "spare", "    return n + 1")
    await teach(mind, "uses", "    return self.spare(n) * 2", [{**FIVE[0], "result": 8}])

    async def look():
        heart = Heartbeat(mind, install)
        heart.around = Clock().around()
        await beat_all(heart)
        return [row["kind"] for row in await mind.image.transact(standing, note="look")]

    twin = "    return self.number_of(n)"
    await teach(mind, "number_of", "    return 1 + n")
    await teach(mind, "spare", twin)
    assert await look() == []


async def test_a_new_version_that_answers_otherwise_is_found_while_idle_and_left(mind, canary):
    await teach(mind, "triple", "    return n * 3", [{**FIVE[0], "result": 9}])
    await teach(mind, "twice", "    return self.triple(n) - n")
    await take_turn(mind.image, mind.cell, Brief("genesis_obj", "twice", (3,)))
    await flush(mind.image)
    await teach(mind, "triple", "    return n * 3 if n != 4 else 12")
    heart = Heartbeat(mind, install)
    heart.around = Clock().around()
    await beat_all(heart)
    assert await mind.image.transact(standing, note="look") == []

    await teach(mind, "twice", "    return self.triple(n)")
    before = await graph(mind.image)
    await beat_all(heart)
    assert await graph(mind.image) == before
    (row,) = await mind.image.transact(standing, note="look")
    assert row["kind"] == "canary"
    assert row["what"] == (
        "Since version 2 of genesis_obj.twice, genesis_obj.twice(3) comes to 9 and not to 6"
    )
    request = check(Request("accept", body={"n": row["n"]}))
    undo = (await VERBS["accept"](mind, request, lambda told: None))["undo"]
    assert (undo["verb"], undo["version"]) == ("redo", 2)
    told = await take_turn(mind.image, mind.cell, Brief("genesis_obj", "twice", (5,)))
    assert told.value == 10
    await beat_all(heart)
    assert await mind.image.transact(standing, note="look") == []


@pytest.mark.system
async def test_a_daemon_killed_in_the_middle_has_lost_nothing(tmp_path):
    script = write_script(tmp_path / "script.jsonl", ANSWERS)
    daemon = KernelProcess(tmp_path / "home", script).start()
    try:
        await daemon.until_ready()
        sent = {"target": "genesis_obj", "selector": "double", "kwargs": {"number": 21}}
        async with daemon.client() as client:
            await client.request("brief", timeout=120, body={"examples": DOUBLE}, **sent)
            before = await client.request("versions", timeout=60, target="genesis_obj",
                                          selector="double")  # fmt: skip
            begun = asyncio.Event()
            body = {"of": ["alfred", "voice", "Be lazy."]}
            asked = asyncio.create_task(
                client.request("canary", timeout=120, body=body, on_event=lambda *_: begun.set())
            )
            waits = asyncio.create_task(begun.wait())
            await asyncio.wait((waits, asked), return_when=asyncio.FIRST_COMPLETED)
            assert begun.is_set(), await asked
            daemon.process.send_signal(signal.SIGKILL)
            daemon.wait()
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        daemon.start()
        await daemon.until_ready()
        async with daemon.client() as client:
            again = await client.request("versions", timeout=60, target="genesis_obj",
                                         selector="double")  # fmt: skip
            assert again == before
            told = await client.request("canary", timeout=120)
            assert (told["worse"], told["replayed"] > 0) == ([], True)
        assert not list((tmp_path / "home" / "forks").glob("*"))
    finally:
        daemon.stop()
