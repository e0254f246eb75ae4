"""bat_os.supervisor.upgrade.instructions: what is read, what is refused, whose signature counts."""

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.errors import UpgradeError
from bat_os.supervisor.upgrade.instructions import (
    KIND,
    LARGEST,
    canonical,
    check_signature,
    make_key,
    parse,
    read_plain,
    seal,
    sign,
)

COMMIT, SHA = "0123456789" * 4, "ab" * 32
FF = {"git_ff": {"commit": COMMIT}}
SYNC = {"pip_sync": {"requirements": "requirements.txt", "hash": SHA}}
MIGRATE = {"migrate": {"module": "bat_os.image.migrations.format_4"}}
GOOD = {"schema": 1, "id": "u-1", "from": "0.1.0", "to": "0.2.0", "actions": [FF, SYNC, MIGRATE]}


def encode(told):
    return json.dumps(told | {"sha256": hashlib.sha256(canonical(told)).hexdigest()}).encode()


def change(**changes):
    return encode({key: value for key, value in (GOOD | changes).items() if value is not ...})


def test_good_instructions_are_read():
    told = parse(encode(GOOD | {"sig": "AAAA"}))
    assert (told.id, told.before, told.after, told.commit) == ("u-1", "0.1.0", "0.2.0", COMMIT)
    assert (told.requirements, told.requirements_sha256) == ("requirements.txt", SHA)
    assert (told.image_format, told.signature) == (4, "AAAA")
    assert told.signed == canonical(GOOD)


def test_libraries_and_migration_may_be_left_out():
    told = parse(change(actions=[FF]))
    assert (told.requirements, told.image_format) == ("", 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"schema": True},
        {"schema": 1.0},
        {"id": "../x"},
        {"id": ""},
        {"id": 5},
        {"from": "0.1.0; rm -rf /"},
        {"to": ...},
        {"extra": 1},
        {"actions": []},
        {"actions": {}},
        {"actions": [SYNC]},
        {"actions": [SYNC, FF]},
        {"actions": [FF, FF]},
        {"actions": [FF, {"shell": {"command": "id"}}]},
        {"actions": [FF | SYNC]},
        {"actions": [{"git_ff": {"commit": "main"}}]},
        {"actions": [{"git_ff": {"commit": "-" * 40}}]},
        {"actions": [{"git_ff": {"commit": COMMIT, "remote": "x"}}]},
        {"actions": [{"git_ff": COMMIT}]},
        {"actions": [FF, {"pip_sync": {"requirements": "../r.txt", "hash": SHA}}]},
        {"actions": [FF, {"pip_sync": {"requirements": "-r.txt", "hash": SHA}}]},
        {"actions": [FF, {"pip_sync": {"requirements": "r.txt", "hash": SHA[1:]}}]},
        {"actions": [FF, {"migrate": {"module": "os"}}]},
        {"actions": [FF, {"migrate": {"module": "bat_os.image.migrations.format_0"}}]},
        {"sig": 5},
        {"sig": "x y"},
    ],
)
def test_what_is_not_of_the_schema_is_refused(changes):
    with pytest.raises(UpgradeError):
        parse(change(**changes))


def test_instructions_that_were_changed_are_refused():
    with pytest.raises(UpgradeError, match="changed"):
        parse(encode(GOOD).replace(b"0.2.0", b"0.3.0"))


def test_a_key_that_stands_there_twice_is_refused():
    with pytest.raises(UpgradeError, match="duplicate"):
        parse(encode(GOOD)[:-1] + b', "to": "0.3.0"}')


def test_instructions_that_are_too_long_are_refused_before_they_are_read():
    with pytest.raises(UpgradeError, match="longer"):
        parse(b"[" * (LARGEST + 1))


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20) | st.integers(),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from([*GOOD, "sha256", "sig", "x"]), inner, max_size=9),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_rubbish_is_refused_with_that_one_error(text):
    with pytest.raises(UpgradeError):
        parse(text)


UNSIGNED = {
    "schema": 1,
    "id": "u1",
    "from": "1.0",
    "to": "2.0",
    "actions": [{"git_ff": {"commit": "0" * 40}}],
}


