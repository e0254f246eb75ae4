"""What an owner may set, read once from a mapping and handed down."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFIX: Final = "BATOS_"


@dataclass(frozen=True, slots=True)
class Settings:
    """The kernel's settings; each one is the environment variable BATOS_<NAME> in capitals.

    Attributes:
        home: Folder of the image, logs and sockets.
        image: URI of the image where it is not a file in ``home``.
        tcp_port: Loopback port of the TCP door; 0 takes any free one, -1 opens none.
        open_loopback: Let clients on the loopback interface in without the token.
        engine: ``transformers``, or ``scripted`` for a fake that answers from ``script``.
        script: JSON lines of a scripted engine.
        cell: Where learned code runs: ``zygote`` (Linux), ``monty`` (everywhere; a smaller
            Python), or ``auto``: the zygote where it holds, else Monty.
        profile: Which models the personas use: a name of ``profiles.toml``.
        plan: ``fixed``: BRICK names queries only; ``written``: it also plans temperature,
            number of candidates and a system prompt, and that plan is followed.
        candidates: Methods to draw per batch, 1 to 32.
        mission_seconds: Wall clock after which a mission fails.
        threads: Threads of the model engines; 0 takes cores - 1.
        failpoint: ``STATE:kill`` ends the process by SIGKILL right after a mission's
            transition to STATE was committed; for tests of recovery.
    """

    home: str = "data"
    image: str = ""
    tcp_port: int = 5555
    open_loopback: bool = False
    engine: str = "transformers"
    script: str = ""
    cell: str = "auto"
    profile: str = "tiny"
    plan: str = "fixed"
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
        values: dict[str, Any] = {}
        for field in fields(cls):
            key = PREFIX + field.name.upper()
            if given.get(key):
                values[field.name] = _read(key, given[key], type(field.default))
        settings = cls(**(values | overrides))
        settings._check()
        return settings

    def _check(self) -> None:
        rules: tuple[tuple[str, bool, str], ...] = (
            ("tcp_port", -1 <= self.tcp_port <= 65535, "a port, 0 (any) or -1 (none)"),
            ("engine", self.engine in ("transformers", "scripted"), "transformers or scripted"),
            ("cell", self.cell in ("auto", "zygote", "monty"), "auto, zygote or monty"),
            ("plan", self.plan in ("fixed", "written"), "fixed or written"),
            ("candidates", 1 <= self.candidates <= 32, "a number from 1 to 32"),
            ("mission_seconds", 1 <= self.mission_seconds <= 86_400, "seconds from 1 to 86400"),
            ("threads", 0 <= self.threads <= 256, "a number from 0 to 256"),
        )
        for name, holds, allowed in rules:
            if not holds:
                raise _wrong(PREFIX + name.upper(), str(getattr(self, name)), allowed)


def _read(key: str, text: str, kind: type) -> Any:
    readers: dict[type, tuple[Callable[[str], Any], str]] = {
        int: (int, "a whole number"),
        float: (float, "a number"),
        bool: (_read_bool, "yes or no"),
        str: (str, "a text"),
    }
    reader, allowed = readers[kind]
    try:
        return reader(text)
    except ValueError:
        raise _wrong(key, text, allowed) from None


def _read_bool(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _wrong(key: str, text: str, allowed: str) -> SettingsError:
    return SettingsError(f"{key}={text!r} cannot be used; it takes {allowed}", setting=key)
