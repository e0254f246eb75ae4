"""``say``: a sentence in, an answer of one of seven kinds out; through the real library."""

import asyncio
import contextlib
import sys
import threading
from functools import partial

import pytest

from bat_os.errors import ArgumentsError, TooLargeError
from bat_os.image import missions
from bat_os.image.objects import find
from bat_os.kernel.say import followups, heard, unable

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_skill_of_the_library_computes(said):
    body = await said("what is 17% of 340")
    assert (body["kind"], body["value"], body["model_calls"]) == ("computed", 57.8, 0)
    assert body["reading"] == "percent_of(17, 340)"


async def test_a_call_is_sent_as_it_is_written(said):
    body = await said("calculator_obj.percent_of(15, 200)")
    assert (body["kind"], body["value"]) == ("computed", 30)


async def test_a_request_with_the_same_key_is_not_done_twice(said, image):
    first = await said("add milk to my shopping list", key="once")
    assert first["kind"] == "acted"
    again = await said("add milk to my shopping list", key="once")
    assert again["text"] == first["text"]
    shown = await said("what is on my shopping list?")
    assert shown["text"].count("milk") == 1


async def test_the_same_key_said_again_meanwhile_waits_for_the_first(said, dispatcher, monkeypatch):
    began, go_on = asyncio.Queue(), asyncio.Event()
    answer = dispatcher.room._answer

    async def wait(heard):
        began.put_nowait(heard.typed.text)
        await go_on.wait()
        return await answer(heard)

    monkeypatch.setattr(dispatcher.room, "_answer", wait)
    first = asyncio.ensure_future(said("add milk to my shopping list", key="again"))
    second = asyncio.ensure_future(said("add milk to my shopping list", key="again"))
    # Changes nothing: a change of the list would have the first one answered anew.
    other = asyncio.ensure_future(said("what is 17% of 340", session="t", key="other"))
    at_work = {await began.get(), await began.get()}
    go_on.set()
    told = [one["text"] for one in await asyncio.gather(first, second, other)]
    assert at_work == {"add milk to my shopping list", "what is 17% of 340"}
    assert told[0] == told[1]
    assert began.empty()


async def test_two_callers_do_not_share_a_conversation(said):
    await said("what is 17% of 340", caller="ann")
    body = await said("and of 100?", caller="ann")
    assert body["value"] == 17
    assert (await said("and of 100?", caller="bob"))["value"] != 17


async def test_what_only_drafts_speak_for_is_a_guess_and_not_installed(said, image):
    body = await said("frobnicate the number 12")
    if body["kind"] == "guess":
        held = await image.transact(
            lambda root: find(root, "genesis_obj").slots.get("frobnicate_number"), note="t"
        )
        assert held is None or held.current < 0


@pytest.mark.parametrize(
    "sentence",
    [
        "count the words in notes.txt",
        "how many lines does the file /a/b.txt have",
        "sort the lines of names.txt",
        "find 'error' in /var/log/app.log",
        "append 'milk' to ~/todo.txt",
        "add the line 'bread' to groceries.txt",
        "compare old.txt and new.txt",
        "Wie viele Zeilen hat die Datei /a/b.txt?",
        "Combien de lignes a le fichier /a/b.txt ?",
        "Cuenta las palabras de notas.txt",
        "how many words does https://example.com/page have",
    ],
)
async def test_the_name_of_a_file_or_a_page_is_not_taken_for_what_it_holds(said, sentence):
    body = await said(sentence)
    assert (body["kind"], body["needs"]) == ("asked", "grant"), body


