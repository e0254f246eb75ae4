"""Downloads a model from the Hugging Face hub into a folder, from which the image stores it.

    fetch > child process: python -m bat_os.engines.hub > one JSON object per line on stdout

A child, because this process keeps the hub's libraries offline and because killing a child
is the one sure way to stop a download. Nothing that came is lost: an unfinished file is a
hidden ``.part`` beside its place, and the next fetch resumes at its last byte.

What the hub says is checked: names of files, kinds (no pickles, no Python), sizes, room on the
disk, and the hash of every file.
"""

from __future__ import annotations

import asyncio
import fnmatch
import hashlib
import json
import os
import re
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from bat_os.core.digest import digest
from bat_os.engines.base import first_line
from bat_os.engines.child_module import run_module, say_line
from bat_os.errors import ArgumentsError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_T = TypeVar("_T")

SUFFIXES: Final = (".safetensors", ".json", ".txt", ".model", ".gguf", ".jinja")
MAX_FILES: Final = 2_000
CHUNK: Final = 1 << 20
# Left free beside the download: the image's log and the metadata of the blobs need some.
RESERVE: Final = 256 << 20
TRIES: Final = 5
TIMEOUT: Final = 30.0
BUSY: Final = (429, 503)
MAX_WAIT: Final = 60  # seconds, whatever the hub asks for
MAX_LIST: Final = 16 << 20  # bytes of a list of files
_REPO: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?\Z", re.ASCII)
_REVISION: Final = re.compile(r"[A-Za-z0-9][\w./-]{0,99}\Z", re.ASCII)
# Of sub-folders only those of sentence-transformers (1_Pooling) count; others hold the same
# weights in other forms.
_PATH: Final = re.compile(r"(\d+_\w+/)?(?!\.)[\w.+() -]{1,150}\Z", re.ASCII)
_LICENCE: Final = re.compile(r"(LICEN[CS]E|NOTICE|USE_POLICY)[\w-]*(\.md)?\Z", re.ASCII)
# Large GGUF files come in parts: -00001-of-00003.
_PART: Final = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf\Z)")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brought; goes into the model's ``meta``."""

    repo: str
    revision: str  # the commit, also where a branch was asked for
    licence: str  # as the model's card says; "" where it does not
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file on the hub."""

    name: str  # with ``/`` for folders
    size: int
    sha256: str = ""  # of large files
    blob: str = ""  # Git's hash of the file, where it is known


async def fetch(
    repo: str,
    revision: str,
    folder: Path,
    progress: Callable[[str], None],
    *,
    endpoint: str = "",
    only: str = "",
) -> Fetched:
    """Fetch model ``repo`` into ``folder``; cancelling stops it, and the next call resumes.

    Args:
        repo: ``owner/name``.
        revision: Branch, tag or commit.
        folder: For this model alone; created if it is missing.
        progress: Called with one line per second at most.
        endpoint: Another hub than the public one; the user's sign-in is not sent there.
        only: Name or pattern of the GGUF file to take where a repository has several.

    Raises:
        ArgumentsError: ``repo`` or ``revision`` cannot be one.
        ModelError: The hub cannot be reached, has no such model, keeps it gated, sends
            something else than it announced, or there is no room; the message says what to do.
    """
    place = await asyncio.to_thread(folder.absolute)
    end = await _run(repo, revision, str(place), endpoint, only, progress)
    return Fetched(**end["done"])


async def announce(repo: str, revision: str, *, endpoint: str = "", only: str = "") -> int:
    """Return how many bytes a fetch with these arguments would bring; fetches none of them.

    Raises:
        ArgumentsError: ``repo`` or ``revision`` cannot be one.
        ModelError: As ``fetch``.
    """
    end = await _run(repo, revision, "", endpoint, only, lambda _line: None)
    return int(end["announced"])


async def _run(
    repo: str, revision: str, place: str, endpoint: str, only: str, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Run the child, and return what it says at its end."""
    if not _REPO.match(repo) or ".." in repo:
        raise ArgumentsError(
            f"{repo[:60]!r} is not an id of a model on the hub; it must be owner/name"
        )
    if not _REVISION.match(revision) or ".." in revision:
        raise ArgumentsError(f"{revision[:60]!r} is not a branch, tag or commit")
    end: dict[str, Any] = {}
    last = ""

    def hear(line: str) -> None:
        nonlocal last
        try:
            message = json.loads(line)
            said = str(message.pop("say", ""))
        except (ValueError, AttributeError, TypeError):
            last = line or last  # what the interpreter or a library says when it goes down
            return
        if said:
            progress(said)
        end.update(message)

    arguments = [repo, revision, place, endpoint, only]
    status = await run_module("bat_os.engines.hub", arguments, hear)
    if "done" in end or "announced" in end:
        return end
    raise ModelError(
        end.get("failed") or f"{repo}: fetching ended with status {status}: {last}",
        **end.get("details", {}),
    )


