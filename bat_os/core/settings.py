"""What an owner may set: a file, the environment over it, flags over both.

    batos.toml  <  BATOS_* variables  <  flags       --resolve-->  Settings, and who said what

Reads texts that it is given; which file that is, and the environment, is known in ``cli/``.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PREFIX: Final = "BATOS_"
FILE: Final = "batos.toml"
IMAGE: Final = "live_image.fs"  # in the home, where the setting ``image`` names no other place
DEFAULT: Final = "default"
MAX_FILE: Final = 64 << 10  # characters of a settings file
_SHOWN: Final = 80  # characters of a wrong value in a message


@dataclass(frozen=True, slots=True)
class Settings:
    """The kernel's settings.

    Each one is a key of ``batos.toml``, and the environment variable BATOS_<NAME> in capitals.

    Attributes:
        home: Folder of the image, logs and sockets.
        image: URI of the image where it is not a file in ``home``.
        tcp_port: Loopback port of the TCP door; 0 takes any free one, -1 opens none.
        open_loopback: Let clients on the loopback interface in without the token.
        listen: One more door, ``tcp://ADDRESS:PORT``, for clients with a key (``batos keys``);
            encrypted. "" opens none.
        engine: ``transformers``, or ``scripted`` for a fake that answers from ``script``.
        script: JSON lines of a scripted engine.
        cell: Where learned code runs: ``zygote`` (Linux), ``monty`` (everywhere; a smaller
            Python), or ``auto``: the zygote where it holds, else Monty.
        profile: Which models the personas use: a name of ``profiles.toml``.
        plan: ``fixed``: BRICK names queries only; ``written``: it also plans temperature,
            number of candidates and a system prompt, and that plan is followed.
        tests: ``none``, or ``written``: where no example is given, a persona writes tests.
        approve: A method that a model wrote waits for the Architect's yes before it answers.
        candidates: Methods to draw per batch, 1 to 32.
        mission_seconds: Wall clock after which a mission fails.
        threads: Threads of the model engines; 0 takes cores - 1.
        failpoint: ``NAME:kill`` ends the process by SIGKILL at a place that
            ``bat_os.failpoints`` names; for tests of recovery.
    """

    home: str = "data"
    image: str = ""
    tcp_port: int = 5555
    open_loopback: bool = False
    listen: str = ""
    engine: str = "transformers"
    script: str = ""
    cell: str = "auto"
    profile: str = "tiny"
    plan: str = "fixed"
    tests: str = "none"
    approve: bool = False
    candidates: int = 8
    mission_seconds: float = 300.0
    threads: int = 0
    failpoint: str = ""

    @classmethod
    def from_mapping(cls, given: Mapping[str, str], **overrides: Any) -> Settings:
        """Return the settings in ``given`` (BATOS_* texts), then ``overrides``.

        Raises:
            SettingsError: A value cannot be used; the message names it.

        >>> Settings.from_mapping({"BATOS_TCP_PORT": "0"}, home="/tmp/x").tcp_port
        0
        """
        return resolve("", given, overrides).settings


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings, and where each came from.

    Attributes:
        settings: What counts.
        origins: Setting -> ``default``, ``batos.toml, line 3``, ``BATOS_THREADS`` or
            ``--tcp-port``.
    """

    settings: Settings
    origins: Mapping[str, str]


