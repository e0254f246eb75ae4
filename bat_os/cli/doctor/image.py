"""The image: its file, the files beside it, and its contents.

It is opened read-only: neither its lock nor a byte of it changes, so a kernel may run or start.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
from ZODB.POSException import POSError, ReadOnlyError

from bat_os.cli.doctor.outcome import ImageFacts, Outcome, broken, join, ok, warning
from bat_os.core.settings import IMAGE
from bat_os.errors import BatError
from bat_os.image.allowlist import AllowListDB, looks_like_image
from bat_os.image.files.ending import find_loss, losses, read_mark
from bat_os.image.files.heads import damaged_heads
from bat_os.image.files.layers import layers_of
from bat_os.image.files.opening import open_to_read
from bat_os.image.files.rotation import FOLDER, newest_in
from bat_os.image.files.tail import TORN
from bat_os.image.migrations import FORMAT, OLDEST
from bat_os.image.models import list_models
from bat_os.image.outbox import FAILED, HELD, UNKNOWN, pending
from bat_os.image.server_care import broken_promises, engine_of
from bat_os.image.servers import hide_password
from bat_os.image.store import ImageStore
from bat_os.models.profiles import show_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.doctor.outcome import Facts

RESTORE: Final = "stop BAT OS (./run.sh stop) and put a backup of the file and its blobs there"
PATIENCE: Final = 60.0  # seconds
LOOKED_AT: Final = 50_000  # records, about two seconds; verify looks at all
WEEK: Final = 7 * 86_400.0
_MAKE: Final = "./run.sh makes one at its first start"


def image_path(home: Path, location: str) -> Path | None:
    """Return the image's file; None if it is at a URI."""
    if not location:
        return home / IMAGE
    return None if "://" in location else Path(location)


async def read_image(path: Path | None) -> ImageFacts | None:
    """Return what is inside the image; None if the file is missing or not an image."""
    try:
        opened = await asyncio.to_thread(_open, path)
    except ReadOnlyError:  # it has no root yet, and we may not write one
        return ImageFacts()
    except (BatError, POSError, OSError, KeyError, EOFError, *TORN) as error:
        return ImageFacts(trouble=f"it cannot be read: {error}", advice=RESTORE)
    if opened is None:
        return None
    image, cut_off, has_blobs, lost = opened
    try:
        heads = await asyncio.to_thread(lambda: [*damaged_heads(image.storage, limit=LOOKED_AT)])
        about, objects, effects = await image.transact(_look, note="look at the image")
        models = await list_models(image) if has_blobs and not _is_newer(about) else []
    except BatError as error:
        return ImageFacts(trouble=str(error), advice=RESTORE)
    finally:
        await image.close()
    damaged = tuple(oid.hex() for oid in heads)
    return ImageFacts(about, objects, tuple(models), has_blobs, cut_off, lost, damaged, effects)


def _look(root: Any) -> tuple[dict[str, Any], int, tuple[tuple[int, str, float, str], ...]]:
    about = dict(root.get("about", {}))
    if _is_newer(about):  # only the root is sure to be readable
        return about, 0, ()
    effects = tuple((each.number, each.state, each.at, each.text) for each in pending(root))
    return about, len(root.get("objects", ())), effects


def _is_newer(about: Mapping[str, Any]) -> bool:
    return bool(about.get("format", FORMAT) > FORMAT)


def _open(path: Path | None) -> tuple[ImageStore, int, bool, tuple[str, ...]] | None:
    """Return the image, the bytes after its last transaction, whether it has blobs, lost ends."""
    if path is None or not path.is_file() or not looks_like_image(path):
        return None
    blobs = Path(f"{path}.blob")
    # Opening with blobs would create a missing folder, and hide that it was missing.
    has_blobs = (blobs / ".layout").is_file()
    mark = read_mark(path)  # before the file, which a daemon may append to meanwhile
    storage = open_to_read(path, blobs=has_blobs)
    try:
        live = layers_of(storage)[-1]
        cut_off = max(path.stat().st_size - live.getSize(), 0)
        found = [*losses(path), find_loss(path, mark, live.getSize())]
        lost = tuple(str(loss) for loss in found if loss is not None)
        return ImageStore(AllowListDB(storage)), cut_off, has_blobs, lost
    except BaseException:
        storage.close()
        raise


