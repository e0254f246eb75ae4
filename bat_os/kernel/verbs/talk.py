"""Questions in words: ROBIN and BRICK answer in counterpoint, grounded in passages.

    search > who begins > first answer > second answer, which builds on it > marks > one commit

Nothing is learned, and no method is written; ``bat_os.core.discussion`` has the rules. The same
question, seed, catalog and model give the same answer.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core import discussion
from bat_os.core.digest import digest
from bat_os.errors import ArgumentsError, ModelOutputError
from bat_os.image.history.experience import keep_talk, newest_talks
from bat_os.kernel.sinks import let_through

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.protocol import Request
    from bat_os.image.catalog import Passage
    from bat_os.kernel.context import Handler, KernelContext, Say
    from bat_os.ports import Prompt

MAX_SEED: Final = 1 << 31
TRIES: Final = 3
SECONDS: Final = 120.0  # for one speaker, loading included
KINDS: Final = ("document", "codex")


@dataclass(frozen=True, slots=True)
class Said:
    """What a persona has said: no sentence if it found none in its tries."""

    persona: str
    sentences: tuple[str, ...]
    tokens: int
    tries: int


async def discuss(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Answer the question in ``body.text``; pieces come as events ``{"persona", "text"}``.

    ``body.seed`` gives another answer. An event with ``again`` begins a persona's answer anew.

    Returns:
        ``talk`` (its id), ``question``, ``seed``, ``answers`` (``persona``, ``text`` with marks
        ``[n]``, ``cites``, ``model``, ``tokens``), ``passages`` (``n``, ``doc_id``, ``title``,
        ``kind``, ``text``, ``similarity``, ``cited``), ``grounded``, ``note``, ``tokens``,
        ``seconds``.
    """
    question, seed = " ".join(request.body["text"].split()), request.body["seed"]
    started, limits = time.time(), mind.profile.limits
    await mind.refresh()
    near = await _passages(mind, question)
    passages, wanting = await let_through(mind, near, ("ROBIN", "BRICK"))
    texts = [passage.text for passage in passages]
    wanted = request.body["persona_id"]
    if wanted and wanted not in mind.cast.personas:
        raise ArgumentsError(f"persona_id must be one of {', '.join(mind.cast.personas)}")
    first, second = discussion.who_begins(question, wanted)
    draw = Drawing(mind, say, question, int(digest(f"{question} {seed}")[:8], 16))
    prompt = discussion.ask_first(mind.cast.personas[first], question, texts, limits)
    opening = await draw.answer(first, prompt, ())
    if not opening.sentences:
        raise ModelOutputError(f"{first} found no whole sentence in {TRIES} tries; ask otherwise")
    said = first, " ".join(opening.sentences)
    prompt = discussion.ask_second(mind.cast.personas[second], question, texts, said, limits)
    reply = await draw.answer(second, prompt, opening.sentences, texts)
    spoken = [opening, reply] if reply.sentences else [opening]
    answers = [await _marked(mind, said, texts) for said in spoken]
    cited = {number for answer in answers for number in answer["cites"]}
    talk_id = f"{int(started * 1000):012x}{secrets.token_hex(2)}"
    talk = {
        "talk": talk_id,
        "question": question,
        "seed": seed,
        "answers": answers,
        "passages": _numbered(passages, cited),
        "grounded": bool(cited),
        "note": _note(passages, cited, "" if reply.sentences else second, wanting),
        "tokens": opening.tokens + reply.tokens,
        "asked": started,
        "seconds": round(time.time() - started, 3),
    }
    await mind.image.transact(lambda root: keep_talk(root, talk_id, talk), note="keep a talk")
    return talk


