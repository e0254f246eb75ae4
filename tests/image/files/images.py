"""Images in files, with objects, methods and a stored model, for tests of what carries them."""

import random

from bat_os.core.personas import PERSONAS
from bat_os.image.awakening import awaken
from bat_os.image.models import ingest_folder
from bat_os.image.objects import Method, UvmObject
from bat_os.image.store import ImageStore

PRIMITIVES = ("clone", "getSlot")


def noise(seed, size):
    """Return a text that cannot be compressed below so many bytes; the same for a seed."""
    return random.Random(seed).randbytes(size).decode("latin-1")  # noqa: S311 - no secret


def open_image(path):
    return ImageStore.open(path)


async def put(image, name, **slots):
    def work(root):
        obj = root["objects"].get(name)
        if obj is None:
            obj = root["objects"][name] = UvmObject(name, (root["objects"]["traits_obj"],))
        for key, value in slots.items():
            obj.set_slot(key, value)

    await image.transact(work, note=f"put {name}")


async def slot(image, name, key):
    def work(root):
        obj = root["objects"].get(name)
        return None if obj is None else obj.slots.get(key)

    return await image.transact(work, note="read")


async def teach(image, name, source):
    def work(root):
        selector = source.split("def ", 1)[1].split("(", 1)[0]
        method = Method(selector)
        method.add_version(source, "taught", {"persona": "ARCHITECT"})
        root["objects"][name].set_slot(selector, method)

    await image.transact(work, note=f"teach {name}")


async def blob_text(image, name="model"):
    def work(root):
        stored = root["files_by_sha256"][root["models"][name].files["weights.bin"]]
        with stored.blob.open("r") as stream:
            return stream.read()

    return await image.transact(work, note="read a blob")


async def take_in(image, folder, text, name="model"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.bin").write_bytes(text)
    (folder / "config.json").write_text("{}")
    await ingest_folder(image, name, folder, meta={"kind": "transformers"})


async def make_image(path):
    image = open_image(path)
    await image.transact(
        lambda root: awaken(
            root, image_id="parent", created=1.0, personas=PERSONAS, primitives=PRIMITIVES
        ),
        note="awaken",
    )
    await put(image, "robot_obj", colour="red")
    await take_in(image, path.parent / "model", b"the weights")
    return image
