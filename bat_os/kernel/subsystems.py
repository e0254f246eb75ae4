"""What a turn reaches of the kernel itself: the catalog, the models, the missions.

    client --infer--> brick_obj > its model         no transaction is open meanwhile
    learned code --search--> knowledge_catalog_obj  it has to hold a reference
                 --infer--> GRANT_WANTED            a model costs time, which a person grants;
                                                    a method in root["askers"] may (agent/judgement)

What is written to the catalog is collected, and comes with the turn's one commit. It is not seen
before that, and a turn that only tries a candidate leaves nothing behind.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.core.prompts import Prompt
from bat_os.core.protocol import Request
from bat_os.core.scopes import demand_message
from bat_os.core.two_frames import COMMAND, read_plain
from bat_os.core.values import to_wire
from bat_os.core.verbs import check
from bat_os.errors import ArgumentsError, GrantWantedError, ModelOutputError
from bat_os.image.catalog import catalog_in
from bat_os.image.catalog_service import document_id, missing_document
from bat_os.image.history.moments import PastImage
from bat_os.image.objects import Method, object_of
from bat_os.kernel import whereabouts
from bat_os.kernel.effects.deeds import question_of
from bat_os.kernel.sinks import check as check_flows
from bat_os.kernel.sinks import sink_of
from bat_os.natives.context import SLOTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from bat_os.core.values import Ref
    from bat_os.kernel.context import KernelContext, Orchestrator
    from bat_os.kernel.snapshot import ObjectSnapshot

    Root = MutableMapping[str, Any]

ASK: Final = "infer"
ASKERS: Final = "askers"  # in the root: OID.SELECTOR -> sha256 of the source, persona
INFER_SECONDS: Final = 120.0  # loading the model included
_KINDS: Final = ("", "document", "method", "codex", "seed", "fact")


class TurnKernel:
    """What one turn does with the kernel's own subsystems."""

    def __init__(self, mind: KernelContext, label: set[str], answers: Any) -> None:
        self.mind = mind
        self.answers = answers  # ``bat_os.kernel.reach.Answers``, which imports this
        self.here = answers.here  # what the turn has read of where the person is
        self.asked: Counter[str] = Counter()
        self.label = label  # of the turn: documents keep it, and bring it
        self.works: list[Callable[[Root], Any]] = []
        self.drawn: list[int] = []  # tokens of each answer of a model

    def apply(self, root: Root) -> None:
        """Put what the turn writes into the image."""
        for work in self.works:
            work(root)