def choose_files(files: Sequence[RemoteFile], only: str = "") -> list[RemoteFile]:
    """Return the files of a repository that a model needs, sorted by name.

    Safetensors where there are any, with configuration and tokenizer; else one GGUF file.
    """
    usable = sorted(
        (
            file
            for file in files
            if _PATH.match(file.name)
            and (file.name.endswith(SUFFIXES) or _LICENCE.match(file.name))
        ),
        key=lambda file: file.name,
    )
    ggufs = {file: _PART.sub("", file.name) for file in usable if file.name.endswith(".gguf")}
    rest = [file for file in usable if file not in ggufs]
    tensors = [file.name for file in rest if file.name.endswith(".safetensors")]
    if tensors and not only:
        # Mistral's repositories have all weights twice.
        twice = any(not name.startswith("consolidated") for name in tensors)
        return [file for file in rest if not (twice and file.name.startswith("consolidated"))]
    wanted = {file: name for file, name in ggufs.items() if fnmatch.fnmatch(name, only or "*")}
    names = ", ".join(sorted(set((wanted or ggufs).values()))[:30])
    if len(set(wanted.values())) == 1:
        return list(wanted)
    if wanted:
        raise ModelError(f"it has several GGUF files; choose one: {names}")
    if ggufs:
        raise ModelError(f"it has no GGUF file {only}; there are: {names}")
    raise ModelError(
        "it has no weights as safetensors or GGUF; pickled weights (.bin, .pt) are not used, "
        "since loading them can run foreign code"
    )


def fetch_here(
    repo: str, revision: str, folder: Path, say: Callable[[str], None], endpoint: str, only: str
) -> Fetched:
    """Do ``fetch`` in this process, whose hub libraries must be online; blocks."""
    with _explained(repo, revision):
        offer = _ask_hub(repo, revision, endpoint, only, say)
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(repo, offer.files, folder)
        meter = _Meter(repo, offer.size, say)
        for file in offer.files:
            _fetch_file(f"{offer.endpoint}/{repo}/resolve/{offer.commit}", file, folder, meter)
    return Fetched(repo, offer.commit, offer.licence, len(offer.files), meter.total)


def announce_here(repo: str, revision: str, endpoint: str, only: str) -> int:
    """Do ``announce`` in this process; blocks."""
    with _explained(repo, revision):
        return _ask_hub(repo, revision, endpoint, only, lambda _line: None).size


@dataclass(frozen=True, slots=True)
class _Offer:
    """What the hub has of a model."""

    endpoint: str
    commit: str
    licence: str
    files: list[RemoteFile]  # those that the model needs

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def _ask_hub(
    repo: str, revision: str, endpoint: str, only: str, say: Callable[[str], None]
) -> _Offer:
    # Heavy, and only after this process was set to be online.
    from huggingface_hub import constants

    say(f"{repo}: asking the hub")
    endpoint = endpoint.rstrip("/") or constants.ENDPOINT
    url = f"{endpoint}/api/models/{repo}/revision/{quote(revision, safe='')}?blobs=true"
    info = json.loads(_patiently(lambda: _read_all(url), say))
    siblings = [_read_entry(entry) for entry in info["siblings"]]
    try:
        files = choose_files(siblings, only)
    except ModelError as error:
        raise ModelError(f"{repo}: {error}") from error
    commit = str(info["sha"])
    if len(files) > MAX_FILES or not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise ValueError(f"{len(files)} files at commit {commit[:60]!r}")
    licence = str((info.get("cardData") or {}).get("license") or "")[:60]
    return _Offer(endpoint, commit, licence, files)


