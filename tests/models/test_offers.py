"""bat_os.models.offers: what there is to choose, and how a choice is written down."""

import tomllib
from dataclasses import replace

import pytest

from bat_os.core.settings import resolve, write_setting
from bat_os.models.machine import PER_THREAD, check_own, measure_bandwidth, read_book
from bat_os.models.offers import (
    BESIDE,
    HEADS,
    FoundFile,
    FoundServer,
    as_plain,
    explain_misfit,
    fits,
    make_offers,
    offer_file,
    offer_profile,
    offer_server,
    write_block,
)
from bat_os.models.profiles import Machine

GB = 10**9
BOOK = read_book()
LAPTOP = Machine(ram=16 * GB, free_ram=10 * GB, free_disk=100 * GB, cores=8)
BOARD = Machine(ram=GB, free_ram=GB, free_disk=3 * GB, cores=1)
OLLAMA = FoundServer("ollama", "http://127.0.0.1:11434/v1", "qwen2.5-coder:7b", 4096, "apache-2.0")
VLLM = FoundServer("vllm", "http://127.0.0.1:8000/v1", 'odd "name"', 0)
FILE = FoundFile("/models/Qwen3 8B [Q4].gguf", "Qwen3 8B [Q4]", 5 * GB, 40960, "apache-2.0")
FAST = 20 * GB  # bytes per second


def keys(machine, servers=(), files=()):
    return [offer.key for offer in make_offers(BOOK, machine, servers, files, FAST)]


def test_there_are_at_most_three_and_the_small_default_is_the_last():
    assert keys(BOARD) == ["tiny"]
    assert keys(LAPTOP) == ["cpu", "tiny"]
    assert keys(LAPTOP, [OLLAMA, VLLM]) == ["ollama:qwen2.5-coder:7b", "cpu", "tiny"]
    assert keys(LAPTOP, [OLLAMA], [FILE]) == ["ollama:qwen2.5-coder:7b", FILE.path, "tiny"]
    assert keys(BOARD, [OLLAMA, VLLM]) == [
        "ollama:qwen2.5-coder:7b", 'vllm:odd "name"', "tiny",
    ]  # fmt: skip


def test_a_file_that_is_too_large_or_too_slow_is_not_offered():
    assert fits(FILE, LAPTOP, FAST)
    just = FILE.size + BESIDE
    assert fits(FILE, replace(LAPTOP, free_ram=just, free_disk=just), FAST)
    assert not fits(FILE, replace(LAPTOP, free_ram=5 * GB), FAST)
    assert not fits(FILE, replace(LAPTOP, free_disk=5 * GB), FAST)
    assert not fits(FILE, LAPTOP, 5 * GB)
    assert keys(replace(LAPTOP, free_ram=5 * GB), files=[FILE]) == ["cpu", "tiny"]


def test_an_offer_says_what_it_costs():
    cpu, tiny = (offer.row() for offer in make_offers(BOOK, LAPTOP, [], [], FAST))
    assert dict(zip(HEADS, cpu, strict=True)) == {
        "NAME": "Qwen3-4B-Instruct-2507-Q4_K_M",
        "WHERE": "on the hub",
        "DOWNLOAD": "about 2.5 GB",
        "MEMORY": "5.0 GB",
        "TOKENS/S": "about 8",
    }
    assert tiny[1:3] == ["installed", "-"]
    exact = replace(offer_profile(BOOK, BOOK.profile("cpu"), GB), exact=True)
    assert (exact.row()[2], exact.row()[4]) == ("2.5 GB", "under 1")
    assert offer_server(OLLAMA).row()[1:] == [
        "ollama here", "-", "-", "-",
    ]  # fmt: skip
    assert offer_profile(BOOK, BOOK.profile("8gb"), FAST).row()[4] == "-"
    assert "block" not in as_plain([offer_file(BOOK, FILE, FAST)])[0]


def test_a_server_becomes_the_model_of_the_profile_for_servers(tmp_path):
    offer = offer_server(VLLM)
    served = check_own(offer.block, tmp_path).models["served"]

    assert (served.source, served.file) == (VLLM.url, 'odd "name"')
    assert served.context == BOOK.models["served"].context
    assert check_own(offer_server(OLLAMA).block, tmp_path).models["served"].context == 4096


def test_a_file_becomes_the_one_model_of_a_profile_of_its_own(tmp_path):
    offer = offer_file(BOOK, FILE, FAST)
    book = check_own(offer.block, tmp_path)
    found = book.profile(offer.profile)

    [name] = offer.models
    assert (offer.name, name[:12]) == ("Qwen3-8B-Q4", "Qwen3-8B-Q4-")
    assert found.models == (name,)
    assert offer.models == {name: FILE.path}
    assert book.models[name].source == FILE.path
    assert book.models[name].size == FILE.size
    assert found.limits == BOOK.profile("cpu").limits


def test_two_files_of_one_name_are_two_models():
    others = (FILE, replace(FILE, path="/b/Qwen3 8B [Q4].gguf"), replace(FILE, size=GB))
    names = [name for file in others for name in offer_file(BOOK, file, FAST).models]
    assert len(set(names)) == 3
    assert [*offer_file(BOOK, FILE, FAST).models] == names[:1]


def test_a_choice_replaces_the_one_of_its_kind_and_leaves_what_a_person_wrote():
    mine = "[models.other]\nkey = 'K'"
    once = write_block(mine, offer_file(BOOK, FILE, FAST).block)
    again = write_block(once, offer_file(BOOK, replace(FILE, name="new"), FAST).block)
    [new, other] = sorted(tomllib.loads(again)["models"])

    assert again.startswith(mine + "\n# ")
    assert (new[:4], other) == ("new-", "other")
    assert write_block(again, "") == again


def test_the_profile_in_use_stays_there_while_another_is_chosen(tmp_path):
    """A daemon that starts between the two files that a choice writes finds its profile."""
    own = ""
    for offer in (offer_file(BOOK, FILE, FAST), offer_server(VLLM), offer_server(OLLAMA)) * 2:
        own = write_block(own, offer.block)
    book = check_own(own, tmp_path)

    assert book.profile("found").models == tuple(offer_file(BOOK, FILE, FAST).models)
    assert book.models["served"].source == OLLAMA.url


def test_the_block_of_an_earlier_version_is_replaced():
    mark = "# ---- written by `batos models choose`: what follows is replaced by the next choice\n"
    own = write_block("# mine\n" + mark + offer_server(VLLM).block, offer_server(OLLAMA).block)
    assert tomllib.loads(own)["models"]["served"]["source"] == OLLAMA.url


@pytest.mark.parametrize(
    "settings",
    ["", "threads = 2", "# profile = 'x'\nthreads = 2\n", " profile='tiny' # why\nthreads = 2\n"],
)
def test_the_profile_is_set_and_all_other_settings_stay(settings):
    text = write_setting(settings, "profile", '"cpu"')
    before, after = (resolve(one, {}, {}).settings for one in (settings, text))

    assert after == replace(before, profile="cpu")
    assert text.count("#") == settings.partition(" # why")[0].count("#")


def test_a_profile_that_does_not_fit_says_why():
    assert explain_misfit(BOOK.profile("cpu"), LAPTOP) == ""
    assert explain_misfit(BOOK.profile("cpu"), BOARD).startswith("needs 5.0 GB of memory; this")


def test_memory_is_read_at_some_speed_and_threads_bound_it():
    assert 0 < measure_bandwidth(1) <= PER_THREAD
