"""Kinds of sentence that were answered wrongly: dictionaries, filters, tables, orders, itself."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "text",
    ["what's the opposite of 'generous'?", "what is a synonym for 'happy'?",
     "what rhymes with 'cat'?", "was ist das Gegenteil von 'groß'?",
     "quel est le contraire de 'grand' ?", "¿cuál es el contrario de 'grande'?"],
)  # fmt: skip
async def test_a_question_for_a_dictionary_is_no_order_for_the_text(said, text):
    body = await said(text)
    assert (body["kind"], body["learned"]) == ("unable", False)


@pytest.mark.parametrize(
    ("fact", "question", "short"),
    [("my hat is red", "what is my hat?", "red"), ("my son is called Tim", "my son?", "Tim"),
     ("meine Tante hat einen Hund", "was hat meine Tante?", "einen Hund")],
)  # fmt: skip
async def test_a_word_that_is_small_in_another_language_tells_facts_apart(
    said, fact, question, short
):
    await said("remember that my coat is blue")
    assert (await said(question))["kind"] == "unable"
    await said(f"remember that {fact}" if fact.startswith("my") else f"merk dir, dass {fact}")
    body = await said(question)
    assert (body["kind"], body["value"]) == ("recalled", short)


async def test_what_was_said_of_a_word_is_recalled(said):
    await said("remember that the opposite of hot is cold")
    body = await said("what is the opposite of hot?")
    assert body["kind"] == "recalled"
    assert "cold" in body["text"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("which of these are even: 3, 8, 12, 15", [8, 12]),
        ("which of these are prime: 4, 7, 9, 11", [7, 11]),
        ("which of 12, 15 and 20 are divisible by 5?", [15, 20]),
        ("which of these words are palindromes: level, house, radar", ["level", "radar"]),
        ("how many of these are odd: 3, 8, 12", 1),
        ("welche davon sind gerade: 3, 8, 12", [8, 12]),
        ("lesquels sont pairs : 3, 8, 12", [8, 12]),
        ("cuáles son pares: 3, 8, 12", [8, 12]),
        ("name,amount\nrent,700\nfood,250\nwhat is the total?", 950),
        ("apples,3\npears,4\nhow many in total?", 7),
        ("how many characters are in 👩‍👩‍👧?", 1),
        ("how many characters are in 👍🏽🇩🇪?", 2),
        ("there are 4 of us and the bill is 84 euros, how much does each pay", 21),
        ("split between 5 people a bill of 120 dollars", 24),
        ("in 2 years at 3%, what do 500 euros grow to", 530.45),
    ],
)
async def test_it_is_computed(said, text, value):
    body = await said(text)
    assert (body["kind"], body["value"]) == ("computed", value)


async def test_items_of_the_last_answer_are_gone_through(said):
    await said("sort these numbers: 9, 4, 7")
    assert (await said("which of them are odd?"))["value"] == [7, 9]


@pytest.mark.parametrize(
    ("text", "items"),
    [("Our names are Ann, Bob and Cid. Pick one", ["Ann", "Bob", "Cid"]),
     ("Unsere Namen sind Ann, Tim und Bob. Such einen aus", ["Ann", "Tim", "Bob"])],
)  # fmt: skip
async def test_an_order_behind_a_statement_is_carried_out(said, text, items):
    body = await said(text)
    assert body["kind"] == "computed"
    assert body["value"] in items
    assert (await said("what is my name?"))["kind"] != "recalled"


@pytest.mark.parametrize(
    ("text", "begins"),
    [("waht are you abel to do", "I calculate"), ("I'm new here, what now?", "I calculate"),
     ("do you send my data anywhere?", "No."), ("is my data safe", "Yes."),
     ("what hapens with my data", "I send nothing"), ("schickst du meine Daten weiter?", "Nein."),
     ("bist du online?", "Ich arbeite ohne Internet")],
)  # fmt: skip
async def test_a_question_about_the_program_has_its_answer(said, text, begins):
    body = await said(text)
    assert body["kind"] == "said"
    assert body["text"].startswith(begins)


@pytest.mark.parametrize(
    ("text", "offer"),
    [("roll the sleeves up today", "other words"), ("asdf qwer", "other words"),
     ("würfle mit den Augen", "anderen Worten"),
     ("days left in my holiday", "What comes closest: days_left_in_year().")],
)  # fmt: skip
async def test_only_a_skill_that_a_sentence_is_like_is_offered(said, text, offer):
    body = await said(text)
    assert body["kind"] == "unable"
    assert offer in body["text"]
    assert body["text"].count("(") == offer.count("(")
