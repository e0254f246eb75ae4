"""bat_os.cli.answer: each kind of answer as a person and as a program read it."""

import json

import pytest

from bat_os.cli.answer import IN_CHAT, as_line, notes_on, place_of, show_seconds, status_of
from bat_os.core.answer import KINDS, Answer, show_answer


def body_of(kind, seconds=0.012, **more):
    return Answer(kind=kind, **{"text": "", **more}).as_body(seconds)


def notes(body, *place):
    return "\n".join(notes_on(body, *place))


def test_a_computed_value_is_shown_in_the_language_of_the_sentence():
    body = body_of("computed", value=57.8, reading="percent_of(17, 340)", language="de")
    assert show_answer(body) == "57,8"
    assert notes(body) == "percent_of(17, 340), 12 ms"


@pytest.mark.parametrize(
    ("language", "text", "shown"),
    [
        ("en", "I think 5; is that right?", "I think 5; is that right? (guess)"),
        ("de", "Ich denke 5.", "Ich denke 5. (Vermutung)"),
        ("en", "My guess is 5.", "My guess is 5."),
        ("xx", "5", "5 (guess)"),
    ],
)
def test_a_guess_never_stands_without_its_mark(language, text, shown):
    assert show_answer(body_of("guess", text=text, value=5, language=language)) == shown


def test_a_guess_without_text_has_the_mark_too():
    body = body_of("guess", value=5)
    assert show_answer(body) == "5 (guess)"
    assert 'say "yes", or "no, 57.8"' in notes(body, IN_CHAT)


@pytest.mark.parametrize("kind", ["asked", "unable"])
def test_choices_are_numbered(kind):
    body = body_of(kind, text="Which?", choices=("double 5", "treble 5"))
    assert show_answer(body) == "Which?\n  1  double 5\n  2  treble 5"
    assert "a number" in notes(body, IN_CHAT)
    assert '--session a "1"' in notes(body, place_of("a"))
    assert "--session NAME" in notes(body)


def test_a_question_for_a_yes_says_what_answers_it():
    body = body_of("asked", text="Shall I?", needs="confirmation")
    assert notes(body, IN_CHAT) == 'say "yes" or "no"'
    assert '--session a "yes" or "no"' in notes(body, place_of("a"))
    assert "--session NAME" in notes(body)


def test_a_models_own_words_are_marked_by_words():
    assert "nobody has checked" in notes(body_of("said", text="A poem.", model_calls=1))


def test_sources_say_who_said_it_and_when():
    fact = {"kind": "fact", "title": "", "text": "my sister's birthday is 3 May", "at": 86400 * 1.5}
    page = {"kind": "document", "title": "Bats", "text": "Bats  sleep\nby day. " * 40}
    told = notes(body_of("recalled", text="3 May", sources=(fact, page))).splitlines()
    assert told[0] == "you said, 2 January 1970: my sister's birthday is 3 May"
    assert told[1].startswith("from Bats: Bats sleep by day.")
    assert len(told[1]) < 330
    assert notes(body_of("recalled", text=f'You said: "{fact["text"]}"', sources=(fact,))) == ""


def test_what_takes_it_back_is_a_sentence():
    body = body_of("acted", text="Added milk.", undo="undo that")
    assert 'to take it back: "undo that"' in notes(body, IN_CHAT)
    assert '--session a "undo that"' in notes(body, place_of("a"))
    assert "undo" not in notes(body), "without a conversation nothing can be referred to"


def test_the_exit_status_is_by_kind():
    assert [status_of(body_of(kind)) for kind in KINDS] == [0, 0, 0, 0, 0, 4, 5]


def test_a_program_gets_the_documented_fields_on_one_line():
    body = body_of("guess", text="a\nb", value=b"\x01", choices=("x",))
    line = as_line(body)
    assert "\n" not in line
    told = json.loads(line)
    assert list(told) == ["kind", "text", "value", "reading", "needs", "choices", "sources", "undo",
                          "learned", "seconds", "model_calls", "language"]  # fmt: skip
    assert (told["kind"], told["value"], told["choices"]) == ("guess", "01", ["x"])


def test_seconds_are_short():
    assert [show_seconds(s) for s in (0.0004, 59.94, 90)] == ["0 ms", "59.9 s", "1 min 30 s"]
