"""bat_os.cli.verbs: ``batos VERB`` as a process."""

import asyncio
import json
import re

import pytest

from bat_os.cli.main import main
from tests.cli.clients import verb

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture
def home(thinking):
    thinking.gate.set()
    return thinking.home.path


async def test_send_prints_the_answer_and_nothing_else_on_standard_output(home):
    first = await verb(home, "send", "genesis_obj", "double", "[21]")
    assert (first.status, first.out) == (0, "42\n")
    assert "genesis_obj.double(21): learned now" in first.err
    told = (await verb(home, "send", "genesis_obj", "double", "[4]", "--json")).json
    assert (told["result"], told["learned"], told["model_calls"]) == (8, False, 0)


async def test_send_takes_named_arguments(home):
    arguments = '{"name": "kept", "value": [1, null]}'
    ended = await verb(home, "send", "genesis_obj", "setSlot", "[]", arguments)
    assert (ended.status, ended.out) == (0, "[1, null]\n")


async def test_a_family_is_made_shown_and_deleted_with_advice(home):
    made = await verb(home, "derive", "genesis_obj", "vehicle_obj")
    assert (made.status, made.out) == (0, "vehicle_obj: genesis_obj\n")
    assert re.search(r"to take it back: \S+ undo [0-9a-f]{16}\n", made.err)
    await verb(home, "derive", "vehicle_obj", "car_obj")
    tree = (await verb(home, "list", "--tree")).out.splitlines()
    at = tree.index("    vehicle_obj")
    assert tree[at - 1].startswith("  genesis_obj")
    assert tree[at + 1] == "      car_obj"
    refused = await verb(home, "delete", "vehicle_obj")
    assert refused.status == 1
    assert "vehicle_obj is referred to by car_obj (its child)" in refused.err
    gone = await verb(home, "delete", "vehicle_obj", "--force", "--json")
    assert (await verb(home, "parents", "car_obj")).out == "car_obj: genesis_obj\n"
    back = await verb(home, "undo", gone.json["transaction"])
    assert back.out == "undone in vehicle_obj, car_obj\n"
    assert (await verb(home, "parents", "car_obj")).out == "car_obj: vehicle_obj\n"


async def test_list_inspect_and_health_print_json(home):
    listed = (await verb(home, "list", "--json")).json
    assert "genesis_obj" in [one["name"] for one in listed["objects"]]
    assert (await verb(home, "inspect", "genesis_obj", "--json")).json["name"] == "genesis_obj"
    assert (await verb(home, "status", "--json")).json["kernel"]["ready"] is True
    assert (await verb(home, "health", "--json")).json["kernel"]["ready"] is True


async def test_plain_words_are_arguments_too(home):
    ended = await verb(home, "send", "genesis_obj", "setSlot", "kept", "value=5")
    assert (ended.status, ended.out) == (0, "5\n")
    ended = await verb(home, "send", "genesis_obj", "double", "21")
    assert (ended.status, ended.out) == (0, "42\n")


async def test_a_source_that_is_not_there_is_told_with_where_to_look(thinking):
    async with thinking.client() as kernel:
        for number in range(13):
            source = f'def sort_{number}(self):\n    """Return a number."""\n    return {number}\n'
            await kernel.request("teach", target="genesis_obj", body={"source": source})
    near = await verb(thinking.home.path, "source", "genesis_obj", "sort1")
    assert "; did you mean 'sort_1'?" in near.err
    far = await verb(thinking.home.path, "source", "genesis_obj", "xyz")
    assert far.err.endswith("method 'xyz' of its own; ./run.sh inspect genesis_obj lists them\n")


async def test_an_object_is_shown_as_a_page_for_people(home):
    await verb(home, "send", "genesis_obj", "setSlot", "colour", "red")
    await verb(home, "send", "genesis_obj", "double", "21")
    told = await verb(home, "inspect", "genesis_obj")
    assert told.status == 0
    assert told.out.startswith("genesis_obj  parents: ")
    assert "\ncolour  red\n" in told.out
    assert "\ndouble  provisional  Double." in told.out
    assert re.search(r"from traits_obj: .*\bclone\b.*getSlot", told.out, re.DOTALL)
    assert not set("{}[]") & set(told.out), told.out


