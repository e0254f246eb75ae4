"""``batos minds`` and ``--mind``: two real daemons, each asked by its name."""

import asyncio
import json
import os
import subprocess
from contextlib import asynccontextmanager

import pytest

from tests.forks import PYTHON
from tests.kernels import ANSWERS, ROOT, KernelProcess, write_script

pytestmark = [pytest.mark.slow, pytest.mark.system]


@pytest.fixture
def batos(tmp_path):
    """Return what runs batos with a directory of its own, and no home named."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("BATOS_")}

    def run(*words, **environ):
        done = subprocess.run(
            [PYTHON, ROOT / "batos.py", *words], capture_output=True, text=True, timeout=120,
            env={**ours, "BATOS_MINDS": str(tmp_path / "minds.json"), **environ}, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


@asynccontextmanager
async def served(home):
    kernel = KernelProcess(home, write_script(home.with_suffix(".jsonl"), ANSWERS))
    kernel.start()
    try:
        await kernel.until_ready()
        yield kernel
    finally:
        await asyncio.to_thread(kernel.stop)


async def test_each_mind_answers_to_its_name(batos, tmp_path):
    async with served(tmp_path / "one"), served(tmp_path / "two"):
        await asyncio.to_thread(ask_both, batos, tmp_path)

    status, out, _ = await asyncio.to_thread(batos, "minds", "remove", "play")
    assert (status, out) == (0, "play\n")
    assert (await asyncio.to_thread((tmp_path / "two" / "live_image.fs").read_bytes)) != b""
    status, _, err = await asyncio.to_thread(batos, "--mind", "play", "list")
    assert status == 2
    assert "there is no mind 'play'; there are: work" in err


def ask_both(batos, tmp_path):
    for folder, name in (("one", "work"), ("two", "play")):
        assert batos("minds", "add", name, "--home", str(tmp_path / folder))[0] == 0
        done = batos("--mind", name, "derive", "traits_obj", f"{name}_obj")
        assert done[0] == 0, done
    status, out, _ = batos("--json", "minds")
    rows = json.loads(out)["minds"]
    assert status == 0
    assert [(row["name"], row["state"], row["chosen"]) for row in rows] == [
        ("play", "runs", False), ("work", "runs", False),
    ]  # fmt: skip
    assert "work_obj" in batos("list", BATOS_MIND="work")[1]
    assert "work_obj" not in batos("list", "--mind", "play")[1]
    assert "play_obj" in batos("--mind=play", "list", BATOS_HOME=str(tmp_path / "one"))[1]


def test_a_name_is_needed(batos):
    status, _, err = batos("minds", "add")
    assert status == 2
    assert "needs a NAME" in err
