"""The new program and its libraries, beside those that run; nothing here touches them.

versions/NAME/tree     git worktree at the commit
versions/NAME/venv     only with pip_sync: sees the libraries before, holds what changed
versions/NAME/kept     the upgrade was kept; folders without it are cleared away
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bat_os.errors import UpgradeError
from bat_os.supervisor.program import Program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.supervisor.home import Home
    from bat_os.supervisor.upgrade.instructions import Instructions

KEPT: Final = "kept"
GIT: Final = ("git", "-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false")
LONG: Final = 3600.0  # seconds; the libraries may have to come over the network
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
    """Return what a command of ours prints.

    Raises:
        UpgradeError: It cannot be run, or fails; the message has the end of its output.
    """
    shown = " ".join((command[0], *command[-3:])) if len(command) > 4 else " ".join(command)
    try:
        done = subprocess.run(  # noqa: S603 - our own words, no shell
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
    """Return the commit that runs, when ``commit`` is a descendant of it; fetch if need be.

    Raises:
        UpgradeError: There is no such commit, it is no descendant, or this is no checkout.
    """
    if not (root / ".git").exists():
        raise UpgradeError(f"{root} is no git checkout, so there is nothing to stage from")
    now = running.commit or run((*GIT, "rev-parse", "HEAD"), root)
    try:
        run((*GIT, "cat-file", "-e", f"{commit}^{{commit}}"), root)
    except UpgradeError:
        run((*GIT, "fetch", "--quiet", "--no-tags", "--all"), root)
        try:
            run((*GIT, "cat-file", "-e", f"{commit}^{{commit}}"), root)
        except UpgradeError as error:
            text = f"no commit {commit} in {root}, and none came from its remotes; fetch it first"
            raise UpgradeError(text) from error
    try:
        run((*GIT, "merge-base", "--is-ancestor", now, commit), root)
    except UpgradeError as error:
        raise UpgradeError(f"{commit} does not come after {now}, which runs") from error
    return now


def stage(home: Home, root: Path, running: Program, instructions: Instructions) -> Program:
    """Return the new program, whole and able to tell its version.

    Raises:
        UpgradeError: It cannot be made, or is not what the instructions say.
    """
    sweep(home, root)
    home.versions.mkdir(mode=0o700, exist_ok=True)
    folder = home.versions / f"{instructions.commit[:12]}-{secrets.token_hex(3)}"
    tree = folder / "tree"
    add = ("worktree", "add", "--quiet", "--detach", str(tree), instructions.commit)
    run((*GIT, *add), root)
    python = running.python
    if instructions.requirements:
        python = _stage_libraries(folder, running, instructions)
    # Now, while the other one serves; a file that is no Python is noticed here as well.
    run((str(python), "-I", "-m", "compileall", "-q", "bat_os"), tree)
    told = run((str(python), "-I", "-c", _TELL, str(tree)), tree).split()
    if told[:1] != [instructions.after]:
        raise UpgradeError(f"the commit holds version {' '.join(told[:1])}, not the one promised")
    if instructions.image_format and told[1:] != [str(instructions.image_format)]:
        raise UpgradeError(f"the new program has image format {told[1:]}, not the one promised")
    return Program(tree, python, instructions.after, instructions.commit)


def _stage_libraries(folder: Path, running: Program, instructions: Instructions) -> Path:
    """Return a Python that sees the libraries of the one before, and has what changed."""
    tree, venv = folder / "tree", folder / "venv"
    wanted = tree / instructions.requirements
    if not wanted.is_file():
        raise UpgradeError(f"the commit has no file {instructions.requirements}")
    if hashlib.sha256(wanted.read_bytes()).hexdigest() != instructions.requirements_sha256:
        raise UpgradeError(f"{instructions.requirements} is not the file that was promised")
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
    """Mark a staged program as one that is not to be cleared away."""
    (program.tree.parent / KEPT).touch()


def discard(program: Program, root: Path) -> None:
    """Remove a staged program. Idempotent."""
    shutil.rmtree(program.tree.parent, ignore_errors=True)
    with contextlib.suppress(UpgradeError):
        run((*GIT, "worktree", "prune"), root)


def sweep(home: Home, root: Path) -> None:
    """Remove what upgrades left that were killed or refused."""
    if not home.versions.is_dir():
        return
    for folder in home.versions.iterdir():
        if not (folder / KEPT).exists() and folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(UpgradeError):
        run((*GIT, "worktree", "prune"), root)
