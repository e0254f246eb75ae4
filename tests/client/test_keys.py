"""bat_os.client.keys: who may come in, in files of the owner's."""

import json

import pytest

from bat_os.client.client import KernelClient
from bat_os.client.keys import ClientKey, KeyRing, make_pair
from bat_os.errors import ArgumentsError, NotFoundError, SettingsError


@pytest.fixture
def ring(tmp_path):
    return KeyRing(tmp_path)


def test_a_key_that_is_made_may_come_in_until_it_is_revoked(ring):
    key = ClientKey.read(ring.make("laptop", "tcp://10.0.0.1:5556"))
    assert key.connect == "tcp://10.0.0.1:5556"
    assert key.server == ring.server()[0]
    assert ring.allows(key.public)
    assert ring.allowed() == {"laptop": key.public}
    ring.revoke("laptop")
    assert not ring.allows(key.public)
    assert not (ring.folder / "laptop.key").exists()


def test_a_key_that_was_made_elsewhere_may_come_in_once_it_is_allowed(ring, tmp_path):
    elsewhere = KeyRing(tmp_path / "elsewhere")
    key = ClientKey.read(elsewhere.make("phone", server=ring.server()[0]))
    assert key.server == ring.server()[0]
    assert not elsewhere.allows(key.public)
    assert not ring.allows(key.public)
    ring.allow("phone", key.public)
    assert ring.allows(key.public)


def test_only_the_owner_can_read_what_is_secret(ring):
    path = ring.make("laptop")
    files = [path, ring.folder / "server.json", ring.folder / "allowed.json"]
    assert {one.stat().st_mode & 0o777 for one in files} == {0o600}
    assert ring.folder.stat().st_mode & 0o777 == 0o700
    path.chmod(0o644)
    with pytest.raises(SettingsError, match=r"others can read .*chmod 600"):
        ClientKey.read(path)


def test_the_kernel_keeps_its_keys(ring, tmp_path):
    assert ring.server() == KeyRing(tmp_path).server()


@pytest.mark.parametrize("name", ["", "a b", "../x", ".hidden", "x" * 61, "é"])
def test_a_name_that_cannot_be_a_file_is_refused(ring, name):
    with pytest.raises(ArgumentsError, match="cannot name a key"):
        ring.make(name)


def test_a_name_names_one_key(ring):
    ring.make("laptop")
    with pytest.raises(ArgumentsError, match="already"):
        ring.make("laptop")
    with pytest.raises(ArgumentsError, match="names another key"):
        ring.allow("laptop", make_pair()[0])
    with pytest.raises(NotFoundError, match=r"authorised keys: \['laptop'\]"):
        ring.revoke("phone")


@pytest.mark.parametrize("text", ["", "x" * 39, "x" * 41, "\0" * 40, "~" * 40, "é" * 40])
def test_what_is_no_key_is_refused(ring, text):
    with pytest.raises(SettingsError, match="is not a key"):
        ring.allow("laptop", text)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": "b"}', '{"../x": "y"}', "\udce9", "[" * 9999]
)
def test_a_list_that_cannot_be_read_lets_nobody_in(ring, text):
    key = ClientKey.read(ring.make("laptop"))
    assert ring.allows(key.public)
    (ring.folder / "allowed.json").write_bytes(text.encode(errors="surrogateescape"))
    assert not ring.allows(key.public)


def test_a_key_file_without_an_address_needs_one(ring):
    key = ClientKey.read(ring.make("laptop"))
    for address in ("", "ipc:///x", "10.0.0.1:5556"):
        with pytest.raises(SettingsError, match=r"write tcp://HOST:PORT"):
            KernelClient.remote(key, address)


@pytest.mark.parametrize("change", [{"secret": "x"}, {"server": 7}, {"connect": 7}])
def test_a_key_file_of_another_form_is_refused(ring, change):
    path = ring.make("laptop")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SettingsError):
        ClientKey.read(path)
