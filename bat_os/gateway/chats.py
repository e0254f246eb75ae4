"""A request of OpenAI's chat interface: what it asks for, and which conversation it goes on with.

    messages > the last of the user: a sentence > ``say``
             > longer, or with tools, or of a form: a prompt > the persona's model, as it is

Programs send more than what a person says: after each answer they ask for a title, tags, questions
that may follow; they send source code and tools. None of that is a wish to be learned.
"""

from __future__ import annotations

import secrets
import shlex
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import show_answer
from bat_os.core.digest import digest
from bat_os.core.personas import PERSONAS
from bat_os.core.program_verbs import MAX_MESSAGES
from bat_os.core.schema import Record, convert
from bat_os.errors import ArgumentsError, HttpError, NotFoundError
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Said = tuple[str, str]  # role and text

MIND: Final = "batos"
KNOWN: Final = "batos-known"
OBJECT: Final = "batos/"
EMBEDDER: Final = "all-minilm-l6-v2"
VOICES: Final = tuple(name.lower() for name in PERSONAS)
SPEAKER: Final = "ROBIN"  # whose model answers a prompt that names none
MAX_SENTENCE: Final = 600  # characters; what is longer is a prompt
MAX_TOKENS: Final = 4096  # of one answer
MAX_TALKS: Final = 1_000  # conversations that are known
# How prompts begin that programs send on their own: Open WebUI's and LibreChat's.
_PROMPTS: Final = ("### task", "generate a concise", "create a concise", "here is the query:")
_ROLES: Final = {
    "developer": "system",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
}


class _Message(Record, frozen=True, forbid_unknown_fields=False):
    role: str
    content: str | list[dict[str, Any]] | None = None


class _StreamOptions(Record, frozen=True, forbid_unknown_fields=False):
    include_usage: bool | None = None


class _Body(Record, frozen=True, forbid_unknown_fields=False):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Chat:
    """The body of ``POST /v1/chat/completions``, checked, as far as it counts here."""

    asked: _Body
    said: tuple[Said, ...]  # all messages, as role and text

    @property
    def model(self) -> str:
        """Return the model that is asked."""
        return self.asked.model

    @property
    def with_usage(self) -> bool:
        """Return whether a stream is to end with what it took."""
        options = self.asked.stream_options
        return options is not None and bool(options.include_usage)

    @property
    def sentence(self) -> str:
        """Return what the user said last."""
        return self.said[-1][1]

    @property
    def is_sentence(self) -> bool:
        """Return whether a person may have said it: to the mind, briefly, and with no form."""
        own = self.model in (MIND, KNOWN) or self.model.startswith(OBJECT)
        formed = (self.asked.response_format or {}).get("type", "text") != "text"
        begins = self.sentence.lstrip().lower().startswith(_PROMPTS)
        long = len(self.sentence) > MAX_SENTENCE
        is_prompt = long or formed or begins or bool(self.asked.tools or self.asked.functions)
        return own and self.said[-1][0] == "user" and not is_prompt

    def prompt(self) -> dict[str, Any]:
        """Return the body of ``generate`` for it."""
        asked = self.asked
        persona = asked.model.upper() if asked.model in VOICES else SPEAKER
        limit = asked.max_completion_tokens or asked.max_tokens
        given = {
            "temperature": asked.temperature, "top_p": asked.top_p, "seed": asked.seed,
            "max_tokens": limit and min(limit, MAX_TOKENS),
        }  # fmt: skip
        first = [each for each in self.said[:1] if each[0] == "system"]
        rest = self.said[len(first) :][len(first) - MAX_MESSAGES :]
        said = [list(each) for each in (*first, *rest)]
        body: dict[str, Any] = {"persona_id": persona, "messages": said}
        body |= {key: value for key, value in given.items() if value is not None}
        schema = _schema_of(asked.response_format or {})
        return body if schema is None else body | {"schema": schema}