async def test_a_list_of_json_that_is_not_closed_is_no_word(home):
    ended = await verb(home, "send", "genesis_obj", "double", '["a b"')
    assert ended.status == 2
    assert "begins like JSON, and the ] is missing" in ended.err


async def test_a_learned_method_is_shown_found_and_approved(home):
    await verb(home, "send", "genesis_obj", "double", "21")
    assert "return number * 2" in (await verb(home, "source", "genesis_obj", "double")).out
    assert "genesis_obj.double" in (await verb(home, "find", "double")).out
    wrong = await verb(home, "approve", "genesis_obj", "double", "--example", "4 gives 9")
    assert (wrong.status, "gives 8, not 9" in wrong.err) == (1, True)
    told = await verb(home, "approve", "genesis_obj", "double", "--example", "4 gives 8")
    assert told.out == "genesis_obj.double: verified, version 1\n"
    sent = await verb(home, "send", "genesis_obj", "double", "3", "--json")
    assert sent.json["status"] == "verified"


async def test_documents_are_learned_searched_and_forgotten(home, tmp_path):
    (tmp_path / "bats.md").write_text("# Bats\n\nBats sleep by day and hang upside down.\n")
    learned = (await verb(home, "learn", str(tmp_path / "bats.md"), "--json")).json["learned"]
    assert learned[0]["changed"] is True
    found = (await verb(home, "search", "hang upside down", "--json")).json["passages"]
    assert "upside down" in found[0]["text"]
    doc_id = learned[0]["doc_id"]
    assert doc_id in (await verb(home, "documents")).out
    assert (await verb(home, "forget", doc_id)).status == 0
    assert (await verb(home, "forget", doc_id)).status == 1


