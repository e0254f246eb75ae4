"""Files that were cut short or changed: an image opens or says why not, and hides no change."""

import logging
import random
import shutil
from collections import Counter

import numpy as np
import pytest

from bat_os.core.brief import Brief
from bat_os.core.personas import PERSONAS
from bat_os.engines.scripted import HashEmbedder
from bat_os.errors import BatError, BlobError
from bat_os.image import missions
from bat_os.image.awakening import awaken
from bat_os.image.catalog import catalog_in
from bat_os.image.catalog_service import CatalogService
from bat_os.image.files.verify import BROKEN, verify
from bat_os.image.models import ingest_folder, link_folder
from bat_os.image.objects import Method, find
from bat_os.image.store import ImageStore
from tests.campaign.load import Site
from tests.campaign.scenario import Scenario

IMAGE = "live_image.fs"
STEPS = 8  # transactions after the awakening, each with a method, a brief, a document
CUTS = (60, 500)
FLIPS = (100, 1000)
SIDES = (".index", ".lock", ".tmp", ".pack", ".old", ".upkeep")


def method_of(number):
    return f"def skill_{number}(self):\n    return 'the answer of skill number {number}'\n"


def brief_of(number):
    return Brief("genesis_obj", f"wish_{number}", (number,), text=f"please do the thing {number}")


def document_of(number):
    return f"Chapter {number} says that bees of hive {number} dance in the dark."


async def build(path):
    """Make an image with known content; return its size when it had just awoken."""

    def step(root, number):
        method = Method(f"skill_{number}")
        method.add_version(method_of(number), "taught", {})
        genesis = root["objects"]["genesis_obj"]
        genesis.set_slot(method.selector, method)
        genesis.set_slot("done", number)
        about = {"session": "s", "accepted": 1.0}
        missions.open_brief(
            root, brief_of(number), mission_id=f"m{number}", key=f"k{number}", about=about
        )
        row = np.eye(1, 8, number % 8, dtype=np.float32)
        catalog_in(root).add(f"document:{number}", f"title {number}", [document_of(number)], row)

    image = ImageStore.open(path)
    try:
        await image.transact(_awaken, note="awaken")
        awoken = path.stat().st_size
        for number in range(STEPS):
            await image.transact(lambda root, number=number: step(root, number), note="step")
    finally:
        await image.close()
    return awoken


def _awaken(root):
    awaken(root, image_id="i", created=1.0, personas=PERSONAS, primitives=["clone"])


def content(root):
    """Return what is there of the known content, in the order in which it came."""
    genesis = find(root, "genesis_obj").slots
    names = [name for name in (f"skill_{n}" for n in range(STEPS)) if name in genesis]
    methods = [genesis[name].version.source for name in names]
    stored = range(len(missions.unfinished(root)))
    briefs = [missions.check(root, f"m{n}").mission.brief for n in stored]
    catalog = catalog_in(root)
    found = [catalog.document(f"document:{n}") for n in range(STEPS)]
    texts = [list(one.passages) for one in found if one is not None]
    return genesis.get("done", -1) + 1, methods, briefs, texts


def expected(count):
    numbers = range(count)
    return [
        [method_of(number) for number in numbers],
        [brief_of(number) for number in numbers],
        [[document_of(number)] for number in numbers],
    ]


async def truncation(settings):
    """Cut anywhere: the image is as after one of its transactions, or has a named error."""
    whole, path, choice, awoken = await _whole(settings)
    outcomes = Counter()
    for _ in range(CUTS[settings.full]):
        cut = choice.randrange(len(whole))
        _write(path, whole[:cut])
        try:
            outcomes[await _cut_look(path, cut, awoken)] += 1
        except BatError as error:
            outcomes[error.code] += 1
    return f"{CUTS[settings.full]} cuts: {_counted(outcomes)}"


async def _cut_look(path, cut, awoken):
    image = ImageStore.open(path)
    try:
        if cut < awoken:  # an image that was cut while it awoke is an empty one, and awakes
            await image.transact(_awaken, note="awaken")
        count, *found = await image.transact(content, note="look")
        assert found == expected(count), f"cut at {cut}: half of {count}"
        await image.transact(lambda root: root.__setitem__("goes", "on"), note="go on")
        return "opened" if count else "opened, empty"
    finally:
        await image.close()