def _schema_of(form: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the JSON Schema that an answer has to follow; None if it is text.

    Raises:
        ArgumentsError: The form is not known, or has no schema.
    """
    kind = form.get("type", "text")
    if kind == "json_object":
        return {"type": "object"}
    schema = (form.get("json_schema") or {}).get("schema") if kind == "json_schema" else None
    if kind != "text" and not isinstance(schema, dict):
        raise ArgumentsError("response_format is text, json_object or json_schema with a schema")
    return schema


def read_chat(body: Mapping[str, Any]) -> Chat:
    """Return a request whose fields were checked.

    Raises:
        ArgumentsError: Something in it is wrong, or cannot be had here.
        HttpError: The model is not known.
    """
    asked = convert(body, _Body, ArgumentsError)
    if not asked.messages:
        raise ArgumentsError("messages is a list that is not empty")
    if asked.n not in (None, 1):
        raise ArgumentsError("n is 1 here: there is one answer")
    check_model(asked.model)
    # Results of tools are the user's word on them: no tool is ever called from here.
    said = tuple((_ROLES.get(each.role, "user"), _text_of(each)) for each in asked.messages)
    if not said[-1][1].strip():
        raise ArgumentsError("the last message is empty; say what you want")
    return Chat(asked, said)


def check_model(name: str) -> None:
    """Refuse a model that nobody has heard of; of an object, the kernel says whether it is there.

    Raises:
        HttpError: It is not known.
    """
    if name in (MIND, KNOWN, EMBEDDER, *VOICES) or name.removeprefix(OBJECT) not in ("", name):
        return
    known = ", ".join((MIND, KNOWN, f"{OBJECT}OBJECT", *VOICES))
    raise HttpError(404, NotFoundError(f"there is no model {name[:60]!r}; there are: {known}"))


def _text_of(message: _Message) -> str:
    if message.content is None:
        return ""
    if isinstance(message.content, str):
        return message.content
    texts = []
    for part in message.content:
        if part.get("type") != "text" or type(part.get("text")) is not str:
            shown = str(part.get("type"))[:40]
            raise ArgumentsError(f"a part of a message is text here, not {shown!r}")
        texts.append(part["text"])
    return "\n".join(texts)


def in_words(sentence: str, body: Mapping[str, Any]) -> str:
    """Return what ``say`` answered, as a chat shows it.

    A question for leave comes with the command for the owner: nobody's yes gives it from here.
    """
    shown = show_answer(body)
    if body.get("needs") == "grant":
        shown = str(body.get("text") or "")
        command = f"batos ask {shlex.quote(sentence)}"
        why = "it needs the owner's own word"
        language = str(body.get("language") or "en")
        shown += "\n" + text(language, "unable.not_allowed", why=why, command=command)
    elif undo := body.get("undo"):
        shown += f"\n({undo})" if undo not in shown else ""
    return shown


class Talks:
    """Which conversation of the kernel a list of messages goes on with.

    The interface has no conversations: each request holds all that was said. What was said up to an
    answer, and that answer, name the conversation; who changes one of them begins a new one. They
    are known while this process lives.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, str] = OrderedDict()

    def open(self, caller: str, said: Sequence[Said]) -> str:
        """Return the session that the last message belongs to."""
        before = _mark(caller, said[:-1])
        session = self._known.get(before, "") if before else ""
        return session or f"chat:{secrets.token_hex(8)}"

    def note(self, caller: str, said: Sequence[Said], answer: str, session: str) -> None:
        """Keep where the messages that end with ``answer`` belong."""
        self._known[_mark(caller, [*said, ("assistant", answer)])] = session
        while len(self._known) > MAX_TALKS:
            self._known.popitem(last=False)


def _mark(caller: str, said: Sequence[Said]) -> str:
    """Return a name for what was said; "" if nothing was. The client's own words do not count."""
    lines = [f"{role}:{words.strip()}" for role, words in said if role != "system"]
    return digest("\0".join([caller, *lines])) if lines else ""
