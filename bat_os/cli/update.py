"""``batos update``: look for a newer version where this one comes from, and upgrade to it.

    git fetch > the newest tag vN.N.N on the branch that is followed, else that branch >
    update_instructions.json, signed with a key of this home > batos.cli.upgrade carries them out,
    as it does any others

Nothing looks for a version unasked. The instructions say what the commit changes: libraries if its
requirements differ, the image if it has newer migrations. An installed BAT OS is updated by what
installed it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.cli import upgrade
from bat_os.cli.environment import ROOT
from bat_os.cli.show.command import Command
from bat_os.core.digest import digest
from bat_os.errors import ArgumentsError, UpgradeError
from bat_os.image.migrations import FORMAT
from bat_os.supervisor.home import Home, write_whole
from bat_os.supervisor.program import Program, read_program
from bat_os.supervisor.upgrade import instructions
from bat_os.supervisor.upgrade.staging import GIT, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

CHANGES: Final = "CHANGELOG.md"
KEY: Final = "update.key"  # in the folder of upgrades; its line is in upgrade_keys
MAX_SHOWN: Final = 40  # lines of what changed
_TAG: Final = re.compile(r"v(\d+)\.(\d+)\.(\d+)\Z", re.ASCII)
_VERSION: Final = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_STEPS: Final = re.compile(r"^STEPS\b.*", re.MULTILINE)
_STEP: Final = re.compile(r"\b(\d+): ")
_ITEM: Final = re.compile(r"^- .*(?:\n  .*)*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Found:
    """A version that this one can be upgraded to."""

    commit: str
    version: str
    changes: list[str]  # entries of its CHANGELOG.md that the present one lacks


async def _update(ask: Ask) -> Mapping[str, Any]:
    if not bat_os.is_checkout():
        raise ArgumentsError(
            "BAT OS is installed, so what installed it updates it: batos stop, then "
            "pipx upgrade bat-os, or uv tool upgrade bat-os, or pip install the newer wheel"
        )
    home = Home(ask.home)
    running = read_program(home, ROOT, bat_os.__version__)
    found = await asyncio.to_thread(find, ROOT, running)
    body = {
        "from": running.version,
        "to": found.version,
        "commit": found.commit,
        "changes": found.changes,
        "newer": bool(found.commit),
    }
    if ask.options.check or not found.commit:
        return body
    home.prepare()
    text = await asyncio.to_thread(write_instructions, home, ROOT, running, found)
    return body | await upgrade.carry_out(ask, upgrade.make_site(home, os.environ), text)


def find(root: Path, running: Program) -> Found:
    """Return the version to upgrade to; its commit is "" where the one that runs is the newest.

    Raises:
        UpgradeError: The checkout has no remote, or it cannot be reached.
    """
    branch = fetch(root)
    # A tag of another remote, or one that its branch does not hold, decides nothing.
    merged = run((*GIT, "tag", "--list", "v*", "--merged", branch), root)
    now = running.commit or run((*GIT, "rev-parse", "HEAD"), root)
    tags = filter(_TAG.match, merged.splitlines())
    wanted = max(tags, key=_number, default="")
    name = f"refs/tags/{wanted}" if wanted else branch
    commit = run((*GIT, "rev-parse", "--verify", f"{name}^{{commit}}"), root)
    if run((*GIT, "merge-base", now, commit), root) == commit:
        return Found("", running.version, [])
    version = _VERSION.search(_show(root, commit, "bat_os/__init__.py"))
    if version is None:
        raise UpgradeError(f"{name} ({commit[:12]}) has no version in bat_os/__init__.py")
    known = set(_ITEM.findall(_show(root, now, CHANGES)))
    news = [item for item in _ITEM.findall(_show(root, commit, CHANGES)) if item not in known]
    return Found(commit, version[1], news)


def fetch(root: Path) -> str:
    """Fetch what this checkout follows; return the name of its branch.

    That is the upstream of the branch. A checkout of a tag, or a branch that follows nothing, has
    none: there the default branch of the only remote counts.
    """
    remotes = run((*GIT, "remote"), root).splitlines()
    if not remotes:
        raise UpgradeError(f"{root} has no remote; git remote add origin ADDRESS names one")
    head = run((*GIT, "rev-parse", "--symbolic-full-name", "HEAD"), root)
    remote = run((*GIT, "for-each-ref", "--format=%(upstream:remotename)", head), root)
    if remote in remotes:
        run((*GIT, "fetch", "--quiet", "--tags", remote), root)
        return "@{upstream}"
    if len(remotes) > 1:
        text = f"which of {', '.join(remotes)} to follow: git branch -u REMOTE/BRANCH says it"
        raise UpgradeError(text)
    run((*GIT, "fetch", "--quiet", "--tags", remotes[0]), root)
    run((*GIT, "remote", "set-head", remotes[0], "--auto"), root)
    return f"refs/remotes/{remotes[0]}/HEAD"


def write_instructions(home: Home, root: Path, running: Program, found: Found) -> bytes:
    """Return signed instructions for an upgrade to ``found``."""
    now = running.commit or run((*GIT, "rev-parse", "HEAD"), root)
    actions: list[dict[str, Any]] = [{"git_ff": {"commit": found.commit}}]
    wanted = "requirements.txt" if _has_second_stage(running) else "requirements-first.txt"
    names = ("requirements-first.txt", wanted)
    if any(_show(root, now, name) != _show(root, found.commit, name) for name in names):
        text = _show(root, found.commit, wanted)
        actions.append({"pip_sync": {"requirements": wanted, "hash": digest(text.encode())}})
    table = _show(root, found.commit, "bat_os/image/migrations/__init__.py")
    steps = [int(step) for line in _STEPS.findall(table) for step in _STEP.findall(line)]
    if max(steps, default=FORMAT) > FORMAT:
        module = f"bat_os.image.migrations.format_{max(steps)}"
        actions.append({"migrate": {"module": module}})
    document = {
        "schema": 1,
        "id": f"update-{found.commit[:16]}",
        "from": running.version,
        "to": found.version,
        "actions": actions,
    }
    return json.dumps(instructions.sign(document, _own_key(home))).encode()


def _own_key(home: Home) -> Path:
    """Return the key of this home, made the first time; ``upgrade_keys`` names it from now on.

    A person who may run ``batos update`` here may also write that file.
    """
    key = home.upgrade / KEY
    if not key.exists():
        home.upgrade.mkdir(mode=0o700, exist_ok=True)
        draft = key.with_suffix(".new")  # a killed process may have left half of it
        draft.unlink(missing_ok=True)
        instructions.make_key(draft)
        draft.replace(key)
    line = instructions.public_line(key)
    held = home.upgrade_keys.read_text(encoding="utf-8") if home.upgrade_keys.exists() else ""
    if line.split()[:2] not in [each.split()[:2] for each in held.splitlines()]:
        gap = "" if held.endswith("\n") or not held else "\n"
        write_whole(home.upgrade_keys, f"{held}{gap}{line}\n")
    return key


def _has_second_stage(running: Program) -> bool:
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    words = [str(running.python), "-I", "-c", code]
    return subprocess.run(words, check=False).returncode == 0  # noqa: S603 - our own Python


def _show(root: Path, commit: str, name: str) -> str:
    """Return the text of a file in a commit; "" where it is not there."""
    command = (*GIT, "show", f"{commit}:{name}")
    done = subprocess.run(command, cwd=root, capture_output=True, check=False)  # noqa: S603 - our own command, no shell
    return done.stdout.decode("utf-8", "replace")


def _number(tag: str) -> tuple[int, ...]:
    return tuple(map(int, tag[1:].split(".")))


def _show_update(body: Mapping[str, Any], screen: Screen) -> None:
    if not body["newer"]:
        screen.say(f"BAT OS {body['from']} is the newest version.")
        return
    screen.say(f"from {body['from']} to {body['to']}, commit {body['commit'][:12]}")
    lines = "\n".join(body["changes"]).splitlines()
    if lines:
        screen.note("What changes for you:")
    for line in lines[:MAX_SHOWN]:
        screen.answer(f"  {line}")
    if len(lines) > MAX_SHOWN:
        screen.note(f"... and {len(lines) - MAX_SHOWN} more lines of {CHANGES}")
    if "stage" not in body:
        screen.note("nothing was changed; batos update upgrades to it")
        return
    reason = f" ({body['reason']})" if body["reason"] else ""
    screen.say(f"{body['stage'].replace('_', ' ')}{reason}")
    if body["stage"] == "done":
        screen.note(f"watchdog and clients follow with: git merge --ff-only {body['commit'][:12]}")


COMMANDS: Final[Mapping[str, Command]] = {"update": Command(_show_update, _update)}