def read(document):
    return parse(json.dumps(document).encode())


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
    signed = read(sign(UNSIGNED, path))
    assert check_signature(signed, keys("# ours", "", line)) == "ann"
    assert check_signature(signed, keys(f"{line} of the harbour")) == "ann of the harbour"
    unnamed = line.removesuffix(" ann")
    assert check_signature(signed, keys(unnamed)) == unnamed.split()[1]


def test_the_private_key_is_the_owners_alone_and_is_never_overwritten(key):
    path, _ = key
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UpgradeError, match="cannot be written"):
        make_key(path)


def test_what_a_stranger_has_signed_is_refused(key, keys, tmp_path):
    _, line = key
    make_key(tmp_path / "eve.key")
    with pytest.raises(UpgradeError, match="matches no key"):
        check_signature(read(sign(UNSIGNED, tmp_path / "eve.key")), keys(line))


def test_a_signature_of_other_instructions_is_refused(key, keys):
    path, line = key
    stolen = sign(UNSIGNED, path)["sig"]
    other = seal(UNSIGNED | {"to": "3.0"}) | {"sig": stolen}
    with pytest.raises(UpgradeError, match="matches no key"):
        check_signature(read(other), keys(line))


def test_unsigned_instructions_need_the_opt_in(key, keys):
    _, line = key
    unsigned = read(seal(UNSIGNED))
    with pytest.raises(UpgradeError, match="must be signed"):
        check_signature(unsigned, keys(line))
    assert check_signature(unsigned, keys("unsigned")) == "unsigned"


def test_nothing_is_taken_where_no_keys_are(tmp_path):
    with pytest.raises(UpgradeError, match="no upgrade is accepted without"):
        check_signature(read(seal(UNSIGNED)), tmp_path / "upgrade_keys")


@pytest.mark.usefixtures("posix")
def test_keys_that_others_can_write_are_no_keys(keys):
    with pytest.raises(UpgradeError, match="other users can write"):
        check_signature(read(seal(UNSIGNED)), keys("unsigned", mode=0o622))


@pytest.mark.parametrize(
    "line", ["rsa AAAA x", "unsigned please", "ed25519", "ed25519 !!! x", "ed25519 AAAA x"]
)
def test_a_line_that_is_no_key_is_an_error(keys, line):
    with pytest.raises(UpgradeError, match="line 1"):
        check_signature(read(seal(UNSIGNED)), keys(line))


@pytest.mark.parametrize("sig", ["AAAA", "====", "A" * 88])
def test_a_malformed_signature_is_refused(key, keys, sig):
    with pytest.raises(UpgradeError):
        check_signature(read(seal(UNSIGNED) | {"sig": sig}), keys(key[1]))


@pytest.mark.parametrize("text", ["", "[]", "\x00"])
def test_a_file_that_holds_no_object_cannot_be_signed(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UpgradeError):
        read_plain(tmp_path / "x.json")


# The eight points of small order, and the ways of writing them that are not the shortest.
_P = 2**255 - 19
_EIGHTH = int("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", 16)
_EIGHTH = int.from_bytes(_EIGHTH.to_bytes(32, "big"), "little") % (1 << 255)
WEAK = [y + sign * (1 << 255) for y in (0, 1, _P - 1, _P, _P + 1, _EIGHTH, _P - _EIGHTH)
        for sign in (0, 1)]  # fmt: skip


@pytest.mark.parametrize("point", WEAK)
def test_a_key_for_which_anyone_can_sign_is_refused(keys, point):
    weak = base64.b64encode(point.to_bytes(32, "little")).decode()
    with pytest.raises(UpgradeError, match="anyone can sign"):
        check_signature(read(seal(UNSIGNED)), keys(f"{KIND} {weak} mallory"))


def test_keys_that_are_made_are_never_weak(tmp_path, keys):
    lines = [make_key(tmp_path / f"{number}.key") for number in range(50)]
    signed = read(sign(UNSIGNED, tmp_path / "7.key"))
    assert check_signature(signed, keys(*lines)) == "7"
