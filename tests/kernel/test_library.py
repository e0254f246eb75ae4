"""The shipped objects through real turns: every method with its examples, and trusted functions."""

import re

import pytest

from bat_os import __version__
from bat_os.app.library import read_shelf
from bat_os.core.brief import Brief
from bat_os.core.choosing import meaning
from bat_os.core.values import Ref
from bat_os.errors import ArgumentsError, NotUnderstoodError
from bat_os.image.history.versions import Skill, install, unlearn
from bat_os.image.objects import find
from bat_os.image.shipped import install_library
from bat_os.kernel import portraits
from bat_os.kernel.learning.target import doubt_name
from bat_os.kernel.learning.trial import try_turn
from bat_os.kernel.turn import Candidate, take_turn
from bat_os.method.shelf import SHELF
from bat_os.natives.table import NATIVES, SUBSYSTEMS

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOON = 1_779_105_600.0  # 2026-05-18T12:00:00Z


@pytest.fixture
async def library(image):
    shelf = read_shelf()
    await image.transact(
        lambda root: install_library(root, shelf, "s", __version__), note="library"
    )
    return shelf


@pytest.fixture
def send(image, cell, library):
    async def send_message(target, selector, *args, **kwargs):
        return await take_turn(image, cell, Brief(target, selector, args, kwargs))

    return send_message


async def test_every_shipped_method_reproduces_its_examples_in_a_turn(image, cell, library):
    wrong, ran = [], 0
    for shipped in library:
        for method in shipped.methods:
            for example in method.examples:
                brief = Brief(shipped.name, method.selector, tuple(example["args"]),
                              dict(example["kwargs"]))  # fmt: skip
                answer = await take_turn(image, cell, brief)
                ran += 1
                if (
                    meaning(answer.value) != meaning(example["result"])
                    or answer.status != "shipped"
                ):
                    wrong.append((brief, answer))
    assert wrong == []
    assert ran > 400


async def test_every_object_says_what_it_is_about_and_every_native_has_a_signature(image, library):
    def look(root):
        return {one.name: portraits.inspect(find(root, one.name)) for one in library}

    seen = await image.transact(look, note="look")
    keepers = {"counters_obj", "lists_obj", "reminders_obj"}
    assert set(seen) == set(NATIVES) | set(SHELF) | keepers | set(SUBSYSTEMS)
    # What traits_obj held, every object would inherit.
    assert all(obj["slots"]["about"] for name, obj in seen.items() if name != "traits_obj")
    for name, native in NATIVES.items():
        for selector in native.selectors:
            shown = seen[name]["methods"][selector]
            assert shown["status"] == "shipped"
            assert shown["signature"].startswith(f"{selector}(")
            assert "now" not in re.findall(r"\w+", shown["signature"])
            assert shown["about"].endswith(".")


async def test_a_trusted_function_answers_by_place_and_by_name(send):
    assert (await send("units_obj", "convert", 5, "miles", "km")).value == 8.04672
    answer = await send("units_obj", "convert", 90, unit="minutes", to="hours")
    assert (answer.value, answer.status, answer.writes) == (1.5, "shipped", False)
    assert (await send("calculator_obj", "evaluate", "17% of 340")).value == 57.8


@pytest.mark.parametrize("args", [(), (5,), (5, "km", "m", "x"), (5, "km", "kg"), ("5", "km", "m")])
async def test_arguments_that_do_not_fit_are_refused_by_name(send, args):
    with pytest.raises(ArgumentsError):
        await send("units_obj", "convert", *args)


async def test_the_present_moment_cannot_be_an_argument(send):
    with pytest.raises(ArgumentsError, match="now"):
        await send("calendar_obj", "today", now=3)


async def test_a_learned_method_sends_to_a_shipped_object_that_it_holds(image, cell, send):
    ref = (await send("units_obj", "clone", "my_units")).value
    assert type(ref) is Ref
    await send("genesis_obj", "setSlot", "units", ref)
    source = "def in_km(self, number):\n    return self.units.convert(number, 'mile', 'km')\n"
    trial = Candidate("in_km", source, seed=1, now=NOON)
    answer = await try_turn(image, cell, Brief("genesis_obj", "in_km", (5,)), trial)
    assert answer.value == 8.04672


async def test_the_moment_of_a_trial_is_the_moment_of_its_calendar(image, cell, send):
    ref = (await send("calendar_obj", "clone", "my_calendar")).value
    await send("genesis_obj", "setSlot", "calendar", ref)
    source = "def left(self):\n    return self.calendar.days_until('Christmas')\n"
    trial = Candidate("left", source, seed=1, now=NOON)
    assert (await try_turn(image, cell, Brief("genesis_obj", "left"), trial)).value == 221


async def test_a_persons_version_overrides_a_trusted_function_until_it_is_unlearned(image, send):
    mine = "def root(self, number, degree=2):\n    return 'mine'\n"
    await image.transact(
        lambda root: install(
            root, find(root, "calculator_obj"), Skill("root", mine, "taught", {}, "root")
        ),
        note="teach",
    )
    assert (await send("calculator_obj", "root", 9)).value == "mine"
    await image.transact(
        lambda root: unlearn(root, find(root, "calculator_obj"), "root", at=1.0), note="unlearn"
    )
    assert (await send("calculator_obj", "root", 9)).value == 3


@pytest.mark.parametrize(
    ("target", "selector", "args", "head"),
    [("text_obj", "to_upper", (), r"\("), ("text_obj", "to_upper", (5,), r"\("),
     ("calculator_obj", "percent_of", (1,), r"percent_of\(percent, number\)")],
)  # fmt: skip
async def test_arguments_that_do_not_fit_a_shipped_method_are_refused_with_its_signature(
    send, library, target, selector, args, head
):
    if target == "text_obj":  # the first of its methods that takes one text
        shipped = next(each for each in library if each.name == target)
        selector = next(m.selector for m in shipped.methods if "(self, text):" in m.source)
        head = rf"{selector}\(text\)"
    with pytest.raises(ArgumentsError, match=head):
        await send(target, selector, *args)


async def test_a_misspelt_message_of_a_shipped_object_is_not_learned(image, library):
    def refuse(target, selector):
        brief = Brief(target, selector)
        return image.transact(lambda root: doubt_name(root, brief), note="look")

    with pytest.raises(NotUnderstoodError, match=r"did you mean 'percent_of'\?"):
        await refuse("calculator_obj", "percnt_of")
    await refuse("calculator_obj", "paint_a_house")
    await refuse("genesis_obj", "percnt_of")
    await refuse("nobody_obj", "percent_of")
