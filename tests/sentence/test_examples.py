"""Sentences that carry their own example: what is read out of them, and what is left alone."""

import json
from pathlib import Path

import pytest

from bat_os.sentence.examples import example_languages, name_operations, take_examples
from bat_os.sentence.grammar import read_numbers
from bat_os.sentence.tokens import scan

CASES = Path(__file__).parents[1] / "cases"


def read(sentence, language="en"):
    return take_examples(read_numbers(list(scan(sentence))), language)


@pytest.mark.parametrize(
    ("sentence", "language", "wish", "examples", "given"),
    [
        ("pad a number, e.g. 42 gives '00042'; 7?", "en", "pad a number", [([42], "00042")], [7]),
        (
            "if 3 becomes 9 and 4 becomes 16, what does 5 become?",
            "en", "", [([3], 9), ([4], 16)], [5],
        ),
        ("cat -> tac, dog -> ?", "en", "", [(["cat"], "tac")], ["dog"]),
        ("like 'ann' to 'Ann!'; now 'bob'", "en", "", [(["ann"], "Ann!")], ["bob"]),
        ("'hello' : 'h-e-l-l-o', 'cat' : ?", "en", "", [(["hello"], "h-e-l-l-o")], ["cat"]),
        ("square it: 5 = 25, 7 = 49. what about 12?", "en", "square it",
         [([5], 25), ([7], 49)], [12]),
        ("(2, 3) -> 6, (4, 5) -> 20, (6, 7) -> ?", "en", "", [([2, 3], 6), ([4, 5], 20)], [6, 7]),
        ("f(3) = 9, f(4) = 16, f(6) = ?", "en", "", [([3], 9), ([4], 16)], [6]),
        ("make it plural like cat becomes cats. what about dog", "en", "make it plural",
         [(["cat"], "cats")], ["dog"]),
        ("is it even? 4 gives true, 5 gives no, 10?", "en", "is it even",
         [([4], True), ([5], False)], [10]),
        ("aus 'x' wird 'xx', aus 'ab' wird?", "de", "", [(["x"], "xx")], ["ab"]),
        ("wenn 2 gleich 10 ist und 3 gleich 15 ist, was ist dann 6?", "de", "",
         [([2], 10), ([3], 15)], [6]),
        ("mets-le à l'envers, p. ex. 'chat' devient 'tahc'. Et 'chien' ?", "fr",
         "mets-le à l'envers", [(["chat"], "tahc")], ["chien"]),
        ("si 3 se convierte en 9 y 4 en 16, ¿en qué se convierte 5?", "es", "",
         [([3], 9), ([4], 16)], [5]),
        ("Put it in quotes. Example: hello gives \"hello\". Now: world", "en", "Put it in quotes",
         [(["hello"], '"hello"')], ["world"]),
        ("pad it to 5 digits, 42 gives '00042'; 7?", "en", "pad it to 5 digits",
         [([42], "00042")], [7]),
        ("wobble 'ab' with 3, e.g. wobble 'cd' with 2 gives 'c-d-2!'", "en", "wobble 'ab' with 3",
         [(["cd", 2], "c-d-2!")], None),
        ("double the number 21, e.g. double 4 gives 8, and double 5 gives 10", "en",
         "double the number 21", [([4], 8), ([5], 10)], None),
        ("add 3 to 5, e.g. 2 to 4 gives 6", "en", "add 3 to 5", [([2, 4], 6)], None),
        ("fill with '0' to 5 characters, e.g. 42 gives 'x42x0'", "en",
         "fill with '0' to 5 characters", [([42], "x42x0")], None),
    ],
)  # fmt: skip
def test_examples_and_what_is_asked_about_are_read(sentence, language, wish, examples, given):
    shown = read(sentence, language)
    assert " ".join(token.text for token in shown.wish) == wish
    assert [(one["args"], one["result"]) for one in shown.examples] == examples
    assert shown.given == given


@pytest.mark.parametrize(
    "sentence",
    [
        "change 'a' to 'b' in 'banana'",
        "is 4 + 5 = 9 and 3 + 3 = 6?",
        "how long is it from 9:00 to 17:00, minus 30 minutes?",
        "count from 1 to 10, 3 times",
        "I weigh 70 and my height is 180, what is my bmi",
        "Anna is 12 and Ben is 15. How old is Tom if he is 3 older?",
        "1 euro is 1.1 dollars, how much is 5 euros?",
        "set x to 5 and y to 7",
        "love is blind, what about friendship?",
        "what is the average of 3, 4 and 5?",
        "what comes next week?",
        "4 gives 8",
        "",
    ],
)
def test_other_sentences_tell_no_example(sentence):
    assert read(sentence) is None


@pytest.mark.parametrize(
    ("sentence", "language", "terms"),
    [
        ("what comes next: 2 4 6 8", "en", (2, 4, 6, 8)),
        ("5 10 15 20 ?", "en", (5, 10, 15, 20)),
        ("what is the next number in [1, 1, 2, 3]", "en", (1, 1, 2, 3)),
        ("wie geht es weiter: 2, 4, 6", "de", (2, 4, 6)),
        ("2 4 6 8 ... la suite ?", "fr", (2, 4, 6, 8)),
        ("¿qué número sigue? 2, 4, 8", "es", (2, 4, 8)),
    ],
)
def test_a_sequence_is_read(sentence, language, terms):
    assert read(sentence, language).sequence == terms


def test_words_of_a_wish_name_operations():
    assert "double" in name_operations("doubling a number")
    assert "double" in name_operations("verdopple eine Zahl")
    assert name_operations("frobnicate it") == frozenset()


def test_every_case_is_read_in_its_language():
    cases = [json.loads(line) for line in (CASES / "by_example.jsonl").read_text().splitlines()]
    assert {case["language"] for case in cases} == set(example_languages())
    said = [(case["turns"][0]["say"], case["language"]) for case in cases]
    unread = [say for say, language in said if read(say, language) is None]
    assert len(unread) <= len(cases) // 20, unread


def test_marks_and_links_without_end_are_read_in_time():
    for part in ("gives ", "-> ", "'a' -> ", "e.g. 1 gives ", ", ? : = ( ", "if and to "):
        read(part * 200)
