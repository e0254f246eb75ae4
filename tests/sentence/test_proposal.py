"""bat_os.sentence.proposal: a model's reading, and what is believed of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.engines.scripted import ScriptedEngine
from bat_os.sentence.proposal import (
    choose_reading,
    find_misreading,
    is_supported,
    propose,
    read_proposal,
)
from bat_os.sentence.translate import translate

SENTENCE = "reverse hello"
WISH = translate(SENTENCE)


def reading(text):
    return read_proposal(text, WISH)


def test_plain_sentences_leave_no_doubt():
    for sentence in ("calculate the factorial of 5", "flip a coin", "greet 'Ann'", "hello"):
        assert find_misreading(translate(sentence)) == ""


@pytest.mark.parametrize("sentence", [SENTENCE, "计算阶乘", "who are you?"])
def test_what_rules_may_misread_is_in_doubt(sentence):
    assert find_misreading(translate(sentence))


def test_a_reading_that_the_sentence_supports_wins_in_doubt():
    model = reading('{"selector": "reverse", "args": ["hello"]}')
    assert choose_reading(WISH, model, SENTENCE) == (model, "model")


@pytest.mark.parametrize(
    "text",
    [
        '{"selector": "reverse", "args": ["world"]}',
        '{"selector": "reverse_text", "args": ["hello"]}',
        '{"selector": "reverse_hello", "args": ["hello"]}',
        '{"selector": "reverse", "args": ["hello", 5]}',
    ],
)
def test_a_reading_with_words_or_values_of_its_own_does_not_count(text):
    assert choose_reading(WISH, reading(text), SENTENCE) == (WISH, "rules")


def test_a_reading_that_loses_a_value_does_not_count():
    sentence = "please my 5 and 6 add"
    model = read_proposal('{"selector": "add", "args": [5]}', translate(sentence))
    assert not is_supported(model, sentence)


def test_sure_rules_are_not_overruled():
    wish = translate("flip a coin")
    model = read_proposal('{"selector": "flip", "args": ["coin"]}', wish)
    assert choose_reading(wish, model, "flip a coin") == (wish, "rules")


def test_two_readings_that_agree_are_both():
    model = reading('{"selector": "reverse_hello", "args": []}')
    assert choose_reading(WISH, model, SENTENCE) == (WISH, "both")


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "{}", '{"selector": "class", "args": []}',
     '{"selector": "_p_oid", "args": []}', '{"selector": "a", "args": {}}', "[" * 9000],
)  # fmt: skip
def test_what_is_no_reading_is_left_out(text):
    assert reading(text) is None


@given(st.text(max_size=60), st.text(max_size=40))
def test_any_text_of_a_model_is_a_reading_or_nothing(text, sentence):
    model = reading(text)
    assert choose_reading(WISH, model, sentence)[1] in ("rules", "model", "both")


async def test_the_model_is_asked_under_a_schema():
    asked = []

    def answer(prompt, sampling, _index):
        asked.append((prompt.messages[-1], sampling.schema["required"]))
        return '{"selector": "reverse", "args": ["hello"]}'

    model = await propose(ScriptedEngine(answer), SENTENCE, WISH)
    assert (model.selector, model.args) == ("reverse", ["hello"])
    assert asked == [(("user", SENTENCE), ["selector", "args"])]