async def test_a_file_is_one_document_from_every_folder(home, tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bats.txt").write_text(f"Bats of {name} sleep.\n")
    monkeypatch.chdir(tmp_path / "one")
    await verb(home, "learn", "bats.txt")
    monkeypatch.chdir(tmp_path / "two")
    await verb(home, "learn", "bats.txt", "../one")
    listed = (await verb(home, "documents", "--json")).json["documents"]
    sources = [str(tmp_path / name / "bats.txt") for name in ("one", "two")]
    assert [one["meta"]["source"] for one in listed] == sources
    assert (await verb(home, "forget", "bats.txt")).out == f"forgotten: document:{sources[1]}\n"
    assert (await verb(home, "forget", "..")).out == f"forgotten: document:{sources[0]}\n"
    assert (await verb(home, "forget", "..")).status == 1


async def test_documents_are_found_by_the_meta_data_that_they_were_given(home, tmp_path):
    (tmp_path / "bats.md").write_text("# Bats\n\nBats sleep by day.\n")
    (tmp_path / "owls.txt").write_text("Owls sleep by day.\n")
    given = ["--meta", "tags=pets", "--meta", "tags=night"]
    await verb(home, "learn", str(tmp_path / "owls.txt"), *given)
    await verb(home, "learn", str(tmp_path / "bats.md"))
    for where, title in (("tags=night", "owls.txt"), ("format=markdown", "Bats")):
        found = await verb(home, "search", "sleep by day", "--where", where, "--json")
        assert [one["title"] for one in found.json["passages"]] == [title]
        listed = await verb(home, "documents", "--where", where, "--json")
        assert [one["title"] for one in listed.json["documents"]] == [title]
    wrong = await verb(home, "documents", "--where", "night")
    assert (wrong.status > 0, "KEY=VALUE" in wrong.err) == (True, True)


async def test_a_catalog_is_indexed_anew(home, tmp_path):
    (tmp_path / "bats.md").write_text("# Bats\n\nBats sleep by day.\n")
    await verb(home, "learn", str(tmp_path / "bats.md"))
    told = await verb(home, "reindex")
    assert (told.out, told.status) == ("reindexed: 1 documents\n", 0)


async def test_models_say_what_is_where_and_what_fits(home):
    assert "tiny" in (await verb(home, "models", "fit")).out
    listed = (await verb(home, "models", "--json")).json
    assert [one["name"] for one in listed["models"]] == ["SmolLM2-135M-Instruct-Q4_1"]


def test_an_unknown_verb_gets_a_guess(capsys):
    assert main(["inspekt"]) == 2
    assert "did you mean 'inspect'?" in capsys.readouterr().err


async def test_shutdown_lets_the_kernel_go_down(thinking):
    ended = await verb(thinking.home.path, "shutdown", "--json")
    assert (ended.status, ended.json["was"]) == (0, "alone")
    await asyncio.wait_for(asyncio.shield(thinking.task), 30)


async def test_an_error_of_the_kernel_is_status_one(home):
    ended = await verb(home, "inspect", "nobody_obj")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("NOT_FOUND there is no object 'nobody_obj'")
    ended = await verb(home, "inspect", "nobody_obj", "--json")
    assert (ended.status, ended.json["error"]["code"]) == (1, "NOT_FOUND")


async def test_without_a_kernel_the_status_is_three(tmp_path):
    ended = await verb(tmp_path, "list")
    assert (ended.status, ended.out) == (3, "")
    assert "start one with ./run.sh" in ended.err
    ended = await verb(tmp_path, "send", "genesis_obj", "double", "--json")
    assert ended.status == 3
    assert set(ended.json) == {"error"}


@pytest.mark.parametrize(
    "arguments",
    [("send", "genesis_obj"), ("inspect",), ("frobnicate",)],
    ids=lambda arguments: " ".join(arguments)[:30],
)
def test_wrong_usage_is_status_two(arguments, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("INVALID_ARGS ./run.sh")
    assert "--help" in told.err or "did you mean" in told.err


async def test_what_no_message_can_carry_is_status_two(home):
    ended = await verb(home, "send", "genesis_obj", "double", json.dumps(["x" * 70_000]))
    assert (ended.status, ended.out) == (1, "")  # the kernel's limit for a brief
    assert "TOO_LARGE" in ended.err
    ended = await verb(home, "send", "genesis_obj", "double", "[" * 50 + "]" * 50)
    assert (ended.status, ended.out) == (2, "")  # the limit of the wire
    assert "TOO_LARGE nested deeper" in ended.err


async def test_an_object_that_there_is_not_gets_a_guess(home):
    ended = await verb(home, "inspect", "genesis_ob")
    assert ended.status == 1
    assert "there is no object 'genesis_ob'; did you mean 'genesis_obj'?" in ended.err


async def test_ask_says_it_in_words_and_personas_say_what_they_think_with(home):
    await verb(home, "send", "genesis_obj", "setSlot", "kept", "5")
    ended = await verb(home, "ask", "what", "is", "kept?", "--as", "getSlot('kept')")
    assert (ended.status, ended.out) == (0, "5\n")
    assert ended.err.startswith("getSlot('kept'), ")
    told = (await verb(home, "personas", "--json")).json
    assert [one["name"] for one in told["personas"]] == ["ALFRED", "BRICK", "ROBIN", "BABS"]


async def test_stop_stops_a_kernel_without_a_watchdog(thinking):
    ended = await verb(thinking.home.path, "stop", "--json")
    assert (ended.status, ended.json["was"]) == (0, "alone")
    await asyncio.wait_for(asyncio.shield(thinking.task), 30)


async def test_stop_where_nothing_runs_is_no_error(tmp_path):
    ended = await verb(tmp_path, "stop")
    assert (ended.status, "BAT OS is not running." in ended.err) == (0, True)
