"""The settings of an owner: a file, the environment over it, flags over both.

    batos.toml  <  BATOS_* variables  <  flags       --resolve-->  Settings, and their origins

Reads texts that it is given; which file that is, and the environment, is known in ``cli/``.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_type_hints

from bat_os.core.schema import convert, describe, number, read_toml, text
from bat_os.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX: Final = "BATOS_"
FILE: Final = "batos.toml"
IMAGE: Final = "live_image.fs"  # in the home, where the setting ``image`` names no other place
DEFAULT: Final = "default"
MAX_FILE: Final = 64 << 10  # characters of a settings file
# What another home may take over: it names no machine, model, address or file, and lets nobody in.
CARRIED: Final = frozenset(
    [
        "candidates",
        "country",
        "locale",
        "mission_seconds",
        "place",
        "plan",
        "polite",
        "tests",
        "threads",
        "web_cache_seconds",
        "zone",
    ]
)
_NAMED: Final = 8  # settings, where none is like an unknown one
_SHOWN: Final = 80  # characters of an unknown key in a message


@dataclass(frozen=True, slots=True)
class Settings:
    """The kernel's settings.

    Each one is a key of ``batos.toml``, and the environment variable BATOS_<NAME> in capitals.

    Attributes:
        home: Folder of the image, logs and sockets.
        image: URI of the image where it is not a file in ``home``.
        cluster: Where the kernels that share an image see each other: a folder, for those of one
            machine, or the address of a PostgreSQL, ``postgres://USER@HOST:PORT/NAME``. "": this
            kernel is alone.
        cluster_seconds: After which a kernel that is not heard of any more counts as dead.
        connect: Which kernels clients and the gateway ask, apart by commas: homes on this machine,
            or ``tcp://HOST:PORT``; "": the kernel of the home.
        tcp_port: Loopback port of the TCP door; 0 takes any free one, -1 opens none.
        open_loopback: Let clients on the loopback interface in without the token.
        listen: One more door, ``tcp://ADDRESS:PORT``, for clients with a key (``batos keys``);
            encrypted. "" opens none.
        engine: ``auto``, what the profile names, or ``scripted``, which answers from ``script``.
        script: JSON lines of a scripted engine.
        cell: Where learned code runs: ``zygote`` (Linux), ``monty`` (everywhere; a smaller
            Python), or ``auto``: the zygote where it holds, else Monty.
        profile: Which models the personas use: a name of ``profiles.toml``.
        alfred_model, brick_model, robin_model, babs_model: Name of the model of a persona instead
            of the profile's; the persona's own slot in the image counts more.
        server: Address of the models that a server runs, ``http://HOST:PORT/v1``, instead of the
            one in ``profiles.toml``; several that have the same models, with commas between.
        server_model: Name of the model there.
        plan: ``none``: what is looked up is the wish itself; ``fixed``: BRICK names queries;
            ``written``: it also plans temperature, number of candidates and a system prompt, and
            that plan is followed. ``auto``: as ``fixed`` where the model's queries were measured
            to find more, else as ``none``.
        tests: ``written``: where no example is given, a persona writes tests; ``none``; or
            ``auto``: where its model was measured to write good ones.
        approve: A method that a model wrote waits for the Architect's yes before it answers.
        idle: What is done while nobody needs the machine: ``propose`` practises what failed and
            doubts what is provisional, and only proposes; ``install`` also installs what failed,
            if two examples with different answers decide; or ``off``.
        polite: Do less on battery, while others compute, in heat and with little memory.
        candidates: Methods to draw per batch, 1 to 32.
        mission_seconds: Wall clock after which a mission fails.
        threads: Threads of the model engines; 0 takes cores - 1.
        locale: Language of answers where the sentence does not show one: ``en``, ``de``, ``fr`` or
            ``es``; "" takes English.
        place: Where you are, a city: ``context_obj`` answers for it.
        zone: Its time zone, such as ``Europe/Berlin``, where the city alone does not say it.
        country: Whose public holidays count, such as ``Germany`` or ``DE-BY``.
        web_cache_seconds: How long a page of the web that was read is not read again; 0 reads it
            each time.
        lora_staging_dir: Folder from which LoRA adapters come into the image at each start; "":
            ``lora_adapters`` of the program. A relative place, here and below, is in ``home``.
        persona_codex_file: JSON lines that a new image learns first, and the changed ones later;
            "": ``persona_codex.jsonl`` of the program.
        metacognition_log_file: The journal of thought.
        sentence_transformer_model: What finds methods and passages by meaning: the name of a
            stored model, or a folder, of the form of the default; or of a model that servers have.
        blob_dir: Folder of the weights and other large files of the image; "": beside it.
        backups: Whether the daemon backs the image up once a day, into ``backups`` in the home.
        lean: Leave out for good what GPUs, safetensors and training need (``batos setup``).
        http_port: Port of the gateway (HTTP, ``batos open``); 0 takes any free one, -1 opens none.
        http_address: Where the gateway listens instead of this machine alone; needs TLS or
            ``http_behind``, and a token.
        http_cert, http_key: Files of the certificate and its key, in PEM.
        http_behind: ``https://NAME`` of the proxy in front of the gateway.
        http_socket: File of a Unix socket of the gateway, for a proxy; empty: none.
        http_a2a: Whether other agents may ask there (A2A).
        log_level: The least that the logs hold: ``info``, ``warning`` or ``error``.
        failpoint: ``NAME:kill`` ends the process by SIGKILL at a place that
            ``bat_os.failpoints`` names; for tests of recovery.
    """

    home: str = "data"
    image: str = ""
    cluster: str = ""
    cluster_seconds: Annotated[float, number(2, 600)] = 6.0
    connect: str = ""
    tcp_port: Annotated[int, number(-1, 65_535, takes="a port, 0 (any) or -1 (none)")] = 5555
    open_loopback: bool = False
    listen: str = ""
    engine: Literal["auto", "scripted"] = "auto"
    script: str = ""
    cell: Literal["auto", "zygote", "monty"] = "auto"
    profile: str = "tiny"
    alfred_model: str = ""
    brick_model: str = ""
    robin_model: str = ""
    babs_model: str = ""
    server: Annotated[
        str,
        text(2000, pattern=r"(https?://[^\s/]+(/\S*)?)?", takes="an address, http://HOST:PORT/v1"),
    ] = ""
    server_model: str = ""
    plan: Literal["auto", "none", "fixed", "written"] = "auto"
    tests: Literal["auto", "none", "written"] = "auto"
    approve: bool = False
    idle: Literal["off", "propose", "install"] = "propose"
    polite: bool = True
    candidates: Annotated[int, number(1, 32)] = 8
    mission_seconds: Annotated[float, number(1, 86_400)] = 300.0
    threads: Annotated[int, number(0, 256)] = 0
    locale: Annotated[str, text(2, pattern="[a-z]{2}|", takes="a language code such as de")] = ""
    place: Annotated[str, text(100)] = ""
    zone: Annotated[str, text(100)] = ""
    country: Annotated[str, text(100)] = ""
    web_cache_seconds: Annotated[float, number(0, 86_400)] = 300.0
    lora_staging_dir: str = ""
    persona_codex_file: str = ""
    metacognition_log_file: str = "metacognition.jsonl"
    sentence_transformer_model: Annotated[str, text(300, filled=True)] = "all-MiniLM-L6-v2"
    blob_dir: str = ""
    backups: bool = True
    lean: bool = False
    http_port: Annotated[int, number(-1, 65_535, takes="a port, 0 (any) or -1 (none)")] = -1
    http_address: Annotated[str, text(100)] = ""
    http_cert: str = ""
    http_key: str = ""
    http_behind: Annotated[
        str, text(300, pattern=r"(https://[A-Za-z0-9.-]+(:\d{1,5})?)?", takes="https://NAME")
    ] = ""
    http_socket: Annotated[str, text(100)] = ""
    http_a2a: bool = False
    log_level: Literal["info", "warning", "error"] = "info"
    failpoint: str = ""

    @property
    def persona_models(self) -> dict[str, str]:
        """Persona -> name of the model that the owner wants for it."""
        wanted = {
            "ALFRED": self.alfred_model,
            "BRICK": self.brick_model,
            "ROBIN": self.robin_model,
            "BABS": self.babs_model,
        }
        return {name: model for name, model in wanted.items() if model}

    @classmethod
    def from_mapping(cls, given: Mapping[str, str], **overrides: Any) -> Settings:
        """Return the settings in ``given`` (BATOS_* texts), then ``overrides``.

        >>> Settings.from_mapping({"BATOS_TCP_PORT": "0"}, home="/tmp/x").tcp_port
        0
        """
        return resolve("", given, overrides).settings


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings, and where each came from."""

    settings: Settings  # what counts
    # setting -> ``default``, ``batos.toml, line 3``, ``BATOS_THREADS`` or ``--tcp-port``
    origins: Mapping[str, str]