async def list_talks(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return ``{"talks": [...]}``, the newest ``body.limit`` as ``discuss`` gave them."""
    limit = request.body["limit"]
    newest = await mind.image.transact(lambda root: newest_talks(root, limit), note="list talks")
    return {"talks": newest}


class Drawing:
    """Draws answers and tells of each piece while it comes."""

    def __init__(self, mind: KernelContext, say: Say, question: str, seed: int) -> None:
        self._mind = mind
        self._say = say
        self._question = question
        self._seed = seed
        self._limits = mind.profile.limits

    async def answer(
        self, persona: str, prompt: Prompt, before: Sequence[str], notes: Sequence[str] = ()
    ) -> Said:
        """Return what a persona says, without what was said before; perhaps no sentence.

        An answer to what was ``before`` has to build on it. What only repeats the persona's own
        prompt, or these ``notes``, does not count.
        """
        tokens, own = 0, discussion.as_own_words(self._mind.cast.personas[persona])
        own += [line for note in notes for line in discussion.split(" ".join(note.split()))]
        for attempt in range(TRIES):
            if attempt:
                self._say({"persona": persona, "text": "", "again": attempt})
            text, drawn = await self._draw(persona, prompt, attempt)
            tokens += drawn
            said = [*before, *own]
            kept = discussion.keep(text, self._limits.sentences, said, self._question)
            if kept and (not before or discussion.builds_on(kept, before, self._question)):
                return Said(persona, tuple(kept), tokens, attempt + 1)
        return Said(persona, (), tokens, TRIES)

    async def _draw(self, persona: str, prompt: Prompt, attempt: int) -> tuple[str, int]:
        enough, so_far = threading.Event(), [""]

        def hear(_: int, piece: str) -> None:
            so_far[0] += piece
            if enough.is_set():
                return
            self._say({"persona": persona, "text": piece})
            if discussion.is_enough(so_far[0], self._limits.sentences):
                enough.set()  # what else would come is not kept

        sampling = replace(
            self._mind.cast.assigned[persona].sampling,
            max_tokens=self._limits.answer_tokens,
            seed=(self._seed + attempt) % MAX_SEED,
            stop=discussion.STOP,
            seconds=SECONDS,
        )
        roster = self._mind.roster
        (written,) = await roster.generate(persona, [prompt], sampling, cancel=enough, on_text=hear)
        # A text that ended by itself may lack its full stop.
        text = written.text.rstrip()
        whole = written.finished and text[-1:].isalnum()
        return f"{text}." if whole else text, written.tokens


async def _passages(mind: KernelContext, question: str) -> list[Passage]:
    near: list[Passage] = []
    most = mind.profile.limits.passages
    for kind in KINDS:
        hits = await mind.catalog.search((question,), top_k=most, kind=kind)
        near += [hit for hit in hits if hit.similarity >= discussion.NEAR]
    return sorted(near, key=lambda hit: -hit.similarity)[:most]


async def _marked(mind: KernelContext, said: Said, texts: Sequence[str]) -> dict[str, Any]:
    likeness: list[list[float]] = [[] for _ in said.sentences]
    if texts:
        vectors = await mind.catalog.embed([*said.sentences, *texts])
        count = len(said.sentences)
        likeness = (vectors[:count] @ vectors[count:].T).tolist()
    text, cites = discussion.mark(said.sentences, likeness)
    return {
        "persona": said.persona,
        "text": text,
        "cites": list(cites),
        "model": mind.roster.model_of(said.persona),
        "tokens": said.tokens,
        "tries": said.tries,
    }


def _numbered(passages: Sequence[Passage], cited: set[int]) -> list[dict[str, Any]]:
    return [
        {"n": n, "doc_id": hit.doc_id, "title": hit.title, "kind": hit.kind, "text": hit.text,
         "similarity": round(hit.similarity, 4), "cited": n in cited}
        for n, hit in enumerate(passages, start=1)
    ]  # fmt: skip


def _note(
    passages: Sequence[Passage], cited: set[int], silent: str, wanting: Sequence[tuple[str, str]]
) -> str:
    notes = [f"{silent} had nothing to add."] if silent else []
    if not cited:
        notes.insert(0, discussion.UNCITED if passages else discussion.NOT_GROUNDED)
    if wanting:
        ways = "; ".join(f"batos allow {source} {sink}" for source, sink in wanting)
        notes.append(f"They were not shown what you may not want them to see; to allow it: {ways}")
    return " ".join(notes)


VERBS: Final[Mapping[str, Handler]] = MappingProxyType({"discuss": discuss, "talks": list_talks})
