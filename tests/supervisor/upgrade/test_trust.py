"""bat_os.supervisor.upgrade.trust: whose instructions are taken."""

import json

import pytest

from bat_os.errors import UpgradeError
from bat_os.supervisor.upgrade.instructions import parse
from bat_os.supervisor.upgrade.trust import check_signature, make_key, read_plain, seal, sign

TOLD = {
    "schema": 1,
    "id": "u1",
    "from": "1.0",
    "to": "2.0",
    "actions": [{"git_ff": {"commit": "0" * 40}}],
}


def read(told):
    return parse(json.dumps(told).encode())


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "ann.key"
    return path, make_key(path)


@pytest.fixture
def keys(tmp_path):
    def write(*lines, mode=0o600):
        path = tmp_path / "upgrade_keys"
        path.write_text("".join(f"{line}\n" for line in lines))
        path.chmod(mode)
        return path

    return write


def test_what_a_trusted_key_has_signed_is_taken(key, keys):
    path, line = key
    signed = read(sign(TOLD, path))
    assert check_signature(signed, keys("# ours", "", line)) == "ann"


def test_the_private_key_is_the_owners_alone_and_is_never_overwritten(key):
    path, _ = key
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UpgradeError, match="cannot be written"):
        make_key(path)


def test_what_a_stranger_has_signed_is_refused(key, keys, tmp_path):
    _, line = key
    make_key(tmp_path / "eve.key")
    with pytest.raises(UpgradeError, match="of no key"):
        check_signature(read(sign(TOLD, tmp_path / "eve.key")), keys(line))


def test_a_signature_of_other_instructions_is_refused(key, keys):
    path, line = key
    stolen = sign(TOLD, path)["sig"]
    other = seal(TOLD | {"to": "3.0"}) | {"sig": stolen}
    with pytest.raises(UpgradeError, match="of no key"):
        check_signature(read(other), keys(line))


def test_unsigned_instructions_need_the_opt_in(key, keys):
    _, line = key
    unsigned = read(seal(TOLD))
    with pytest.raises(UpgradeError, match="not signed"):
        check_signature(unsigned, keys(line))
    assert check_signature(unsigned, keys("unsigned")) == "unsigned"


def test_nothing_is_taken_where_no_keys_are(tmp_path):
    with pytest.raises(UpgradeError, match="no upgrade is taken without"):
        check_signature(read(seal(TOLD)), tmp_path / "upgrade_keys")


@pytest.mark.usefixtures("posix")
def test_keys_that_others_can_write_are_no_keys(keys):
    with pytest.raises(UpgradeError, match="others can write"):
        check_signature(read(seal(TOLD)), keys("unsigned", mode=0o622))


@pytest.mark.parametrize(
    "line", ["rsa AAAA x", "unsigned please", "ed25519", "ed25519 !!! x", "ed25519 AAAA x"]
)
def test_a_line_that_is_no_key_is_an_error(keys, line):
    with pytest.raises(UpgradeError, match="line 1"):
        check_signature(read(seal(TOLD)), keys(line))


@pytest.mark.parametrize("sig", ["AAAA", "====", "A" * 88])
def test_a_malformed_signature_is_refused(key, keys, sig):
    with pytest.raises(UpgradeError):
        check_signature(read(seal(TOLD) | {"sig": sig}), keys(key[1]))


@pytest.mark.parametrize("text", ["", "[]", "\x00"])
def test_a_file_that_holds_no_object_cannot_be_signed(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UpgradeError):
        read_plain(tmp_path / "x.json")