def check_image(facts: Facts) -> list[Outcome]:
    """Return whether the image exists, can be read, and has a format that we know."""
    path = image_path(facts.home.path, facts.settings.image)
    if path is None:
        return _judge_server(facts.settings.image)
    if not path.exists():
        if Path(f"{path}.blob").is_dir():
            text = f"{path} is missing, but its folder of blobs exists"
            return [broken("image", text, RESTORE)]
        return [ok("image", f"none yet; {_MAKE}")]
    if facts.image is None and (path.is_dir() or path.stat().st_size):
        text = f"{path} is not an image of BAT OS"
        return [broken("image", text, f"move it away; then put a backup there, or {_MAKE}")]
    return _judge_inside(facts, path, facts.image or ImageFacts())


def _judge_server(location: str) -> list[Outcome]:
    """Return whether a server has the image, and keeps what the daemon promises."""
    where = hide_password(location)
    try:
        image = ImageStore.open(location)
        try:
            found, engine = broken_promises(image), engine_of(image.storage)
        finally:
            asyncio.run(image.close())
    except BatError as error:
        return [broken("image", f"at {where}: {error}", "start its server, or correct the address")]
    if found:
        return [
            broken("image", f"at {where}: {each}", "the daemon does not start") for each in found
        ]
    return [ok("image", f"at {where}, held by {engine}")]


def check_backups(facts: Facts) -> list[Outcome]:
    """Return whether the image was backed up in the last week, as far as the home shows it."""
    inside, folder = facts.image, facts.home.path / FOLDER
    if facts.settings.image or inside is None or not inside.about.get("id"):
        return []
    now, made = time.time(), newest_in(folder)
    if made and now - made < WEEK:
        return [ok("backups", f"the newest in {folder} is {(now - made) / 86_400:.1f} days old")]
    if not made and now - inside.about.get("created", 0.0) < WEEK:
        return [ok("backups", "none yet; the daemon makes one a day")]
    text = f"none in {folder} is younger than a week"
    why = f"{facts.home.kernel_log} says why" if facts.settings.backups else "backups = true"
    return [warning("backups", text, f"batos backup {folder / 'own'}; {why}")]


def _judge_inside(facts: Facts, path: Path, inside: ImageFacts) -> list[Outcome]:
    if inside.trouble:
        return [broken("image", f"{path}: {inside.trouble}", inside.advice)]
    if not inside.about.get("id"):
        return [ok("image", f"{path}: empty; {_MAKE}")]
    written = inside.about["format"]
    if not OLDEST <= written <= FORMAT:
        text = f"{path} has format {written}, and this program reads {FORMAT}"
        return [broken("image", text, "start the program that wrote it, or restore a backup")]
    size = show_size(path.stat().st_size)
    text = f"{path}, {size}, {inside.objects} root objects, format {written}"
    outcomes = [ok("image", text)]
    advice = f"restore a backup from after that; or if nothing is missing: rm {path}.lost"
    outcomes += [broken("image", lost, advice) for lost in inside.lost]
    outcomes += [
        broken(
            "image",
            f"the record of the object {oid} is damaged",
            "batos verify names it and what to do",
        )
        for oid in inside.damaged
    ]
    # A running kernel may be writing a transaction.
    if inside.cut_off and not (facts.kernel.health or facts.kernel.alive):
        text = f"its last {inside.cut_off} bytes are an unfinished transaction"
        advice = f"nothing to do: the next start sets them aside as {path.name}.tr0"
        outcomes.append(warning("image", text, advice))
    return outcomes


def check_beside(facts: Facts) -> list[Outcome]:
    """Return what is beside the image: blobs, index, leftovers of a crash."""
    path = image_path(facts.home.path, facts.settings.image)
    if path is None or not path.is_file():
        return []
    blobs, index = Path(f"{path}.blob"), Path(f"{path}.index")
    outcomes = []
    if facts.image is not None and facts.image.about.get("id") and not facts.image.has_blobs:
        text = f"{blobs} is missing: models and other files of the image are in it"
        advice = "copy it from where the image came from, or add the models again: batos models"
        outcomes.append(broken("blobs", text, advice))
    elif blobs.is_dir():
        files = [file for file in blobs.rglob("*.blob") if file.is_file()]
        size = show_size(sum(file.stat().st_size for file in files))
        outcomes.append(ok("blobs", f"{len(files)} files, {size}"))
    if not index.is_file():
        outcomes.append(ok("index", "missing; the next start makes it by reading the image once"))
    return [*outcomes, *_check_leftovers(path, facts.image or ImageFacts())]


