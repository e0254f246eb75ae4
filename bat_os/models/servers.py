"""What model servers on this machine say that they have, and which of it can write code.

    a server's lists ── read_… ──→ Candidate ── rank ──→ the first that can write code

Asks nobody: replies come in as plain data, and they are untrusted. What cannot be read counts as
not there. A model is judged by what its server says that it can do, and by the family that its
name shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from bat_os.core.schema import Record, convert, field, number, read_json
from bat_os.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST: Final = 200  # models of a server that are looked at
LONGEST: Final = 200  # characters of a name
LEAST_CONTEXT: Final = 2048  # tokens; a prompt and a method need some hundreds
# Where Ollama's API gives no other length, it runs a model with this many tokens.
OLLAMA_CONTEXT: Final = 4096
CODER, CHATTER, THINKER, UNKNOWN = range(4)  # ranks; a thinker writes its thoughts first

_OTHER_USE: Final = re.compile(
    r"embed|\bbge\b|\be5\b|\bgte\b|minilm|rerank|whisper|\btts\b|\basr\b|speech|\bclip\b|siglip|"
    r"diffusion|\bflux\b|\bsdxl?\b|\bocr\b|guard|shield|moderation|reward|\bbase\b|mmproj|translat"
)
_ELSEWHERE: Final = re.compile(r"[:-]cloud\b")  # Ollama passes these on to its maker's machines
_CODERS: Final = re.compile(r"cod(er|e|estral)|devstral")
_THINKERS: Final = re.compile(r"\br1\b|qwq|think|reason|gpt-oss|magistral")
_FAMILIES: Final = re.compile(
    r"qwen|llama|mi[sx]tral|ministral|gemma|\bphi|granite|deepseek|gpt-oss|\bglm|olmo|command-[ra]|"
    r"falcon|\byi\b|nemotron|hermes|smollm|\blfm|exaone|ernie|internlm|kimi|minimax|solar|tulu|"
    r"\baya\b|instruct|chat|\bit\b|magistral|qwq"
)
_KINDS: Final = ((THINKER, _THINKERS), (CODER, _CODERS), (CHATTER, _FAMILIES))
# Under a billion parameters: not better than the default.
_SMALL: Final = re.compile(r"(?<![\d.])(0\.\d+\s?b|\d{2,3}(\.\d+)?\s?m)\b")
_GENERATES: Final = frozenset({"completion", "llm", "vlm"})
_Count = Annotated[int, number(0, 10**9)]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that a server has."""

    name: str  # as the server calls it
    hints: str = ""  # what else names it: its file, its size
    can: tuple[str, ...] = ()  # what the server says that it can do; () where it says nothing
    context: int = 0  # tokens that the server runs it with; 0 where it does not say
    licence: str = ""

    @property
    def rank(self) -> int | None:
        """How well it suits writing code, the least is best; None: it does not."""
        return rank(self.name, self.hints, self.can)


def rank(name: str, hints: str = "", can: Iterable[str] = ()) -> int | None:
    """Return how well a model suits writing code, 0 is best; None: it does not.

    >>> rank("qwen2.5-coder:7b"), rank("llama3.1:8b"), rank("deepseek-r1:7b")
    (0, 1, 2)
    >>> rank("nomic-embed-text"), rank("qwen2.5:0.5b"), rank("my-model", can=["completion"])
    (None, None, 3)
    """
    said, known = set(can), f"{name} {hints}".lower().replace("_", "-")
    if said and not said & _GENERATES:
        return None
    if _OTHER_USE.search(known) or _ELSEWHERE.search(known) or _SMALL.search(known):
        return None
    if "thinking" in said:
        return THINKER
    found = (place for place, names in _KINDS if names.search(known))
    return next(found, UNKNOWN if said else None)


def sort_candidates(found: Iterable[Candidate], wanted: str = "") -> list[Candidate]:
    """Return those that can write code, the best first, else in the server's order.

    With ``wanted`` only the one of that name, whatever it can do.
    """
    if wanted:
        return [one for one in found if one.name == wanted][:1]
    ranked = [(place, one) for one in found if (place := one.rank) is not None]
    usable = [pair for pair in ranked if not 0 < pair[1].context < LEAST_CONTEXT]
    return [one for _, one in sorted(usable, key=lambda pair: pair[0])]


class _Reply(Record, frozen=True, forbid_unknown_fields=False):
    """A part of a reply; servers add fields of their own."""


class _Details(_Reply, frozen=True):
    parameter_size: str | None = None
    family: str | None = None


