"""bat_os.world.desktop: a text is shown by a list of arguments, and stays a text."""

import base64
import sys

import pytest

from bat_os.world import desktop

NASTY = '$(touch /tmp/x); `id` "quoted" <b>bold</b> & \u202eevil\x1b[31m\n--help'
BUS = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1/bus"}


def test_linux_gets_arguments_and_no_markup():
    command, environ = desktop.command_for("linux", "-t", NASTY, BUS)
    assert command[:4] == ["notify-send", "--app-name=BAT OS", "--", "-t"]
    assert len(command) == 5
    assert "<" not in command[4]
    assert "\x1b" not in command[4]
    assert "\u202e" not in command[4]
    assert environ == BUS


def test_without_a_session_nothing_is_started():
    assert desktop.command_for("linux", "t", "x", {}) == ([], {})


def test_a_mac_gets_the_text_as_an_argument_of_a_fixed_script():
    command, _ = desktop.command_for("darwin", "title", NASTY, {})
    script = command[: command.index("--")]
    assert script[0] == "osascript"
    assert "touch" not in " ".join(script)
    assert command[-2] == "title"


def test_windows_gets_the_text_by_the_environment():
    command, environ = desktop.command_for("win32", "title", NASTY, {"PATH": "x"})
    script = base64.b64decode(command[-1]).decode("utf-16-le")
    assert "touch" not in script
    assert environ["BATOS_NOTE_TEXT"].startswith("$(touch")
    assert "\n" not in environ["BATOS_NOTE_TEXT"]


def test_a_text_is_cut():
    assert len(desktop.make_safe("x" * 10_000, 300)) == 300
    assert desktop.make_safe("x" * 300, 300) == "x" * 300


@pytest.mark.skipif(sys.platform != "linux", reason="a program of our own stands for notify-send")
def test_a_real_program_gets_it(tmp_path, monkeypatch):
    program = tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/got\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "x")
    assert desktop.show("BAT OS", "call $(Ann)")
    assert (tmp_path / "got").read_text().splitlines()[-1] == "call $(Ann)"
    program.write_text("#!/bin/sh\nexit 3\n")
    assert not desktop.show("BAT OS", "call Ann")
    program.unlink()
    assert not desktop.show("BAT OS", "call Ann")
