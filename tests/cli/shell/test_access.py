"""bat_os.cli.shell.access: may this user use that home, and is a kernel likely to come?"""

import errno
import os

import pytest

from bat_os.cli.shell.access import as_coded, find_fault, may_come, require
from bat_os.errors import SettingsError
from bat_os.supervisor.home import Home, write_json
from bat_os.supervisor.lock import FileLock


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
    assert find_fault(file).startswith(f"{file} is no directory; name one of your own")
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


def test_a_kernel_may_come_while_it_lives_or_a_watchdog_does(home):
    assert not may_come(home)
    write_json(home.endpoint, {"pid": os.getpid()})
    assert may_come(home)
    write_json(home.endpoint, {"pid": 1 << 30})
    assert not may_come(home)
    with FileLock(home.lock).acquire():
        assert may_come(home)