# Setting -> (does the value serve?, what it takes); others take anything of their type.
_RULES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "tcp_port": (lambda port: -1 <= port <= 65535, "a port, 0 (any) or -1 (none)"),
    "engine": (("transformers", "scripted").__contains__, "transformers or scripted"),
    "cell": (("auto", "zygote", "monty").__contains__, "auto, zygote or monty"),
    "plan": (("fixed", "written").__contains__, "fixed or written"),
    "tests": (("none", "written").__contains__, "none or written"),
    "candidates": (lambda count: 1 <= count <= 32, "a number from 1 to 32"),
    "mission_seconds": (lambda seconds: 1 <= seconds <= 86_400, "seconds from 1 to 86400"),
    "threads": (lambda count: 0 <= count <= 256, "a number from 0 to 256"),
}
_TYPES: Final[Mapping[type, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "yes or no",
    str: "a text",
}
_BOOLS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def resolve(
    file: str, environ: Mapping[str, str], flags: Mapping[str, Any], *, path: str = FILE
) -> Resolved:
    """Return the settings that a file, the environment and flags make, the later over the earlier.

    Args:
        file: The text of a settings file; "" for none.
        environ: BATOS_* texts; an empty one counts as not set.
        flags: Values of the right types, by setting.
        path: Where that file is; how messages call it.

    Raises:
        SettingsError: The file is no TOML, has a key that is none, or a value cannot be used;
            the message names the place and what is allowed.

    >>> resolve("threads = 2", {"BATOS_THREADS": "3"}, {}).origins["threads"]
    'BATOS_THREADS'
    """
    values: dict[str, Any] = {}
    origins = {field.name: DEFAULT for field in fields(Settings)}
    for name, value, line in _read_file(file, path):
        where = f", line {line}" if line else ""
        values[name] = _check(name, value, f"{path}{where}: {name} = {_show(value)}")
        origins[name] = f"{FILE}{where}"
    for field in fields(Settings):
        key = PREFIX + field.name.upper()
        if text := environ.get(key, ""):
            said = f"{key}={text[:_SHOWN]!r}"
            value = _from_text(text, type(field.default), said)
            values[field.name], origins[field.name] = _check(field.name, value, said), key
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        values[name], origins[name] = _check(name, value, f"{flag} {value}"), flag
    return Resolved(Settings(**values), origins)


def describe_allowed(name: str) -> str:
    """Return what a setting takes, in words.

    >>> describe_allowed("cell"), describe_allowed("open_loopback")
    ('auto, zygote or monty', 'yes or no')
    """
    if name in _RULES:
        return _RULES[name][1]
    return _TYPES[type(next(field.default for field in fields(Settings) if field.name == name))]


def _read_file(text: str, path: str) -> Iterator[tuple[str, Any, int]]:
    """Yield (setting, value, line) of each key of a settings file; line 0 where it is not seen."""
    if len(text) > MAX_FILE:
        raise SettingsError(f"{path} has {len(text)} characters; at most {MAX_FILE} are read")
    try:
        told = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(
            f"{path} is no TOML: {error}; write NAME = VALUE lines, texts in quotes "
            "(batos config example prints a file)"
        ) from error
    known = [field.name for field in fields(Settings) if field.name != "home"]
    for name, value in told.items():
        line = _line_of(text, name)
        if name not in known:
            shown = name[:_SHOWN]
            where = f"{path}, line {line}" if line else path
            near = difflib.get_close_matches(name.lower(), known, n=1)
            guess = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            if name == "home":
                guess = f"the file lies in the home; name that by {PREFIX}HOME or --home"
            raise SettingsError(f"{where}: {shown!r} is no setting; {guess}")
        yield name, value, line


def _line_of(text: str, name: str) -> int:
    pattern = re.compile(rf"""\s*\[?\s*["']?{re.escape(name)}["']?\s*[=.\]]""")
    lines = enumerate(text.splitlines(), start=1)
    return next((number for number, line in lines if pattern.match(line)), 0)


def _from_text(text: str, kind: type, said: str) -> Any:
    if kind is bool:
        if text.lower() in _BOOLS:
            return _BOOLS[text.lower()]
    else:
        try:
            return kind(text)
        except ValueError:
            pass
    raise _wrong(said, _TYPES[kind])


def _check(name: str, value: Any, said: str) -> Any:
    """Return the value where it is of the setting's type and among what it takes."""
    kind = type(next(field.default for field in fields(Settings) if field.name == name))
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise _wrong(said, "true or false" if kind is bool else _TYPES[kind])
    holds, allowed = _RULES.get(name, (lambda _: True, ""))
    if not holds(value):
        raise _wrong(said, allowed)
    return value


def _show(value: Any) -> str:
    """Return a value of a settings file about as it stands there."""
    if type(value) is bool:
        return str(value).lower()
    return repr(value)[:_SHOWN]


def _wrong(said: str, allowed: str) -> SettingsError:
    return SettingsError(f"{said} cannot be used; it takes {allowed}")
