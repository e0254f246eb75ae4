"""batos keys: who may come in from other machines; no kernel is needed."""

import json
from pathlib import Path

import pytest

from bat_os.cli.verbs import main
from bat_os.client.keys import make_pair


@pytest.fixture
def keys(tmp_path, capsys):
    """Return a function that runs ``batos keys`` and returns (exit status, its answer)."""

    def run(*words):
        status = main(["keys", *words, "--json", "--home", str(tmp_path)])
        out = capsys.readouterr().out
        return status, json.loads(out) if out else {}

    return run


def test_keys_are_made_listed_allowed_and_revoked(keys):
    status, made = keys("make", "laptop", "--connect", "tcp://h:1")
    assert (status, Path(made["file"]).is_file()) == (0, True)
    assert keys("allow", "phone", make_pair()[0]) == (0, {"allowed": "phone"})
    assert list(keys("list")[1]["allowed"]) == ["laptop", "phone"]
    assert keys("revoke", "laptop")[0] == 0
    assert list(keys("list")[1]["allowed"]) == ["phone"]


@pytest.mark.parametrize(
    ("words", "status"), [(("allow", "x", "no key"), 2), (("revoke", "x"), 1), (("make",), 2)]
)
def test_what_cannot_be_done_with_a_key_is_an_error(keys, words, status):
    assert keys(*words)[0] == status
