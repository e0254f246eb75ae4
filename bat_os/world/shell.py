"""The driver of programs: named ones, in one folder, without a network.

    batos grant 'shell:git,wc ~/project'  >  run("wc", ["-l", "notes.txt"])

A program runs in the cage of ``confined``: it changes the folder and a temporary one, and reads
what programs need of the system. Where a machine has no such cage, nothing is granted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Final

from bat_os.core.printable import show_on_one_line
from bat_os.errors import ArgumentsError, LimitError, NotFoundError, NotGrantedError, WorldError
from bat_os.ports import AWAIT, Operation
from bat_os.world.confined import FAILED, LIMITS, command, holds, limit_over
from bat_os.world.fence import Fence, guarded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Scope = Mapping[str, Any]

PREFIX: Final = "shell:"
SECONDS: Final = 30.0
MAX_OUTPUT: Final = 256 << 10  # bytes of what it writes, and as many of its complaints
MAX_INPUT: Final = 1 << 20
MAX_ARGS: Final = 200
MAX_ARG: Final = 64 << 10  # bytes of all arguments
MAX_PROGRAMS: Final = 20
MAX_SAID: Final = 4_096
TIMED_OUT: Final = 124  # exit status, as the program ``timeout`` has it
_OPERATIONS: Final = MappingProxyType({"run": Operation(AWAIT)})


class Shell:
    """Runs programs. A scope is ``{"path": folder, "programs": {name: path}}``."""

    name = "shell"

    def __init__(self, seconds: float = SECONDS, fence: Fence | None = None) -> None:
        self._seconds = seconds
        self._fence = fence or Fence()

    def claims(self, what: str) -> bool:
        """Return whether it begins with ``shell:``."""
        return what.startswith(PREFIX)

    def scope(self, what: str) -> dict[str, Any]:
        """Return the scope of ``shell:PROGRAM,PROGRAM FOLDER``.

        Raises:
            ArgumentsError: It has another form, or this machine cannot confine a program.
            NotFoundError: The folder, or one of the programs, is not there.
            NotGrantedError: No program can have that folder.
        """
        names, _, folder = what.removeprefix(PREFIX).strip().partition(" ")
        programs = [name for name in names.split(",") if name]
        usable = programs and folder.strip() and len(programs) <= MAX_PROGRAMS
        if not self.claims(what) or not usable or "\0" in what or len(what) > MAX_SAID:
            raise ArgumentsError("say which programs, and in which folder: shell:git,wc ~/project")
        if not holds():
            raise ArgumentsError("this machine cannot confine a program; only Linux can")
        path = _folder(folder.strip())
        self._check_folder(path)
        return {"path": str(path), "programs": dict(map(_program, programs))}

    def _check_folder(self, folder: Path) -> None:
        self._fence.check_grant(folder)
        self._fence.check_whole(folder)

    def describe(self, scope: Scope) -> str:
        """Return what a grant of the scope lets in, for a person."""
        programs = ", ".join(sorted(scope["programs"]))
        return show_on_one_line(f"running {programs} in {scope['path']}")

    def short_name(self, scope: Scope) -> str:
        """Return the last part of the folder."""
        return f"{PurePath(scope['path']).name} shell".strip()

    def operations(self, scope: Scope) -> Mapping[str, Operation]:
        """Return what can be done, by selector."""
        return _OPERATIONS

    def contains(self, outer: Scope, inner: Scope) -> bool:
        """Return whether a scope is a part of another one."""
        fewer = set(inner["programs"].items()) <= set(outer["programs"].items())
        root, path = PurePath(outer["path"]), PurePath(inner["path"])
        return fewer and path.is_relative_to(root) and guarded(root, path) is None

    def reaches(self, scope: Scope, what: str) -> bool:
        """Return whether it is the name of one of the programs."""
        return what in scope["programs"]

    def perform(self, scope: Scope, operation: str, args: Sequence[Any], key: str = "") -> Any:
        """Run a program, and return how it ended. Blocks: to be called in a thread.

        Raises:
            NotGrantedError: It is not one of the programs, or the folder is another one now.
            NotFoundError: The folder is not there any more.
            ArgumentsError: The arguments do not fit.
            WorldError: It cannot be confined, or cannot be started.
            LimitError: It took more than a program may.
        """
        return self._run(scope, *args)

    def _run(
        self, scope: Scope, program: str, args: Sequence[str] = (), stdin: str = ""
    ) -> dict[str, Any]:
        """Return ``status``, ``output``, ``errors``, ``cut`` and ``timed_out`` of a program."""
        if type(program) is not str or program not in scope["programs"]:
            known = ", ".join(sorted(scope["programs"]))
            raise NotGrantedError(f"{str(program)[:80]!r} is not one of the programs: {known}")
        given, folder = _arguments(args, stdin), Path(scope["path"])
        if not folder.is_dir():
            raise NotFoundError(f"{folder} is not there")
        if folder.resolve() != folder:
            raise NotGrantedError(f"{folder} is a link now")
        if not holds():
            raise WorldError("this machine cannot confine a program")
        self._check_folder(folder)
        inside = self._fence.inside([str(folder)])
        with tempfile.TemporaryDirectory(prefix="batos-") as own:
            caged = command(
                [scope["programs"][program], *given], write=[str(folder), own],
                closed=inside,
            )  # fmt: skip
            answer = _finish(caged, folder, own, stdin.encode(), self._seconds)
        if answer["status"] == FAILED and answer["errors"].startswith("confined: "):
            raise WorldError(answer["errors"].strip()[:300])
        if over := limit_over(answer["status"]):
            raise _too_much(program, over)
        return answer


def _too_much(program: str, over: str) -> LimitError:
    """Return the error of a program that went over one of LIMITS."""
    most = LIMITS[over]
    if over == "memory":
        return LimitError(f"{program} took over {most >> 20} MB of memory", limit=over)
    if over == "file":
        return LimitError(f"{program} wrote a file of over {most >> 20} MB", limit=over)
    if over == "seconds":
        return LimitError(f"{program} kept a processor busy for over {most} s", limit=over)
    return LimitError(f"{program} started over {most} processes and threads", limit=over)


def _folder(said: str) -> Path:
    try:
        path = Path(said).expanduser()
        found = path.resolve()
        is_folder = found.is_dir()
    except (OSError, RuntimeError) as error:
        raise NotFoundError(f"{said} is not a folder") from error
    if not path.is_absolute():
        raise ArgumentsError(f"{said!r} is not an absolute path")
    if not is_folder or found == Path(found.anchor):
        raise NotFoundError(f"{said} is not a folder that programs can have")
    return found


def _program(name: str) -> tuple[str, str]:
    """Return the name and the path of a program that a person named."""
    path = shutil.which(name) if "/" not in name or PurePath(name).is_absolute() else None
    if path is None:
        raise NotFoundError(f"there is no program {name[:80]!r}")
    return PurePath(name).name, str(Path(path).absolute())


def _arguments(args: Any, stdin: Any) -> list[str]:
    if isinstance(args, str) or not isinstance(args, list | tuple) or len(args) > MAX_ARGS:
        raise ArgumentsError(f"args is a list of at most {MAX_ARGS} texts")
    if not all(isinstance(each, str) and "\0" not in each for each in args):
        raise ArgumentsError("an argument of a program is a text")
    if not isinstance(stdin, str):
        raise ArgumentsError("stdin is a text")
    try:
        sizes = len(" ".join(args).encode()), len(stdin.encode())
    except UnicodeError as error:
        raise ArgumentsError("half of a character cannot be given to a program") from error
    if sizes[0] > MAX_ARG or sizes[1] > MAX_INPUT:
        raise ArgumentsError("arguments are at most 64 kB, stdin is at most 1 MB")
    return list(args)


def _finish(
    caged: Sequence[str], folder: Path, own: str, stdin: bytes, seconds: float
) -> dict[str, Any]:
    """Return how a command ended; it is ended after some seconds."""
    environment = {
        "PATH": os.defpath, "HOME": own, "TMPDIR": own, "LANG": "C.UTF-8", "TERM": "dumb",
    }  # fmt: skip
    try:
        process = subprocess.Popen(  # noqa: S603  # a person named it, and it is caged
            caged, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise WorldError(f"the program cannot be started: {error.strerror}") from error
    with process:
        streams = (process.stdout, process.stderr)
        readers = [_Reader(stream) for stream in streams if stream is not None]
        writer = threading.Thread(target=_write, args=(process.stdin, stdin), daemon=True)
        writer.start()
        try:
            status, timed_out = process.wait(seconds), False
        except subprocess.TimeoutExpired:
            process.kill()  # all that it started ends with it
            status, timed_out = TIMED_OUT, True
            process.wait()
        for reader in readers:
            reader.join(timeout=5)
        output, errors = (reader.text() for reader in readers)
        return {
            "status": status, "output": output, "errors": errors, "timed_out": timed_out,
            "cut": any(reader.cut for reader in readers),
        }  # fmt: skip


def _write(stream: IO[bytes] | None, data: bytes) -> None:
    try:
        if stream is not None:
            stream.write(data)
            stream.close()
    except OSError:
        return  # it ended without reading all


class _Reader(threading.Thread):
    """Reads a stream to its end, and keeps the beginning."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._kept = bytearray()
        self.cut = False
        self.start()

    def run(self) -> None:
        """Read."""
        try:
            while piece := os.read(self._stream.fileno(), 65_536):
                room = MAX_OUTPUT - len(self._kept)
                self._kept += piece[:room]
                self.cut = self.cut or len(piece) > room
        except (OSError, ValueError):
            return  # closed meanwhile

    def text(self) -> str:
        """Return what was kept."""
        return bytes(self._kept).decode("utf-8", "replace")
