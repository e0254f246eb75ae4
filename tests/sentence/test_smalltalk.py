"""bat_os.sentence.smalltalk: what is answered with a line, and what is a wish."""

import pytest

from bat_os.sentence.smalltalk import EXAMPLE, reply_to


@pytest.mark.parametrize(
    ("sentence", "begins"),
    [
        ("hello", "Hello."),
        ("Hi there!", "Hello."),
        ("  good morning, ALFRED.  ", "Hello."),
        ("hi, how are you?", "Hello."),
        ("What\N{RIGHT SINGLE QUOTATION MARK}s up?", "Hello."),
        ("thanks", "You are welcome."),
        ("Thank you very much!", "You are welcome."),
        ("oh, thanks a lot", "You are welcome."),
        ("ok", "You are welcome."),
        ("ok thanks bye", "You are welcome."),
        ("bye", "Goodbye."),
        ("see you later", "Goodbye."),
        ("good night, BAT OS", "Goodbye."),
        ("help", "Say what you want"),
        ("what can you do?", "Say what you want"),
    ],
)
def test_small_talk_is_answered_in_a_line_with_an_example(sentence, begins):
    reply = reply_to(sentence)
    assert reply.startswith(begins)
    assert reply.endswith(EXAMPLE)
    assert "\n" not in reply


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "?",
        "and",
        "greet",
        "greet 'Ann'",
        "hello()",
        "genesis_obj.hello()",
        "say hello to Ann",
        "hello world",
        "hello, double 21",
        "'hello'",
        "good morning in French",
        "reverse hello",
        "help me sort a list",
        "thank Ann for the book",
        "what can you do with 5",
        "hellö",
        "create a method that says hello",
    ],
)
def test_what_asks_for_something_is_a_wish(sentence):
    assert reply_to(sentence) == ""


def test_a_long_sentence_that_is_nearly_small_talk_is_read_and_is_a_wish():
    for words in ("hi", "oh", "good bye", "how are you", "help me"):
        assert reply_to((f"{words} " * 80)[:78] + "x") == ""
