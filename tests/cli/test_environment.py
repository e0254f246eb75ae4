"""bat_os.cli.environment: the home directory and its settings, as every command finds them."""

import errno
import os

import pytest

from bat_os.cli.environment import as_coded, find_fault, kernel_environ, list_unread, load, require
from bat_os.core.settings import FILE, Settings
from bat_os.errors import SettingsError
from bat_os.supervisor.home import Home


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.prepare()
    return made


def test_a_home_of_ones_own_and_one_that_is_not_there_yet_can_be_used(home, tmp_path):
    assert find_fault(home.path) == find_fault(tmp_path / "new" / "home") == ""
    require(home.path)


def test_a_file_is_no_home_and_nothing_in_it_is(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert find_fault(file).startswith(f"{file} is not a directory; choose one of your own")
    with pytest.raises(SettingsError, match="a part of it is a file"):
        require(file / "home")


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may enter everything")
def test_a_home_that_is_closed_to_oneself_is_opened_again_by_chmod(home):
    home.path.chmod(0)
    try:
        assert f"chmod 700 {home.path}" in find_fault(home.path)
    finally:
        home.path.chmod(0o700)


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="needs root, to give files away")
@pytest.mark.parametrize(
    "name", ["", "run", "log", "program.json", "run/token", "run/endpoint.json", "versions",
             "upgrade_keys", "batos.toml", "profiles.toml", "keys", "update_instructions.json"],
)  # fmt: skip
def test_what_another_user_made_is_not_trusted(home, name):
    home.prepare()
    path = home.path / name
    if not path.exists():
        path.write_text("{}")
    os.chown(path, 12345, 12345)
    assert "belongs to user 12345" in find_fault(home.path)


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_a_home_that_others_can_write_to_is_refused_with_the_command_that_closes_it(home):
    home.prepare()
    for name, mode in (("", 0o777), ("", 0o775), ("run", 0o722)):
        path = home.path / name
        home.path.chmod(0o755)
        path.chmod(mode)
        assert f"chmod go-w {path}" in find_fault(home.path)
        with pytest.raises(SettingsError, match=f"chmod go-w {path}"):
            load(home.path, {})
        path.chmod(0o700)
    assert find_fault(home.path) == ""


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="needs root, to give files away")
@pytest.mark.parametrize("name", ["", "run", "batos.toml"])
def test_what_a_link_leads_to_is_not_trusted_either(home, tmp_path, name):
    (home.path / "batos.toml").write_text("")
    (home.path / name).rename(tmp_path / "elsewhere")
    (home.path / name).symlink_to(tmp_path / "elsewhere")
    assert find_fault(home.path) == ""
    os.chown(tmp_path / "elsewhere", 12345, 12345)
    assert "belongs to user 12345" in find_fault(home.path)


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_a_home_behind_a_link_is_as_open_as_what_it_leads_to(home, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(home.path)
    home.path.chmod(0o775)
    assert f"chmod go-w {link}" in find_fault(link)
    home.path.chmod(0o700)
    (home.path / "batos.toml").write_text("")
    (home.path / "batos.toml").chmod(0o664)
    assert find_fault(link) == ""


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_modes_inside_a_closed_home_do_not_matter(home):
    home.prepare()
    (home.path / "batos.toml").write_text("")
    (home.path / "batos.toml").chmod(0o664)
    assert find_fault(home.path) == ""
    home.path.chmod(0o755)
    assert "batos.toml" in find_fault(home.path)


def test_errors_of_the_system_have_codes_and_name_the_file():
    full = as_coded(OSError(errno.ENOSPC, "No space left on device", "/x"))
    assert (full.code, str(full)[:24]) == ("STORAGE_FULL", "/x cannot be written: No")
    other = as_coded(OSError(errno.EIO, "Input/output error"))
    assert (other.code, str(other)) == (
        "STORAGE_ERROR", "a file cannot be used: Input/output error"
    )  # fmt: skip


def test_a_home_without_a_file_has_the_defaults(tmp_path):
    found = load(tmp_path, {})
    assert found.settings == Settings(home=str(tmp_path))
    assert set(found.origins.values()) == {"default"}


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / FILE).write_bytes(b"\xef\xbb\xbfthreads = 3\r\n")
    assert load(tmp_path, {}).settings.threads == 3


@pytest.mark.parametrize(
    ("data", "told"),
    [(b"threads = 1\n\xff\xfe", "line 2: not UTF-8"), (b"#" * 300_000, "more than")],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path, data, told):
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(SettingsError, match=told):
        load(tmp_path, {})


def test_a_folder_in_place_of_the_file_is_told(tmp_path):
    (tmp_path / FILE).mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path, {})


def test_variables_that_nothing_reads_are_named_with_the_one_that_is_meant():
    environ = {"BATOS_TRED": "3", "BATOS_HOME": "/x", "BATOS_THREADS": "2", "PATH": "/bin"}
    assert list_unread(environ | {"BATOS_XQXQXQ": ""}) == [
        ("BATOS_TRED", "BATOS_THREADS"), ("BATOS_XQXQXQ", "")
    ]  # fmt: skip


def test_the_daemon_loads_no_modules_that_the_terminal_points_to():
    given = {"PYTHONPATH": "/home/ann/mine", "PYTHONHOME": "/opt/python", "LANG": "de_DE.UTF-8"}
    assert {"PYTHONPATH", "PYTHONHOME"}.isdisjoint(kernel_environ(given))
    assert kernel_environ(given)["LANG"] == "de_DE.UTF-8"
