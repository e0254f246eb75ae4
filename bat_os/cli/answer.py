"""What ``say`` answered, as a person or a program reads it. Pure: a body in, lines out.

kind       standard output                         standard error
computed   the value                               percent_of(17, 340), 12 ms
recalled   the statement                           from: ...
acted      what was done                           undo: ...
said       the text                                a model's own words, unchecked
guess      the text, with the word "guess"         what to say to it
asked      the question, its choices by number     how to answer
unable     what is missing, what is similar
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.readable import show_date, to_json
from bat_os.sentence.wording import read_wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

EXIT_ASKED: Final = 4
EXIT_UNABLE: Final = 5
STATUSES: Final[Mapping[str, int]] = {"asked": EXIT_ASKED, "unable": EXIT_UNABLE}
# What ``--json`` prints, in this order.
FIELDS: Final = ("kind", "text", "value", "reading", "needs", "choices", "sources", "undo",
                 "learned", "seconds", "model_calls", "language")  # fmt: skip
_IN_WORDS: Final = ("example", "clarification", "confirmation")  # what a sentence can settle
LONGEST: Final = 300  # characters of a source that are shown
_SAID: Final = "a model's own words; nobody has checked them"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer is shown, and so what can be said next there; "" for nothing."""

    choose: str
    confirm: str
    undo: str = ""  # with {undo}, the sentence
    agree: str = ""  # to a question for a yes or a no; as ``choose`` without it


ALONE: Final = Place(
    "to answer it, ask with --session NAME, then again with that name and your answer",
    "not confirmed: to say yes, or no and the right answer, ask with --session NAME",
)
IN_CHAT: Final = Place(
    'say a number, or what you mean; "no" drops it',
    'say "yes", or "no, 57.8" with the right answer',
    'to take it back: "{undo}"',
    'say "yes" or "no"',
)


def place_of(session: str) -> Place:
    """Return where the answer to a single sentence is shown, in a conversation of that name."""
    again = f"--session {session}"
    return Place(
        f'answer with {again} "1", or in words',
        f'confirm with {again} "yes", or correct it with {again} "no, 57.8"',
        f'to take it back: {again} "{{undo}}"',
        f'answer with {again} "yes" or "no"',
    )


def status_of(body: Mapping[str, Any]) -> int:
    """Return the exit status of an answer: 0 unless it asks or could not."""
    return STATUSES.get(str(body.get("kind", "")), 0)


def as_line(body: Mapping[str, Any]) -> str:
    """Return an answer as one line of JSON: the fields that programs can rely on."""
    return to_json({name: body.get(name) for name in FIELDS})


def show_origin(body: Mapping[str, Any], say: Callable[[str], str]) -> str:
    """Return how an answer came about, on one line: its reading, what it took, and how long."""
    calls = int(body.get("model_calls", 0))
    parts = [str(body.get("reading") or ""), say("learned now") if body.get("learned") else ""]
    parts += [say(f"{calls} model call{'s' if calls > 1 else ''}")] if calls else []
    return ", ".join([*filter(None, parts), show_seconds(float(body.get("seconds", 0)))])


def show_seconds(seconds: float) -> str:
    """Return a duration in a form that is short and exact enough.

    >>> show_seconds(0.0124), show_seconds(2.34), show_seconds(75)
    ('12 ms', '2.3 s', '1 min 15 s')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def notes_on(body: Mapping[str, Any], place: Place = ALONE) -> Iterator[str]:
    """Yield the lines beside an answer: how it came about, its sources, what can be said next.

    They have the language of the answer.
    """
    language = str(body.get("language") or "")
    say = read_wording(language).translate
    kind = body.get("kind")
    if body.get("reading") or body.get("learned") or body.get("model_calls"):
        yield show_origin(body, say)
    if kind == "said" and body.get("model_calls"):  # small talk is the program's
        yield say(_SAID)
    shown = str(body.get("text"))
    for source in body.get("sources", ()):
        text = str(source.get("text") or "")
        if not text or text not in shown:
            yield _show_source(source, language)
    if (undo := body.get("undo")) and place.undo:
        yield say(place.undo).format(undo=undo)
    if kind == "guess":
        yield say(place.confirm)
    elif body.get("choices") or body.get("needs") in _IN_WORDS:
        agrees = body.get("needs") == "confirmation" and not body.get("choices")
        yield say((agrees and place.agree) or place.choose)
    if news := body.get("news"):
        yield str(news)


def _show_source(source: Mapping[str, Any], language: str) -> str:
    title, text = str(source.get("title") or ""), " ".join(str(source.get("text") or "").split())
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    when = f", {_when(source, language)}" if source.get("at") else ""
    say = read_wording(language).translate
    told = say("you said") if source.get("kind") == "fact" else say("from")
    named = " ".join(filter(None, (told, title)))
    return f"{named}{when}: {text}" if text else f"{named}{when}"


def _when(source: Mapping[str, Any], language: str) -> str:
    import datetime as dt  # only sources have a time

    moment = dt.datetime.fromtimestamp(float(source["at"]), dt.UTC).astimezone()
    clock = f", {moment:%H:%M}" if source.get("kind") == "page" else ""
    return show_date(moment.date(), language) + clock
