"""An answer that a persona judged, from what was read, becomes a method that asks its model.

    what is the mood of ~/notes/a.md?  >  files.read = "What a day!"  >  ALFRED: "cheerful"

    def what_is_mood_of_file(self, path):
        first = self.notes.read(path)
        second = self.alfred.infer('What is the mood of the file?...' + first)
        return second

The model is asked once in that form, and has to say the same as before. Learned code may not use a
model; this one may, since a person has asked for exactly this, and may no longer once its source is
another one (``root["askers"]``). What it reads goes to the persona only where a flow lets it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief, goal
from bat_os.errors import BatError
from bat_os.image.objects import find, ref_of, tree_of
from bat_os.kernel.agent.choosing import plain, things_in
from bat_os.kernel.agent.distil import Distilled, Taken, distil
from bat_os.kernel.agent.showing import read_request
from bat_os.kernel.effects.deeds import question_of
from bat_os.kernel.learning.trial import try_turn
from bat_os.kernel.reach import Answers
from bat_os.kernel.subsystems import ASK, ASKERS

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from bat_os.image.history.versions import Skill
    from bat_os.image.objects import UvmObject
    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]

MAX_READ: Final = 4_000  # characters that a model is asked about
_ORDER: Final = "\nAnswer in as few words as you can, from this text alone:\n"


class Judgement:
    """One answer of a persona, and how its model is asked for it again."""

    def __init__(self, context: KernelContext, brief: Brief, persona: str, value: str) -> None:
        self._context = context
        self._brief = brief
        self._value = value
        self.persona = persona.partition(":")[0]
        self.slot = self.persona.lower()
        self.record: dict[str, Any] = {}  # what the model answered, by question
        self.said = ""

    async def distil(self, params: Sequence[tuple[str, Any]], steps: Sequence[Taken]) -> Distilled:
        """Return the method; without one, why."""
        texts = [step.value for step in steps if isinstance(step.value, str) and step.value]
        if len(texts) != 1 or len(texts[0]) > MAX_READ:
            return Distilled(reason="the answer does not follow from what the steps gave")
        sentence = read_request(self._brief.text)
        wish = goal(replace(self._brief, text=plain(sentence.text, things_in(sentence))))
        prompt = f"{wish}{_ORDER}{texts[0]}"
        try:
            oid = await self._ask(prompt)
        except BatError as error:
            return Distilled(reason=f"the answer is a judgement, and its model said: {error}")
        if self.said.startswith("{") or not _agree(self.said, self._value):
            return Distilled(reason=f"asked again, {self.persona} judges otherwise")
        self.record[f"{question_of(oid, ASK, [prompt], 0)}.1"] = self.said
        asked = Taken(self.slot, ASK, (prompt,), self.said)
        return distil(self._brief.selector, params, [*steps, asked], self.said, self._brief.text)

    async def _ask(self, prompt: str) -> str:
        """Ask the model, and let the receiver know the persona; return the persona's oid."""
        context, name = self._context, f"{self.slot}_obj"
        call = Brief(name, ASK, (prompt,), label=self._brief.label)
        told = await try_turn(context.image, context.cell, call, None, context, Answers())
        self.said = str(told.value)

        def know(root: Root) -> str:
            target, obj = find(root, self._brief.target), find(root, name)
            if target.lookup(self.slot) is None:
                target.set_slot(self.slot, obj)
            return ref_of(obj).oid

        return await context.image.transact(know, note=f"let it know {self.slot}"[:70])


def _agree(one: str, other: str) -> bool:
    """Return whether two judgements say the same: "Cheerful." and "The mood is cheerful"."""
    first, second = (re.findall(r"\w+", said.casefold()) for said in (one, other))
    shorter, longer = sorted((first, second), key=len)
    return bool(shorter) and set(shorter) <= set(longer)


def let_ask(root: Root, target: UvmObject, skill: Skill, persona: str) -> None:
    """Let a method that is installed ask the model of a persona, as long as it is as it is."""
    method = find(root, ref_of(target).oid).slots[skill.selector]
    key = f"{ref_of(target).oid}.{skill.selector}"
    tree_of(root, ASKERS)[key] = {"sha256": method.version.sha256, "persona": persona}
