"""Leave to send what was read: which grants had a say in a sentence, and the question for a flow.

    "write that to ~/out/a.txt"  >  the last answer was read from ~/notes  >  once, always, no?

A sentence that refers to the last answer has its label; so has all that is done for it. The label
goes with the request, which no client can set.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.answer import Answer
from bat_os.core.printable import show_on_one_line
from bat_os.core.schema import replace as with_fields
from bat_os.sentence.texts import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bat_os.core.brief import Brief
    from bat_os.core.protocol import Request
    from bat_os.errors import GrantWantedError
    from bat_os.kernel.say.heard import Heard

ONCE, ALWAYS, NO = "once", "always", "no"
WAYS: Final = (ONCE, ALWAYS, NO)
LABEL: Final = "label"  # in the body of a request: what had a say in it
LET_THROUGH: Final = "let_through"  # what is allowed for this request: ``Brief.once``


def label_of(last: Mapping[str, Any]) -> set[str]:
    """Return the oids of the grants that had a say in an answer, as it is kept."""
    label = {*last.get(LABEL, ()), *(last.get("brief") or {}).get(LABEL, ())}
    return label.union(*(str(one.get(LABEL, "")).split() for one in last.get("sources", ())))


def mark(heard: Heard, label: Iterable[str]) -> Heard:
    """Return a sentence in which more grants had a say."""
    whole = {*label, *heard.request.body.get(LABEL, ())}
    if not whole:
        return heard
    body = {**heard.request.body, LABEL: tuple(sorted(whole))}
    return replace(heard, request=with_fields(heard.request, body=body))


def labelled(request: Request, brief: Brief) -> Brief:
    """Return a brief with the label of the request that it is for, and what its caller may."""
    label = {*brief.label, *request.body.get(LABEL, ())}
    once = request.body.get(LET_THROUGH, ())
    if not label and not once and brief.may == request.may:
        return brief
    once = (*brief.once, *once)
    return replace(brief, label=tuple(sorted(label)), once=once, may=request.may)


def ask_leave(heard: Heard, wanted: GrantWantedError) -> Answer:
    """Return the question whether something may be sent."""
    flow, language = wanted.details["flow"], heard.language
    asked = text(language, "flows.ask", read=flow["read"], sent=flow["sent"])
    choices = tuple(text(language, f"flows.{way}") for way in WAYS)
    return Answer(
        "asked", asked, needs="grant", choices=choices, language=language,
        memory={"flow": dict(flow), "before": dict(heard.conversation.last)},
    )  # fmt: skip


def ask_for_mission(
    brief: Brief, body: Mapping[str, Any], language: str, *, model_calls: int
) -> Answer:
    """Return the question that a mission ended with, which waits for the answer to it."""
    details = body["details"]
    if flow := details.get("flow"):
        asked = text(language, "flows.ask", read=flow["read"], sent=flow["sent"])
    elif effect := details.get("effect"):
        asked = text(language, "tools.ask_effect", what=effect["text"])
    else:
        what = show_on_one_line(details.get("scope") or details["driver"])
        asked = text(language, "files.ask", what=what)
    ways = tuple(details.get("ways") or (WAYS if flow or details.get("scope") else (NO,)))
    if "effect" in details:
        ways = (ONCE, NO)
    return Answer(
        "asked", asked, needs="grant",
        choices=tuple(text(language, f"flows.{way}") for way in ways), language=language,
        model_calls=model_calls,
        memory={"waits_for": body["brief_id"], "ways": list(ways), "brief": brief.to_plain()},
    )  # fmt: skip
