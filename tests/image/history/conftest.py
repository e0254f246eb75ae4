"""An image with one object, and functions that teach it and read it."""

import numpy as np
import pytest
from BTrees.OOBTree import OOBTree

from bat_os.image.catalog import catalog_in
from bat_os.image.history import entries, versions
from bat_os.image.history.versions import Skill, install
from bat_os.image.objects import UvmObject
from bat_os.image.store import ImageStore

VECTOR = np.eye(1, 8, dtype=np.float32)


@pytest.fixture
async def image():
    store = ImageStore.in_memory()

    def fill(root):
        root["objects"] = OOBTree()
        root["missions"], root["unfinished"] = OOBTree(), OOBTree()
        root["objects"]["robot"] = UvmObject("robot")
        root["objects"]["child"] = UvmObject("child", (root["objects"]["robot"],))
        catalog_in(root)

    await store.transact(fill, note="fill")
    yield store
    await store.close()


@pytest.fixture
def change(image):
    """Return a function that runs ``work(root, robot)`` in one transaction."""

    async def run(work):
        return await image.transact(lambda root: work(root, root["objects"]["robot"]), note="t")

    return run


@pytest.fixture
def learn(change):
    """Return a function that installs a method on the robot."""

    async def run(selector, answer=1, name="robot", **provenance):
        source = f"def {selector}(self):\n    return {answer}\n"
        skill = Skill(selector, source, "taught", provenance, selector, VECTOR)
        return await change(lambda root, _: install(root, root["objects"][name], skill))

    return run


@pytest.fixture
def unlearn(change):
    async def run(selector):
        return await change(lambda root, robot: versions.unlearn(root, robot, selector, at=5.0))

    return run


@pytest.fixture
def redo(change):
    async def run(selector, number=0):
        def work(root, robot):
            picked = versions.pick(root, robot, selector, number)
            versions.make_current(root, robot, picked, VECTOR, {"at": 6.0, "what": "redo"})
            return picked.sha256

        return await change(work)

    return run


def listed(root, _robot):
    """Return the selectors that the search can find."""
    return sorted(method.selector for _, method in entries.learned(root))