_HINTS: Final = get_type_hints(Settings, include_extras=True)
_BOOLS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def resolve(
    file: str, environ: Mapping[str, str], flags: Mapping[str, Any], *, path: str = FILE
) -> Resolved:
    """Return the settings that a file, the environment and flags make, the later over the earlier.

    Raises:
        SettingsError: The file is not TOML, a key is not a setting, or a value cannot be used;
            the message names the place and what is allowed.

    >>> resolve("threads = 2", {"BATOS_THREADS": "3"}, {}).origins["threads"]
    'BATOS_THREADS'
    """
    values: dict[str, Any] = {}
    origins = {field.name: DEFAULT for field in fields(Settings)}
    for name, value, line_number in _read_file(file, path):
        line = f", line {line_number}" if line_number else ""
        values[name] = convert(value, _HINTS[name], SettingsError, f"{path}{line}", name)
        origins[name] = f"{FILE}{line}"
    for field in fields(Settings):
        key = PREFIX + field.name.upper()
        if text := environ.get(key, ""):
            value = _from_text(text, type(field.default))
            values[field.name] = convert(value, _HINTS[field.name], SettingsError, path=key)
            origins[field.name] = key
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        values[name] = convert(value, _HINTS[name], SettingsError, path=flag)
        origins[name] = flag
    return Resolved(Settings(**values), origins)


