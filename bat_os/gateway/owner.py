"""What only the owner's page may ask for: tokens, backups, forks, models, the doctor.

    POST /owner/NAME > checked names > the ring of tokens, the kernel, or a command of this program

A page names things, never a path or an address: the server makes the path. A command is a fixed
one of this program, without a shell, one at a time; a fork is opened by a daemon of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.core.scopes import PERSON, SCOPES
from bat_os.errors import (
    ArgumentsError,
    BusyError,
    ModelError,
    NotFoundError,
    RemoteError,
    StorageError,
    UnknownTypeError,
)
from bat_os.gateway.requests import body_of, caller_of, demand, reply
from bat_os.gateway.streams import EventStream, follow_verb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from bat_os.client.tokens import TokenRing
    from bat_os.gateway.link import KernelLink, Listener
    from bat_os.gateway.streams import Streams

    Body = Mapping[str, Any]
    Deed = Callable[[Body, Listener], Awaitable[dict[str, Any]]]

BACKUPS: Final = "backups"  # in the home; a name by the server each
FORKS: Final = "forks"
MAX_LINE: Final = 400  # characters of one line of a command that the page shows
MAX_OUTPUT: Final = 16 << 20
MAX_ASKED: Final = 3  # commands at a time: one runs, the others wait for it
PATIENCE: Final = 600.0  # seconds for a command
LONGEST: Final = 86_400.0  # for one that fetches a model
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}\Z", re.ASCII)
_MOMENT: Final = re.compile(r"(?:[0-9a-f]{16})?\Z")
_VERBS: Final = "from bat_os.cli.main import main; raise SystemExit(main())"
_WATCHDOG: Final = "from bat_os.cli.watchdog import main; raise SystemExit(main())"


def _hear_nothing(_kind: str, _body: Body) -> None:
    """Hear of progress that nobody asked for."""


class Owner:
    """The route of what the owner alone does, for one home."""

    def __init__(self, link: KernelLink, ring: TokenRing, streams: Streams, home: Path) -> None:
        self._link = link
        self._ring = ring
        self._streams = streams
        self._home = home
        self._turn = asyncio.Semaphore(1)
        self._asked = 0
        self._running: subprocess.Popen[str] | None = None
        self._offered: frozenset[str] = frozenset()
        self._deeds: Mapping[str, Deed] = {
            "home": self._describe,
            "tokens": self._tokens,
            "tokens.make": self._make_token,
            "tokens.revoke": self._revoke_token,
            "backups": self._backups,
            "backups.make": self._back_up,
            "backups.verify": self._verify_backup,
            "forks": self._forks,
            "forks.make": self._fork,
            "forks.drop": self._drop_fork,
            "forks.compare": self._compare,
            "forks.open": self._open_fork,
            "forks.stop": self._stop_fork,
            "models.offers": self._offers,
            "models.choose": self._choose,
            "doctor": self._doctor,
            "stop": self._stop,
        }

    async def take(self, request: Request) -> Response:
        """Do one deed; a caller who accepts events hears how far it has come."""
        demand(request, PERSON)
        deed = self._deeds.get(request.path_params["deed"])
        if deed is None:
            shown = request.path_params["deed"][:60]
            raise UnknownTypeError(f"{shown!r} is not known; there are {sorted(self._deeds)}")
        body = await body_of(request)
        if "text/event-stream" not in request.headers.get("accept", ""):
            return reply(request, await deed(body, _hear_nothing))
        events = follow_verb(partial(deed, body))
        return EventStream(self._streams, caller_of(request).name, events)

    def close(self) -> None:
        """End the command that runs."""
        self._interrupt()

    async def _describe(self, _body: Body, _say: Listener) -> dict[str, Any]:
        is_fork = self._home.parent.name == FORKS
        return {"home": str(self._home), "fork": self._home.name if is_fork else ""}

    # ---- tokens

    async def _tokens(self, _body: Body, _say: Listener) -> dict[str, Any]:
        rows = [{"name": name, **row} for name, row in self._ring.listed().items()]
        return {"tokens": rows, "scopes": list(SCOPES)}

    async def _make_token(self, body: Body, _say: Listener) -> dict[str, Any]:
        name, may, days = _text(body, "name"), _text(body, "may"), body.get("days", 90)
        if type(days) not in (int, float):
            raise ArgumentsError("days is a number")
        return {"name": name, "token": self._ring.make(name, may, days), "may": may, "days": days}

    async def _revoke_token(self, body: Body, _say: Listener) -> dict[str, Any]:
        self._ring.revoke(_text(body, "name"))
        return {"revoked": body["name"]}

    # ---- backups

    async def _backups(self, _body: Body, _say: Listener) -> dict[str, Any]:
        folder = self._home / BACKUPS
        return {"folder": str(folder), "backups": await asyncio.to_thread(_list_backups, folder)}

    async def _back_up(self, _body: Body, say: Listener) -> dict[str, Any]:
        name = time.strftime("%Y-%m-%d_%H-%M-%S")
        folder = self._home / BACKUPS
        folder.mkdir(mode=0o700, exist_ok=True)
        body = {"folder": str(folder / name)}
        return {"name": name, **await self._link.request("backup", say, body=body)}

    async def _verify_backup(self, body: Body, _say: Listener) -> dict[str, Any]:
        folder = self._place(BACKUPS, body)
        return await self._ask(("backup", str(folder), "--verify"))

    # ---- forks

    async def _forks(self, _body: Body, _say: Listener) -> dict[str, Any]:
        return await self._link.request("forks")

    async def _fork(self, body: Body, say: Listener) -> dict[str, Any]:
        fields = {"name": _name(body), "at": _moment(body, "at")}
        return await self._link.request("fork", say, body=fields)

    async def _drop_fork(self, body: Body, _say: Listener) -> dict[str, Any]:
        return await self._link.request("fork.drop", body={"name": _name(body)})

    async def _compare(self, body: Body, _say: Listener) -> dict[str, Any]:
        fork, at = self._place(FORKS, body), _moment(body, "at")
        return await self._ask(("diff", *([at] if at else []), "--with", fork.name))

    async def _open_fork(self, body: Body, say: Listener) -> dict[str, Any]:
        fork = self._place(FORKS, body)
        # The fork has the same models; a profile of this home's own file it does not know.
        own = (self._home / "profiles.toml").exists()
        profile = "" if own else (await self._link.request("health"))["profile"]
        words = ("start", "--wait", *(["--profile", profile] if profile else []))
        await self._follow((_WATCHDOG, *words), fork, say)
        return await self._ask(("open", "--print"), fork)

    async def _stop_fork(self, body: Body, say: Listener) -> dict[str, Any]:
        await self._follow((_WATCHDOG, "stop"), self._place(FORKS, body), say)
        return {"stopped": body["name"]}

    # ---- models and the doctor

    async def _offers(self, _body: Body, _say: Listener) -> dict[str, Any]:
        told = await self._ask(("models", "choose"))
        self._offered = frozenset(str(offer["key"]) for offer in told.get("offers", ()))
        return told

    async def _choose(self, body: Body, say: Listener) -> dict[str, Any]:
        key = _text(body, "name")
        if key not in self._offered:
            raise NotFoundError(f"{key[:60]!r} is not among what was offered; ask for that anew")
        last = await self._follow((_VERBS, "models", "choose", key), self._home, say, LONGEST)
        return {"chosen": key, "text": last}

    async def _doctor(self, body: Body, _say: Listener) -> dict[str, Any]:
        return await self._ask(("doctor", *(["--quick"] if body.get("quick") else [])))

    async def _stop(self, _body: Body, _say: Listener) -> dict[str, Any]:
        return {"stopped": self._interrupt()}

    # ---- commands

    def _place(self, kind: str, body: Body) -> Path:
        """Return the folder of a thing that is there, by its name alone."""
        folder = self._home / kind / _name(body)
        if not folder.is_dir() or folder.is_symlink():
            raise NotFoundError(f"there is no {folder.name} in {kind}")
        return folder

    async def _ask(self, words: tuple[str, ...], home: Path | None = None) -> dict[str, Any]:
        """Return the answer of a command, as JSON.

        Raises:
            RemoteError: The command refuses.
        """
        lines: list[str] = []
        said = (_VERBS, words[0], "--json", *words[1:])
        status = await self._run(said, home or self._home, lines.append, PATIENCE, subprocess.PIPE)
        try:
            told = json.loads("".join(lines))
            if error := told.get("error"):
                raise RemoteError(error)
        except (ValueError, AttributeError):
            raise StorageError(f"{words[0]} did not answer (exit status {status})") from None
        answer: dict[str, Any] = told
        return answer

    async def _follow(
        self, words: tuple[str, ...], home: Path, say: Listener, seconds: float = PATIENCE
    ) -> str:
        """Pass on what a command says; return its last line.

        Raises:
            ModelError: It failed, with that line.
        """
        said = [""]

        def hear(line: str) -> None:
            if text := line.strip():
                said[0] = text[:MAX_LINE]
                say("event", {"text": said[0]})

        if status := await self._run(words, home, hear, seconds, subprocess.STDOUT):
            raise ModelError(said[0] or f"{words[1]} ended with exit status {status}")
        return said[0]

    async def _run(
        self, words: tuple[str, ...], home: Path, hear: Callable[[str], None], seconds: float,
        errors: int,
    ) -> int:  # fmt: skip
        if self._asked >= MAX_ASKED:
            raise BusyError("other commands of the page run; wait a moment", 1000)
        self._asked += 1
        try:
            async with self._turn:
                return await self._run_now(words, home, hear, seconds, errors)
        finally:
            self._asked -= 1

    async def _run_now(
        self, words: tuple[str, ...], home: Path, hear: Callable[[str], None], seconds: float,
        errors: int,
    ) -> int:  # fmt: skip
        code, *more = words
        environ = {**os.environ, "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
        if home != self._home:  # another daemon: neither our port nor our settings
            environ = {key: text for key, text in environ.items() if not key.startswith("BATOS_")}
        process = self._running = subprocess.Popen(  # noqa: ASYNC220, S603 - ours, no shell
            [sys.executable, "-c", code, *more, "--home", str(home)], cwd=bat_os.ROOT, env=environ,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if errors == subprocess.PIPE else errors,
            encoding="utf-8", errors="replace",
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        ending = loop.call_later(seconds, self._interrupt)
        try:
            return await asyncio.to_thread(
                _read, process, lambda line: loop.call_soon_threadsafe(hear, line)
            )
        finally:
            ending.cancel()
            self._running = None

    def _interrupt(self) -> bool:
        """Have the command that runs tidy up and end; return whether one runs."""
        process = self._running
        if process is None:
            return False
        with contextlib.suppress(OSError):
            process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
        return True


def _read(process: subprocess.Popen[str], hear: Callable[[str], object]) -> int:
    """Pass on each line of a command until it ends; return its exit status."""
    assert process.stdout is not None  # noqa: S101 - for the type checker
    with process:
        left = MAX_OUTPUT
        for line in process.stdout:
            left -= len(line)
            if left > 0:
                hear(line)
    return process.returncode


def _list_backups(folder: Path) -> list[dict[str, Any]]:
    """Return the backups in a folder, the newest first; one without a manifest is not whole."""
    found = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return [
        {"name": path.name, "folder": str(path), "made": manifest.stat().st_mtime,
         "bytes": sum(one.stat().st_size for one in path.rglob("*") if one.is_file())}
        for path in sorted(found, reverse=True)
        if _NAME.match(path.name) and (manifest := path / "manifest.json").is_file()
    ]  # fmt: skip


def _text(body: Body, field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_LINE:
        raise ArgumentsError(f"{field} is a text of at most {MAX_LINE} characters")
    return value


def _name(body: Body) -> str:
    name = _text(body, "name")
    if not _NAME.match(name):
        raise ArgumentsError(f"{name[:60]!r} cannot be a name; use letters, digits, _ and -")
    return name


def _moment(body: Body, field: str) -> str:
    moment = body.get(field, "")
    if not isinstance(moment, str) or not _MOMENT.match(moment):
        raise ArgumentsError(f"{field} is the id of a transaction")
    return moment
