"""The two-frame form of a client without a translator: its sentence is answered as ``say`` does.

Such a client makes the selector of the whole sentence and sends the sentence as ``kwargs.intent``.
A method of that name would serve nobody, and a question needs no method at all.

    {"selector": "what_is_17%_of_340?", "kwargs": {"intent": "What is 17% of 340?"}}
        > say "What is 17% of 340?" > {"status": "success", "result": 57.8, "kind": "computed", ...}

A translator that finds no value in a sentence names what is missing, ``"args": ["number"]``. The
method is tried with a number then.

A client of this form knows results and errors only. So a question back is an error with the code of
what is needed, and its message is the question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.core.protocol import Reply, Request
from bat_os.core.schema import replace
from bat_os.core.two_frames import is_whole_sentence
from bat_os.core.values import to_wire
from bat_os.core.verbs import check
from bat_os.sentence.translate import sample_of

if TYPE_CHECKING:
    from collections.abc import Mapping

# By what an answer needs: the code that a client of this form gets instead of a result.
_CODES: Final = {
    "grant": "GRANT_WANTED",
    "example": "EXAMPLE_WANTED",
    "confirmation": "APPROVAL_WANTED",
    "model": "MODEL_UNAVAILABLE",
}


def read_sentence_of(request: Request) -> Request | None:
    """Return the ``say`` request that a brief of this form means, or None."""
    intent = request.body.get("text", "") if request.plain else ""
    if not intent or not is_whole_sentence(request.selector, intent):
        return None
    return check(
        Request(
            "say",
            session=request.session,
            key=request.key,
            body={"text": intent},
            caller=request.caller,
            size=request.size,
        )
    )


def with_values(request: Request) -> Request:
    """Return a brief of this form with a value for each argument that only names a kind of value.

    >>> with_values(Request("brief", args=("number", "Ann"), plain=True)).args
    (5, 'Ann')
    """
    if not request.plain:
        return request
    samples = (sample_of(given) if type(given) is str else None for given in request.args)
    args = tuple(
        given if sample is None or type(sample) is str else sample
        for given, sample in zip(request.args, samples, strict=True)
    )
    return replace(request, args=args)


def answer_plainly(request: Request, body: Mapping[str, Any]) -> Reply:
    """Return what ``say`` has answered, in the two-frame form."""
    if body["kind"] not in ("asked", "unable"):
        said = {"status": "success", "message": body["text"], "result": body["value"]}
        if said["result"] is None:
            said["result"] = body["text"]
        return Reply("result", request.id, to_wire({**body, **said}), plain=True)
    code = _CODES.get(body["needs"], "NOT_UNDERSTOOD")
    details = {name: body[name] for name in ("kind", "needs", "choices", "reading")}
    error = {"code": code, "message": body["text"], "retryable": False, "details": details}
    answer = {"status": "error", "message": body["text"], "error": error}
    return Reply("error", request.id, to_wire(answer), plain=True)
