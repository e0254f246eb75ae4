"""bat_os.app.listeners: where a kernel listens, by its settings."""

import os
from pathlib import Path

import pytest

from bat_os.app.listeners import make_endpoints, remove_socket_folder
from bat_os.client.keys import KeyRing
from bat_os.core.settings import Settings
from bat_os.errors import SettingsError
from bat_os.supervisor.home import Home


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.prepare()
    return made


def doors(home, **settings):
    return make_endpoints(home, Settings(home=str(home.path), **settings))


def test_ipc_is_for_the_owner_and_tcp_for_who_has_the_token(home):
    ipc, tcp = doors(home, tcp_port=0)
    assert (ipc.address, ipc.token) == (f"ipc://{home.path}/run/kernel.sock", "")
    assert tcp.address == "tcp://127.0.0.1:*"
    assert tcp.token == (home.path / "run" / "token").read_text().strip()
    assert (home.path / "run" / "token").stat().st_mode & 0o777 == 0o600


def test_without_a_key_that_may_come_in_there_is_no_door_for_other_machines(home):
    with pytest.raises(SettingsError, match="run `batos keys make NAME` first"):
        doors(home, listen="tcp://127.0.0.1:5556")
    KeyRing(home.path).make("laptop")
    *_, remote = doors(home, listen="tcp://*:5556")
    assert remote.curve.public.decode() == KeyRing(home.path).server()[0]


@pytest.mark.parametrize(
    "listen", ["*:5556", "tcp://:1", "tcp://a b:1", "ipc:///x", "tcp://h:123456", "tcp://h:1;x"]
)
def test_an_address_of_another_form_is_refused(home, listen):
    KeyRing(home.path).make("laptop")
    with pytest.raises(SettingsError, match="write tcp://ADDRESS:PORT"):
        doors(home, listen=listen)


def test_the_socket_of_a_home_with_a_long_path_is_elsewhere_and_goes_with_the_kernel(tmp_path):
    home = Home(tmp_path / ("x" * 90))
    home.prepare()
    (ipc,) = doors(home, tcp_port=-1)
    folder = Path(ipc.address.removeprefix("ipc://")).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "kernel.sock").touch()
    remove_socket_folder(home)
    assert not folder.exists()
    remove_socket_folder(home)  # nothing is left to do


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_the_folder_of_the_socket_is_closed_to_others_also_in_a_copied_home(home):
    run = home.socket.parent
    run.chmod(0o755)
    doors(home)
    assert run.stat().st_mode & 0o777 == 0o700
