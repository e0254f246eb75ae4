"""Objects and missions as plain data for people and clients. Reads only."""

from __future__ import annotations

import reprlib
import time
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.choosing import PREVIEW
from bat_os.core.protocol import MAX_FRAME, MAX_ITEMS, Reply, Room, pack
from bat_os.core.values import Counted, to_wire
from bat_os.errors import DamagedError, ExampleWantedError, NotPlainError, TooLargeError
from bat_os.image.history import marks
from bat_os.image.objects import Method, freeze
from bat_os.image.shipped import SHIPPED, library_names
from bat_os.method.text import find_forwarded
from bat_os.natives import table as natives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping

    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Choice
    from bat_os.core.mission import Mission
    from bat_os.core.protocol import Request
    from bat_os.image.catalog import Passage
    from bat_os.image.missions import Record
    from bat_os.image.objects import UvmObject
    from bat_os.kernel.turn import Answer

# What the envelope takes of a frame, at most.
_ENVELOPE: Final = 4096
MANY: Final = 20  # methods; a provenance has some ten thousand bytes
MAX_CUT: Final = 50  # parts that a reply names because they do not fit into it
_CUT_TEXT: Final = 200  # characters that it says of one, per field
_CUT: Final = 4 * 4 * _CUT_TEXT  # bytes of one, at most
_LEVEL: Final = 3  # where the parts of an object lie in a reply
_BRIEFLY: Final = reprlib.Repr()


def objects(root: MutableMapping[str, Any]) -> list[dict[str, Any]]:
    """Return one map per root object: name, parents, how many slots, own selectors."""
    shipped = library_names(root)
    return [
        _summary(obj) | ({"library": True} if obj.name in shipped else {})
        for obj in root["objects"].values()
    ]


def inspect(obj: UvmObject, selector: str = "") -> dict[str, Any]:
    """Return an object's own slots and methods, and what it inherits.

    If there are many methods, each comes without its provenance: all of it would not
    fit into a message. ``selector`` limits methods and slots to that name.

    Whatever an object holds, it can be shown: what does not fit is cut, and ``cut`` says so.
    """
    own = {n: m for n, m in obj.slots.items() if isinstance(m, Method)}
    wanted = {n: m for n, m in own.items() if selector in ("", n)}
    inherited = {
        name: holder.name
        for holder in list(obj.lineage())[1:]
        for name in holder.slots
        if name not in obj.slots and (not selector or name == selector)
    }
    held = {n: v for n, v in obj.slots.items() if n not in own and selector in ("", n)}
    page = _Page(_summary(obj))
    page.add("methods", wanted, lambda m: _method(m, whole=len(wanted) <= MANY),
             lambda m: _method(m, whole=False))  # fmt: skip
    page.add("slots", held, lambda value: to_wire(freeze(value)))
    page.add("inherited", inherited, lambda name: name)
    return page.body()


class _Page:
    """An object as one reply: what does not fit into a message is named instead."""

    def __init__(self, summary: dict[str, Any]) -> None:
        self._body = summary
        self._room = Room(MAX_FRAME - 2 * _ENVELOPE - MAX_CUT * _CUT, MAX_ITEMS - 1000)
        self._cut: list[dict[str, str]] = []
        self._left = 0
        for field in ("selectors", "tainted", "failing", "parents"):
            self._shorten(field)

    def add(self, part: str, held: Mapping[str, Any], *ways: Callable[[Any], Any]) -> None:
        """Show what is held by name, each in the first of the ways in which it fits."""
        shown: dict[str, Any] = {}
        for name, value in held.items():
            why = ""
            for show in ways:
                try:
                    self._room.take({name: (form := show(value))}, _LEVEL)
                except (TooLargeError, NotPlainError) as error:
                    why = str(error)
                else:
                    shown[name] = form
                    break
            if name not in shown:
                self._leave_out(part, name, value, why)
        self._body[part] = shown

    def body(self) -> dict[str, Any]:
        """Return the body of the reply; ``cut`` and ``left_out`` only if something is missing."""
        cut = {"cut": self._cut, "left_out": self._left} if self._left else {}
        return self._body | cut

    def _shorten(self, field: str) -> None:
        kept = []
        for name in self._body[field]:
            try:
                self._room.take(name, _LEVEL)
            except TooLargeError as error:
                self._leave_out(field, name, name, str(error))
            else:
                kept.append(name)
        self._body[field] = kept

    def _leave_out(self, part: str, name: str, value: Any, why: str) -> None:
        self._left += 1
        if len(self._cut) < MAX_CUT:
            begins = "" if isinstance(value, Method) else _BRIEFLY.repr(value)
            said = {"part": part, "name": name[:100], "why": why, "begins": begins}
            self._cut.append({key: _carried(text[:_CUT_TEXT]) for key, text in said.items()})


