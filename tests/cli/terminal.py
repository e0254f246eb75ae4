"""The chat in a pseudo-terminal, as a person has it: typed keys in, a screen out."""

import asyncio
import os
import pty
import re
import termios

from tests.cli.clients import ENVIRON
from tests.forks import PYTHON, take_terminal
from tests.kernels import ROOT

CTRL_C, CTRL_D, ALT_ENTER, TAB, UP = "\x03", "\x04", "\x1b\r", "\t", "\x1b[A"
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


class Terminal:
    """A client in a pseudo-terminal; ``screen`` is what it wrote, without styles."""

    def __init__(self, home, *arguments, script="chat_client.py", rows=24, columns=100, **environ):
        self._home, self._arguments, self._script = home, arguments, script
        self._environ = ENVIRON | {"TERM": "xterm-256color"} | environ
        self._size = rows, columns
        self.screen = ""
        self.raw = ""

    async def __aenter__(self):
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, self._size)
        self._process = await asyncio.create_subprocess_exec(
            PYTHON, ROOT / self._script, "--home", self._home, *self._arguments,
            stdin=slave, stdout=slave, stderr=slave, env=self._environ, start_new_session=True,
            preexec_fn=take_terminal,
        )  # fmt: skip
        os.close(slave)
        self._news = asyncio.Event()
        self._closed = False
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self

    async def __aexit__(self, *_):
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _read(self):
        try:
            told = os.read(self._master, 65536)
        except OSError:  # Linux says so when the other end is closed
            told = b""
        if b"\x1b[6n" in told:  # "where is the cursor?"
            os.write(self._master, b"\x1b[1;1R")
        self.raw += told.decode(errors="replace")
        self.screen += _STYLE.sub("", told.decode(errors="replace"))
        if not told:
            self._closed = True
            asyncio.get_running_loop().remove_reader(self._master)
        self._news.set()

    async def until(self, pattern):
        """Wait until the screen matches; what was read so far is taken off it."""
        while not (found := re.search(pattern, self.screen)):
            assert not self._closed, self.screen
            self._news.clear()
            await self._news.wait()
        self.screen = self.screen[found.end() :]
        return found

    async def answers(self, text):
        """Wait until a line holds this and nothing else."""
        await self.until(rf"[\r\n]{re.escape(text)} *\r\n")

    def press(self, keys):
        os.write(self._master, keys.encode())

    async def say(self, text, end="\r"):
        """Type a line once the client asks for one."""
        await self.until("you>")
        self.press(text + end)

    async def end(self):
        """Wait for the end and return the exit status."""
        status = await self._process.wait()
        while not self._closed:
            self._news.clear()
            await self._news.wait()
        assert "Traceback" not in self.screen, self.screen
        return status
