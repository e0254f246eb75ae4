"""What programs ask for: the graph of objects, what was committed, a model's text, vectors."""

from __future__ import annotations

import json
import secrets
import time
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.program_verbs import MAX_MESSAGES, MAX_TEXTS
from bat_os.core.prompts import Prompt
from bat_os.errors import ArgumentsError
from bat_os.image.history.moments import list_newest
from bat_os.kernel import portraits
from bat_os.ports import Sampling

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Handler, KernelContext, Say

    Root = MutableMapping[str, Any]

ROLES: Final = ("system", "user", "assistant")
SECONDS: Final = 240.0  # for one text, loading included
MAX_CHARACTERS: Final = 200_000  # of all messages together
# A word has some four characters, and a model at least so many tokens of context.
CONTEXT: Final = 6_000
MAX_SCHEMA: Final = 10_000  # characters, as JSON
MAX_SEED: Final = (1 << 31) - 1


async def graph(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return one page of all objects, by name: what each refers to, and its serial."""
    after, limit = request.body["after"], request.body["limit"]

    def read(root: Root) -> dict[str, Any]:
        return portraits.page(root, after, limit, portraits.node, "nodes")

    return await mind.image.transact(read, note="graph")


async def list_moments(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return the transactions before ``body.before``, the newest first."""
    before, limit = request.body["before"], request.body["limit"]
    if before and not (len(before) == 16 and set(before) <= set("0123456789abcdef")):
        raise ArgumentsError("before must be the id of a transaction: 16 hexadecimal digits")
    return await list_newest(mind.image, before, limit)


async def generate(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return what the model of ``body.persona_id`` writes; each piece is an event."""
    started, body = time.monotonic(), request.body
    persona = body["persona_id"]
    await mind.refresh()
    if persona.partition(":")[0] not in mind.cast.personas:
        raise ArgumentsError(f"persona_id must be one of {', '.join(mind.cast.personas)}")
    seed = body["seed"] if body["seed"] is not None else secrets.randbelow(MAX_SEED)
    sampling = Sampling(
        # Below 0.1 a model takes the most likely token.
        temperature=body["temperature"] if body["temperature"] >= 0.1 else 0.0,
        top_p=max(body["top_p"], 0.01), max_tokens=body["max_tokens"], seed=seed, seconds=SECONDS,
        schema=_bounded(body["schema"]),
    )  # fmt: skip
    prompt = Prompt(_fitting(_read_messages(body["messages"])))

    def hear(_: int, piece: str) -> None:
        if piece:
            say({"persona": persona, "text": piece})

    (written,) = await mind.roster.generate(persona, [prompt], sampling, on_text=hear)
    return {
        "persona": persona, "model": mind.roster.model_of(persona), "text": written.text,
        "tokens": written.tokens, "read": written.read + written.reused,
        "finished": written.finished, "seconds": round(time.monotonic() - started, 3),
    }  # fmt: skip


def _bounded(schema: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if schema is not None and len(json.dumps(schema, default=str)) > MAX_SCHEMA:
        raise ArgumentsError(f"a schema has at most {MAX_SCHEMA} characters as JSON")
    return schema


def _read_messages(given: list[Any]) -> list[tuple[str, str]]:
    if not 1 <= len(given) <= MAX_MESSAGES:
        raise ArgumentsError(f"there are 1 to {MAX_MESSAGES} messages")
    messages = []
    for each in given:
        if not isinstance(each, (list, tuple)) or [type(part) for part in each] != [str, str]:
            raise ArgumentsError("a message is [role, text]")
        if each[0] not in ROLES:
            raise ArgumentsError(f"a role is one of {', '.join(ROLES)}")
        messages.append((each[0], each[1]))
    if sum(len(text) for _, text in messages) > MAX_CHARACTERS:
        raise ArgumentsError(f"all messages have at most {MAX_CHARACTERS} characters")
    return messages


def _fitting(messages: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the system's first message and the newest others, as far as a model reads them."""
    kept: list[tuple[str, str]] = []
    first = messages[:1] if messages[0][0] == "system" else []
    left = CONTEXT - sum(len(text) for _, text in first)
    for role, text in reversed(messages[len(first) :]):
        if kept and len(text) > left:
            break
        kept.append((role, text[-max(left, 1) :] if len(text) > left else text))
        left -= len(text)
    first = [(role, text[: CONTEXT // 2]) for role, text in first]
    return (*first, *reversed(kept))


async def embed(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return the vectors of ``body.input``."""
    texts = request.body["input"]
    if not 1 <= len(texts) <= MAX_TEXTS or {*map(type, texts)} != {str}:
        raise ArgumentsError(f"input is a list of 1 to {MAX_TEXTS} texts")
    vectors = await mind.embedder.embed(texts)
    rows = [[round(float(value), 7) for value in row] for row in vectors]
    tokens = sum(len(list(islice(text.split(), 10_000))) for text in texts)
    return {"model": "all-minilm-l6-v2", "vectors": rows, "tokens": tokens}


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {"graph": graph, "moments": list_moments, "generate": generate, "embed": embed}
)
