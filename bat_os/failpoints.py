"""Named places where a test may end this process by SIGKILL; off unless BATOS_FAILPOINT is set.

    BATOS_FAILPOINT=accept.stored:kill      at the first crossing
    BATOS_FAILPOINT=commit.synced:7:kill    at the seventh

They come before and after what must not be half done: commits, acknowledgements, renames.
Not armed, a crossing is a look into an empty map. ``docs/reliability.md`` says who uses them.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from typing import Final

from bat_os.errors import SettingsError

VARIABLE: Final = "BATOS_FAILPOINT"
# Crossed by the kernel, by a backup, a pack, an erasure or a restore, and by the watchdog.
NAMES: Final = (
    "commit.before",  # nothing of the transaction is in the file
    "commit.voted",  # it is in the file, marked as not finished
    "commit.written",  # marked as finished, and not synced
    "commit.synced",  # on the disk; no client knows it yet
    "accept.before",  # briefs have come, and are not stored
    "accept.stored",  # stored; their askers do not know it yet
    "accept.told",  # the acknowledgement is on its way
    "answer.before",  # the answer to a request with a key is made, and nothing is committed
    "answer.stored",  # what it tells of is committed with it; the asker does not know yet
    "schedule.before",  # a moment is due, and is not taken
    "schedule.taken",  # taken: what it runs is accepted, or what it says is laid down
    "schedule.ran",  # a run has ended, and nobody was told
    "watch.before",  # a file has changed and come to rest, and is not taken
    "watch.taken",  # taken, with what it runs or what it says
    "decomposing",  # right after the mission's transition was committed
    "delegating",
    "synthesizing",
    "acting",
    "validating",
    "install.before",  # in the transaction that installs the method
    "complete",
    "failed",
    "blob.staged",  # a model's file is synced beside the blobs
    "blob.committed",  # it is a blob; its folders are not synced
    "model.before",  # all files are in, the model's entry is not
    "model.committed",
    "effect.staged",  # in the outbox; the performer has not begun
    "effect.begun",  # marked as begun, and nothing is done
    "effect.written",  # a file: its new text is beside it; one to be removed is gone
    "effect.done",  # done, and the result is not stored
    "effect.stored",  # the result is stored
    "await.wanted",  # a message needs the answer of an effect; its intent is not stored
    "await.begun",  # the intent is stored, and nothing is done
    "await.done",  # done, and the answer is not stored
    "await.stored",  # the answer is stored; the message runs again
    "fold.done",  # lessons are in the indexes, in a transaction that has not ended
    "pack.synced",  # the packed file is whole, and not in place
    "pack.switched",
    "erase.redacted",  # the image as it is now has the words no more; its history has
    "erase.written",  # the new image file is whole, and not in place
    "erase.switched",  # it is in place; logs and other files have the words yet
    "erase.blanked",
    "backup.before",  # all parts are there, the manifest names the old ones
    "backup.switched",
    "restore.built",  # the restored home is whole beside its place
    "restore.exchanged",  # it has its name; the old one has not
    "restore.done",
    "endpoint.written",  # endpoint.json: the draft is whole
    "endpoint.renamed",
    "status.written",
    "status.renamed",
    "program.written",  # the pointer to the program that serves
    "program.renamed",
    "journal.written",  # of an upgrade
    "journal.renamed",
    *(
        f"upgrade.{stage}{when}"
        for stage in (
            *("received", "verified", "staged", "stopped", "backed_up", "switched", "proven"),
            *("done", "refused", "rolling_back", "rolled_back"),
        )
        for when in (".before", "")
    ),
)
_FORM: Final = re.compile(r"(?P<name>[a-z_.]+)(:(?P<count>[1-9][0-9]{0,5}))?:kill", re.ASCII)

_armed: dict[str, int] = {}  # name -> crossings left; filled once, before the process serves
_counting: Final = threading.Lock()


def arm(text: str) -> None:
    """Arm what ``text`` names, ``NAME:kill`` or ``NAME:COUNT:kill``; nothing for "".

    Raises:
        SettingsError: It is not of that form, or there is no such place.
    """
    if not text:
        return
    match = _FORM.fullmatch(text)
    if match is None or match["name"] not in NAMES:
        raise SettingsError(
            f"{VARIABLE}={text[:80]!r} cannot be used; it takes NAME:kill or NAME:COUNT:kill, "
            "for tests (docs/reliability.md)"
        )
    _armed[match["name"]] = int(match["count"] or 1)


def cross(name: str) -> None:
    """End this process here and now, if this crossing is the one that was asked for."""
    if name not in _armed:
        return
    with _counting:
        _armed[name] -= 1
        if _armed[name] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
