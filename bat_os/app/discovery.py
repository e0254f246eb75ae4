"""Looks at this machine for a better mind: model servers that run, GGUF files that lie here.

    OLLAMA_HOST, well-known ports ──┐
    caches of other programs ───────┼─→ Found ──→ models/offers.py
    memory, GPU ────────────────────┘

Only this machine is asked, all servers at once, each within SECONDS. What they send is bounded and
untrusted: a server that lies or sends something else counts as not there, and so does one that
stalls, but it is named. Files are looked at by their headers only, within bounds of number and
time.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import time
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bat_os.engines.gguf import read_header
from bat_os.engines.hub import announce
from bat_os.errors import BatError, ModelError, ModelOutputError
from bat_os.models import servers
from bat_os.models.machine import look_at_machine, measure_bandwidth
from bat_os.models.offers import FoundFile, FoundServer
from bat_os.models.servers import Candidate, printable, rank, sort_candidates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import httpx2

    from bat_os.models.profiles import Machine, ModelSource

SECONDS: Final = 2.0  # for all that one server is asked
HUB_SECONDS: Final = 8.0  # for a file list
MOST_BYTES: Final = 4 << 20  # of one reply
SHOWN: Final = 8  # models that Ollama is asked about, one by one
OLLAMA: Final = "ollama"
PORTS: Final[Mapping[str, int]] = {
    OLLAMA: 11434, "lm-studio": 1234, "llama-server": 8080, "vllm": 8000,
}  # fmt: skip
MOST_ENTRIES: Final = 5_000  # of a cache
DEPTH: Final = 5  # folders below a cache
MOST_HEADERS: Final = 40
FILE_SECONDS: Final = 3.0
LEAST_SIZE: Final = 500_000_000  # bytes; smaller models are not better than the default
MOST_PATH: Final = 190
_OTHER_KINDS: Final = ("clip", "bert", "t5", "whisper", "wavtokenizer", "adapter")


def _ignore(_url: str) -> None:
    """Do nothing with a server that was late."""


@dataclass(frozen=True, slots=True)
class Found:
    """What this machine has."""

    machine: Machine
    bandwidth: float  # bytes per second
    servers: list[FoundServer]  # the best first
    files: list[FoundFile]


async def look(
    home: Path, environ: Mapping[str, str], late: Callable[[str], object] = _ignore
) -> Found:
    """Return the memory, servers and files of this machine, within a few seconds.

    ``late`` is as in ``find_servers``.
    """
    asking = asyncio.create_task(find_servers(environ, late=late))
    try:
        machine = await asyncio.to_thread(look_at_machine, home)
        bandwidth = await asyncio.to_thread(measure_bandwidth, machine.cores - 1)
        files = await asyncio.to_thread(find_files, find_caches(environ))
        return Found(machine, bandwidth, await asking, files)
    finally:
        asking.cancel()


async def find_servers(
    environ: Mapping[str, str],
    wanted: str = "",
    ports: Mapping[str, int] = PORTS,
    late: Callable[[str], object] = _ignore,
) -> list[FoundServer]:
    """Return the servers that run here, each with the model that suits best; the best first.

    Args:
        environ: ``OLLAMA_HOST`` may name another port of this machine.
        wanted: Ask for the model of that name, whatever it can do.
        ports: Kind -> port.
        late: Called with the address of each that took longer than SECONDS: something is there,
            and may only have much to do.
    """
    places = {kind: f"http://127.0.0.1:{port}" for kind, port in ports.items()}
    places |= {OLLAMA: host} if (host := read_host(environ.get("OLLAMA_HOST", ""))) else {}
    context = environ.get("OLLAMA_CONTEXT_LENGTH", "")
    asked = (
        _ask(kind, url, wanted, int(context) if context.isdecimal() else 0, late)
        for kind, url in places.items()
    )
    found = [pair for pair in await asyncio.gather(*asked) if pair is not None]
    return [server for _, server in sorted(found, key=lambda pair: pair[0])]


def read_host(text: str) -> str:
    """Return the address of Ollama on this machine by its ``OLLAMA_HOST``; "" for another machine.

    >>> read_host("0.0.0.0"), read_host("localhost:1"), read_host("http://[::1]:5")
    ('http://127.0.0.1:11434', 'http://localhost:1', 'http://[::1]:5')
    >>> read_host("gpu-box"), read_host("")
    ('', '')
    """
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        host, port = parts.hostname or "", parts.port or PORTS[OLLAMA]
    except ValueError:
        return ""
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - where it listens
    if host not in ("localhost", "127.0.0.1", "::1"):
        return ""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _ask(
    kind: str, url: str, wanted: str, context: int, late: Callable[[str], object]
) -> tuple[int, FoundServer] | None:
    import httpx2  # a tenth of a second, which only this needs

    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reads no certificates: HTTP needs none
    try:
        async with (
            asyncio.timeout(SECONDS),
            httpx2.AsyncClient(
                base_url=url, timeout=SECONDS, verify=plain, trust_env=False,
                headers={"Accept-Encoding": "identity"},
            ) as client,
        ):  # fmt: skip
            ask = _ask_ollama if kind == OLLAMA else _ask_openai
            known = await ask(client, kind, wanted, context)
    except (TimeoutError, httpx2.TimeoutException):
        late(url)
        return None
    except (httpx2.HTTPError, httpx2.InvalidURL, BatError, OSError):
        return None
    if known is None:
        return None
    server = FoundServer(kind, f"{url}/v1", known.name, known.context, known.licence)
    return known.rank or 0, server


async def _ask_ollama(
    client: httpx2.AsyncClient, _kind: str, wanted: str, context: int
) -> Candidate | None:
    listed = servers.read_ollama(await _fetch(client, "/api/tags"))
    best: list[Candidate] = []
    for candidate in sort_candidates(listed, wanted)[:SHOWN]:
        reply = await _fetch(client, "/api/show", {"model": candidate.name})
        best += sort_candidates([servers.read_ollama_model(candidate, reply, context)], wanted)
        if best and best[0].rank == candidate.rank:  # no later one is better
            break
    return min(best, key=lambda one: one.rank or 0, default=None)


async def _ask_openai(
    client: httpx2.AsyncClient, kind: str, wanted: str, _context: int
) -> Candidate | None:
    path = "/api/v0/models" if kind == "lm-studio" else "/v1/models"
    listed = servers.read_openai(await _fetch(client, path))
    if kind == "llama-server":  # it has one model, and says more of it elsewhere
        reply = await _fetch(client, "/props")
        listed = [servers.read_props(known, reply) for known in listed[:1]]
    return next(iter(sort_candidates(listed, wanted)), None)


async def _fetch(client: httpx2.AsyncClient, path: str, body: Any = None) -> Any:
    """Return the JSON at a path of the server; POST with a body."""
    async with client.stream("POST" if body else "GET", path, json=body) as reply:
        reply.raise_for_status()
        raw = b""
        async for chunk in reply.aiter_raw():
            raw += chunk
            if len(raw) > MOST_BYTES:
                raise ModelOutputError("the server sent too much")
    return servers.read_reply(raw)


def find_caches(environ: Mapping[str, str]) -> list[Path]:
    """Return the folders where other programs keep GGUF files, whether they are there or not.

    Ollama's blobs are left out: its models are used through it.
    """
    user = Path.home()
    cache = Path(environ.get("XDG_CACHE_HOME") or user / ".cache")
    places = {
        "darwin": user / "Library" / "Caches",
        "win32": Path(environ.get("LOCALAPPDATA", ".")),
    }
    system = places.get(sys.platform, cache)
    hub = environ.get("HF_HUB_CACHE") or Path(
        environ.get("HF_HOME") or cache / "huggingface", "hub"
    )
    return [
        Path(hub),
        user / ".lmstudio" / "models",
        cache / "lm-studio" / "models",
        Path(environ.get("LLAMA_CACHE") or system / "llama.cpp"),
    ]


def find_files(caches: list[Path]) -> list[FoundFile]:
    """Return the GGUF files of these folders that can write code, the best first."""
    give_up = time.monotonic() + FILE_SECONDS
    found: dict[Path, tuple[int, int, FoundFile]] = {}
    paths = (path for cache in caches for path in _walk(cache, give_up))
    for path in islice(paths, MOST_HEADERS):
        if time.monotonic() > give_up:
            break
        if (judged := _judge(path)) is not None:
            place, file = judged
            # A cache may have one file under several names. The larger of two alike is better.
            found.setdefault(path.resolve(), (place, -file.size, file))
    return [file for *_, file in sorted(found.values(), key=lambda triple: triple[:2])]


def _walk(cache: Path, give_up: float) -> Iterator[Path]:
    """Yield the GGUF files under a folder, within bounds and until the time ``give_up``."""
    folders, seen = [(cache, 0)], 0
    while folders:
        folder, depth = folders.pop()
        try:
            with os.scandir(folder) as entries_there:
                in_time = takewhile(lambda _: time.monotonic() < give_up, entries_there)
                entries = sorted(islice(in_time, MOST_ENTRIES), key=lambda one: one.name)
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > MOST_ENTRIES or time.monotonic() > give_up:
                return
            if entry.name.endswith(".gguf"):
                yield Path(entry.path)
            elif depth < DEPTH and entry.is_dir(follow_symlinks=False):
                folders.append((Path(entry.path), depth + 1))


def read_file(path: Path) -> FoundFile | None:
    """Return what a GGUF file that a person names is; None if llama.cpp cannot chat with it."""
    judged = _judge(path, named=True)
    return judged[1] if judged else None


def _judge(path: Path, *, named: bool = False) -> tuple[int, FoundFile] | None:
    """Return how well a file suits writing code, and what it is; None: it does not."""
    shown = str(path)
    try:
        size = path.stat().st_size
        if (size < LEAST_SIZE and not named) or "-of-0" in path.name or len(shown) > MOST_PATH:
            return None
        header = read_header(path)
    except (OSError, ModelError):
        return None
    kind, facts = header.architecture, header.facts
    # Without a chat template it is a model that continues texts and takes no orders.
    chats = type(facts.get("tokenizer.chat_template")) is str
    context = facts.get(f"{kind}.context_length")
    name = printable(str(facts.get("general.name") or ""))
    place = 0 if named else rank(path.stem, f"{name} {facts.get('general.size_label') or ''}")
    other = any(word in f"{kind} {facts.get('general.type')}" for word in _OTHER_KINDS)
    usable = chats and not other and shown.isprintable() and path.is_absolute()
    if place is None or not usable or type(context) is not int or context < servers.LEAST_CONTEXT:
        return None
    licence = printable(str(facts.get("general.license") or ""))[:60]
    return place, FoundFile(shown, path.stem, size, min(context, 10**8), licence)


async def size_on_hub(source: ModelSource) -> int:
    """Return the bytes that the hub announces for a model.

    Raises:
        ModelError: The hub cannot be reached, or has something else.
    """
    try:
        async with asyncio.timeout(HUB_SECONDS):
            return await announce(source.source, source.revision, only=source.file)
    except TimeoutError:
        raise ModelError(f"the hub did not answer within {HUB_SECONDS:.0f} s") from None
