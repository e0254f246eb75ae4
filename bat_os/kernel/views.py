"""Objects and missions as plain data for people and clients. Reads only."""

from __future__ import annotations

import reprlib
import time
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.choosing import PREVIEW
from bat_os.core.protocol import MAX_FRAME, Reply, pack
from bat_os.core.values import Counted, to_wire
from bat_os.errors import ExampleWantedError, TooLargeError
from bat_os.kernel.effects.wants import sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Choice, Verdict
    from bat_os.core.mission import Mission
    from bat_os.core.protocol import Request
    from bat_os.image.missions import Record
    from bat_os.kernel.turn import Answer

# What the envelope takes of a frame, at most.
ENVELOPE: Final = 4096
MANY: Final = 20  # methods; a provenance has some ten thousand bytes
MAX_CUT: Final = 50  # parts that a reply names because they do not fit into it
_CUT_TEXT: Final = 200  # characters that it says of one, per field
_CUT: Final = 4 * 4 * _CUT_TEXT  # bytes of one, at most
_LEVEL: Final = 3  # where the parts of an object lie in a reply
_BRIEFLY: Final = reprlib.Repr()


def check_readable(value: Any) -> None:
    """Raise if some client could not read ``value``, four levels down in a reply."""
    _check_fits(to_wire(value))


def _check_fits(value: Any) -> None:
    try:
        packed = pack({"": {"": {"": {"": value}}}})
    except TooLargeError as error:
        raise TooLargeError(f"the answer does not fit into a message: {error}") from error
    if len(packed) > MAX_FRAME - ENVELOPE:
        raise TooLargeError(f"the answer has {len(packed)} bytes; that is too much for a message")


def result(brief: Brief, answer: Answer, **about: Any) -> dict[str, Any]:
    """Return the body of a ``result``: the answer, what was asked, and ``about``.

    Raises:
        TooLargeError: No client could read it; to be noticed before a commit.
        NotPlainError: The same.
    """
    body = {
        "result": to_wire(answer.value),
        "printed": answer.printed,
        "status": answer.status,
        "learned": False,
        "model_calls": len(answer.drawn),
        "tokens": sum(answer.drawn),
    }
    if answer.effects:
        body["effects"] = list(answer.effects)
    body |= asked(brief) | about
    if answer.label:
        body["label"] = sorted(answer.label)
    _check_fits(body)
    return body


def facts(record: Record, mission: Mission) -> dict[str, Any]:
    """Return what every last reply to a brief tells about its mission."""
    return asked(mission.brief) | {
        "brief_id": record.id,
        "model_calls": mission.model_calls,
        "tokens": mission.tokens,
        "seconds": max(0.0, round(time.time() - record.accepted, 3)),  # clocks jump back
    }


def asked(brief: Brief) -> dict[str, Any]:
    """Return the message that a reply answers."""
    return {
        "target": brief.target,
        "selector": brief.selector,
        "args": list(brief.args),
        "kwargs": dict(brief.kwargs),
    }


def mission(record: Record) -> dict[str, Any]:
    """Return the state of a mission, and its answer once there is one."""
    done = record.mission
    return {
        "brief_id": record.id,
        "state": str(done.state),
        "seq": len(done.events),
        "target": done.brief.target,
        "selector": done.brief.selector,
        "accepted": record.accepted,
        "attempts": record.attempts,
        "model_calls": done.model_calls,
        "tokens": done.tokens,
        "answer": record.answer,
    }


def table(verdicts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what people want to know of each candidate."""
    return [
        {k: v[k] for k in ("draft", "problem", "preview", "agree")}
        | ({"effects": sentence(v["effects"])} if v.get("effects") else {})
        for v in verdicts
    ]


def ask_example(brief: Brief, choice: Choice) -> ExampleWantedError:
    """Return the question for an example, with the different answers to choose from."""
    any_does = any(rival.effects for rival in choice.rivals)
    choices: list[dict[str, Any]] = [
        {"result": rival.value, "shown": _shown(rival) if any_does else rival.preview,
         "source": rival.source,
         "agree": rival.agree, **({"effects": [*rival.effects]} if any_does else {})}
        for rival in choice.rivals
    ]  # fmt: skip
    shown = " or ".join(choice["shown"] for choice in choices)
    call = f"{brief.selector}({', '.join(map(repr, brief.args))})"[:PREVIEW]
    return ExampleWantedError(
        f"{choice.reason}; nothing was installed. "
        f"Is {call} {shown}? Give one example and ask again",
        choices=choices,
        candidates=table(v.to_plain() for v in choice.verdicts),
    )


def _shown(rival: Verdict) -> str:
    return f"{rival.preview} (and it {sentence(rival.effects) or 'does nothing outside'})"


def progress(line: str) -> dict[str, Any]:
    """Return the body of an event about long work: the line, and how far it has come."""
    count = {"done": line.done, "total": line.total} if isinstance(line, Counted) else {}
    return {"text": str(line)} | count


def final_reply(request: Request, answer: Mapping[str, Any]) -> Reply:
    """Return the last reply to a brief, in the form in which it was asked."""
    body = dict(answer["body"])
    if request.plain and answer["type"] == "error":
        body = {"status": "error", "message": body["message"], "error": body}
    elif request.plain:
        message = f"{body['target']}.{body['selector']} answered"
        body |= {"status": "success", "message": message, "method_status": body["status"]}
    return Reply(answer["type"], request.id, body, plain=request.plain)
