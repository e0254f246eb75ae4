"""A sentence with an example is answered, learned, and known again; what is open is a guess."""

import pytest

from bat_os.image.objects import Method, find

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def learned(image):
    def look(root):
        slots = find(root, "genesis_obj").slots
        return {name: str(held.status) for name, held in slots.items() if isinstance(held, Method)}

    return await image.transact(look, note="look")


async def test_a_skill_that_the_words_mean_and_the_example_confirms_answers(said, image):
    body = await said("sum of the digits, e.g. 123 gives 6. 999?")
    assert (body["kind"], body["value"], body["learned"]) == ("computed", 27, False)


async def test_what_the_library_lacks_is_learned_and_known_again(said, image):
    body = await said("wrap a word in stars, e.g. 'hi' gives '*hi*'; do 'yes'")
    assert (body["kind"], body["value"], body["learned"]) == ("computed", "*yes*", True)
    assert body["model_calls"] == 0
    assert "verified" in (await learned(image)).values()
    again = await said("wrap the word 'sun' in stars", session="t")
    assert (again["kind"], again["value"]) == ("computed", "*sun*")
    third = await said("wrap a word in stars, e.g. 'a' gives '*a*'; and 'moon'?", session="u")
    assert (third["value"], third["learned"]) == ("*moon*", False)


async def test_the_same_words_for_something_else_are_another_method(said, image):
    first = await said("add the sign: 5 gives '5%', 8 gives '8%'; 80?")
    other = await said("add the sign: 5 gives '5!', 8 gives '8!'; 80?", session="t")
    assert (first["value"], other["value"]) == ("80%", "80!")


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("if 3 becomes 9 and 4 becomes 16, what does 5 become?", 25),
        ("cat -> tac, dog -> ?", "god"),
        ("1, 4, 9, 16: what comes next?", 25),
        ("1, 1, 2, 3, 5, 8 ... next?", 13),
        ("aus 'ab' wird 'AB!', was wird aus 'cd'?", "CD!"),
        ("convert 1 to 'I' and 4 to 'IV', what is 9 then?", "IX"),
    ],
)
async def test_examples_alone_decide(said, sentence, value):
    body = await said(sentence)
    assert (body["kind"], body["value"], body["model_calls"]) == ("computed", value, 0)


async def test_what_the_example_leaves_open_is_a_guess_and_yes_makes_it_a_method(said, image):
    body = await said("4 gives 8. And 21?")
    assert (body["kind"], body["value"], body["learned"]) == ("guess", 42, False)
    assert await learned(image) == {}
    body = await said("yes")
    assert (body["kind"], body["value"], body["learned"]) == ("computed", 42, True)


async def test_another_value_for_a_guess_is_one_more_example(said):
    await said("4 gives 8. And 21?")
    body = await said("no, 25")
    assert (body["kind"], body["value"]) == ("computed", 25)


async def test_an_example_in_the_words_of_the_wish_is_not_answered_by_itself(said):
    body = await said("join 'ab' with 'z', e.g. join 'cd' with 'y' gives 'y+cd!'")
    assert (body["kind"], body["value"]) == ("computed", "z+ab!")


async def test_a_failed_lesson_does_not_give_the_example_back_as_a_guess(said, image):
    body = await said("learn to glarp a number, e.g. 4 gives 11")
    assert (body["kind"], body["value"]) == ("unable", None)
    assert "example" in body["text"]
    assert "4 gives 8" not in body["text"]  # how examples are given is known by then
    assert await learned(image) == {}


async def test_nothing_is_made_up_where_no_function_fits(said):
    body = await said("'blue' gives 'tuesday'. And 'red'?")
    assert body["kind"] in ("asked", "unable")
