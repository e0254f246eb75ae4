"""bat_os.cli.environment: the home directory and its settings, as every command finds them."""

import errno
import os

import pytest

from bat_os.cli.environment import as_coded, find_fault, load, require
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
