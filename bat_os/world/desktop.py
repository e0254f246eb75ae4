"""Notifications on the desktop: notify-send, osascript or PowerShell, by argument list, no shell.

    show("BAT OS", "call Ann")   >  True, or False where no desktop takes it

The text is what a person or a file has said, so marks of markup and control characters are taken
out of it, and no program reads it as anything but text.
"""

from __future__ import annotations

import base64
import html
import os
import shutil
import subprocess
import sys
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_TITLE: Final = 80  # characters
MAX_TEXT: Final = 300
SECONDS: Final = 10.0  # that a notifier may take
_APPLE: Final = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)
# The texts come in by the environment: an argument would be parsed.
_TOAST: Final = """
$kind = [Windows.UI.Notifications.ToastTemplateType, Windows.UI.Notifications, ContentType = WindowsRuntime]
$manager = [Windows.UI.Notifications.ToastNotificationManager, Windows.UI.Notifications, ContentType = WindowsRuntime]
$form = $manager::GetTemplateContent($kind::ToastText02)
$texts = $form.GetElementsByTagName('text')
$null = $texts.Item(0).AppendChild($form.CreateTextNode($env:BATOS_NOTE_TITLE))
$null = $texts.Item(1).AppendChild($form.CreateTextNode($env:BATOS_NOTE_TEXT))
$manager::CreateToastNotifier('BAT OS').Show([Windows.UI.Notifications.ToastNotification]::new($form))
"""  # noqa: E501 - names of Windows


def make_safe(text: str, most: int) -> str:
    """Return a text on one line, without control and direction characters, and not too long."""
    plain = "".join(
        char if unicodedata.category(char)[0] not in "CZ" or char == " " else " " for char in text
    )
    plain = " ".join(plain.split())
    return plain if len(plain) <= most else plain[: most - 1] + "\u2026"


def command_for(
    system: str, title: str, text: str, environ: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Return the command that shows a text on a system, and its environment; [] if none does."""
    title, text = make_safe(title, MAX_TITLE), make_safe(text, MAX_TEXT)
    if system == "darwin":
        script = [word for line in _APPLE for word in ("-e", line)]
        # "--": a title that begins with a dash is none of osascript's options
        return ["osascript", *script, "--", title, text], dict(environ)
    if system == "win32":
        coded = base64.b64encode(_TOAST.encode("utf-16-le")).decode()
        words = ["powershell", "-NoProfile", "-NonInteractive", "-EncodedCommand", coded]
        return words, {**environ, "BATOS_NOTE_TITLE": title, "BATOS_NOTE_TEXT": text}
    if not (environ.get("DBUS_SESSION_BUS_ADDRESS") or environ.get("XDG_RUNTIME_DIR")):
        return [], {}
    # The body may be read as markup; the title is not.
    body = html.escape(text, quote=False)
    return ["notify-send", "--app-name=BAT OS", "--", title, body], dict(environ)


def show(title: str, text: str) -> bool:
    """Show a text; return whether a program of this system took it."""
    command, environ = command_for(sys.platform, title, text, os.environ)
    program = shutil.which(command[0]) if command else None
    if program is None:
        return False
    return _run([program, *command[1:]], environ)


def _run(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
            command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
