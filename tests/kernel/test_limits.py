"""bat_os.core.personas, models.profiles: what a profile says is what arrives at the model."""

import json
import re
from dataclasses import replace as replace_in
from importlib import resources

import numpy as np
import pytest
import pytest_asyncio

from bat_os.core.personas import PERSONAS, Limits, shorten_prompts
from bat_os.core.protocol import Request
from bat_os.core.schema import replace
from bat_os.core.verbs import check
from bat_os.engines.scripted import ScriptedEngine
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.verbs import VERBS
from bat_os.models.profiles import parse
from bat_os.models.roster import Roster
from tests.kernel.minds import make_mind, open_mission

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOOK = parse((resources.files("bat_os") / "profiles.toml").read_text())
TINY = BOOK.profile("tiny")
# Nothing in it is what a constant could be.
ODD = replace(
    TINY,
    name="odd",
    personas={
        name: replace(assigned, temperature=0.31 + place / 10, top_p=0.81 + place / 100,
                      top_k=21 + place, max_tokens=131 + place)
        for place, (name, assigned) in enumerate(TINY.personas.items())
    },
    limits=Limits(*range(41, 41 + len(Limits.__struct_fields__))),
)  # fmt: skip
ODD = replace(ODD, limits=replace(ODD.limits, shots=2, passages=2, lacks=2, sentences=1))
PROFILES = [*BOOK.profiles.values(), ODD]
WORDS = "Twice is two times a number, and a number is what is counted. " * 40
ANSWERS = {
    "serves": {"serves": True, "remark": "it helps to share"},
    "facts": {"facts": ["twice is two times"], "sources": [1]},
    "tests": {"tests": [{"args": [4], "result": 8}, {"args": [5], "result": 11}]},
    "queries": {"queries": ["how to double a number"]},
}


class Poor:
    """The cell, with a Python that lacks many things."""

    def __init__(self, cell):
        self.cell = cell

    def __getattr__(self, name):
        return getattr(self.cell, name)

    def stats(self):
        return self.cell.stats() | {"lacks": [f"thing {number}" for number in range(40)]}


class Calls:
    """An engine's script that keeps every call by its kind: (persona, prompt, sampling)."""

    def __init__(self):
        self.kept = {}

    def __call__(self, prompt, sampling, index):
        persona = re.match(r"You are ([A-Z]+)", prompt.messages[0][1])[1]
        asked = (sampling.schema or {}).get("properties", {})
        kind = next((name for name in ANSWERS if name in asked), "")
        kind = kind or ("method" if prompt.prefill else "talk")
        calls = self.kept.setdefault(kind, [])
        calls.append((persona, prompt, sampling))
        if kind == "queries" and len(calls) == 1:
            return "no plan"
        if kind in ANSWERS:
            return json.dumps(ANSWERS[kind])
        bodies = (" return number * 2", " return number + 21")
        return bodies[index % 2] if kind == "method" else "It is a number. It is counted."


def think_as(profile, image, cell, script, **options):
    """Return a mind of this profile whose models all speak by one script."""
    mind = make_mind(image, Poor(cell), (), **options)
    engines = dict.fromkeys(profile.models, ScriptedEngine(script))
    return replace_in(
        mind,
        profile=profile,
        roster=Roster(engines, profile.personas, 1 << 40),
        personas=shorten_prompts(PERSONAS, profile.limits.system_chars),
    )


@pytest_asyncio.fixture(loop_scope="module", params=PROFILES, ids=lambda profile: profile.name)
async def thought(request, image, cell):
    """A profile, and the calls of a mission in cascade and a discussion: (profile, calls)."""
    calls = Calls()
    mind = think_as(request.param, image, cell, calls, tests="written", plan="written")
    for title in ("One", "Two", "Three"):
        await mind.catalog.learn(title, f"{title}. {WORDS}")
    mission = await open_mission(image, "double", 21, mode="cascade")
    await CognitiveCycle(mind, lambda *_: None).run(mission)
    question = "How is twice a number two times a number that is counted?"
    await VERBS["discuss"](mind, check(Request("discuss", body={"text": question})), lambda _: None)
    return request.param, calls.kept


def drawn(sampling):
    return sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens


def greedy(assigned, tokens):
    return 0.0, assigned.top_p, assigned.top_k, tokens


async def test_every_call_is_drawn_as_the_profile_says(thought):
    profile, calls = thought
    who, limits = profile.personas, profile.limits
    tokens = {"serves": limits.remark_tokens, "facts": limits.fact_tokens,
              "tests": limits.test_tokens}  # fmt: skip
    for kind, most in tokens.items():
        assert calls[kind], kind
        for persona, _, sampling in calls[kind]:
            assert drawn(sampling) == greedy(who[persona], most), kind
    first, second = calls["queries"][:2]
    brick = who["BRICK"]
    assert drawn(first[2]) == greedy(brick, limits.plan_tokens)
    assert drawn(second[2]) == (*drawn(brick.sampling)[:3], limits.plan_tokens)
    assert {persona for persona, *_ in calls["talk"]} == {"BRICK", "ROBIN"}
    for persona, _, sampling in calls["talk"]:
        assert drawn(sampling) == (*drawn(who[persona].sampling)[:3], limits.answer_tokens)