def write_setting(text: str, name: str, value: str) -> str:
    r"""Return the text of a settings file with another value, as TOML has it; the rest stays.

    >>> write_setting("threads = 2", "profile", '"cpu"')
    'threads = 2\nprofile = "cpu"\n'
    >>> write_setting('profile = "tiny"  # small\nthreads = 2\n', "profile", '"cpu"')
    'profile = "cpu"\nthreads = 2\n'
    """
    line = f"{name} = {value}"
    there = re.compile(rf"^[ \t]*{name}[ \t]*=.*$", re.MULTILINE)
    if there.search(text):
        return there.sub(lambda _: line, text, count=1)
    end = "\n" if text and not text.endswith("\n") else ""
    return f"{text}{end}{line}\n"


def describe_allowed(name: str) -> str:
    """Return what a setting takes, in words.

    >>> describe_allowed("cell"), describe_allowed("open_loopback")
    ('auto, zygote or monty', 'true or false')
    """
    return describe(_HINTS[name])


def _read_file(text: str, path: str) -> Iterator[tuple[str, Any, int]]:
    """Yield (setting, value, line) of each key of a settings file; line 0 if it is not found."""
    if len(text) > MAX_FILE:
        raise SettingsError(f"{path} has {len(text)} characters; at most {MAX_FILE} are read")
    settings = read_toml(text, _explain_form, path)
    known = [field.name for field in fields(Settings) if field.name != "home"]
    for name, value in settings.items():
        line = _line_of(text, name)
        if name not in known:
            shown = name[:_SHOWN]
            where = f"{path}, line {line}" if line else path
            near = difflib.get_close_matches(name.lower(), known, n=1)
            first = ", ".join(known[:_NAMED])
            every = f"the settings are: {first} and others; batos config lists them"
            guess = f"did you mean {near[0]}?" if near else every
            if name == "home":
                guess = f"the file is in the home; set that by {PREFIX}HOME or --home"
            raise SettingsError(f"{where}: {shown!r} is not a setting; {guess}")
        yield name, value, line


def _line_of(text: str, name: str) -> int:
    pattern = re.compile(rf"""\s*\[?\s*["']?{re.escape(name)}["']?\s*[=.\]]""")
    lines = enumerate(text.splitlines(), start=1)
    return next((number for number, line in lines if pattern.match(line)), 0)


def _from_text(text: str, kind: type) -> Any:
    """Return what a text of the environment says; the text itself if it is not of that type."""
    if kind is bool:
        return _BOOLS.get(text.lower(), text)
    try:
        return kind(text)
    except ValueError:
        return text


def _explain_form(message: str) -> SettingsError:
    return SettingsError(
        f"{message}; write NAME = VALUE lines, texts in quotes (batos config example prints a file)"
    )