class _Tag(_Reply, frozen=True):
    name: str
    details: _Details | None = None
    remote_host: str | None = None  # it runs elsewhere


class _Tags(_Reply, frozen=True):
    models: list[_Tag]


class _Shown(_Reply, frozen=True):
    capabilities: list[str] = field(default_factory=list)
    model_info: Mapping[str, Any] = field(default_factory=dict)
    parameters: str = ""
    license: str = ""


class _Meta(_Reply, frozen=True):
    n_params: int | None = None


class _Entry(_Reply, frozen=True):
    id: str
    type: str | None = None  # LM Studio
    max_context_length: _Count | None = None
    loaded_context_length: _Count | None = None
    max_model_len: _Count | None = None  # vLLM
    root: str | None = None
    meta: _Meta | None = None  # llama-server


class _Entries(_Reply, frozen=True):
    data: list[_Entry]


class _Generation(_Reply, frozen=True):
    n_ctx: _Count | None = None


class _Props(_Reply, frozen=True):
    default_generation_settings: _Generation | None = None
    model_path: str | None = None


def read_reply(raw: bytes) -> Any:
    """Return the JSON of a reply.

    Raises:
        SettingsError: It is not JSON.
    """
    return read_json(raw, SettingsError, "the server's reply")


def read_ollama(reply: Any) -> list[Candidate]:
    """Return the models in a reply to ``/api/tags`` that run on that machine.

    Raises:
        SettingsError: It is not such a reply.
    """
    tags = convert(reply, _Tags, SettingsError)
    return [
        Candidate(tag.name, _join(tag.details.parameter_size if tag.details else ""))
        for tag in tags.models[:MOST]
        if not tag.remote_host and _is_name(tag.name)
    ]


def read_ollama_model(known: Candidate, reply: Any, set_context: int = 0) -> Candidate:
    """Return a model with what ``/api/show`` says of it.

    Ollama runs a model with the context of its parameters, of the server's setting
    (``set_context``) or with ``OLLAMA_CONTEXT`` tokens, whatever the model could read.

    Raises:
        SettingsError: It is not such a reply.
    """
    shown = convert(reply, _Shown, SettingsError)
    most = next(
        (value for key, value in shown.model_info.items()
         if key.endswith(".context_length") and type(value) is int and value > 0), 0
    )  # fmt: skip
    own = re.search(r"^num_ctx\s+(\d{1,9})\s*$", shown.parameters, re.MULTILINE)
    runs = int(own[1]) if own else set_context or OLLAMA_CONTEXT
    named = shown.model_info.get("general.license")
    licence = named if isinstance(named, str) else shown.license.strip().split("\n")[0]
    return replace(
        known,
        can=tuple(shown.capabilities[:20]),
        context=min(runs, most) if most else runs,
        licence=printable(licence)[:60],
    )


def read_openai(reply: Any) -> list[Candidate]:
    """Return the models in a reply to ``/v1/models``, or to LM Studio's ``/api/v0/models``.

    Raises:
        SettingsError: It is not such a reply.
    """
    listed = convert(reply, _Entries, SettingsError)
    return [
        Candidate(
            entry.id,
            _join(entry.root, _in_millions(entry.meta.n_params if entry.meta else 0)),
            (entry.type,) if entry.type else (),
            entry.loaded_context_length or entry.max_model_len or entry.max_context_length or 0,
        )
        for entry in listed.data[:MOST]
        if _is_name(entry.id)
    ]


def read_props(known: Candidate, reply: Any) -> Candidate:
    """Return llama-server's model with what its ``/props`` says of it.

    Raises:
        SettingsError: It is not such a reply.
    """
    props = convert(reply, _Props, SettingsError)
    file = re.split(r"[\\/]", props.model_path or "")[-1]
    settings = props.default_generation_settings
    context = (settings and settings.n_ctx) or known.context
    return replace(known, hints=_join(known.hints, file), context=context)


def printable(text: str) -> str:
    """Return foreign text as one line that can be shown.

    >>> printable("a" + chr(27) + "[2J b")
    'a [2J b'
    """
    return "".join(char if char.isprintable() else " " for char in text[:1000]).strip()


def _is_name(text: str) -> bool:
    return 0 < len(text) <= LONGEST and text.isprintable() and bool(text.strip())


def _join(*parts: str | None) -> str:
    return " ".join(printable(part)[:LONGEST] for part in parts if part)


def _in_millions(count: int | None) -> str:
    """Return a small number of parameters as names have it, "494M"; "" from a billion on."""
    return f"{count // 10**6}M" if count and count < 10**9 else ""
