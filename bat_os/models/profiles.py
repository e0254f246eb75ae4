"""Model profiles: which models there are, which persona uses which, and what a machine bears.

    profiles.toml ── profilefile.parse ──→ ProfileBook ── fit, choose ──→ what this machine runs

Looks at no machine: its facts come in as ``Machine``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bat_os.core.forms import NF4
from bat_os.core.limits import Limits
from bat_os.errors import SettingsError
from bat_os.ports import Sampling

if TYPE_CHECKING:
    from collections.abc import Mapping

ENGINES: Final = ("transformers", "llama.cpp", "openai")
FORMS: Final = ("fp32", "bf16", "nf4", "q8_0", "q4_k_m")
FALLBACK: Final = "tiny"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model: where it comes from, and what it takes.

    Attributes:
        name: In the image.
        source: Hub id, ``package:NAME``, or a server's URL.
        engine: One of ``ENGINES``.
        licence: Its name.
        context: Tokens of prompt and answer together.
        revision: Branch, tag or commit; of a package, its version.
        file: GGUF file in the repository, or the model's name on the server; else "".
        parameters: How many; 0 where only a server knows.
        download: Bytes.
        gated: The publisher wants an account that has accepted the licence.
        form: The form that runs, one of ``FORMS``; "" on a server.
        memory: Form -> bytes.
    """

    name: str
    source: str
    engine: str
    licence: str
    context: int
    revision: str = ""
    file: str = ""
    parameters: int = 0
    download: int = 0
    gated: bool = False
    form: str = ""
    memory: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes in memory in the form that runs; 0 on a server."""
        return self.memory.get(self.form, 0)

    def size_on(self, *, cuda: bool) -> int:
        """Return ``size``, or that in 16 bits where NF4 runs only as a way out: without a GPU."""
        packed = self.form == NF4 and not cuda
        return self.memory.get("bf16", self.size) if packed else self.size


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a persona thinks with.

    Attributes:
        model: Name of the model.
        adapter: LoRA adapter that it always uses; "" for none.
        writing: The one it uses instead while it writes a method; "" for ``adapter``.
        temperature: Of what is sampled. First attempts and answers that only one version is
            wanted of take the most likely text, whatever this is.
        top_p: Nucleus of this probability mass.
        top_k: At most this many tokens to choose from.
        max_tokens: New tokens of a method; ``Limits`` has those of other answers.
        keep_alive: Seconds that the unused model stays in memory; negative: for ever.
        pinned: The model never leaves memory by itself.
    """

    model: str
    adapter: str = ""
    writing: str = ""
    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 40
    max_tokens: int = 110
    keep_alive: float = 300.0
    pinned: bool = False

    @property
    def sampling(self) -> Sampling:
        """How it writes a method, without a seed and a stop."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=self.max_tokens,
        )


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine has, in bytes.

    Attributes:
        ram: Memory.
        free_ram: How much of it is available now.
        free_disk: Where the image lies.
        cores: Of the processor.
        vram: Memory of the GPU; 0 without one.
        cuda: The GPU can be used.
    """

    ram: int
    free_ram: int
    free_disk: int
    cores: int
    vram: int = 0
    cuda: bool = False


@dataclass(frozen=True, slots=True)
class Needs:
    """What a profile takes, in bytes; ``disk`` includes the download before it is converted."""

    ram: int
    vram: int
    disk: int
    cores: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A set of models for the four personas.

    Attributes:
        name: ``tiny``, ``cpu`` and so on.
        purpose: One sentence.
        needs: Of the machine.
        automatic: May be chosen without being asked for.
        personas: Name -> Assignment, all of ``PERSONAS``.
        limits: Of what its models are shown and write.
    """

    name: str
    purpose: str
    needs: Needs
    automatic: bool
    personas: Mapping[str, Assignment]
    limits: Limits = field(default_factory=Limits)

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
    """Return whether the machine bears the profile; each reason is a clause for people.

    Args:
        profile: Which.
        machine: What it has.
        stored: Bytes of the profile's models that the image has already.

    >>> needs = Needs(ram=10**9, vram=6_100_000_000, disk=0, cores=1)
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


def choose(
    book: ProfileBook, machine: Machine, *, stored: Mapping[str, int] | None = None
) -> Profile:
    """Return the best profile that fits and may be chosen unasked; ``tiny`` in any case.

    Args:
        book: Later profiles are better.
        machine: What it has.
        stored: Profile's name -> bytes of its models that the image has already.
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

    >>> show_size(6_100_000_000), show_size(20_000_000)
    ('6.1 GB', '20 MB')
    """
    return f"{size / 10**9:.1f} GB" if size >= 10**8 else f"{size / 10**6:.0f} MB"
