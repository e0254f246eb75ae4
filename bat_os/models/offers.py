"""What a person may choose their personas to think with, and how the choice is written down.

    servers and files that were found, profiles that fit ── make_offers ──→ at most three Offers
                 the chosen one ──→ profile = "NAME" in batos.toml
                                └─→ a block at the end of the home's profiles.toml

Looks at nothing and writes nothing: facts and texts come in, texts go out. A speed is an
estimate, by one rule: drawing a token reads all weights once, so the bytes per second that can be
read here (``machine.measure_bandwidth``), divided by those of the weights, are the tokens per
second.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bat_os.core.digest import digest
from bat_os.core.personas import PERSONAS
from bat_os.models.profiles import FALLBACK, choose, fit, show_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bat_os.models.profiles import Machine, Profile, ProfileBook

MOST: Final = 3
SERVED: Final = "served"  # the model of the profile for servers
SERVER: Final = "server"  # that profile
FOUND: Final = "found"  # the profile that a GGUF file gets, and the name that chooses it
# Beside the weights of a file: the prompts, and the daemon itself.
BESIDE: Final = 1_000_000_000  # bytes
LEAST_SPEED: Final = 2.0  # tokens per second; a method of 60 tokens in half a minute
_LIMITS_OF: Final = "cpu"  # whose limits a file's model gets
_MARK: Final = (
    "# ---- written by `batos models choose`, and replaced by a later choice of this kind\n"
)
_MARKED: Final = re.compile(r"^# ---- written by `batos models choose`.*(?:\n|\Z)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A model server on this machine, and its model that suits best."""

    kind: str  # ollama, lm-studio, llama-server or vllm
    url: str  # of its API
    model: str  # as the server calls it
    context: int = 0  # tokens; 0 where it does not say
    licence: str = ""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A GGUF file on this machine that can write code."""

    path: str  # the whole path
    name: str  # as its header names it
    size: int  # bytes
    context: int  # tokens
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing to choose."""

    key: str  # what `batos models choose` takes
    name: str  # of the model, for people
    where: str  # where it is now, for people
    download: int  # bytes; 0 for none
    memory: int  # bytes that it takes here; 0 where a server has it
    speed: float  # tokens per second, an estimate; 0 where nothing is known
    licence: str
    profile: str  # the setting
    # what has to be stored first: name -> source, "" for that of the book
    models: Mapping[str, str] = field(default_factory=dict)
    block: str = ""  # for the home's profiles.toml
    exact: bool = False  # ``download`` is from the hub's file list

    def row(self) -> list[str]:
        """Return it as cells under ``HEADS``."""
        return as_row(asdict(self))


HEADS: Final = ("NAME", "WHERE", "DOWNLOAD", "MEMORY", "TOKENS/S")  # with a key, 80 cells


def make_offers(
    book: ProfileBook,
    machine: Machine,
    servers: Iterable[FoundServer],
    files: Iterable[FoundFile],
    bandwidth: float,
) -> list[Offer]:
    """Return at most three, the best first; the last is the small default.

    A server that runs already costs nothing, a file costs a copy, a profile a download.

    Args:
        book: The profiles.
        machine: What it has.
        servers: What runs on it, the best first.
        files: What lies on it, the best first.
        bandwidth: Bytes per second that its memory gives.
    """
    better = [offer_server(server) for server in servers]
    better += [
        offer_file(book, file, bandwidth) for file in files if fits(file, machine, bandwidth)
    ]
    best = choose(book, machine)
    if best.name != FALLBACK:
        better.append(offer_profile(book, best, bandwidth))
    small = offer_profile(book, book.profile(FALLBACK), bandwidth)
    # One of each kind before a second of any.
    kinds: dict[str, list[Offer]] = {}
    for offer in better:
        kinds.setdefault(offer.profile, []).append(offer)
    firsts = [offers[0] for offers in kinds.values()]
    rest = [offer for offer in better if offer not in firsts]
    return [*(firsts + rest)[: MOST - 1], small]


def fits(file: FoundFile, machine: Machine, bandwidth: float) -> bool:
    """Return whether a file's model can run here at a bearable speed, and be copied."""
    room = file.size + BESIDE
    bearable = bandwidth / file.size >= LEAST_SPEED
    return bearable and room <= machine.free_ram and room <= machine.free_disk


def offer_server(server: FoundServer) -> Offer:
    """Return the offer of a server's model."""
    context = f"context = {server.context}\n" if server.context else ""
    licence = server.licence or "as served"
    return Offer(
        key=f"{server.kind}:{server.model}",
        name=server.model,
        where=f"{server.kind} here",
        download=0,
        memory=0,
        speed=0.0,
        licence=licence,
        profile=SERVER,
        block=f"[models.{SERVED}]\nsource = {_quote(server.url)}\nfile = {_quote(server.model)}\n"
        f"licence = {_quote(licence)}\n{context}",
    )