async def bit_flips(settings):
    """Flip a bit: what has a hash is whole, or an error says so, or ``verify`` names it."""
    whole, path, choice, _ = await _whole(settings)
    outcomes = Counter()
    for _ in range(FLIPS[settings.full]):
        place, bit = choice.randrange(4, len(whole)), choice.randrange(8)
        data = bytearray(whole)
        data[place] ^= 1 << bit
        _write(path, data)
        try:
            image = ImageStore.open(path)
            try:
                outcomes[await _look(image, f"bit {bit} of byte {place}")] += 1
            finally:
                await image.close()
        except BatError as error:
            outcomes[error.code] += 1
    return f"{FLIPS[settings.full]} flips: {_counted(outcomes)}; 0 silent in hashed data"


async def _look(image, where):
    """Return how a changed image is; where what has a hash is another, that has to be named."""
    await image.transact(_awaken, note="awaken")  # as a kernel does first
    found, why = None, ""
    try:
        _, *found = await image.transact(content, note="look")
    except BROKEN as error:
        if isinstance(error, BatError):
            raise
        why = f"{type(error).__name__}: {error}"  # to the kernel, a fault of its own
    told = await verify(image, CatalogService(image, HashEmbedder()), lambda text: None)
    if told["damaged"]:
        return "named by verify"
    assert found is not None, f"{where}: {why}"
    for kind, is_there in zip(expected(STEPS), found, strict=True):
        changed = [one for one in is_there if one not in kind]
        assert not changed, f"{where}: silently changed: {changed}"
    return "whole" if found == expected(STEPS) else "cut at the damage"


def _silently(scenario):
    """Return the scenario, in which ZODB keeps to itself what it thinks of damaged files."""

    async def run(settings):
        zodb = logging.getLogger("ZODB")
        level = zodb.level
        zodb.setLevel(logging.CRITICAL + 1)
        try:
            return await scenario(settings)
        finally:
            zodb.setLevel(level)

    return run


async def _whole(settings):
    path = settings.folder / IMAGE
    awoken = await build(path)
    choice = random.Random(settings.seed)  # noqa: S311 - where to hurt it, no secrets
    return path.read_bytes(), path, choice, awoken


def _write(path, data):
    for side in (*SIDES, *(f".tr{number}" for number in range(10))):
        path.with_name(path.name + side).unlink(missing_ok=True)
    path.write_bytes(data)


def _counted(outcomes):
    return ", ".join(f"{count} {name}" for name, count in outcomes.most_common())


MODELS = ("whole", "missing", "corrupt")


async def blobs(settings):
    """A model's file is gone or changed: the kernel boots, and only that model is missing."""
    site = Site(settings.folder, settings.seed)
    await site.prepare()
    await _hurt_models(site.image, settings.folder)
    site.kernel.start()
    await site.kernel.until_ready()
    async with site.kernel.client() as client:
        body = await client.request(
            "send", timeout=60, target="genesis_obj", selector="count", args=["t"], ik="k"
        )
        assert body["result"] == 1
        told = await client.request("verify", timeout=60)
    named = " ".join(one["what"] for one in told["damaged"] if one["kind"] == "file")
    assert all(name in named for name in MODELS[1:]), told
    assert MODELS[0] not in named, told
    site.kernel.stop()
    await _serve_models(site.image, settings.folder)
    return "boots, answers; 2 of 3 models named and refused, 1 served; stored again, all serve"


async def _hurt_models(path, folder):
    image = ImageStore.open(path)
    places = {}
    for name in MODELS:
        source = folder / name
        source.mkdir()
        (source / "config.json").write_text(f'{{"is": "{name}"}}')
        await ingest_folder(image, name, source)
        links = await link_folder(image, name, folder / "links")
        places[name] = (links / "config.json").resolve()
    await image.close()
    shutil.rmtree(folder / "links")
    places["missing"].unlink()
    places["corrupt"].chmod(0o600)
    places["corrupt"].write_bytes(b"#" * places["corrupt"].stat().st_size)


async def _serve_models(path, folder):
    """The whole one is given out; the others are refused, and come back as the message says."""
    image = ImageStore.open(path)
    try:
        await link_folder(image, MODELS[0], folder / "links")
        for name in MODELS[1:]:
            with pytest.raises(BlobError, match="batos models add"):
                await link_folder(image, name, folder / "links")
            await ingest_folder(image, name, folder / name)
            await link_folder(image, name, folder / "links")
    finally:
        await image.close()


SCENARIOS = (
    Scenario("truncation", "opens or a named error, nothing half", _silently(truncation)),
    Scenario("bit flips", "0 silent in hashed data", _silently(bit_flips)),
    Scenario("blob missing or corrupt", "boots, only that model unavailable", blobs),
)
