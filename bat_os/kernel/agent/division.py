"""Personas divide the work of a request that takes steps, as ``state_acting_obj`` says.

    plans    BRICK    takes the request apart                       a remark for the others
    gathers  BABS     takes steps, as far as she may, and finds     a remark
    writes   ALFRED   may take steps, too, and answers              the draft
    checks   ROBIN    does it serve who asks?                       once no: ALFRED writes again

What each of them said is a step of the mission, so it is stored, shown and known after a kill. The
cognitive state packet is made of these; those who come after see it. Who reads what was read needs
leave for that, each persona its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal
from bat_os.core.packet import (
    CognitiveStatePacket,
    Stage,
    ask_whether_it_serves,
    read_whether_it_serves,
    serves_schema,
)
from bat_os.core.prompts import Prompt
from bat_os.core.schema import Record as Form
from bat_os.core.schema import object_schema, parse_json
from bat_os.core.steps import AnswerGiven, ToolChosen
from bat_os.errors import ModelOutputError
from bat_os.kernel.agent.deciding import admit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bat_os.core.brief import Brief
    from bat_os.core.steps import Result, Step
    from bat_os.kernel.context import KernelContext

    Decide = Callable[[str], Awaitable[ToolChosen | AnswerGiven]]  # has a persona decide

PLANS, GATHERS, WRITES, CHECKS = "plans", "gathers", "writes", "checks"
ROLES: Final = (PLANS, GATHERS, WRITES, CHECKS)
CHECKED: Final = 2  # how often an answer is written, at most
PARTS: Final = 4  # of a plan
TOKENS: Final = 200
_SHOWN: Final = 400  # characters of what a persona has said
_ORDER: Final = 'Which parts does it have? Answer as JSON with "plan", a list of up to 4 lines.'


class _Plan(Form, frozen=True, forbid_unknown_fields=False):
    plan: list[str]


class Division:
    """The work of one request, divided."""

    def __init__(
        self,
        context: KernelContext,
        brief: Brief,
        label: Sequence[str],
        steps: Sequence[tuple[Step, Result]],
    ) -> None:
        self._context = context
        self._brief = brief
        self._label = label
        self._who = {role: str(context.cast.entries["acting"][role]) for role in ROLES}
        self._said = [(step["role"], step["by"], result["value"]) for step, result in steps
                      if "role" in step]  # fmt: skip

    @property
    def role(self) -> str:
        """What is to be done next; "" once an answer stands."""
        done = [role for role, _, _ in self._said]
        for role in (PLANS, GATHERS):
            if self._who[role] and role not in done:
                return role
        if WRITES not in done or (done[-1] == CHECKS and not self._serves()):
            return WRITES if done.count(WRITES) < CHECKED else ""
        return CHECKS if self._who[CHECKS] and done[-1] == WRITES else ""

    @property
    def packet(self) -> CognitiveStatePacket:
        """What is known so far."""
        packet = CognitiveStatePacket(goal(self._brief))
        for role, by, value in self._said:
            if role == WRITES:
                packet = replace(packet, draft=repr(value)[:_SHOWN])
            else:
                lines = value if isinstance(value, list) else [value]
                packet = packet.after(Stage(by, tuple(str(one)[:_SHOWN] for one in lines)))
        return packet

    async def decide(self, decide: Decide) -> ToolChosen | AnswerGiven:
        """Return the next step, or the answer.

        Raises:
            GrantWantedError: A persona may not read what was read.
            ModelOutputError: What it said cannot be used.
        """
        role = self.role
        if not role:
            drafts = [(by, value) for said, by, value in self._said if said == WRITES]
            return AnswerGiven({"value": drafts[-1][1], "by": drafts[-1][0]})
        who = self._who[role] or "ALFRED"
        if role in (PLANS, CHECKS):
            return await (self._plan(who) if role == PLANS else self._check(who))
        event = await decide(who)
        if isinstance(event, ToolChosen):
            return event
        spent = {"model_calls": event.model_calls, "tokens": event.tokens}
        return _said(role, who, event.answer["value"], **spent)

    def _serves(self) -> bool:
        _, _, value = self._said[-1]
        return bool(value == "yes")

    async def _plan(self, who: str) -> ToolChosen:
        system = self._context.cast.personas[who].system_prompt
        text = f"Request: {self._brief.text}\n{_ORDER}"
        line = {"type": "string", "minLength": 3, "maxLength": 120}
        schema = object_schema(plan={"type": "array", "items": line, "maxItems": PARTS})
        drawn = await self._draw(who, Prompt((("system", system), ("user", text))), schema)
        plan = parse_json(drawn.text, _Plan, ModelOutputError, f"the plan of {who}").plan[:PARTS]
        return _said(PLANS, who, plan, model_calls=1, tokens=drawn.tokens)

    async def _check(self, who: str) -> ToolChosen:
        limits = self._context.profile.limits
        prompt = ask_whether_it_serves(self._brief, self._context.cast.personas[who], self.packet)
        drawn = await self._draw(who, prompt, serves_schema(limits))
        try:
            stage = read_whether_it_serves(drawn.text, limits)
            remark = "yes" if stage.serves else stage.remarks[0]
        except ModelOutputError:  # a check that cannot be read holds nothing up
            remark = "yes"
        return _said(CHECKS, who, remark, model_calls=1, tokens=drawn.tokens)

    async def _draw(self, who: str, prompt: Prompt, schema: Any) -> Any:
        await admit(self._context, who, self._brief, self._label)
        usual = self._context.cast.assigned[who].sampling
        sampling = replace(usual, temperature=0.0, stop="", max_tokens=TOKENS, schema=schema)
        (drawn,) = await self._context.roster.generate(who, [prompt], sampling)
        return drawn


def _said(role: str, who: str, value: Any, **spent: int) -> ToolChosen:
    """Return what a persona said, as a step that nothing else is done for."""
    step = {
        "tool": f"{who}.{role}", "oid": "", "slot": "", "selector": role, "args": [],
        "changes": False, "role": role, "by": who, "said": value,
    }  # fmt: skip
    return ToolChosen(step, **spent)
