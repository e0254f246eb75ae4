"""A mind for tests: a real image and the real cell, with a model that is told what to say."""

import time
from importlib import resources

from bat_os.core.brief import Brief
from bat_os.core.mission import Mission
from bat_os.core.personas import PERSONAS
from bat_os.core.settings import Settings
from bat_os.engines.scripted import HashEmbedder, ScriptedEngine
from bat_os.image import missions
from bat_os.image.catalog_service import CatalogService
from bat_os.kernel.context import KernelContext
from bat_os.method.guardian import PersistenceGuardian
from bat_os.models.profiles import parse
from bat_os.models.roster import Roster

TINY = parse((resources.files("bat_os") / "profiles.toml").read_text()).profile("tiny")
BUDGET = 1 << 40
PLAN = '{"queries": ["how to write a method"]}'


def script(*bodies, plan=PLAN):
    """Return a script: ``plan`` for BRICK, then a body per round of candidates, the last one on."""
    seeds = []

    def answer(prompt, sampling, index):
        if sampling.schema is not None:
            return plan
        if sampling.seed not in seeds:
            seeds.append(sampling.seed)
        return bodies[min(seeds.index(sampling.seed), len(bodies) - 1)]

    return answer


def roster_of(engine):
    """Return a roster in which this engine thinks for every persona."""
    return Roster(dict.fromkeys(TINY.models, engine), TINY.personas, BUDGET)


def make_mind(image, cell, answers, *, gate=None, engine=None, embedder=None, **options):
    """Return a mind whose model answers from ``answers``; three candidates a batch."""
    embedder = embedder or HashEmbedder()
    return KernelContext(
        image=image,
        roster=roster_of(engine or ScriptedEngine(answers, gate=gate)),
        profile=TINY,
        embedder=embedder,
        catalog=CatalogService(image, embedder),
        cell=cell,
        guardian=PersistenceGuardian(),
        personas=PERSONAS,
        options=Settings(candidates=3, **options),
    )


async def open_mission(image, selector, *args, target="genesis_obj", key="", **fields):
    """Store a brief and return its mission's id."""
    brief = Brief(target, selector, args, **fields)
    mission_id = f"m{key or time.monotonic_ns()}"
    about = {"session": "s", "accepted": time.time()}

    def store(root):
        key_of = key or mission_id
        return missions.open_brief(root, brief, mission_id=mission_id, key=key_of, about=about)

    return (await image.transact(store, note="accept")).id


async def read(image, mission_id):
    return await image.transact(lambda root: missions.read(root, mission_id), note="read")


async def rewind(image, mission_id, events):
    """Put a mission back to where it stood after its first ``events`` events."""

    def work(root):
        record = missions.read(root, mission_id)
        mission = Mission(record.mission.brief)
        for event in record.mission.events[:events]:
            mission = mission.advance(event)
        root["unfinished"][""][mission_id] = obj = missions.stored(root, mission_id)
        root["missions"].pop(mission_id, None)
        obj.slots |= {"record": mission.to_plain(), "answer": None}
        obj._p_changed = True

    await image.transact(work, note="rewind")