def check_lock(facts: Facts) -> list[Outcome]:
    """Return who holds the image. The lock's file says it; trying would take the lock."""
    path = image_path(facts.home.path, facts.settings.image)
    lock = Path(f"{path}.lock")
    if path is None or not lock.is_file():
        return []
    words = lock.read_text(encoding="ascii", errors="replace").split()
    pid = int(words[0]) if words and words[0].isdecimal() else 0
    if not _holds(pid, lock):
        return [ok("image lock", "free")]
    if pid in (facts.kernel.health.get("pid"), facts.kernel.pid):
        return [ok("image lock", f"held by the daemon, process {pid}")]
    text = f"held by process {pid}, which is not the daemon of this home directory"
    advice = f"no daemon can start until it ends; see: ps -fp {pid}"
    return [warning("image lock", text, advice)]


def check_models(facts: Facts) -> list[Outcome]:
    """Return the models and adapters in the image, and whether they are damaged."""
    if facts.image is None or not facts.image.has_blobs:
        return []  # check_beside says it
    models = facts.image.models
    outcomes = [
        broken(
            "models",
            f"{model['name']}: a stored file is missing or has another size",
            shlex.join(["batos", "models", "add", model["name"], model["source"] or "SOURCE"]),
        )
        for model in models
        if model["damaged"] == "yes"
    ]
    if not models:
        return [ok("models", "none in the image; the first start stores them")]
    size = show_size(sum(model["bytes"] for model in models))
    names = join([f"{model['name']} ({model['kind']})" for model in models])
    return [*outcomes, ok("models", f"{len(models)} in the image, {size}: {names}")]


def check_effects(facts: Facts) -> list[Outcome]:
    """Return what is yet to be done outside of the image, and waits for a person or for long."""
    if facts.image is None or not facts.image.about.get("id"):
        return []
    asked = [each for each in facts.image.effects if each[1] in (FAILED, HELD, UNKNOWN)]
    late = [
        each
        for each in facts.image.effects
        if each not in asked and time.time() - each[2] > PATIENCE
    ]
    outcomes = []
    if asked:
        names = join([f"{number}, {state}: {text}" for number, state, _, text in asked], most=3)
        advice = "look, then batos effects redo ID or batos effects drop ID"
        outcomes.append(warning("effects", f"{len(asked)} wait for you: {names}", advice))
    if late:
        names = join([f"{number}: {text}" for number, _, _, text in late], most=3)
        text = f"{len(late)} are not done for over a minute: {names}"
        outcomes.append(warning("effects", text, "batos effects says why"))
    return outcomes or [ok("effects", "all are done that were wanted outside of the image")]


def _check_leftovers(path: Path, inside: ImageFacts) -> list[Outcome]:
    """Return the ends that ZODB cut off after a crash, and the copy that a pack leaves."""
    tails = sorted(path.parent.glob(f"{path.name}.tr[0-9]*"))
    tails = [tail for tail in tails if not any(str(tail) in lost for lost in inside.lost)]
    outcomes = []
    if tails:
        size = show_size(sum(tail.stat().st_size for tail in tails))
        names = join([tail.name for tail in tails])
        text = f"{names} ({size}): unfinished ends of the image, set aside after a crash"
        advice = shlex.join(["rm", *map(str, tails)])
        outcomes.append(warning("leftovers", text, f"if nothing is missing: {advice}"))
    old = Path(f"{path}.old")
    if old.is_file():
        text = f"{old.name} ({show_size(old.stat().st_size)}): the image before the last pack"
        outcomes.append(ok("leftovers", text))
    return outcomes


def _holds(pid: int, lock: Path) -> bool:
    """Return True if that process has the lock's file open."""
    try:
        opened = psutil.Process(pid).open_files() if pid else []
    except psutil.AccessDenied:
        return True  # another user's process; it exists
    except (psutil.Error, OSError, OverflowError):
        return False
    return any(Path(file.path) == lock.resolve() for file in opened)