async def test_a_quoted_name_of_a_file_is_a_text(said):
    body = await said("count the characters in 'hello.txt'")
    assert (body["kind"], body["value"]) == ("computed", 9)
    body = await said("what is the extension of report.pdf")
    assert (body["kind"], body["value"]) == ("computed", "pdf")


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("what's half of 86 minus 3", 40),
        ("add 3 and 4, then multiply by 2", 14),
        ("the square root of 49 times 2", 14),
        ("three quarters of 96", 72),
        ("how many centi meters is 5 ft 11", 180.34),
        ("body temperature of 39.5 C, what is that in F", 103.1),
        ("my oven only knows fahrenheit and the recipe says 190 celsius", 374),
        ("20 UK gallons in litres", 90.9218),
        ("I drove 90 miles in 90 minutes, how fast was that on average", 60),
        ("how far do I get in 3 hours at 80 km/h", 240),
        ("bmi of someone 1.82 m tall weighing 90 kg", 27.2),
        ("volume of a box 80, 35 and 40", 112000),
        ("my train leaves at 14:25 and takes 3 h 50, when does it arrive", "18:15"),
        ("I must be there at 8:30, need 25 min and 40 min, when do I have to leave", "07:25"),
        ("Ann 34, Bob 29, Cleo 41: who is the oldest", "Cleo"),
        ("tea 3.20, coffee 4.10, cake 5.50: what does it cost together", 12.8),
        ("We voted: red, blue, red, green. Which won?", "red"),
        ("Total of the amount column: name,amount\nann,20\nbob,35", 55),
        ("250 g cost 3.20, what does a kilo cost", 12.8),
        ("I save 150 a month, how much is that in two and a half years", 4500),
        ("net price of 119 euros with 19% tax", 100),
    ],
)
async def test_values_are_read_as_they_are_meant(said, sentence, value):
    body = await said(sentence)
    assert (body["kind"], body["value"]) == ("computed", value), body


@pytest.mark.parametrize(
    ("sentence", "values"),
    [
        ("the red one or the green one, you choose", {"the red one", "the green one"}),
        ("heads or tails", {"heads", "tails"}),
        ("random yes or no", {"yes", "no"}),
        ("roll a d8", set(range(1, 9))),
        ("number from 1 to 3", {1, 2, 3}),
    ],
)
async def test_chance_decides_among_what_was_named(said, sentence, values):
    body = await said(sentence)
    assert body["kind"] == "computed", body
    assert body["value"] in values


async def test_several_dice_are_shown_one_by_one(said):
    body = await said("3d6")
    assert len(body["value"]) == 3, body
    assert all(1 <= each <= 6 for each in body["value"])


MANY_VALUES = [
    "reverse the word " + "'" * 1_000,
    "zonk_them(" + "1," * 300 + "1)",
    f"calculate zonk of {'4 gives 8, ' * 40}",
]


@pytest.mark.parametrize("text", MANY_VALUES)
async def test_a_sentence_of_many_values_is_refused_before_anything_is_learned(said, image, text):
    def look(root):
        return [*missions.ids_after(root, "")]

    before = await image.transact(look, note="look")
    with pytest.raises(ArgumentsError, match="values"):
        await said(text)
    assert await image.transact(look, note="look") == before


@pytest.mark.parametrize("text", ["1:" * 10_000, "zonk " * 500])
async def test_what_is_too_long_for_a_sentence_is_refused(said, text):
    with pytest.raises(TooLargeError, match="in quotes or behind a colon"):
        await said(text)


@pytest.mark.parametrize("text", ["count the letters of: {}", "how many letters are in '{}'?"])
async def test_a_long_text_behind_a_sentence_is_a_value_of_it(said, text):
    assert (await said(text.format("word " * 4_000)))["value"] == 16_000


class LongestStep:
    """The most calls of functions that one step of the loop, in its thread, takes."""

    def __enter__(self):
        self.calls = self.most = 0
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _note(self, frame, event, _arg):
        if event == "call" and frame.f_code is asyncio.Handle._run.__code__:
            self.calls = 0
        self.calls += event in ("call", "c_call")
        self.most = max(self.most, self.calls)


MOST_CALLS = 40_000  # some 10 ms; a sentence of 400 words is read in three times as many


@pytest.mark.slow
@pytest.mark.parametrize("word", ["wort ", "~/a.txt ", "4->8 "])
async def test_no_step_of_the_loop_grows_with_a_sentence(said, word):
    for text in ((word * 1_900)[:1_900], f"zonk this\n{word * (20_000 // len(word))}"):
        with LongestStep() as step, contextlib.suppress(ArgumentsError, TooLargeError):
            await said(text)
        assert step.most < MOST_CALLS, text[:40]


@pytest.mark.parametrize(
    "sentence",
    [
        "what weekday is 31 April 2027?",
        "what weekday is April 31?",
        "what weekday is the 31st of April?",
        "how many days until February 30?",
        "Welcher Wochentag ist der 31. April 2027?",
        "Quel jour de la semaine est le 31 avril 2027 ?",
        "¿Qué día de la semana es el 31 de abril de 2027?",
    ],
)
async def test_a_day_that_a_month_does_not_have_is_no_other_day(said, sentence):
    body = await said(sentence)
    assert body["kind"] in ("asked", "unable"), body


