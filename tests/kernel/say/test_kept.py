"""What a person has kept is kept to its last character."""

import pytest

from tests.kernel.say.test_naming import entries, live, slots

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("said", "asked", "kept"),
    [
        ("my Netflix password is {}", "what is my Netflix password?", kept)
        for kept in ["hunter2!", "s3cret...", "Tr0ub4dor&3,", "please", "no, thanks", "🐈",
                     '"open sesame!"', "p@ss #1!", "(secret)"]
    ] + [
        ("remember that my favourite show is {}", "what is my favourite show?", "Jeopardy!"),
        ("my favourite band is {}", "what is my favourite band?", '"Wham!"'),
        ("my rating of the hotel is {}", "what is my rating of the hotel?", "⭐⭐⭐⭐"),
        ("mein Passwort ist {}", "was ist mein Passwort?", "hunter2!"),
        ("mon surnom est {}", "quel est mon surnom ?", "Zorro !"),
        ("mi contraseña es {}", "¿cuál es mi contraseña?", "hunter2!"),
    ],
)  # fmt: skip
async def test_a_fact_is_kept_to_its_last_character(talk, said, asked, kept):
    done = await talk(said.format(kept))
    assert done["kind"] == "acted"
    assert done["value"].endswith(f" {kept}")
    assert (await talk(asked, session="two"))["value"] == kept


@pytest.mark.parametrize(
    "said", ["my cat is called Tom.", "remember that my cat is called Tom, please"]
)
async def test_a_full_stop_and_what_is_polite_behind_an_order_are_not_kept(talk, said):
    assert (await talk(said))["value"] == "my cat is called Tom"


@pytest.mark.parametrize(
    "said",
    ["my password is {}", "remember that my password is {}", "mein Passwort ist {}",
     "mon surnom est {}", "mi contraseña es {}"],
)  # fmt: skip
async def test_a_fact_with_a_question_mark_is_asked_about_and_kept_as_it_is_said(talk, said):
    before = len((await talk("what do you remember?", session="two"))["value"] or ())
    asked = await talk(said.format("abc123?"))
    assert (asked["kind"], len(asked["choices"])) == ("asked", 2)
    assert len((await talk("what do you remember?", session="two"))["value"] or ()) == before
    assert (await talk("1"))["value"].endswith("abc123?")
    known = await talk(said.format("abc123?"))  # the same words ask by now
    assert known["kind"] == "recalled"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("remind me tomorrow at 9 to say please", "say please"),
        ("remind me tomorrow at 9 to say thank you", "say thank you"),
        ("remind me tomorrow at 9 to call Zoe please", "call Zoe"),
        ("remind me tomorrow at 9 to cheer :-)", "cheer :-)"),
        ("remind me tomorrow at 9 to cheer 🐈", "cheer 🐈"),
        ('remind me tomorrow at 9 to ask "are you ok?"', 'ask "are you ok?"'),
        ("erinnere mich morgen um 9 daran, danke zu sagen", "danke zu sagen"),
        ("rappelle-moi demain à 9 h de dire merci", "dire merci"),
        ("recuérdame mañana a las 9 decir gracias", "decir gracias"),
    ],
)
async def test_a_reminder_is_kept_to_its_last_character(talk, said, kept):
    assert (await talk(said))["kind"] == "acted"
    assert await live(talk) == [kept]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('add "Fast and Furious", "Lilo & Stitch" and "Up" to my movie list',
         ["Fast and Furious", "Lilo & Stitch", "Up"]),
        ('add "Fast and Furious" to my movie list', ["Fast and Furious"]),
        ("add Jeopardy!, Yahoo! and Help! to my movie list", ["Jeopardy!", "Yahoo!", "Help!"]),
        ("add 🍞 to my movie list", ["🍞"]), ("add 🍎 apples to my movie list", ["🍎 apples"]),
        ("setz „Max und Moritz“ und Momo auf die Filmliste", ["Max und Moritz", "Momo"]),
        ("ajoute « Jules et Jim » à la liste de films", ["Jules et Jim"]),
        ("buy milk!", ["milk"]),
    ],
)  # fmt: skip
async def test_an_entry_is_kept_whole(talk, said, kept):
    assert (await talk(said))["kind"] == "acted"
    assert [text for _, text in await entries(talk)] == kept
    assert len(await slots(talk, "lists_obj", "lists")) == 1


@pytest.mark.parametrize(
    ("said", "entry", "name"),
    [
        ("füge Hafermilch der Einkaufsliste hinzu", "Hafermilch", "Einkaufsliste"),
        ("füge Tofu meiner Einkaufsliste hinzu", "Tofu", "Einkaufsliste"),
        ("füge der Einkaufsliste Reis hinzu", "Reis", "Einkaufsliste"),
        ("add milk to my shopping list again", "milk", "shopping"),
        ("add milk to my shopping list too", "milk", "shopping"),
        ("add jam to my shopping list now", "jam", "shopping"),
        ("put coffee on my shopping list as well", "coffee", "shopping"),
    ],
)
@pytest.mark.parametrize("before", ["", "add Up to my movie list"])
async def test_the_list_that_a_sentence_names_is_no_part_of_an_entry(
    talk, before, said, entry, name
):
    if before:
        await talk(before)
    assert (await talk(said))["kind"] == "acted"
    left = {("movie", "Up")} if before else set()
    assert {*await entries(talk)} == {(name, entry), *left}
