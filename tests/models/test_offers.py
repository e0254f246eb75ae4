"""bat_os.models.offers: what there is to choose, and how a choice is written down."""

import tomllib
from dataclasses import replace

import pytest

from bat_os.core.settings import resolve
from bat_os.models.machine import PER_THREAD, check_own, measure_bandwidth, read_book
from bat_os.models.offers import (
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
    write_profile,
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
        "SPEED": "about 8 tokens/s",
        "LICENCE": "Apache-2.0",
    }
    assert tiny[1:3] == ["installed", "nothing"]
    exact = replace(offer_profile(BOOK, BOOK.profile("cpu"), GB), exact=True)
    assert (exact.row()[2], exact.row()[4]) == ("2.5 GB", "under 1 token/s")
    assert offer_server(OLLAMA).row()[1:] == [
        "ollama here, 4096 tokens", "nothing", "the server's", "not known", "apache-2.0",
    ]  # fmt: skip
    assert offer_profile(BOOK, BOOK.profile("8gb"), FAST).row()[4] == "not known"
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

    assert found.models == ("Qwen3-8B-Q4",) == tuple(offer.models)
    assert offer.models == {"Qwen3-8B-Q4": FILE.path}
    assert book.models["Qwen3-8B-Q4"].source == FILE.path
    assert book.models["Qwen3-8B-Q4"].size == FILE.size
    assert found.limits == BOOK.profile("cpu").limits
    known = replace(FILE, name="Qwen3-4B-Instruct-2507-Q4_K_M")
    assert [*offer_file(BOOK, known, FAST).models] == ["Qwen3-4B-Instruct-2507-Q4_K_M-found"]


def test_a_choice_replaces_the_one_before_and_leaves_what_a_person_wrote():
    mine = "[models.served]\nkey = 'K'"
    once = write_block(mine, offer_file(BOOK, FILE, FAST).block)
    again = write_block(once, "[models.other]\n")

    assert again.startswith(mine + "\n# ")
    assert set(tomllib.loads(again)["models"]) == {"served", "other"}
    assert "profiles" not in tomllib.loads(again)
    assert write_block(again, "") == again


@pytest.mark.parametrize(
    "settings",
    ["", "threads = 2", "# profile = 'x'\nthreads = 2\n", " profile='tiny' # why\nthreads = 2\n"],
)
def test_the_profile_is_set_and_all_other_settings_stay(settings):
    text = write_profile(settings, "cpu")
    before, after = (resolve(one, {}, {}).settings for one in (settings, text))

    assert after == replace(before, profile="cpu")
    assert text.count("#") == settings.partition(" # why")[0].count("#")


def test_a_profile_that_does_not_fit_says_why():
    assert explain_misfit(BOOK.profile("cpu"), LAPTOP) == ""
    assert explain_misfit(BOOK.profile("cpu"), BOARD).startswith("needs 5.0 GB of memory; this")


def test_memory_is_read_at_some_speed_and_threads_bound_it():
    assert 0 < measure_bandwidth(1) <= PER_THREAD
