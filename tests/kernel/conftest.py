"""A real image with its root objects, and the real cell."""

import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.cells.zygote.zygote_cell import ZygoteCell
from bat_os.core.personas import PERSONAS
from bat_os.image.awakening import awaken
from bat_os.image.objects import Method, UvmObject
from bat_os.image.store import ImageStore
from bat_os.kernel.primitives import PRIMITIVES
from tests.kernel.minds import make_mind
from tests.kernels import ThinkingKernel


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cell():
    """One real cell per module: its zygote takes 0.15 s to start."""
    cell = ZygoteCell()
    yield cell
    await cell.close()


@pytest.fixture
async def image():
    store = ImageStore.in_memory()
    await store.transact(
        lambda root: awaken(
            root, image_id="i", created=1.0, personas=PERSONAS, primitives=PRIMITIVES
        ),
        note="awaken",
    )
    yield store
    await store.close()


@pytest.fixture
def make(image):
    """Return a function that makes an object with slots and methods."""

    async def make_object(name, methods=(), parents=("traits_obj",), **slots):
        def work(root):
            obj = UvmObject(name, tuple(root["objects"][parent] for parent in parents))
            for key, value in slots.items():
                stored = root["objects"][value[1:]] if str(value).startswith("@") else value
                obj.set_slot(key, stored)
            for source in methods:
                selector = source.split("def ", 1)[1].split("(", 1)[0]
                method = Method(selector)
                method.add_version(source, "taught", {})
                obj.set_slot(selector, method)
            root["objects"][name] = obj

        await image.transact(work, note=f"make {name}")

    return make_object


@pytest.fixture
async def knowing(image, cell, minilm):
    """A mind with the library and the real embedding model."""
    mind = make_mind(image, cell, lambda *_: "", embedder=minilm)
    await load_library(mind)
    return mind


@pytest.fixture
async def kernel(tmp_path):
    """A whole kernel with the shipped library, whose model answers at once."""
    async with ThinkingKernel(tmp_path / "home") as kernel:
        kernel.gate.set()
        await load_library(kernel.mind)
        yield kernel