def _carried(text: str) -> str:
    """Return a text with what UTF-8 cannot carry replaced."""
    return text.encode("utf-8", "replace").decode()


def skill(root: Mapping[str, Any], hit: Passage) -> dict[str, Any]:
    """Return a learned method that a search found, or {} where it is unlearned by now.

    Of another name of a method, that method, with what the other name was learned for.
    """
    meta = root["knowledge_catalog"].meta(hit.doc_id)
    holder = root["objects"].get(meta.get("object", ""))
    method = holder.slots.get(meta["selector"]) if holder is not None else None
    if not isinstance(method, Method) or method.current < 0:
        return {}
    try:
        status, source = method.status, method.version.source
    except DamagedError:
        return {}
    selector = find_forwarded(source, method.selector) or method.selector
    if holder.lookup(selector) is None:
        return {}
    return {
        "object": meta["object"],
        "selector": selector,
        "wish": hit.wish,
        "signature": hit.signature,
        "status": status,
        "similarity": round(hit.similarity, 4),
    }


def check_readable(value: Any) -> None:
    """Raise if some client could not read ``value``, four levels down in a reply."""
    _check_fits(to_wire(value))


def _check_fits(value: Any) -> None:
    try:
        packed = pack({"": {"": {"": {"": value}}}})
    except TooLargeError as error:
        raise TooLargeError(f"the answer does not fit into a message: {error}") from error
    if len(packed) > MAX_FRAME - _ENVELOPE:
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
        "model_calls": 0,
        "tokens": 0,
    }
    body |= asked(brief) | about
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
    return [{k: v[k] for k in ("draft", "problem", "preview", "agree")} for v in verdicts]


def ask_example(brief: Brief, choice: Choice) -> ExampleWantedError:
    """Return the question for an example, with the different answers to choose from."""
    choices: list[dict[str, Any]] = [
        {"result": rival.value, "shown": rival.preview, "source": rival.source,
         "agree": rival.agree}
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


def _summary(obj: UvmObject) -> dict[str, Any]:
    own = [n for n, m in obj.slots.items() if isinstance(m, Method) and m.is_understood]
    noted = {n: marks.flags(obj.slots[n]) for n in own}
    return {
        "name": obj.name,
        "oid": obj._p_oid.hex(),
        "parents": [parent.name for parent in obj.parents],
        "slots": len(obj.slots) - len(own),
        "selectors": sorted(own),
        "tainted": sorted(n for n in own if "tainted" in noted[n]),
        "failing": sorted(n for n in own if "failing" in noted[n]),
    }


def _method(method: Method, *, whole: bool) -> dict[str, Any]:
    if method.primitive and method.current < 0:
        if "." in method.primitive:
            return {"status": SHIPPED} | natives.describe(method.primitive)
        return {"status": "primitive"}
    noted = marks.flags(method)
    if not method.is_understood:
        status = "waiting" if "waiting" in noted else "unlearned"
        return {"status": status, "versions": len(method.versions)} | noted
    try:
        version = method.version
    except DamagedError as error:  # the others can still be shown
        return {"status": "damaged", "versions": len(method.versions), "problem": str(error)}
    facts = {
        "status": method.status,
        "version": version.number,
        "versions": len(method.versions),
        "source": version.source,
        "sha256": version.sha256,
    } | noted
    return facts | ({"provenance": to_wire(version.provenance)} if whole else {})