async def test_two_figures_behind_a_month_are_a_year(said):
    body = await said("what weekday was 12 May 68?")
    assert (body["kind"], body["value"]) == ("computed", "Sunday")


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("convert 7,5 km to metres", 7500),
        ("what is 12,5% of 80?", 10),
        ("what time is 8:15 minus 2 hours?", "06:15"),
        ("Wie viel Uhr ist 8:15 minus 2 Stunden?", "06:15"),
    ],
)
async def test_a_comma_before_decimals_and_a_minus_count_once(said, sentence, value):
    body = await said(sentence)
    assert body["kind"] != "computed" or body["value"] == value, body
    assert body["kind"] in ("computed", "asked", "unable"), body


async def test_what_is_counted_keeps_its_decimals(said):
    body = await said("log 7,5 km of swimming")
    assert "7.5 " in body["text"], body


@pytest.mark.parametrize(
    ("sentence", "asks"),
    [
        ("what weekday is the day after 1 March 2028", "'after' changes"),
        ("how many days are left in this week", "'week'"),
        ("quel jour de la semaine est la veille du 1 mars 2028", "'veille' y change"),
        ("qué día de la semana es el día antes del 1 de marzo de 2028", "'antes' ahí"),
    ],
)
async def test_what_was_not_read_is_named_in_the_question(said, sentence, asks):
    body = await said(sentence)
    assert body["kind"] in ("asked", "unable"), body
    assert body["kind"] == "unable" or asks in body["text"], body


@pytest.mark.parametrize(
    "sentence",
    [
        "my flight lands at 9pm on 7 December",
        "die Maler kommen am Freitag",
        "les peintres viennent vendredi",
        "los pintores vienen el viernes",
        "verdopple jede Ziffer von 482",
        "30 cm",
    ],
)
async def test_nothing_is_learned_from_a_statement_or_from_nonsense(said, sentence):
    body = await said(sentence, session=sentence)
    assert body["kind"] in ("unable", "asked", "said"), body
    assert (body["model_calls"], body["events"]) == (0, []), body


STATEMENTS = [
    "the bus was 10 minutes late", "blub 12 zork 9", "the 12 zork 9 blub is green",
    "my sister's cat weighs 4 kg more than mine", "the train needs 2 hours and the bus 3",
    "who won the 3 matches in 2019?", "der Bus kam 10 Minuten zu spät",
    "die Katze meiner Schwester wiegt 4 kg mehr als meine",
    "der Film dauerte 120 Minuten und kostete 8 Euro", "le bus avait 10 minutes de retard",
    "la voiture de mon frère pèse 900 kg de plus que la mienne",
    "el autobús llegó 10 minutos tarde", "el tren tarda 2 horas y el bus 3",
]  # fmt: skip


async def test_values_alone_make_no_wish_of_a_statement(said):
    for sentence in STATEMENTS:
        body = await said(sentence, session=sentence)
        assert body["kind"] in ("unable", "asked", "said", "acted"), (sentence, body["text"])
        assert (body["model_calls"], body["events"]) == (0, []), (sentence, body)


async def test_a_wish_of_any_form_is_learned(said):
    for sentence in (
        "the digits of 482 in reverse and doubled", "double the digits of 482 and drop the first",
        "verdopple jede Ziffer von 482",
    ):  # fmt: skip
        body = await said(sentence, session=sentence)
        known = body["kind"] == "asked" and body["needs"] == "clarification"
        assert known or body["events"], (sentence, body["text"])


async def test_no_sentence_is_read_in_the_thread_of_the_loop(said, monkeypatch):
    """Not the follow-ups either, nor the words of the library, which take a second."""
    seen = set()

    def note(real, *given):
        seen.add((real.__name__, threading.current_thread() is threading.main_thread()))
        return real(*given)

    for module in (followups, heard):
        monkeypatch.setattr(module, "read_sentence", partial(note, module.read_sentence))
    monkeypatch.setattr(unable, "read_book", partial(note, unable.read_book))
    for words in (
        "convert 10 miles to km",
        "and 20?",
        "in metres",
        "no, I meant 30 miles",
        "add milk to my test list",
        "and remove the milk",
        "count the hats of 5 and 6 bananas",
    ):
        await said(words)
    assert seen == {("read_sentence", False), ("read_book", False)}
