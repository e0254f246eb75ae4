"""What an upgrade makes beside what runs: the new program, its libraries, a copy of the image.

versions/NAME/tree     git worktree at the commit
versions/NAME/venv     only with pip_sync: sees the libraries before, holds what changed
versions/NAME/kept     the upgrade was kept; folders without it are cleared away
upgrade/backup         the image before the upgrade: a verified backup

``put_back`` may be killed anywhere and repeated: blobs first, then the image file in one rename,
so that there is always an image, and the scratch copy last. Every failure here is an UpgradeError
whose message says what to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.errors import BatError, StorageFullError, UpgradeError
from bat_os.supervisor.home import IDENTITY
from bat_os.supervisor.program import Program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.supervisor.home import Home
    from bat_os.supervisor.upgrade.instructions import Instructions

KEPT: Final = "kept"
GIT: Final = ("git", "-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false")
LONG: Final = 3600.0  # seconds; the libraries may have to come over the network
ROOM: Final = 2  # times the image file
_LAYER: Final = "batos_before.pth"
_FOLDERS: Final = (
    "import sys; print('\\n'.join(p for p in sys.path if p.endswith(('site-packages',"
    " 'dist-packages'))))"
)
_TELL: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); import bat_os;"
    " from bat_os.image.migrations import FORMAT; print(bat_os.__version__, FORMAT)"
)


def run(command: tuple[str, ...], folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """Return what a command of ours prints."""
    shown = " ".join((command[0], *command[-3:])) if len(command) > 4 else " ".join(command)
    try:
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            command,
            cwd=folder,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(environ or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LONG,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UpgradeError(f"{shown}: {error}") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-500:]
        raise UpgradeError(f"{shown}: {said or f'status {done.returncode}'}")
    return done.stdout.strip()


def check_commit(root: Path, running: Program, commit: str) -> str:
    """Return the commit that runs, if ``commit`` descends from it; fetch ``commit`` if needed."""
    if not (root / ".git").exists():
        raise UpgradeError(f"{root} is not a git checkout, so an upgrade has no source")
    now = running.commit or run((*GIT, "rev-parse", "HEAD"), root)
    try:
        run((*GIT, "cat-file", "-e", f"{commit}^{{commit}}"), root)
    except UpgradeError:
        run((*GIT, "fetch", "--quiet", "--no-tags", "--all"), root)
        try:
            run((*GIT, "cat-file", "-e", f"{commit}^{{commit}}"), root)
        except UpgradeError as error:
            text = f"commit {commit} is not in {root} nor in its remotes; fetch it first"
            raise UpgradeError(text) from error
    try:
        run((*GIT, "merge-base", "--is-ancestor", now, commit), root)
    except UpgradeError as error:
        raise UpgradeError(f"{commit} does not come after {now}, which is running") from error
    return now


def stage(home: Home, root: Path, running: Program, instructions: Instructions) -> Program:
    """Return the new program, complete and able to report its version."""
    sweep(home, root)
    home.versions.mkdir(mode=0o700, exist_ok=True)
    folder = home.versions / f"{instructions.commit[:12]}-{secrets.token_hex(3)}"
    tree = folder / "tree"
    add = ("worktree", "add", "--quiet", "--detach", str(tree), instructions.commit)
    run((*GIT, *add), root)
    python = running.python
    if instructions.requirements:
        python = _stage_libraries(folder, running, instructions)
    # Compile now, while the old program serves; this also finds files that are not Python.
    run((str(python), "-I", "-m", "compileall", "-q", "bat_os"), tree)
    report = run((str(python), "-I", "-c", _TELL, str(tree)), tree).split()
    if report[:1] != [instructions.after]:
        version = report[0] if report else "unknown"
        raise UpgradeError(f"the commit is version {version}, not {instructions.after}")
    wanted = instructions.image_format
    if wanted and report[1:] != [str(wanted)]:
        raise UpgradeError(f"the commit has image format {' '.join(report[1:])}, not {wanted}")
    return Program(tree, python, instructions.after, instructions.commit)


def _stage_libraries(folder: Path, running: Program, instructions: Instructions) -> Path:
    """Return a Python that sees the libraries of the one before, and has what changed."""
    tree, venv = folder / "tree", folder / "venv"
    wanted = tree / instructions.requirements
    if not wanted.is_file():
        raise UpgradeError(f"the commit has no file {instructions.requirements}")
    if digest(wanted.read_bytes()) != instructions.requirements_sha256:
        raise UpgradeError(f"{instructions.requirements} does not have the promised SHA-256")
    old = str(running.python)
    run((old, "-I", "-m", "venv", "--without-pip", str(venv)), tree)
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    before = run((old, "-I", "-c", _FOLDERS), tree).splitlines()
    own = Path(run((str(python), "-I", "-c", _FOLDERS), tree).splitlines()[0])
    layer = "".join(f"import site; site.addsitedir({path!r})\n" for path in before)
    (own / _LAYER).write_text(layer, encoding="utf-8")
    pip = (old, "-I", "-m", "pip", "--python", str(python), "install", "--no-input")
    options = ("--disable-pip-version-check", "--quiet", "-r", str(wanted))
    run((*pip, *options), tree, {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"})
    return python


def keep(program: Program) -> None:
    """Mark a staged program as kept, so that it is not cleared away."""
    (program.tree.parent / KEPT).touch()


def discard(program: Program, root: Path) -> None:
    """Remove a staged program. Idempotent."""
    shutil.rmtree(program.tree.parent, ignore_errors=True)
    with contextlib.suppress(UpgradeError):
        run((*GIT, "worktree", "prune"), root)


def sweep(home: Home, root: Path) -> None:
    """Remove what killed and refused upgrades left."""
    if not home.versions.is_dir():
        return
    for folder in home.versions.iterdir():
        if not (folder / KEPT).exists() and folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(UpgradeError):
        run((*GIT, "worktree", "prune"), root)


def check_room(path: Path) -> None:
    """Raise if there is no image, or no room to keep it twice."""
    if not path.is_file():
        raise UpgradeError(f"there is no image {path}, so just start the new program")
    free, size = shutil.disk_usage(path.parent).free, path.stat().st_size
    if free < ROOM * size:
        raise UpgradeError(
            f"{free:,} bytes are free, but a copy of the image needs {ROOM * size:,}; make room"
        )


def back_up_cold(path: Path, folder: Path) -> str:
    """Back up an image that no kernel serves and verify the backup; return its last transaction."""
    from bat_os.image.files.backup import verify  # the daily watchdog needs no database

    try:
        asyncio.run(_back_up(path, folder))
        return str(verify(folder)["tid"])
    except (BatError, OSError) as error:
        raise UpgradeError(f"the image could not be backed up: {error}") from error


async def _back_up(path: Path, folder: Path) -> dict[str, Any]:
    from bat_os.image.files.backup import back_up
    from bat_os.image.store import ImageStore

    image = ImageStore.open(path)
    try:
        return await back_up(image, folder)
    finally:
        await image.close()


def put_back(folder: Path, path: Path, side: Path) -> None:
    """Make the image at ``path`` what the backup in ``folder`` holds; ``side`` is scratch."""
    from zc.lockfile import LockError, LockFile

    from bat_os.core.settings import IMAGE
    from bat_os.image.files.durable import sync_file
    from bat_os.image.files.restore import restore

    try:
        held = LockFile(f"{path}.lock")
    except LockError as error:
        raise UpgradeError(f"a process still holds the image {path}") from error
    try:
        if not side.exists():
            restore(folder, side)
        restored = side / IMAGE
        if restored.is_file():
            _match_blobs(Path(f"{restored}.blob"), Path(f"{path}.blob"))
            for suffix in ("index", "end"):  # of the other file, which went further
                Path(f"{path}.{suffix}").unlink(missing_ok=True)
            # What it has staged may have been done since: the next kernel holds it.
            (path.parent / IDENTITY).unlink(missing_ok=True)
            restored.replace(path)
            sync_file(path.parent)
        shutil.rmtree(side)
    except StorageFullError as error:
        raise UpgradeError("no room to put the image back; make room, then start again") from error
    except (BatError, OSError) as error:
        raise UpgradeError(f"the image could not be put back: {error}") from error
    finally:
        held.close()


def _match_blobs(wanted: Path, there: Path) -> None:
    """Bring back blobs that are missing, and remove those that came since.

    ``wanted`` is only read, so that this can be repeated.
    """
    from bat_os.image.files import disk
    from bat_os.image.files.durable import sync_file

    names = {blob.relative_to(wanted) for blob in wanted.rglob("*.blob")}
    for name in names:
        source, place = wanted / name, there / name
        if place.is_file() and place.stat().st_size == source.stat().st_size:
            continue  # a blob never changes
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = place.with_suffix(".new")
        draft.unlink(missing_ok=True)
        if not disk.link(source, draft):
            shutil.copyfile(source, draft)
            sync_file(draft)
        draft.replace(place)
    for blob in list(there.rglob("*.blob")):
        if blob.relative_to(there) not in names:
            blob.unlink()
