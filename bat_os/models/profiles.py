"""Model profiles: which models there are, which persona uses which, and what a machine can run.

    profiles.toml, and that of a home over it ── parse ──→ ProfileBook ── fit, choose ──→ what
    this machine runs

Looks at no machine: its facts come in as ``Machine``. The fields of what the file holds say what
they accept; what a field means is in its class. The text is hostile until it is read: every
complaint is a SettingsError that names the line or the key and says what it accepts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal

from bat_os.core.forms import NF4
from bat_os.core.personas import PERSONAS, Limits
from bat_os.core.schema import Record, convert, field, number, one_of, read_toml, replace, text
from bat_os.errors import SettingsError
from bat_os.models.residency import Assignment

FALLBACK: Final = "tiny"
LANGUAGE_MODELS: Final = ("transformers", "gguf")  # as the image calls their kinds
FILE: Final = "profiles.toml"
# The last: whatever a GGUF file on this machine has.
FORMS: Final = ("fp32", "bf16", "nf4", "q8_0", "q4_1", "q4_k_m", "gguf")
_UNITS: Final = {"MB": 10**6, "GB": 10**9}
_SIZE: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) (MB|GB)")
_HUB_OR_PACKAGE: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*|package:[\w-]+", re.ASCII)
_SOURCES: Final = "OWNER/NAME of a hub, or package:NAME, or the whole path of a GGUF file"
_PATH: Final = re.compile(r"(/|[A-Za-z]:[\\/])[^\n]{1,190}\.gguf")
_URL: Final = re.compile(r"https?://[^\s/,]+(/[^\s,]*)?")
_MOST_SERVERS: Final = 16
_STORED: Final = ("revision", "parameters", "download", "form", "memory")
_LOCAL: Final = ("form", "memory")  # what a file on this machine has to say of these
_Text = Annotated[str, text(200, filled=True)]
_Name = Annotated[
    str, text(100, pattern=r"\w[\w.-]*", takes="letters, digits, dots and hyphens, at most 100")
]
_Variable = Annotated[
    str, text(100, pattern=r"([A-Z_][A-Z0-9_]*)?", takes="the name of an environment variable")
]


class Size(int):
    """Bytes, written for people."""

    TAKES: ClassVar[str] = 'a size like "1.5 GB" or "300 MB"'

    @classmethod
    def parse(cls, value: Any) -> Size:
        """Return the bytes that ``value`` says.

        >>> Size.parse("1.5 GB")
        1500000000
        """
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(cls.TAKES)
        return cls(round(float(match[1]) * _UNITS[match[2]]))


class ModelSource(Record, frozen=True):
    """A model: where it comes from, and what it takes."""

    name: _Name  # in the image
    # Hub id, ``package:NAME``, the URLs of servers, with commas between, or path of a GGUF file.
    source: Annotated[str, text(4000, filled=True)]
    engine: Literal["transformers", "llama.cpp", "openai"]
    licence: _Text
    context: Annotated[int, number(1, 10**8)]  # tokens of prompt and answer together
    revision: _Text = ""  # branch, tag or commit; of a package, its version
    file: _Text = ""  # GGUF file in the repository, or the model's name on the server
    key: _Variable = ""  # environment variable with the server's key, if it needs one
    requests: Annotated[int, number(1, 1024)] = 1  # that each server takes at a time
    hedge: bool = False  # if one server is late, a second one is asked, too
    parameters: Annotated[int, number(1, 10**13)] = 0  # 0 where only a server knows
    download: Size = Size(0)
    gated: bool = False  # the publisher wants an account that has accepted the licence
    form: Annotated[str, one_of(FORMS)] = ""  # the form that runs; "" on a server
    memory: Mapping[Annotated[str, one_of(FORMS)], Size] = field(default_factory=dict)

    def __post_init__(self) -> None:
        served = self.engine == "openai"
        fits = all(map(_URL.fullmatch, self.urls)) and len(set(self.urls)) == len(self.urls)
        fits = fits if served else bool(_HUB_OR_PACKAGE.fullmatch(self.source))
        if not (fits or self.is_local) or len(self.urls) > _MOST_SERVERS:
            takes = "a URL, http://HOST:PORT/v1, or a list of them" if served else _SOURCES
            raise ValueError(f"source must be {takes}, not {self.source[:200]!r}")
        needed = _LOCAL if self.is_local else _STORED
        missing = [key for key in needed if not (served or getattr(self, key))]
        if missing:
            raise ValueError(f"{missing[0]} is missing; a model that is stored needs it")
        forms = f"one of the forms in memory, {', '.join(self.memory)}"
        checks = (
            ("file", not served or bool(self.file), "the model's name on the server"),
            ("key", served or not self.key, "left out; only a server needs one"),
            ("requests", served or self.requests == 1, "left out; only a server has places"),
            ("hedge", len(self.urls) > 1 or not self.hedge, "left out; it needs several servers"),
            ("file", self.engine != "llama.cpp" or self.file.endswith(".gguf"), "a .gguf file"),
            ("form", served or self.form in self.memory, forms),
        )
        for key, holds, allowed in checks:
            if not holds:
                raise ValueError(f"{key} must be {allowed}, not {getattr(self, key)!r}")

    @property
    def is_local(self) -> bool:
        """It is a GGUF file on this machine."""
        return self.engine == "llama.cpp" and bool(_PATH.fullmatch(self.source))

    @property
    def urls(self) -> tuple[str, ...]:
        """Addresses of the servers that have it; for any other model, its source."""
        return tuple(url.strip() for url in self.source.split(","))

    @property
    def size(self) -> int:
        """Bytes in memory in the form that runs; 0 on a server."""
        return self.memory.get(self.form, 0)

    def size_on(self, *, cuda: bool) -> int:
        """Return ``size``, or that in 16 bits where NF4 runs only as a way out: without a GPU."""
        packed = self.form == NF4 and not cuda
        return self.memory.get("bf16", self.size) if packed else self.size


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine has, in bytes."""

    ram: int
    free_ram: int  # available now
    free_disk: int  # where the image lies
    cores: int
    vram: int = 0  # memory of the GPU
    cuda: bool = False  # the GPU can be used