@dataclass(frozen=True, slots=True)
class ReachedKernel:
    """``bat_os.natives.subsystems.KernelReach`` of one receiver in one turn."""

    turn: TurnKernel
    seen: ObjectSnapshot
    method: str  # the learned method that sends it, as OID.SELECTOR; "" for a client
    may: str  # the scope of who asked for it

    @property
    def by_method(self) -> bool:
        """True if learned code sends it."""
        return bool(self.method)

    @property
    def receiver(self) -> Ref:
        """The object that got the message."""
        return self.seen.ref

    async def person(self) -> dict[str, str]:
        """Return where the person is: slots of the receiver, else the settings.

        The answer is labelled with the receiver, so it goes nowhere without a flow.
        """
        oid, here = self.seen.ref.oid, self.turn.here
        if oid not in here:
            here[oid] = whereabouts.settled_by(self.seen.slots, self.turn.mind.options)
        held = (self.seen.labels.get(name, ()) for name in SLOTS)
        self.turn.label.update({oid}, *held)
        return dict(here[oid])

    async def search(self, query: str, top_k: int, kind: str) -> list[dict[str, Any]]:
        """Return passages of the catalog, best first."""
        if kind not in _KINDS:
            raise ArgumentsError(f"kind must be one of {', '.join(filter(None, _KINDS))}")
        wanted: Any = kind or None
        hits = await self.turn.mind.catalog.search((query,), top_k=top_k, kind=wanted)
        self.turn.label.update(*(hit.label for hit in hits))
        return [
            {"doc_id": hit.doc_id, "title": hit.title, "kind": hit.kind, "text": hit.text,
             "similarity": round(float(hit.similarity), 4)}
            for hit in hits
        ]  # fmt: skip

    async def index(self, doc_id: str, text: str, meta: Mapping[str, Any]) -> dict[str, Any]:
        """Store a document with the commit."""
        name = doc_id.removeprefix("document:")
        about, work = await self.turn.mind.catalog.prepare(
            str(meta.get("title") or name), text, source=name, meta=meta
        )
        if work is not None:
            self.turn.works.append(work)
            full, label = document_id("document", name), self.turn.label
            self.turn.works.append(lambda root: catalog_in(root).set_label(full, label))
        return about

    async def forget(self, doc_id: str) -> dict[str, Any]:
        """Take a document out with the commit."""
        catalog = self.turn.mind.catalog
        full = document_id("document", doc_id.removeprefix("document:"))
        listed = {row["doc_id"] for row in await catalog.documents(kind="document")}
        if full not in listed:
            raise missing_document(doc_id)
        self.turn.works.append(catalog.removal(full, time.time()))
        return {"doc_id": full, "forgotten": True}

    async def infer(
        self, prompt: str, who: str, adapter: str, tokens: int, temperature: float | None
    ) -> str:
        """Return what the model of a persona answers."""
        mind, answers = self.turn.mind, self.turn.answers
        asked = question_of(self.seen.ref.oid, ASK, [prompt], 0)
        self.turn.asked[asked] += 1
        key = f"{asked}.{self.turn.asked[asked]}"
        known, said = answers.find(key)
        if known:
            return str(said)
        cast = await mind.refresh()
        speaker = _speaker(cast.assigned, who or str(self.seen.slots.get("persona", "")), adapter)
        if not self.by_method or answers.closed or not answers.run:
            self._ask_leave("a model")
        else:
            await mind.image.transact(
                lambda root: self._admit_asker(root, speaker), note="look who may ask a model"
            )
        sampling = replace(
            cast.assigned[speaker].sampling,
            max_tokens=tokens or mind.profile.limits.answer_tokens,
            seed=int(digest(prompt)[:8], 16) % (1 << 31),
            seconds=INFER_SECONDS,
        )
        if temperature is not None:
            sampling = replace(sampling, temperature=float(temperature))
        system = cast.personas[speaker].system_prompt
        question = Prompt((("system", system), ("user", prompt)))
        (answer,) = await mind.roster.generate(speaker, [question], sampling)
        self.turn.drawn.append(answer.tokens)
        if not answer.text.strip():
            raise ModelOutputError(f"the model of {speaker} said nothing; ask otherwise")
        answers.keep(key, answer.text.strip())
        return answer.text.strip()

    def _admit_asker(self, root: Root, speaker: str) -> None:
        """Let a method ask a model that was made for that, with what may go there.

        Raises:
            GrantWantedError: It was not, its source is another one, or a flow is lacking.
        """
        oid, _, selector = self.method.partition(".")
        holder = object_of(root, oid)
        found = holder.lookup(selector) if holder is not None else None
        method = found[1] if found is not None else None
        allowed = root.get(ASKERS, {}).get(self.method, {})
        is_same = (
            isinstance(method, Method)
            and method.current >= 0
            and (allowed == {"sha256": method.version.sha256, "persona": speaker})
        )
        if not is_same:
            self._ask_leave("a model")
        check_flows(root, self.turn.mind.drivers, self.turn.label, sink_of(root, speaker))

    async def start(self, brief: Mapping[str, Any], target: str) -> dict[str, Any]:
        """Store a brief, start its mission and return its id."""
        self._ask_leave("a mission")
        scheduler = self._orchestrator().scheduler
        data = {"command": COMMAND, "target_oid": target or "genesis_obj", "mission_brief": brief}
        begun = check(Request("brief", may=self.may, **read_plain(data, ""))).brief()
        demand_message(self.may, begun.selector)
        record = await scheduler.accept(begun, "", "")
        return {"brief_id": record.id, "state": str(record.mission.state)}

    async def missions(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest missions."""
        listed = await self._ask("missions", {"limit": limit})
        self.turn.label.update(*(one.get("label", ()) for one in listed["missions"]))
        return list(listed["missions"])

    async def cancel(self, brief_id: str) -> bool:
        """Withdraw a mission."""
        self._ask_leave("a mission")
        return bool((await self._ask("cancel", {"brief_id": brief_id}))["cancelled"])

    async def _ask(self, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
        handler = self._orchestrator().verbs[verb]
        reply = await handler(check(Request(verb, body=body)), lambda _: None)
        plain: dict[str, Any] = to_wire(dict(reply.body))
        return plain

    def _orchestrator(self) -> Orchestrator:
        """Return what stores and runs missions.

        Raises:
            ArgumentsError: No missions are started here: on a fork, in the past.
        """
        if self.turn.mind.orchestrator.scheduler is None:
            raise ArgumentsError("missions cannot be reached from here")
        return self.turn.mind.orchestrator

    def _ask_leave(self, what: str) -> None:
        """Refuse learned code what a person has to grant.

        Raises:
            GrantWantedError: Always for learned code: no grant of this kind can be given yet.
        """
        name = self.seen.ref.name or "the object"
        if self.by_method:
            text = f"learned code may not use {what} through {name}; send the message yourself"
            raise GrantWantedError(text, driver="models", what=what)
        if isinstance(self.turn.mind.image, PastImage):
            raise ArgumentsError(f"{name} cannot use {what} in the past")


def _speaker(assigned: Mapping[str, Any], who: str, adapter: str) -> str:
    """Return the persona, or the facet of it, that speaks through an adapter."""
    name, _, facet = who.partition(":")
    who = f"{name.upper()}:{facet}" if facet else name.upper() or "ALFRED"
    if who not in assigned:
        raise ArgumentsError(f"persona_id must be one of {', '.join(assigned)}, not {who[:60]!r}")
    if not adapter:
        return who
    base = who.partition(":")[0]
    for known, one in assigned.items():
        if known.partition(":")[0] == base and one.adapter == adapter:
            return known
    raise ArgumentsError(
        f"{base} does not speak through {adapter[:60]!r}; "
        f"batos personas set {base.lower()}:NAME adapter {adapter[:60]}"
    )