async def test_the_first_candidate_is_the_most_likely_and_the_others_are_drawn(thought):
    profile, calls = thought
    who = profile.personas
    in_cascade = [(p, s) for p, _, s in calls["method"] if s.seconds]
    candidates = [(p, s) for p, _, s in calls["method"] if not s.seconds]
    assert [persona for persona, _ in in_cascade] == ["BRICK", "ALFRED"]
    for persona, sampling in [*in_cascade, candidates[0]]:
        assert drawn(sampling) == greedy(who[persona], who[persona].max_tokens)
    assert len(candidates) >= 3
    for persona, sampling in candidates[1:3]:
        assert drawn(sampling) == drawn(who[persona].sampling)


async def test_what_a_prompt_shows_and_asks_for_is_as_long_as_the_profile_says(thought):
    profile, calls = thought
    limits = profile.limits
    for kind in calls.values():
        assert all(len(prompt.messages[0][1].split(" Do without")[0]) <= limits.system_chars
                   for _, prompt, _ in kind)  # fmt: skip
    writer = calls["method"][0][1].messages[0][1]
    assert writer.count("thing ") == limits.lacks
    assert lines(calls["talk"]) == pytest.approx(limits.passage_chars, abs=20)
    assert lines(calls["facts"]) == pytest.approx(limits.note_chars, abs=20)
    assert len(notes(calls["talk"])) == limits.passages
    schemas = {kind: calls[kind][0][2].schema["properties"] for kind in ANSWERS}
    assert schemas["facts"]["facts"]["maxItems"] == limits.facts
    assert schemas["facts"]["facts"]["items"]["maxLength"] == limits.remark_chars
    assert schemas["serves"]["remark"]["maxLength"] == limits.remark_chars
    assert schemas["tests"]["tests"]["maxItems"] == limits.tests
    assert schemas["queries"]["system"]["maxLength"] == limits.advice_chars


def notes(calls):
    return re.findall(r"(?m)^\[\d+\] (.*)$", calls[0][1].messages[1][1])


def lines(calls):
    return max(map(len, notes(calls)))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
async def test_a_writer_is_shown_as_many_functions_as_the_profile_says_and_no_longer_ones(
    profile, image, cell
):
    calls, limits = Calls(), profile.limits
    mind = think_as(profile, image, cell, calls)
    sizes = [limits.shot_chars + 1, *[limits.shot_chars] * limits.shots]
    await mind.image.transact(lambda root: keep_functions(root, sizes), note="keep functions")
    # No draft reproduces the example, so more are drawn after functions were shown.
    wish = {"examples": ({"args": [2], "kwargs": {}, "result": 99},)}
    mission = await open_mission(image, "double", 21, **wish)
    await CognitiveCycle(mind, lambda *_: None).run(mission)
    shows = [[text for role, text in prompt.messages if role == "assistant"]
             for _, prompt, _ in calls.kept["method"]]  # fmt: skip
    shown = next(texts for texts in shows if texts)
    assert len(shown) == limits.shots
    assert {len(text) - len("```python\n\n```") for text in shown} == {limits.shot_chars}


def keep_functions(root, sizes):
    """Put functions of these lengths into the knowledge catalog, all for the same wish."""
    for number, size in enumerate(sizes):
        name = f"double_{number}"
        source = f"def {name}(self, number):\n    return number * 2  # "
        meta = {"selector": name, "source": source.ljust(size, "x"), "pure": True}
        vector = np.eye(1, 384, number, dtype=np.float32)
        root["knowledge_catalog"].add(name, name, ["Double the number."], vector, kind="method",
                                      meta=meta)  # fmt: skip


async def test_a_plan_may_choose_the_temperature_of_the_candidates(image, cell):
    calls = Calls()
    plan = {"queries": ["a query"], "temperature": 0.4, "candidates": 4}

    def answer(prompt, sampling, index):
        text = calls(prompt, sampling, index)
        return json.dumps(plan) if "queries" in text or text == "no plan" else text

    mind = think_as(ODD, image, cell, answer, plan="written")
    mission = await open_mission(image, "double", 21)
    await CognitiveCycle(mind, lambda *_: None).run(mission)
    heats = [sampling.temperature for _, _, sampling in calls.kept["method"][:4]]
    assert heats == [0.0, 0.4, 0.4, 0.4]


async def test_a_replay_draws_as_it_was_recorded_under_whatever_profile(image, cell):
    learned, again = Calls(), Calls()

    def always_double(calls):
        return lambda prompt, sampling, _: calls(prompt, sampling, 0)

    mission = await open_mission(image, "double", 21)
    first = think_as(TINY, image, cell, always_double(learned))
    await CognitiveCycle(first, lambda *_: None).run(mission)
    other = think_as(ODD, image, cell, always_double(again))
    ask = check(Request("replay", target="genesis_obj", selector="double"))
    told = await VERBS["replay"](other, ask, lambda _: None)
    assert told["same"] is True
    assert [drawn(s) for *_, s in again.kept["method"]] == [
        drawn(s) for *_, s in learned.kept["method"][: len(again.kept["method"])]
    ]


async def test_the_smallest_profile_draws_as_its_figures_were_measured():
    assert TINY.limits == Limits()
    for assigned in TINY.personas.values():
        assert drawn(assigned.sampling) == (0.7, 0.95, 40, 110)
