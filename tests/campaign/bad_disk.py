"""The Nth write, fsync or open below a folder fails, for every N until all goes well.

    python -m tests.campaign.bad_disk write|fsync|open ERRNO FIRST STEP FOLDER

Each N begins with a new image: commits, a model taken in, a backup; then the disk is well again,
the image is opened anew, and what was acknowledged has to be there. Prints JSON: how many N,
which codes, and what was wrong.
"""

import asyncio
import builtins
import contextlib
import importlib
import io
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

from bat_os.errors import BatError, StorageFullError
from bat_os.image.files.backup import back_up, verify
from bat_os.image.models import ingest_folder, link_folder
from bat_os.image.store import ImageStore

COMMITS = 4
MODEL = {"config.json": b"{}", "weights.bin": b"w" * 20_000}


class Disk:
    """Lets one call fail.

    Attributes:
        left: Calls until then; 0: none will.
        failed: One has.
    """

    def __init__(self, folder, kind, error):
        self.folder = str(folder)
        self.kind = kind
        self.error = error
        self.left = 0
        self.failed = False

    def count(self, kind):
        if kind != self.kind or not self.left:
            return
        self.left -= 1
        if not self.left:
            self.failed = True
            raise OSError(self.error, os.strerror(self.error))

    def is_ours(self, path):
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.folder)

    def install(self):
        """Stand between this process and its files."""
        opening, opening_raw, fsync = builtins.open, os.open, os.fsync

        def open_file(path, mode="r", *args, **kwargs):
            if not self.is_ours(path):
                return opening(path, mode, *args, **kwargs)
            self.count("open")
            made = opening(path, mode, *args, **kwargs)
            return Written(made, self) if set(mode) & set("wax+") else made

        def open_raw(path, *args, **kwargs):
            if self.is_ours(path):
                self.count("open")
            return opening_raw(path, *args, **kwargs)

        def sync(handle):
            self.count("fsync")
            fsync(handle)

        builtins.open = io.open = open_file
        os.open, os.fsync = open_raw, sync
        # The name of a class too, so ``import`` does not find the module.
        importlib.import_module("ZODB.FileStorage.FileStorage").fsync = sync


class Written:
    """A file that is written; where the disk fails, half of what was to be written is there."""

    def __init__(self, file, disk):
        self._file = file
        self._disk = disk

    def write(self, data):
        try:
            self._disk.count("write")
        except OSError:
            with contextlib.suppress(OSError):
                self._file.write(data[: len(data) // 2])
                self._file.flush()
            raise
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *about):
        return self._file.__exit__(*about)

    def __iter__(self):
        return iter(self._file)


class Trial:
    """One N.

    Attributes:
        acknowledged: Tags whose commit returned.
        refused: Tags of which was said that nothing was changed.
        codes: Of all errors.
        faults: What must not have happened.
    """

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "home" / "live_image.fs"
        self.acknowledged, self.refused, self.faults = [], [], []
        self.codes = Counter()

    async def suffer(self):
        """Do everything once, on a disk where one call fails."""
        with self._expected():
            image = ImageStore.open(self.path)
            try:
                for tag in range(COMMITS):
                    await self._commit(image, tag)
                with self._expected():
                    await ingest_folder(image, "toy", self.folder.parent / "toy")
                with self._expected():
                    await back_up(image, self.folder / "backup")
                await self._commit(image, COMMITS)
            finally:
                await image.close()

    async def _commit(self, image, tag):
        try:
            with self._expected(again=True):
                await image.transact(lambda root: count(root, tag), note="count")
                self.acknowledged.append(tag)
        except StorageFullError:
            self.refused.append(tag)
        except BatError:
            pass  # it may be there, or not

    @contextlib.contextmanager
    def _expected(self, *, again=False):
        try:
            yield
        except BatError as error:
            self.codes[error.code] += 1
            if again:
                raise
        except Exception as error:  # noqa: BLE001 - an error with no code is what we look for
            self.faults.append(f"no code: {type(error).__name__}: {error}")

    async def recover(self):
        """The disk is well: what was acknowledged is there, once, and everything works."""
        image = ImageStore.open(self.path)
        try:
            number, seen = await image.transact(
                lambda root: (root.get("n", 0), list(root.get("seen", ()))), note="look"
            )
            missing = [tag for tag in self.acknowledged if seen.count(tag) != 1]
            there = [tag for tag in self.refused if tag in seen]
            if missing or there or number != len(seen):
                self.faults.append(f"lost {missing}, refused but there {there}, {number} {seen}")
            await image.transact(lambda root: count(root, "after"), note="count")
            await ingest_folder(image, "toy", self.folder.parent / "toy")
            links = await link_folder(image, "toy", self.folder / "links")
            if any((links / name).read_bytes() != MODEL[name] for name in MODEL):
                self.faults.append("the model is not what was taken in")
            await back_up(image, self.folder / "backup")
            verify(self.folder / "backup")
        finally:
            await image.close()


def count(root, tag):
    root["n"] = root.get("n", 0) + 1
    root["seen"] = [*root.get("seen", ()), tag]


async def run(disk, first, step, folder):
    toy = folder / "toy"
    toy.mkdir(parents=True)
    for name, content in MODEL.items():
        (toy / name).write_bytes(content)
    codes, faults, number = Counter(), [], first
    tried = 0
    while True:
        trial = Trial(folder / "trial")
        trial.folder.mkdir()
        image = ImageStore.open(trial.path)
        await image.transact(lambda root: count(root, "before"), note="count")
        await image.close()
        disk.left, disk.failed = number, False
        await trial.suffer()
        disk.left = 0
        try:
            await trial.recover()
        except Exception as error:  # noqa: BLE001 - whatever it is, it does not work again
            trial.faults.append(f"not well again: {type(error).__name__}: {error}")
        shutil.rmtree(trial.folder)
        codes += trial.codes
        faults += [f"{disk.kind} {number}: {fault}" for fault in trial.faults]
        tried += 1
        if not disk.failed:
            return {"tried": tried, "codes": codes, "faults": faults}
        number += step


def main(kind, error, first, step, folder):
    disk = Disk(folder, kind, int(error))
    disk.install()
    told = asyncio.run(run(disk, int(first), int(step), Path(folder)))
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