def _read_all(url: str) -> bytes:
    """Return a reply of at most ``MAX_LIST`` bytes."""
    raw = b""
    with _opened(url, {}) as response:
        for chunk in response.iter_bytes():
            raw += chunk
            if len(raw) > MAX_LIST:
                raise ValueError(f"a list of files with more than {MAX_LIST} bytes")
    return raw


@contextmanager
def _opened(url: str, headers: Mapping[str, str]) -> Iterator[Any]:
    """Open a reply of the hub; a refusal raises. The sign-in goes to the hub alone."""
    from huggingface_hub import constants, get_session, get_token, hf_raise_for_status

    sent = {"Accept-Encoding": "identity", **headers}
    if url.startswith(constants.ENDPOINT + "/") and (token := get_token()):
        sent["Authorization"] = f"Bearer {token}"
    with get_session().stream("GET", url, headers=sent, timeout=TIMEOUT) as response:
        hf_raise_for_status(response)
        yield response


def _patiently(ask: Callable[[], _T], say: Callable[[str], None]) -> _T:
    """Return what ``ask`` does; where the hub wants fewer requests, wait and ask again."""
    from huggingface_hub.errors import HfHubHTTPError

    for left in reversed(range(TRIES)):
        try:
            return ask()
        except HfHubHTTPError as error:
            if error.response.status_code not in BUSY or not left:
                raise
            asked = error.response.headers.get("Retry-After", "")
            seconds = min(int(asked), MAX_WAIT) if asked.isdecimal() else 2.0 ** (TRIES - left)
            say(f"the hub is busy; asking again in {seconds:.0f} s")
            time.sleep(seconds)
    raise AssertionError("unreachable: the last try returns or raises")


class _Meter:
    """Says how far the fetch is, once a second at most."""

    def __init__(self, repo: str, total: int, say: Callable[[str], None]) -> None:
        self.total = total
        self._repo = repo
        self.say = say
        self._done = 0
        self._said = -1.0

    def add(self, count: int, name: str) -> None:
        self._done += count
        now = time.monotonic()
        if self._done >= self.total or now >= self._said + 1.0 or self._said < 0:
            self._said = now
            done, total = (_in_words(size) for size in (self._done, self.total))
            self.say(f"{self._repo}: {done} of {total}, {name}")


def _fetch_file(above: str, file: RemoteFile, folder: Path, meter: _Meter) -> None:
    """Bring one file, from where the last try ended; it appears whole and right, or not."""
    import httpx2  # comes with the hub's library, which is imported late too

    place = folder / file.name
    if place.is_file() and _is_right(place, file):
        meter.add(file.size, file.name)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    part = _part(folder, file)
    part.touch()
    meter.add(have := part.stat().st_size, file.name)
    left = TRIES
    while have < file.size:
        fault: Exception = ModelError(f"{file.name} ends too early; ask again")
        try:
            _patiently(lambda: _stream(f"{above}/{file.name}", file, part, meter), meter.say)
        except httpx2.TransportError as error:
            fault = error
        have, before = part.stat().st_size, have
        left = TRIES if have > before else left - 1
        if not left:
            raise fault
        if have <= before:
            time.sleep(2.0 ** (TRIES - left - 1))
    if not _is_right(part, file):
        part.unlink()
        raise ModelError(f"{file.name} is not what the hub announced; ask again")
    part.replace(place)


def _stream(url: str, file: RemoteFile, part: Path, meter: _Meter) -> None:
    """Append what is missing of ``part``, until the connection ends."""
    have = part.stat().st_size
    with _opened(url, {"Range": f"bytes={have}-"} if have else {}) as response:
        if have and response.status_code != 206:  # it sends the file from the beginning
            meter.add(-have, file.name)
            have = 0
        with part.open("ab" if have else "wb", buffering=0) as target:
            for chunk in response.iter_bytes():
                have += len(chunk)
                if have > file.size:
                    raise ModelError(f"{file.name} is larger than the hub announced; ask again")
                target.write(chunk)
                meter.add(len(chunk), file.name)