def offer_file(book: ProfileBook, file: FoundFile, bandwidth: float, stored: str = "") -> Offer:
    """Return the offer of a GGUF file; the image gets a copy, if it has none as ``stored``."""
    shown = re.sub(r"[^A-Za-z0-9._-]+", "-", file.name).strip("-._")[:80] or "found-model"
    # Two files may have one name, and the image keeps what it has under a name.
    name = stored or f"{shown}-{digest(f'{file.path}:{file.size}')[:8]}"
    licence, base = file.licence or "as its file says", re.split(r"[\\/]", file.path)[-1]
    lines = [
        f"[models.{_quote(name)}]",
        f"source = {_quote(file.path)}",
        f"file = {_quote(base)}",
        f"licence = {_quote(licence)}",
        'engine = "llama.cpp"',
        f"context = {file.context}",
        'form = "gguf"',
        f'memory = {{ gguf = "{max(file.size / 1e6, 1):.0f} MB" }}',
        "",
        f"[profiles.{FOUND}]",
        f"purpose = {_quote(f'A GGUF file that was on this machine: {name}.')}",
        f'needs = {{ ram = "{(file.size + BESIDE) / 1e6:.0f} MB", '
        f'disk = "{file.size / 1e6 + 1:.0f} MB" }}',
        "automatic = false",
        f"[profiles.{FOUND}.personas]",
        *(f"{persona} = {{ model = {_quote(name)}, max_tokens = 200 }}" for persona in PERSONAS),
        f"[profiles.{FOUND}.limits]",
        *(f"{limit} = {value}" for limit, value in _limits(book.profile(_LIMITS_OF)).items()),
        "",
    ]
    return Offer(
        key=stored or file.path,
        name=stored or shown,
        where="in the image" if stored else "a file here",
        download=0,
        memory=file.size + BESIDE,
        speed=bandwidth / file.size,
        licence=licence,
        profile=FOUND,
        models={name: file.path},
        block="\n".join(lines),
    )


def offer_profile(book: ProfileBook, profile: Profile, bandwidth: float) -> Offer:
    """Return the offer of a shipped profile."""
    models = [book.models[name] for name in profile.models]
    stored = [model for model in models if model.engine != "openai"]
    # In memory a model has more than its weights.
    slow = max((min(model.size, model.download) for model in stored), default=0)
    packaged = all(model.source.startswith("package:") for model in stored)
    return Offer(
        key=profile.name,
        name=", ".join(profile.models),
        where="installed" if packaged else "on the hub",
        download=0 if packaged else sum(model.download for model in stored),
        memory=profile.needs.vram or profile.needs.ram,
        # What a GPU's memory gives was not measured.
        speed=0.0 if profile.needs.vram or not slow else bandwidth / slow,
        licence=", ".join(dict.fromkeys(model.licence for model in models)),
        profile=profile.name,
        models=dict.fromkeys((model.name for model in stored), ""),
    )


def explain_misfit(profile: Profile, machine: Machine) -> str:
    """Return why a machine cannot run a profile; "" if it can."""
    return "; ".join(fit(profile, machine).reasons)


def write_block(own: str, block: str) -> str:
    r"""Return the text of a home's profiles.toml with the block of the new choice.

    It replaces the earlier block of the same tables. Others stay, because ``batos.toml`` may still
    name the profile of one, and so does what a person wrote above the marks. Without a block all
    stays.

    >>> write_block(write_block("# mine", "[a]"), "[a]\nb = 2").splitlines()[::2]
    ['# mine', '[a]']
    >>> write_block(write_block("", "[a]\n"), "[b]\n").splitlines()[1::2]
    ['[a]', '[b]']
    """
    if not block:
        return own
    above, *earlier = _MARKED.split(own)
    kept = [one for one in earlier if not _tables(one) & _tables(block)]
    lines = (text if text.endswith("\n") or not text else f"{text}\n" for text in (above, *kept))
    return _MARK.join((*lines, block))


def _tables(block: str) -> set[str]:
    return {line for line in block.splitlines() if line.startswith("[")}


def _limits(profile: Profile) -> dict[str, int]:
    return msgspec.structs.asdict(profile.limits)


def _quote(text: str) -> str:
    """Return a printable text as TOML has it."""
    return json.dumps(text, ensure_ascii=False)


def as_plain(offers: Sequence[Offer]) -> list[dict[str, object]]:
    """Return offers as plain data, without what is for this program alone."""
    hidden = ("block", "models")
    return [{key: value for key, value in asdict(offer).items() if key not in hidden}
            for offer in offers]  # fmt: skip


def as_row(offer: Mapping[str, Any]) -> list[str]:
    """Return an offer's plain data as cells under ``HEADS``."""
    speed, about = offer["speed"], "" if offer["exact"] else "about "
    slow = "under 1" if speed else "-"
    return [
        offer["name"],
        offer["where"],
        f"{about}{show_size(offer['download'])}" if offer["download"] else "-",
        show_size(offer["memory"]) if offer["memory"] else "-",
        f"about {speed:.0f}" if speed >= 1 else slow,
    ]
