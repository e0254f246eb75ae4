"""``batos upgrade`` as a command, up to the point where a kernel would be needed."""

import json

import pytest

from bat_os.cli.verbs import main
from bat_os.supervisor.upgrade.instructions import check_signature, parse

TOLD = {
    "schema": 1,
    "id": "u1",
    "from": "0.1.0",
    "to": "0.2.0",
    "actions": [{"git_ff": {"commit": "0" * 40}}],
}


@pytest.fixture
def batos(tmp_path, capsys):
    """Run the verb; returns its status, its answer and its notes."""

    def run(*words):
        status = main(["upgrade", *map(str, words), "--home", str(tmp_path / "home")])
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "update_instructions.json"
    path.write_text(json.dumps(TOLD))
    return path


def test_a_new_key_signs_what_its_line_lets_in(batos, file, tmp_path):
    status, line, _ = batos("--new-key", tmp_path / "ann.key")
    assert status == 0
    (tmp_path / "keys").write_text(line)
    (tmp_path / "keys").chmod(0o600)

    assert batos(file, "--sign", tmp_path / "ann.key")[0] == 0

    assert check_signature(parse(file.read_bytes()), tmp_path / "keys") == "ann"


def test_sealing_writes_the_digest_and_no_signature(batos, file):
    assert batos(file, "--seal")[0] == 0
    told = parse(file.read_bytes())
    assert (told.id, told.signature) == ("u1", "")


def test_instructions_without_their_digest_are_refused_with_the_reason(batos, file):
    status, out, err = batos(file)
    assert (status != 0, out) == (True, "")
    assert "sha256 is missing" in err


def test_a_home_that_trusts_nobody_takes_no_upgrade_and_says_where_to_read(batos, file, tmp_path):
    batos(file, "--seal")
    status, _, err = batos(file, "--dry-run")
    assert (status != 0, "docs/operations.md" in err) == (True, True)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("words", [["nothing.json"], ["nothing.json", "--seal"], []])
def test_what_is_not_there_is_a_clear_error(batos, words):
    status, out, err = batos(*words)
    assert (status != 0, out, "Traceback" in err) == (True, "", False)


def test_json_is_one_object_on_one_line(batos, file):
    status, out, _ = batos(file, "--seal", "--json")
    assert (status, out.count("\n")) == (0, 1)
    assert json.loads(out)["signed"] is False