def _check_room(repo: str, files: Sequence[RemoteFile], folder: Path) -> None:
    needed = RESERVE
    for file in files:
        place, part = folder / file.name, _part(folder, file)
        have = next((path.stat().st_size for path in (place, part) if path.is_file()), 0)
        needed += max(0, file.size - have)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError(
            f"{repo} needs {_in_words(needed)} ({needed} bytes) on the disk of {folder}, and "
            f"{_in_words(free)} ({free} bytes) are free; free some, or choose a smaller model",
            needed=needed,
            free=free,
        )


@contextmanager
def _explained(repo: str, revision: str) -> Iterator[None]:
    """Turn whatever goes wrong with the hub into a ModelError that says what to do."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{repo} is gated: its owner wants you to accept terms first. Do so on its page on "
            "the hub, sign in here with `hf auth login` (or set HF_TOKEN), and ask again"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"the hub has no model {repo}, or it is private: check the name, or sign in with "
            "`hf auth login` (or set HF_TOKEN)"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{repo} has no revision {revision}; leave it out for main") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        raise ModelError(f"the hub answers {status} for {repo}; ask again later") from error
    except (httpx2.TransportError, errors.OfflineModeIsEnabled) as error:
        raise ModelError(
            f"the hub cannot be reached for {repo} ({first_line(error)[:200]}); what came is kept. "
            "Ask again with a network, or copy the model's folder here and add that"
        ) from error
    except OSError as error:
        text = error.strerror or first_line(error)[:200]
        raise ModelError(f"{repo} cannot be written here: {text}") from error
    except (ValueError, KeyError, TypeError, AttributeError, httpx2.HTTPError) as error:
        raise ModelError(f"the hub's answer for {repo} makes no sense: {error!r:.200}") from error


def _read_entry(entry: Any) -> RemoteFile:
    """Return one entry of the hub's list, checked."""
    name, size, lfs = str(entry["rfilename"]), entry["size"], entry.get("lfs")
    sha256 = str(lfs["sha256"]) if lfs else ""
    if type(size) is not int or size < 0 or not re.fullmatch(r"([0-9a-f]{64})?", sha256):
        raise ValueError(f"the size or hash of {name[:60]!r}")
    return RemoteFile(name, size, sha256, str(entry.get("blobId") or ""))


def _part(folder: Path, file: RemoteFile) -> Path:
    """Return the place of the unfinished file; its name has the version of the file."""
    version = digest(file.sha256 or file.blob)[:12]
    place = folder / file.name
    return place.with_name(f".{place.name}.{version}.part")


def _is_right(path: Path, file: RemoteFile) -> bool:
    if path.stat().st_size != file.size:
        return False
    if file.sha256:
        digest, wanted = hashlib.sha256(), file.sha256
    else:
        digest, wanted = hashlib.sha1(usedforsecurity=False), file.blob  # what git names files by
        digest.update(b"blob %d\0" % file.size)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == wanted or not wanted


def _in_words(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def main(argv: list[str] | None = None) -> int:
    """Fetch ``REPO REVISION FOLDER ENDPOINT ONLY``; without FOLDER only say how large it is."""
    arguments = sys.argv[1:] if argv is None else argv
    repo, revision, folder, endpoint, only = arguments  # ``_run`` gives all five

    def say(line: str) -> None:
        say_line(json.dumps({"say": line}))

    # The parent is offline for good reasons; this process is there to be online.
    switches = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    os.environ.update(dict.fromkeys(switches, "0") | {"HF_HUB_DISABLE_TELEMETRY": "1"})
    try:
        end: dict[str, Any]
        if folder:
            end = {"done": asdict(fetch_here(repo, revision, Path(folder), say, endpoint, only))}
        else:
            end = {"announced": announce_here(repo, revision, endpoint, only)}
    except ModelError as error:
        say_line(json.dumps({"failed": str(error), "details": error.details}))
        return 1
    say_line(json.dumps(end))
    return 0


if __name__ == "__main__":
    sys.exit(main())
