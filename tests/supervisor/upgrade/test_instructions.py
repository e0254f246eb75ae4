"""bat_os.supervisor.upgrade.instructions: what is read, and all that is refused."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.errors import UpgradeError
from bat_os.supervisor.upgrade.instructions import LARGEST, canonical, parse

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
    with pytest.raises(UpgradeError, match="twice"):
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
