"""A small macOS for tests: its programs, which answer as those of macOS were seen to.

What they say and their exit statuses are from reports of people who ran them (macOS 12 to 14);
nobody has run BAT OS there yet. ``launchctl`` remembers what is loaded.
"""

import stat
import textwrap

LAUNCHCTL = """
    case "$1" in
    bootstrap)
        label=$(basename "$3" .plist)
        if [ ! -f "$3" ]; then
            echo "Bootstrap failed: 2: No such file or directory" >&2; exit 2
        fi
        if [ -e "$STATE/$label" ]; then
            echo "Bootstrap failed: 5: Input/output error" >&2
            echo "Try re-running the command as root for richer errors." >&2; exit 5
        fi
        if [ -e "$STATE/no-screen" ]; then
            echo "Bootstrap failed: 125: Domain does not support specified action" >&2; exit 125
        fi
        touch "$STATE/$label" ;;
    bootout)
        label=${2##*/}
        if [ ! -e "$STATE/$label" ]; then
            echo "Boot-out failed: 3: No such process" >&2; exit 3
        fi
        rm "$STATE/$label" ;;
    *)
        echo "Unrecognized subcommand: $1" >&2; exit 64 ;;
    esac
"""
OSASCRIPT = """
    if [ -e "$STATE/no-screen" ]; then
        echo "execution error: An error of type -10810 has occurred. (-10810)" >&2; exit 1
    fi
    while [ "$1" = -e ]; do shift 2; done
    [ "$1" = -- ] && shift
    printf '%s\\n' "$@" > "$STATE/shown"
"""


class Mac:
    """Programs of macOS in a folder of their own.

    Attributes:
        path: Of the programs.
        loaded: Labels of the services that launchd has.
    """

    def __init__(self, folder):
        self.path, self._state = folder / "bin", folder / "state"
        for each in (self.path, self._state):
            each.mkdir(parents=True)
        for name, text in {"launchctl": LAUNCHCTL, "osascript": OSASCRIPT}.items():
            program = self.path / name
            program.write_text(f"#!/bin/sh\nSTATE='{self._state}'\n{textwrap.dedent(text)}")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

    @property
    def loaded(self):
        return sorted(each.name for each in self._state.glob("org.*"))

    @property
    def shown(self):
        """What the last notification said: its title, then its text."""
        return (self._state / "shown").read_text().splitlines()

    def leave_screen(self):
        """Be a session of ssh from now on, with nobody logged in."""
        (self._state / "no-screen").touch()