class Needs(Record, frozen=True):
    """What a profile takes, in bytes; ``disk`` includes the download before it is converted."""

    ram: Size
    disk: Size
    vram: Size = Size(0)
    cores: Annotated[int, number(1, 1024)] = 1


class Profile(Record, frozen=True):
    """A set of models for the four personas."""

    name: _Name
    purpose: _Text  # one sentence
    needs: Needs
    automatic: bool  # may be chosen without being asked for
    personas: Mapping[Annotated[str, one_of(PERSONAS)], Assignment]  # all of them
    limits: Limits = Limits()  # of what its models are shown and write

    @property
    def models(self) -> tuple[str, ...]:
        """Names of its models, each once."""
        return tuple(dict.fromkeys(one.model for one in self.personas.values()))


@dataclass(frozen=True, slots=True)
class ProfileBook:
    """The whole file: models and profiles by name, in its order."""

    models: Mapping[str, ModelSource]
    profiles: Mapping[str, Profile]

    def profile(self, name: str) -> Profile:
        """Return the profile of that name.

        Raises:
            SettingsError: There is none; names those that there are.
        """
        if name not in self.profiles:
            raise SettingsError(
                f"profile {name[:60]!r} is not known; it takes {', '.join(self.profiles)}"
            )
        return self.profiles[name]

    def as_wanted(
        self, name: str, models: Mapping[str, str], server: str = "", served: str = ""
    ) -> ProfileBook:
        """Return the book with an owner's wishes laid over one of its profiles.

        Args:
            name: Of the profile.
            models: Persona -> name of its model.
            server: Address of the models that a server runs.
            served: Name of the model there.

        Raises:
            SettingsError: The profile or a model is unknown.
        """
        profile = self.profile(name)
        for persona, model in models.items():
            if model not in self.models:
                raise SettingsError(
                    f"{persona.lower()}_model must be {', '.join(self.models)}, not {model[:60]!r}"
                )
        personas = {
            one: replace(assigned, model=models.get(one, assigned.model))
            for one, assigned in profile.personas.items()
        }
        sources = {
            one: replace(source, source=server or source.source, file=served or source.file)
            if source.engine == "openai" else source
            for one, source in self.models.items()
        }  # fmt: skip
        profiles = {**self.profiles, name: replace(profile, personas=personas)}
        return ProfileBook(MappingProxyType(sources), MappingProxyType(profiles))

    def conditions(self, profile: Profile) -> tuple[str, ...]:
        """Return what the owner has to do first, a line for each gated model."""
        gated = (self.models[name] for name in profile.models if self.models[name].gated)
        return tuple(
            f"{model.name} is gated ({model.licence}): accept its terms on the page of "
            f"{model.source} on the hub, and sign in here with `hf auth login` (or set HF_TOKEN)"
            for model in gated
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a profile suits a machine, and why not."""

    ok: bool
    reasons: tuple[str, ...] = ()


def fit(profile: Profile, machine: Machine, *, stored: int = 0) -> Fit:
    """Return whether the machine can run the profile; each reason is a clause for people.

    ``stored`` is how many bytes of the profile's models the image has already.

    >>> needs = Needs(ram=Size(10**9), vram=Size(6_100_000_000), disk=Size(0))
    >>> fit(Profile("x", "", needs, True, {}), Machine(8 * 10**9, 8 * 10**9, 10**9, 2)).reasons
    ('needs 6.1 GB of GPU memory; this machine has none',)
    """
    needs, disk = profile.needs, max(profile.needs.disk - stored, 0)
    has_gpu = machine.cuda and machine.vram > 0
    gpu = f"this machine has {show_size(machine.vram)}" if has_gpu else "this machine has none"
    if machine.vram and not machine.cuda:
        gpu = "this machine's cannot be used (no CUDA)"
    ram = f"this machine has {show_size(machine.ram)}"
    if machine.ram >= needs.ram:
        ram = f"only {show_size(machine.free_ram)} are free now; close other programs"
    checks = (
        (not needs.vram or (has_gpu and machine.vram >= needs.vram), needs.vram, "GPU memory", gpu),
        (min(machine.ram, machine.free_ram) >= needs.ram, needs.ram, "memory", ram),
        (machine.free_disk >= disk, disk, "disk", f"{show_size(machine.free_disk)} are free"),
    )
    reasons = [
        f"needs {show_size(need)} of {what}; {has}" for ok, need, what, has in checks if not ok
    ]
    if machine.cores < needs.cores:
        reasons.append(f"needs {needs.cores} cores; this machine has {machine.cores}")
    return Fit(not reasons, tuple(reasons))


def advise_removal(profile: Profile, stored: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each language model in the image that the profile does not use.

    ``stored`` has what the image says of each: its ``name``, ``kind`` and ``bytes``.
    """
    unused = [
        row
        for row in stored
        if row["kind"] in LANGUAGE_MODELS and row["name"] not in profile.models
    ]
    return [
        f"{row['name']} takes {show_size(row['bytes'])} and the profile {profile.name} does not "
        f"use it; to free the space: batos models remove {row['name']}, then batos pack --days 0"
        for row in unused
    ]


def choose(
    book: ProfileBook, machine: Machine, *, stored: Mapping[str, int] | None = None
) -> Profile:
    """Return the best profile that fits and may be chosen unasked; ``tiny`` in any case.

    Later profiles are better. ``stored`` has as in ``fit`` the bytes for each profile's name.
    """
    have = stored or {}
    fitting = [
        profile
        for profile in book.profiles.values()
        if profile.automatic and fit(profile, machine, stored=have.get(profile.name, 0)).ok
    ]
    return fitting[-1] if fitting else book.profiles[FALLBACK]


def show_size(size: int) -> str:
    """Return bytes for people.

    >>> show_size(6_100_000_000), show_size(20_000_000), show_size(2_500)
    ('6.1 GB', '20 MB', '3 kB')
    """
    if size >= 10**8:
        return f"{size / 10**9:.1f} GB"
    return f"{size / 10**6:.0f} MB" if size >= 10**6 else f"{-(-size // 1000)} kB"


_Table = Mapping[str, Any]


class _File(Record, frozen=True):
    models: Mapping[str, _Table]
    profiles: Mapping[str, _Table]
    defaults: _Table = field(default_factory=dict)


def parse(source: str, own: str = "", *, path: str = FILE) -> ProfileBook:
    """Return the profiles in a text like ``bat_os/profiles.toml``.

    Args:
        source: The shipped text.
        own: That of a home, which is laid over it key by key.
        path: Where ``own`` is, for messages.

    Raises:
        SettingsError: Something in it cannot be used; names the line or the key.
    """
    tables = read_toml(source, SettingsError, FILE)
    if not own:
        return _read_tables(tables)
    mine = read_toml(own, SettingsError, path)
    try:
        return _read_tables(_lay_over(tables, mine))
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def _lay_over(below: Any, above: Any) -> Any:
    """Return two nested maps as one; of a key that both have, ``above`` counts."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {key: _lay_over(below.get(key), value) for key, value in above.items()}


def _read_tables(tables: Any) -> ProfileBook:
    file = convert(tables, _File, SettingsError)
    models = {}
    for name, table in file.models.items():
        _refuse_key(table, "name", path := f"models.{name}")
        if _is_list(table):
            table = {**table, "source": ",".join(table["source"])}  # noqa: PLW2901 - as one text
        models[name] = convert({"name": name, **table}, ModelSource, SettingsError, path=path)
    _refuse_key(file.defaults, "model", "defaults")
    convert({"model": "any", **file.defaults}, Assignment, SettingsError, path="defaults")
    profiles = {
        name: _read_profile(name, table, file.defaults) for name, table in file.profiles.items()
    }
    if FALLBACK not in profiles:
        raise SettingsError(f"profiles.{FALLBACK} is missing; it is what always fits")
    for profile in profiles.values():
        _check_personas(profile, models)
    return ProfileBook(MappingProxyType(models), MappingProxyType(profiles))


def _is_list(table: Any) -> bool:
    """Return whether a model's table has a list of servers as its source."""
    source = table.get("source") if isinstance(table, dict) else None
    return isinstance(source, list) and bool(source) and all(isinstance(s, str) for s in source)


def _read_profile(name: str, table: _Table, defaults: _Table) -> Profile:
    path = f"profiles.{name}"
    _refuse_key(table, "name", path)
    personas = table.get("personas")
    if isinstance(personas, dict):
        tables = {
            persona: {**defaults, **part} if isinstance(part, dict) else part
            for persona, part in personas.items()
        }
        table = {**table, "personas": tables}
    return convert({"name": name, **table}, Profile, SettingsError, path=path)


def _check_personas(profile: Profile, models: Mapping[str, ModelSource]) -> None:
    for persona in PERSONAS:
        path = f"profiles.{profile.name}.personas.{persona}"
        assignment = profile.personas.get(persona)
        if assignment is None:
            raise SettingsError(f"{path} is missing")
        if assignment.model not in models:
            raise SettingsError(
                f"{path}.model must be {', '.join(models)}, not {assignment.model[:60]!r}"
            )


def _refuse_key(table: _Table, key: str, path: str) -> None:
    """Raise SettingsError if a table sets what does not come from it."""
    if key in table:
        raise SettingsError(f"{path}.{key} is not known")
