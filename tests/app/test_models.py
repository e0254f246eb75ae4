"""Models between their sources, the image and the engines: taken in, packed, replaced, repaired."""

import functools
import json
import logging
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from bat_os.app.models import EMBEDDER, Models
from bat_os.cli.console import Screen
from bat_os.cli.show.models import COMMANDS
from bat_os.core.settings import Settings
from bat_os.engines.gguf import packaged_gguf
from bat_os.engines.transformers.forms import pack_in_child
from bat_os.errors import ArgumentsError, BatError, ModelError
from bat_os.image.models import list_models
from bat_os.image.store import ImageStore
from bat_os.models.profiles import parse
from bat_os.ports import Prompt, Sampling
from tests.engines.test_openai import Server, event, say, serving
from tests.engines.tiny import make_adapter, make_tiny, write_gguf
from tests.forks import TRAINER

pytestmark = pytest.mark.slow

NAME = "SmolLM2-135M-Instruct"  # of the profile tiny-gpu; what is stored under it is smaller here
PROMPT = [Prompt((("user", "Name the seven days of the week."),))]
TEN = Sampling(max_tokens=10)
LIGHT = """
import sys
import bat_os.app.wiring
print([name for name in ("torch", "transformers", "xllamacpp") if name in sys.modules])
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", TRAINER)  # whoever has weights may pack them
    return make_tiny(tmp_path / "source" / "tiny")


@pytest.fixture
async def image(tmp_path):
    image = ImageStore.open(tmp_path / "image.fs")
    yield image
    await image.close()


@pytest.fixture
async def make(image, tmp_path):
    """Return a function that makes the models of a new kernel on the image."""
    made = []

    def build(**arguments):
        settings = Settings(threads=1, **arguments.pop("settings", {"profile": "tiny-gpu"}))
        made.append(Models(image, tmp_path / "run", settings, **arguments))
        return made[-1]

    yield build
    for models in made:
        await models.roster.close()


async def answer(models, persona="ALFRED", **arguments):
    [completion] = await models.roster.generate(persona, PROMPT, TEN, **arguments)
    return completion.text


async def test_a_model_is_packed_once_on_its_way_in_and_loaded_as_it_is_stored(make, image, tiny):
    models, said = make(pack=functools.partial(pack_in_child, kind="cpu")), []
    await models.add(NAME, str(tiny), said.append)
    first = await answer(models)
    [stored] = await list_models(image)
    config = json.loads(next(models._run.glob("models/*/config.json")).read_text())
    later = make()
    again = await answer(later)

    assert f"{NAME}: packing the weights" in said
    assert stored["size"] < sum(path.stat().st_size for path in tiny.iterdir())
    assert config["quantization_config"]["bnb_4bit_quant_type"] == "nf4"
    assert again == first != ""
    assert later._engines[NAME].stats()["form"] == "as stored, mapped"
    assert tiny.is_dir(), "the source is only read"
    assert not list(models._run.glob("packed/*"))


async def test_what_cannot_be_packed_is_kept_as_it_came_and_that_is_said(make, image, tiny, caplog):
    async def fail(_source, _folder, _progress, *, wanted):
        raise ModelError(f"no {wanted} today")

    said = []
    with caplog.at_level(logging.WARNING):
        await make(pack=fail).add(NAME, str(tiny), said.append)

    assert [one["name"] for one in await list_models(image)] == [NAME]
    assert f"{NAME}: stored without packing: no fp32 today" in said
    assert "stored without packing" in caplog.text


async def test_the_child_that_packs_leaves_alone_what_suits_the_device(tiny, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, where it would be packed")
    packed = await pack_in_child(tiny, tmp_path / "packed", print, wanted="nf4")

    assert not packed
    assert not (tmp_path / "packed").exists()


async def test_a_child_that_cannot_pack_says_why_and_leaves_the_source(tiny, tmp_path):
    (tiny / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="tiny cannot be quantized"):
        await pack_in_child(tiny, tmp_path / "packed", lambda _line: None, kind="cpu")

    assert not (tmp_path / "packed").exists()


async def test_a_model_that_is_replaced_while_parked_does_not_come_back(make, tiny, tmp_path):
    models = make()
    await models.add(NAME, str(tiny), lambda _line: None)
    first = await answer(models)
    other = make_tiny(tmp_path / "source" / "other", seed=5)
    await models.add(NAME, str(other), lambda _line: None)
    second = await answer(models)

    assert first != second
    assert second == await answer(make())


async def test_a_model_that_was_replaced_is_brought_back_and_answers_as_it_did(
    make, image, tiny, tmp_path
):
    models = make()
    await models.add(NAME, str(tiny), lambda _line: None)
    first = await answer(models)
    then = await image.transact(
        lambda root: root._p_jar.db().lastTransaction().hex(), note="look at the time"
    )
    other = make_tiny(tmp_path / "source" / "other", seed=5)
    await models.add(NAME, str(other), lambda _line: None)
    assert await answer(models) != first
    await models.add(NAME, f"at:{then}", lambda _line: None)
    assert await answer(models) == first


async def test_a_damaged_file_is_told_with_the_command_that_repairs_it(make, image, tiny):
    models = make()
    await models.add(NAME, str(tiny), lambda _line: None)
    first = await answer(models)
    weights = next(models._run.glob("models/*/model.safetensors")).resolve()
    weights.chmod(0o600)
    weights.write_bytes(weights.read_bytes()[:-8] + b"\xff" * 8)
    await models.roster.unload(NAME)
    with pytest.raises(ModelError, match=f"damaged; repair it with: batos models add {NAME}"):
        await answer(models)
    await models.add(NAME, str(tiny), lambda _line: None)

    assert await answer(models) == first


async def test_a_damaged_model_takes_down_its_own_persona_and_no_other(make, image, tmp_path):
    models = make(settings={"profile": "8gb"})
    for seed, name in enumerate(models.profile.models):
        folder = make_tiny(tmp_path / "source" / name, seed=seed)
        await models.add(name, str(folder), lambda _line: None)
        await models._links(name)
    broken = models.profile.personas["BABS"].model
    models._verified = type(models._verified)()  # as after a restart: nothing was read yet
    blob = next(models._run.glob(f"models/{broken}-*/model.safetensors")).resolve()
    blob.unlink()
    answers = [await answer(models, persona) for persona in ("ALFRED", "BRICK", "ROBIN")]
    with pytest.raises(ModelError, match=f"{broken}: the stored file .* is missing; repair it"):
        await answer(models, "BABS")

    assert all(answers)
    assert answers[0] == answers[1] != answers[2], "two share a model"
    damaged = [one["name"] for one in await list_models(image) if one["damaged"] == "yes"]
    assert damaged == [broken]
    assert await answer(models) == answers[0]


@pytest.mark.parametrize(
    ("profile", "name", "lacking"),
    [
        ("tiny-gpu", NAME, "no config.json and no \\*.safetensors"),
        ("cpu", "Qwen3-4B-Instruct-2507-Q4_K_M", "no \\*.gguf"),
    ],
)
async def test_a_folder_that_the_models_engine_cannot_load_is_refused_before_it_is_taken_in(
    make, image, tmp_path, profile, name, lacking
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "pytorch_model.bin").write_bytes(b"a pickle")
    models = make(settings={"profile": profile})
    with pytest.raises(ArgumentsError, match=lacking):
        await models.add(name, str(tmp_path / "folder"), lambda _line: None)

    assert await list_models(image) == []


@pytest.mark.parametrize("name", ["../../outside", "a/b", "", ".", "x" * 200])
async def test_a_name_that_leaves_the_folder_of_the_models_is_refused(make, tiny, tmp_path, name):
    with pytest.raises(ArgumentsError, match="cannot name a model"):
        await make().add(name, str(tiny), lambda _line: None)

    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("source", ["", "no-such-thing", "./nowhere", "http://x/y/z"])
async def test_a_source_that_is_none_is_refused_with_what_it_may_be(make, source):
    with pytest.raises(ArgumentsError, match="not a folder, a GGUF file or an id on the hub"):
        await make().add("mine", source, lambda _line: None)


@pytest.mark.parametrize(
    "source", ["/" + "x" * 300, "/dev/null/x", "/a\0b", "~" * 5000, "/proc/1/x"]
)
async def test_a_source_that_the_system_cannot_look_at_is_a_coded_error(make, source):
    with pytest.raises(BatError) as caught:
        await make().add("odd", source, lambda line: None)
    assert caught.value.code != "INTERNAL"


async def test_a_model_on_a_server_is_not_taken_in(make, tiny):
    models = make(settings={"profile": "server"})
    with pytest.raises(ArgumentsError, match="runs on a server"):
        await models.add("served", str(tiny), lambda _line: None)


async def test_a_server_gets_the_key_in_the_variable_that_its_profile_names(make, monkeypatch):
    shipped = (resources.files("bat_os") / "profiles.toml").read_text(encoding="utf-8")
    known = {"data": [{"id": "qwen2.5-coder:7b"}]}
    async with Server(serving(say("yes", "stop"), event(b"[DONE]"), models=known)) as server:
        ours = f'source = "{server.url}"\nkey = "TOY_KEY"'
        book = parse(shipped.replace('source = "http://127.0.0.1:11434/v1"', ours))
        monkeypatch.setattr("bat_os.app.models.read_book", lambda _home: book)
        monkeypatch.setenv("TOY_KEY", "sesame")
        text = await answer(make(settings={"profile": "server"}))

    assert text == "yes"
    assert all("Authorization: Bearer sesame\r\n" in head for head in server.heads)


@pytest.mark.parametrize(("servers", "places"), [(2, 3), (1, 2)])
async def test_a_model_on_servers_is_one_model_with_the_places_of_all(
    make, monkeypatch, servers, places
):
    shipped = (resources.files("bat_os") / "profiles.toml").read_text(encoding="utf-8")
    known = {"data": [{"id": "qwen2.5-coder:7b"}]}
    reply = serving(say("yes", "stop"), event(b"[DONE]"), models=known)
    async with Server(reply) as one, Server(reply) as two:
        urls = [f"{one.url}/v1", f"{two.url}/v1"][:servers]
        ours = f"source = {json.dumps(urls)}\nrequests = {places}"
        ours += "\nhedge = true" if servers > 1 else ""
        book = parse(shipped.replace('source = "http://127.0.0.1:11434/v1"', ours))
        monkeypatch.setattr("bat_os.app.models.read_book", lambda _home: book)
        models = make(settings={"profile": "server"})
        text = await answer(models)
        [row] = models.roster.stats()["models"]
        await models.roster.close()

    assert text == "yes"
    told = [(part["state"], part["places"]) for part in row["replicas"]]
    assert told == [("ready", places)] * servers


async def test_an_embedding_model_on_servers_is_asked_there_and_never_stored(make, monkeypatch):
    shipped = (resources.files("bat_os") / "profiles.toml").read_text(encoding="utf-8")
    vectors = {"data": [{"index": 0, "embedding": [3.0, 4.0]}]}
    async with Server(lambda _path, _body: (200, vectors)) as server:
        mine = (
            f'[models.far]\nsource = "{server.url}/v1"\nfile = "minilm"\nlicence = "MIT"\n'
            'engine = "openai"\ncontext = 512\n'
        )
        monkeypatch.setattr("bat_os.app.models.read_book", lambda _home: parse(shipped, mine))
        models = make(
            settings={"sentence_transformer_model": "far", "server": "http://127.0.0.1:1"}
        )
        embedder = models.make_embedder()
        [vector] = await embedder.embed(["x"])
        await embedder.close()

    assert models.embeds_elsewhere
    assert [round(float(number), 3) for number in vector] == [0.6, 0.8]
    assert server.asked[-1] == (
        "/v1/embeddings", {"model": "minilm", "input": ["x"], "encoding_format": "float"}
    )  # fmt: skip
    assert make().make_embedder() is None


async def test_with_a_gpu_a_gguf_file_is_converted_where_the_engine_wants_a_folder(
    make, image, tiny, tmp_path
):
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + bytes(60))
    models = make(pack=functools.partial(pack_in_child, kind="cpu"))
    with pytest.raises(ModelError, match="not a GGUF file that can be used"):
        await models.add(NAME, str(tmp_path / "model.gguf"), lambda _line: None)
    with pytest.raises(ModelError, match="not a GGUF file that can be used"):
        await models.add("mine", str(tmp_path / "model.gguf"), lambda _line: None)
    await models.add("mine", str(write_gguf(tiny, tmp_path / "whole.gguf")), lambda _line: None)

    assert [(one["name"], one["kind"]) for one in await list_models(image)] == [("mine", "gguf")]


@pytest.mark.model
async def test_on_a_processor_a_gguf_file_stays_as_it_is_and_llama_cpp_runs_it(make, image, tiny):
    models = make()
    await models.add(NAME, str(tiny), lambda _line: None)
    nonsense = await answer(models)
    await models.add(NAME, str(packaged_gguf()), lambda _line: None)
    text = await answer(models)
    later = make()
    await later.prepare(lambda _line: None)

    assert "seven days" in text
    assert "seven days" not in nonsense
    assert await answer(later) == text
    assert [row["kind"] for row in await list_models(image)] == ["gguf"]
    assert later.roster.stats()["models"][0]["engine"] == "llama.cpp"
    await later.add(NAME, str(tiny), lambda _line: None)
    assert await answer(later) == nonsense, "and back"


async def test_what_the_profile_does_not_use_is_named_with_how_to_free_its_space(make, tiny):
    models = make()
    await models.add(NAME, str(tiny), lambda _line: None)
    await models.add("other", str(tiny), lambda _line: None)
    [line] = (await models.list())["unused"]
    for needed in (NAME, "method-writer", EMBEDDER):
        with pytest.raises(ArgumentsError, match=f"uses {needed}") as caught:
            await models.remove(needed)
        assert needed == EMBEDDER or "for ALFRED, BABS, BRICK, ROBIN" in str(caught.value)
    await models.remove("other")
    after = await models.list()

    assert line.startswith("other takes ")
    assert "batos models remove other, then batos pack --days 0" in line
    assert (after["unused"], [row["name"] for row in after["models"]]) == ([], [NAME])


async def test_an_adapter_that_a_person_adds_is_used_or_refused_with_the_reason(
    make, tiny, tmp_path
):
    models = make()
    await models.add(NAME, str(tiny), lambda _line: None)
    row = await models.add("expert", str(make_adapter(tiny, tmp_path / "a")), lambda _line: None)
    wide = make_adapter(make_tiny(tmp_path / "wide", hidden=128), tmp_path / "b")
    with pytest.raises(ModelError, match=f"not for {NAME}: .* has 128 in and 64 out"):
        await models.add("stranger", str(wide), lambda _line: None)
    listed = {row["name"]: row for row in (await models.list())["models"]}

    assert (row["kind"], row["base"], row["derived"]) == ("adapter", NAME, [])
    assert listed[NAME]["adapters"] == ["expert"]
    assert "stranger" not in listed


@pytest.mark.model
async def test_an_adapter_follows_its_model_into_another_form(make, tiny, tmp_path):
    models, told = make(), []
    await models.add(NAME, str(tiny), lambda _line: None)
    await models.add("expert", str(make_adapter(tiny, tmp_path / "a")), lambda _line: None)
    for source in (write_gguf(tiny, tmp_path / "tiny.gguf"), tiny):
        await models.add(NAME, str(source), lambda _line: None)
        row = models.roster.stats()["models"][0]
        told.append((row["engine"], row["adapters"]))

    assert told == [("llama.cpp", ["expert"]), ("transformers", ["expert"])]


async def test_adapters_find_their_base_beside_one_that_is_damaged(
    make, image, tiny, tmp_path, caplog
):
    models = make()
    await models.add(NAME, str(tiny), lambda _line: None)
    await models.add("other", str(make_tiny(tmp_path / "other", hidden=32)), lambda _line: None)
    await models._links("other")
    blob = next(models._run.glob("models/other-*/model.safetensors")).resolve()
    blob.chmod(0o600)
    blob.write_bytes(b"damaged")
    folder = tmp_path / "adapters"
    make_adapter(tiny, folder / "expert")
    shutil.copytree(folder / "expert", folder / "misfit")
    (folder / "misfit" / "adapter_config.json").write_text("{}")
    make_adapter(make_tiny(tmp_path / "wide", hidden=128), folder / "stranger")
    with caplog.at_level(logging.WARNING):
        await make().take_adapters(folder, lambda _line: None)
    later = make()
    await later.take_adapters(tmp_path / "none", lambda _line: None)
    rows = {row["name"]: row for row in (await later.list())["models"]}

    assert rows[NAME]["adapters"] == ["expert"]
    assert rows["expert"]["base"] == NAME
    assert {"misfit", "stranger"}.isdisjoint(rows)
    for skipped in ("misfit", "stranger"):
        assert f"adapter {skipped} is skipped" in caplog.text
    assert "adapters are not tried on other" in caplog.text


def test_the_table_says_where_each_model_is_and_which_memory_is_used(capsys):
    rows = [
        {"name": "coder", "state": "resident", "device": "cuda", "bytes": 5 * 10**9, "size": 10**9,
         "pinned": True, "adapters": ["expert"], "idle_seconds": 3.0, "load_seconds": 1.5},
        {"name": "expert", "kind": "adapter", "size": 10**7, "base": "coder"},
    ]  # fmt: skip
    purse = {"budget": 16 * 10**9, "used": 0, "lost": 0}
    gpu = {"budget": 7 * 10**9, "used": 5 * 10**9, "lost": 0}
    body = {"profile": "8gb", "models": rows, "gpu": gpu} | purse
    COMMANDS["models"].show(body, Screen(plain=True))
    told = capsys.readouterr()
    lines = [" ".join(line.split()) for line in told.out.splitlines()]

    assert "coder 1.0 GB resident on the GPU, pinned 5.0 GB 3 s ago 1.5 s expert" in lines
    assert "expert adapter 10 MB stored - - - on coder" in lines
    assert "GPU memory for models: 7.0 GB, used: 5.0 GB" in told.err


def test_the_table_shows_abilities_and_how_far_an_exam_has_come(capsys):
    known = {"adapter": "", "writes": 0.45, "judges": 0.0, "tests": None}
    exam = {"name": "small", "part": "writes", "parts": 5, "done": 12, "of": 60}
    body = {"profile": "tiny", "models": [{"name": "small", "abilities": [known]}], "exam": exam}
    COMMANDS["models"].show(body, Screen(plain=True))
    told = capsys.readouterr()
    lines = [" ".join(line.split()) for line in told.out.splitlines()]

    assert "ABILITY OF THROUGH WRITES JUDGES TESTS PLANS FORM TOOLS" in lines
    assert "small - 45% 0% - - - -" in lines
    assert "exam running: small, writes: 12 of 60" in told.err
    COMMANDS["models"].show({"exam": {"waiting": ["small"]}}, Screen(plain=True))
    assert "exams that wait: small" in capsys.readouterr().err
    COMMANDS["models"].show(body | {"exam": {"failed": {"small": "no disk"}}}, Screen(plain=True))
    assert "the last exam of small failed: no disk" in capsys.readouterr().err


def test_a_kernel_is_put_together_without_the_heavy_libraries():
    told = subprocess.run(
        [sys.executable, "-c", LIGHT],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout.strip() == "[]"


async def test_a_persona_may_think_with_a_model_that_the_profile_does_not_name(make, tmp_path):
    """Set by a person while the kernel runs: a file of the image, or what a server runs."""
    async with Server(serving(say("yes", "stop"), event(b"[DONE]"))) as server:
        models = make(settings={"profile": "tiny", "server": server.url, "server_model": "toy"})
        file = write_gguf(make_tiny(tmp_path / "source" / "other"), tmp_path / "other.gguf")
        await models.add("other", str(file), lambda _line: None)
        assert not models.roster.has("other")
        for name in ("other", "served", "ghost"):
            await models.adopt(name)
        assert models.roster.has("other")
        assert not models.roster.has("ghost")
        now = dict(models.profile.personas)
        now["BRICK"] = msgspec.structs.replace(now["BRICK"], model="served", writing="")
        now["ROBIN"] = msgspec.structs.replace(now["ROBIN"], model="other", writing="")
        models.roster.assign(now)
        (answer,) = await models.roster.generate("BRICK", PROMPT, TEN)
        assert answer.text == "yes"
        (answer,) = await models.roster.generate("ROBIN", PROMPT, TEN)
        assert answer.tokens == 10
        with pytest.raises(ArgumentsError, match="uses other for ROBIN"):
            await models.remove("other")
