"""Make docs/images/first_run.svg anew: a real first lesson, and its repeat.

    .venv/bin/python docs/images/make_picture.py

Starts run.sh twice in a terminal of its own, with an empty home, and draws what it wrote. What was
rewritten in place is drawn as it stood at the end; nothing else is changed. Needs a set-up checkout
on Linux or macOS, and takes about a minute.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import tempfile
import termios
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT: Final = Path(__file__).parents[2]
PICTURE: Final = Path(__file__).with_name("first_run.svg")
SENTENCE: Final = "create a method to report the current system time"
WIDTH: Final = 100
LARGEST: Final = 60_000  # bytes
# What moves the cursor or shapes the terminal; colours (the ones that end in m) stay.
STEPS: Final = re.compile(r"(\r|\n|\x1b\[\d*[AK])")
MOVES: Final = re.compile(r"\x1b\[[?>=]?[\d;]*[A-LN-Zac-ln-z]|\x1b\][^\x07]*\x07")


def read_terminal(words: list[str], environ: dict[str, str]) -> str:
    """Return all that a command writes to a terminal of ``WIDTH`` columns.

    Raises:
        CalledProcessError: The command failed.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, WIDTH, 0, 0))
    process = subprocess.Popen(  # noqa: S603 - our own command, no shell
        words, cwd=ROOT, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    parts: list[bytes] = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:
        pass  # how Linux says that nobody holds the other side any more
    os.close(ours)
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, words, b"".join(parts))
    return b"".join(parts).decode()


def settle(text: str) -> list[str]:
    r"""Return the lines that stand there at the end, with their colours.

    >>> settle("1 %\r\x1b[K\x1b[32m100 %\x1b[0m\r\nready\r\n")
    ['\x1b[32m100 %\x1b[0m', 'ready']
    >>> settle("a\r\nb\r\n\x1b[1A\x1b[2Kc\r\n")
    ['a', 'c']
    """
    rows, at, over = [""], 0, False
    for part in STEPS.split(text):
        if part == "\n":
            at, over = at + 1, False
            rows += [""] * (at == len(rows))
        elif part == "\r":
            over = True
        elif up := re.fullmatch(r"\x1b\[(\d*)A", part):
            at = max(0, at - int(up[1] or 1))
        elif re.fullmatch(r"\x1b\[\d*K", part):
            rows[at] = ""
        elif part:
            rows[at] = part if over else rows[at] + part
            over = False
    return [line for line in (MOVES.sub("", row) for row in rows) if line.strip()]


def draw(transcript: list[str]) -> None:
    """Write the picture."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in transcript:
        console.print(Text.from_ansi(line))
    console.save_svg(str(PICTURE), title="BAT OS", theme=MONOKAI)


def main() -> int:
    """Run, draw, and see that the picture is small."""
    transcript: list[str] = []
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "BATOS_HOME": f"{home}/data", "BATOS_TCP_PORT": "-1"}
        environ["TERM"] = "xterm-256color"
        try:
            for _ in range(2):
                transcript.append(f'\x1b[1m$ ./run.sh "{SENTENCE}"\x1b[0m')
                transcript += [*settle(read_terminal(["./run.sh", SENTENCE], environ)), ""]
        finally:
            subprocess.run(["./run.sh", "stop"], cwd=ROOT, env=environ, check=False)
    draw(transcript[:-1])
    return int(PICTURE.stat().st_size > LARGEST)


if __name__ == "__main__":
    raise SystemExit(main())
