"""What a start in an environment of the first stage can do.

python -m tests.app.first_stage HOME     prints what it did, as JSON
"""

import asyncio
import json
import sys
from pathlib import Path

from bat_os.app.models import Models
from bat_os.app.wiring import ADAPTERS
from bat_os.core.settings import IMAGE, Settings
from bat_os.errors import ModelError
from bat_os.image.store import ImageStore
from bat_os.ports import Prompt, Sampling
from tests.app.older_image import OLD

LATER = ("torch", "transformers", "accelerate", "peft")
PROMPT = Prompt((("user", "Write a function."),), "def add(a, b):\n")


def ignore(_line):
    pass


async def draw(image, home):
    """Draw with the default through its adapter; ask for what needs the second stage."""
    models = Models(image, home / "run", Settings(threads=1))
    try:
        await models.prepare(ignore)
        await models.take_adapters(ADAPTERS, ignore)
        sampling = Sampling(max_tokens=12)
        [drawn] = await models.roster.generate("ALFRED", [PROMPT], sampling, writing=True)
        told = {"text": drawn.text, "adapters": models.roster.stats()["models"][0]["adapters"]}
        try:
            await models.add(OLD, "", ignore)
        except ModelError as error:
            told["refused"] = str(error)
        told["heavy"] = sorted(set(LATER) & sys.modules.keys())
        return told
    finally:
        await models.roster.close()


async def wait(image, home):
    """See the unpacked model wait for what is missing; return what it says, until it goes on."""
    models, said = Models(image, home / "run", Settings(threads=1, profile="tiny-gpu")), []
    went_on = asyncio.Event()

    def hear(line):
        said.append(line)
        if len(said) == 1:
            install_later()
        if line != said[0]:
            went_on.set()

    await image.transact(lambda root: root["models"].pop(OLD), note="forget")
    waiting = asyncio.create_task(models.prepare(hear))
    await went_on.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await models.roster.close()
    return [said[0], said[-1]]


def install_later():
    """Write down that the rest is installed, as pip does at last."""
    [packages] = Path(sys.prefix).glob("lib/python*/site-packages")
    for name in LATER:
        folder = packages / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")


async def main(home):
    image = ImageStore.open(home / IMAGE)
    try:
        told = await draw(image, home)
        told["waited"] = await wait(image, home)
    finally:
        await image.close()
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
