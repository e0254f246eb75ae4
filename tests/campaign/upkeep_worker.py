"""One work on an image that nobody serves; dies at BATOS_FAILPOINT, or at CAMPAIGN_KILL.

    python -m tests.campaign.upkeep_worker model|pack|erase|backup|restore FOLDER NAME_OF_MODEL

CAMPAIGN_KILL is ``fsync:3:before`` or ``rename:1:after``. ``FOLDER`` has
``home/live_image.fs``; the others make ``toy/``, ``backup/`` and ``copy/`` in it.
"""

import asyncio
import importlib
import os
import signal
import sys
from pathlib import Path

from bat_os import failpoints
from bat_os.core.settings import IMAGE
from bat_os.errors import BatError
from bat_os.image.files.backup import back_up, verify
from bat_os.image.files.pack import count_objects, pack
from bat_os.image.files.restore import restore
from bat_os.image.models import ingest_folder, link_folder
from bat_os.image.store import ImageStore
from bat_os.kernel.verbs.erase import erase

WORD = "Quorvexil7"
KILL = "CAMPAIGN_KILL"


def contents(name):
    """Return what the files of a toy model hold; every toy has its own."""
    return {"config.json": f'"{name}"'.encode(), "model.safetensors": name.encode() * 3000}


async def _take_in(image, folder, name):
    source = folder / "toy"
    source.mkdir(exist_ok=True)
    for file, content in contents(name).items():
        (source / file).write_bytes(content)
    return await ingest_folder(image, name, source)


async def run(work, folder, name):
    """Do one work; ``name`` is that of the model to take in."""
    if work == "restore":
        restore(folder / "backup", folder / "copy", replace=True)
        return
    image = ImageStore.open(folder / "home" / IMAGE)
    try:
        if work == "pack":
            await image.transact(lambda root: root["about"].update(), note="touch")
            await pack(image, days=0)
        elif work == "erase":
            await image.transact(lambda root: root.__setitem__("note", WORD), note=f"note {WORD}")
            await erase(image, {"words": WORD, "id": "", "yes": True})
        elif work == "backup":
            await image.transact(lambda root: root.__setitem__("touched", 1), note="touch")
            await back_up(image, folder / "backup")
        else:
            await _take_in(image, folder, name)
    finally:
        await image.close()


async def look(folder):
    """Return what each part holds, or the code of the error it has."""
    told = {}
    for home in ("home", "copy"):
        if (folder / home).exists():
            image = ImageStore.open(folder / home / IMAGE)
            try:
                told[home] = count_objects(image.storage)["UvmObject"]
                names = await image.transact(lambda root: list(root["models"]), note="look")
                for name in names:
                    place = await link_folder(image, name, folder / "links")
                    there = {file: (place / file).read_bytes() for file in contents(name)}
                    told[name] = [there == contents(name)]
            finally:
                await image.close()
    try:
        told["backup"] = verify(folder / "backup")["tid"]
    except BatError as error:
        told["backup"] = error.code
    return told


def kill_at(call, number, when):
    """Let this process end right before or after its Nth call."""
    left = [int(number)]

    def hurt(real):
        def called(*args, **kwargs):
            left[0] -= 1
            if not left[0] and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            done = real(*args, **kwargs)
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return called

    if call == "rename":
        os.rename, os.replace = hurt(os.rename), hurt(os.replace)
    else:
        os.fsync = hurt(os.fsync)
        # The name of a class too, so ``import`` does not find the module.
        importlib.import_module("ZODB.FileStorage.FileStorage").fsync = os.fsync


def main(work, folder, name):
    failpoints.arm(os.environ.get(failpoints.VARIABLE, ""))
    if KILL in os.environ:
        kill_at(*os.environ[KILL].split(":"))
    asyncio.run(run(work, Path(folder), name))


if __name__ == "__main__":
    main(*sys.argv[1:])
