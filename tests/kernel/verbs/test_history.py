"""bat_os.kernel.verbs.history: from why to recall, with the real image and the real cell."""

import time

import pytest

from bat_os.core.digest import digest
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.errors import ArgumentsError, BatError, DraftsError, NotFoundError
from bat_os.image.catalog import catalog_in
from bat_os.image.history import marks
from bat_os.image.history.uses import CLIENT, flush
from bat_os.kernel.verbs.objects import approve, find_skills
from tests.kernel.verbs.conftest import DOUBLE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def found(mind):
    request = check(Request("find", body={"text": "double a number", "limit": 50}))
    skills = (await find_skills(mind, request, lambda told: None))["skills"]
    return [skill["selector"] for skill in skills]


async def test_why_tells_all_of_a_method_that_a_mission_learned(mind, learned, ask):
    mission = await learned()
    told = await ask("why", "double")
    assert (told["object"], told["version"], told["current"]) == ("genesis_obj", 1, True)
    assert (told["status"], told["whole"]) == ("verified", True)
    assert told["sha256"] == digest(told["source"])
    assert {"persona", "model", "model_digest", "seed", "temperature", "prompt_sha256", "why",
            "cell", "fixups", "adapter"} <= set(told["origin"])  # fmt: skip
    assert (told["brief"]["selector"], told["brief"]["args"]) == ("double", [21])
    assert told["mission"]["id"] == mission
    assert told["mission"]["model_calls"] >= 2
    assert told["mission"]["tokens"] > 0
    assert len(told["candidates"]) == 3
    assert [one["chosen"] for one in told["candidates"]].count(True) == 1
    assert told["examples"] == DOUBLE


async def test_why_of_an_inherited_method_names_the_object_that_has_it(mind, taught, ask):
    await taught("def add(self, a, b):\n    return a + b\n", target="traits_obj")
    told = await ask("why", "add")
    assert (told["object"], told["origin"]["persona"]) == ("traits_obj", "ARCHITECT")
    assert told["mission"] == {}
    with pytest.raises(NotFoundError, match="add belongs to traits_obj"):
        await ask("unlearn", "add")


async def test_why_says_who_called_it_how_often(mind, taught, ask):
    await taught("def add(self, a, b):\n    return a + b\n")
    mind.image.uses.record([("genesis_obj", "add", CLIENT)] * 2)
    await flush(mind.image)
    told = (await ask("why", "add"))["uses"]
    assert (told["count"], told["callers"]) == (2, {"client": 2})


async def test_why_shows_what_the_architect_approved(mind, learned, ask):
    await learned(examples=())
    assert (await ask("why", "double"))["status"] == "provisional"
    body = {"examples": [{"args": [4], "result": 8}]}
    request = check(Request("approve", target="genesis_obj", selector="double", body=body))
    await approve(mind, request, lambda told: None)
    told = await ask("why", "double")
    assert (told["status"], told["approval"]["by"]) == ("verified", "ARCHITECT")


async def test_an_unlearned_method_is_gone_until_it_is_redone_with_the_same_hash(
    mind, learned, ask, answer
):
    await learned()
    before = (await ask("why", "double"))["sha256"]
    told = await ask("unlearn", "double")
    assert (told["status"], told["version"]) == ("unlearned", 1)
    assert await found(mind) == []
    assert await answer("respondsTo", "double") is False
    told = await ask("redo", "double")
    assert (told["status"], told["sha256"]) == ("current", before)
    assert await found(mind) == ["double"]
    assert await answer("double", 4) == 8
    moves = (await ask("versions", "double"))["moves"]
    assert [move["what"] for move in moves] == ["unlearn", "redo"]


async def test_an_unlearned_method_can_still_be_asked_why(learned, ask):
    await learned()
    await ask("unlearn", "double")
    told = await ask("why", "double")
    assert (told["current"], told["version"]) == (False, 1)


async def test_a_version_that_fails_an_example_does_not_come_back(mind, taught, ask, answer):
    await taught("def double(self, number):\n    return number + number if number < 9 else 0\n")
    await taught("def double(self, number):\n    return number * 2\n", DOUBLE)
    with pytest.raises(DraftsError, match=r"version 1: double\(number=21\) gives 0, not 42"):
        await ask("redo", "double", version=1)
    assert await answer("double", 21) == 42
    assert (await ask("versions", "double"))["current"] == 2


async def test_a_version_that_raises_on_an_example_does_not_come_back(taught, ask):
    await taught("def double(self, number):\n    return number.twice\n")
    await taught("def double(self, number):\n    return number * 2\n", DOUBLE)
    with pytest.raises(DraftsError, match="fails"):
        await ask("redo", "double", version=1)


async def test_a_pin_goes_to_its_version_and_holds_it(mind, taught, ask, answer):
    await taught("def give(self):\n    return 1\n")
    await taught("def give(self):\n    return 2\n")
    told = await ask("pin", "give", version=1)
    assert (told["status"], told["version"]) == ("pinned", 1)
    assert await answer("give") == 1
    with pytest.raises(ArgumentsError, match="pinned to version 1"):
        await ask("redo", "give", version=2)
    with pytest.raises(ArgumentsError, match="pinned to version 1"):
        await ask("pin", "give", version=2)
    with pytest.raises(ArgumentsError, match="pinned to version 1"):
        await ask("unlearn", "give")
    with pytest.raises(ArgumentsError, match="pinned to version 1"):
        await taught("def give(self):\n    return 3\n")
    assert (await ask("unpin", "give"))["status"] == "unpinned"
    assert (await ask("unpin", "give"))["status"] == "not pinned"
    await ask("redo", "give", version=2)
    assert await answer("give") == 2


async def test_a_pin_without_a_number_holds_the_current_version(taught, ask):
    await taught("def give(self):\n    return 1\n")
    assert [(await ask("pin", "give"))["version"] for _ in range(2)] == [1, 1]
    assert [move["what"] for move in (await ask("versions", "give"))["moves"]] == ["pin"]


async def test_versions_are_compared_by_their_source(taught, ask):
    await taught("def give(self):\n    return 1\n")
    await taught("def give(self):\n    return 2\n")
    assert "+    return 2" in (await ask("diff-method", "give", a=1, b=2))["diff"]


async def test_taint_is_cleared_by_examples_that_pass(mind, taught, ask):
    await taught("def double(self, number):\n    return number * 2\n", DOUBLE)

    def mark(root):
        method = root["objects"]["genesis_obj"].slots["double"]
        told = {"at": time.time(), "document": "document:x", "what": "changed", "version": 1}
        marks.set_mark(root, "taint", method, told)

    await mind.image.transact(mark, note="taint")
    assert (await ask("why", "double"))["tainted"]["document"] == "document:x"
    assert [one["selector"] for one in (await ask("recall"))["tainted"]] == ["double"]
    wrong = [{"args": [1], "result": 3}]
    with pytest.raises(DraftsError, match="gives 2, not 3"):
        await ask("verify-method", "double", examples=wrong)
    assert (await ask("why", "double"))["tainted"]
    told = await ask("verify-method", "double", examples=[{"args": [1], "result": 2}])
    assert (told["status"], told["examples"]) == ("verified", 2)
    assert (await ask("why", "double"))["tainted"] == {}
    assert (await ask("verify-method", "double"))["examples"] == 2  # the new one was kept


async def test_a_method_without_any_example_cannot_be_verified(taught, ask):
    await taught("def give(self):\n    return 1\n")
    with pytest.raises(ArgumentsError, match="no example"):
        await ask("verify-method", "give")


async def test_a_recall_lists_first_withdraws_when_told_and_can_be_undone(
    mind, learned, taught, ask, answer
):
    mission = await learned()
    await taught("def give(self):\n    return 1\n")
    model = (await ask("why", "double"))["origin"]["model"]
    listed = await ask("recall", model=model)
    assert [one["selector"] for one in listed["methods"]] == ["double"]
    assert (listed["withdrawn"], listed["recall"]) == (False, "")
    assert await answer("double", 4) == 8
    await ask("pin", "double")
    gone = await ask("recall", mission=mission, yes=True)
    assert [one["selector"] for one in gone["methods"]] == ["double"]
    assert await answer("respondsTo", "double") is False
    assert await answer("give") == 1
    (record,) = (await ask("recall"))["recalls"]
    assert (record["id"], record["undone"]) == (gone["recall"], None)
    back = await ask("recall", undo=gone["recall"])
    assert ([one["selector"] for one in back["back"]], back["left"]) == (["double"], [])
    assert await answer("double", 4) == 8
    assert (await ask("why", "double"))["pinned"] == 1
    with pytest.raises(ArgumentsError, match="undone before"):
        await ask("recall", undo=gone["recall"])


async def test_a_method_that_calls_another_withdrawn_one_comes_back_after_it(
    mind, taught, ask, answer
):
    await taught("def base(self, n):\n    return n\n")
    await taught("def over(self, n):\n    return self.base(n) * 2\n", [{"args": [2], "result": 4}])

    def withdraw(root):
        for selector in ("base", "over"):
            method = root["objects"]["genesis_obj"].slots[selector]
            method.version.provenance["mission"] = "m"
            method.version._p_changed = True

    await mind.image.transact(withdraw, note="say that a mission wrote both")
    gone = await ask("recall", mission="m", yes=True)
    first = await ask("recall", undo=gone["recall"])
    assert [one["selector"] for one in first["back"]] == ["base"]
    assert [one["selector"] for one in first["left"]] == ["over"]
    second = await ask("recall", undo=gone["recall"])
    assert [one["selector"] for one in second["back"]] == ["over"]
    assert await answer("over", 5) == 10


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("why", {"version": "1"}),
        ("why", {"version": -1}),
        ("why", {"version": True}),
        ("redo", {"version": 1 << 40}),
        ("pin", {"version": 2.0}),
        ("diff-method", {"a": None, "b": 1}),
        ("verify-method", {"examples": "5 gives 3"}),
        ("recall", {"model": ["a"]}),
        ("recall", {"model": "a", "yes": "yes"}),
        ("recall", {"undo": 5}),
        ("recall", {"undo": "nothing"}),
        ("unlearn", {}),
        ("versions", {}),
    ],
)
async def test_bad_input_is_a_coded_error_and_changes_nothing(mind, ask, verb, body):
    before = await mind.image.transact(lambda root: root._p_jar.db().lastTransaction(), note="t")
    with pytest.raises(BatError) as caught:
        await ask(verb, "no_such_method", **body)
    assert caught.value.code in ("INVALID_ARGS", "NOT_FOUND")
    after = await mind.image.transact(lambda root: root._p_jar.db().lastTransaction(), note="t")
    assert after == before


async def test_editing_or_forgetting_a_cited_document_marks_the_method(mind, learned, ask, answer):
    text = "To double a number, multiply the number by two."
    doc_id = (await mind.catalog.learn("Doubling", text))["doc_id"]
    await learned()
    assert doc_id in [one["doc_id"] for one in (await ask("why", "double"))["passages"]]
    await mind.catalog.learn("Doubling", text)  # the same again
    assert (await ask("why", "double"))["tainted"] == {}
    await mind.catalog.learn("Doubling", f"{text} Or add it to itself.")
    assert (await ask("why", "double"))["tainted"]["what"] == "changed"
    await ask("verify-method", "double")
    await mind.catalog.forget(doc_id)
    told = await ask("why", "double")
    assert (told["tainted"]["document"], told["tainted"]["what"]) == (doc_id, "forgotten")
    (cited,) = [one for one in told["passages"] if one["doc_id"] == doc_id]
    assert (cited["known"], cited["title"]) == (False, "Doubling")
    assert await answer("double", 4) == 8  # marked, and still there


async def test_what_a_mission_changed_lies_between_two_moments(learned, taught, ask, latest):
    await taught("def give(self):\n    return 1\n")
    before = await latest()
    await learned()
    told = await ask("diff", a=before)
    assert told["methods"] == [
        {"object": "genesis_obj", "selector": "double", "before": 0, "after": 1}
    ]
    assert (await ask("diff", a=told["to"], b=told["to"]))["methods"] == []
    with pytest.raises(ArgumentsError, match="is not a moment"):
        await ask("diff", a="the other day")
    with pytest.raises(ArgumentsError, match="a must be a moment"):
        await ask("diff", a=5)


async def test_an_example_of_verify_method_is_listed_with_its_version(ask, taught):
    await taught("def treble(self, number):\n    return number * 3\n")
    await ask("verify-method", "treble", examples=[{"args": [2], "kwargs": {}, "result": 6}])
    (version,) = (await ask("versions", "treble"))["versions"]
    assert version["examples"] == 1
    assert (await ask("why", "treble"))["examples"] == [{"args": [2], "kwargs": {}, "result": 6}]


async def test_a_taught_version_is_found_by_what_the_method_was_learned_for(
    mind, learned, taught, ask
):
    await learned(text="double a number")
    await taught(
        'def double(self, number):\n    """Add it to itself."""\n    return number + number\n'
    )
    request = check(Request("find", body={"text": "double a number", "limit": 50}))
    (skill,) = (await find_skills(mind, request, lambda told: None))["skills"]
    assert (skill["selector"], skill["wish"]) == ("double", "Double a number.")
    request = check(Request("find", body={"text": "add it to itself", "limit": 50}))
    (skill,) = (await find_skills(mind, request, lambda told: None))["skills"]
    assert skill["wish"] == "Add it to itself."
    await taught("def double(self, number):\n    return number * 2.0\n")  # two versions later
    await ask("unlearn", "double")
    await ask("redo", "double")

    def wishes(root):
        (document,) = catalog_in(root).documents("method")
        numbers = range(document.first, document.stop)
        return [document.passage(number, 0.0, 0.0).wish for number in numbers]

    assert await mind.image.transact(wishes, note="look") == ["double", "Double a number."]


QUADRUPLE = {"args": [4], "kwargs": {}, "result": 16}
ALIASES = ("def twice(self, n):\n    return self.double(n)\n",
           "def two_times(self, n):\n    return self.twice(n)\n",
           "def half_of_double(self, n):\n    return self.double(n) / 2\n")  # fmt: skip


async def test_other_names_of_a_skill_are_unlearned_and_come_back_with_it(
    mind, learned, taught, ask, answer
):
    await learned()
    for source in ALIASES:
        await taught(source)
    told = await ask("unlearn", "double")
    assert told["names"] == ["twice", "two_times"]
    for name in ("twice", "two_times"):
        assert await answer("respondsTo", name) is False
    assert await answer("respondsTo", "half_of_double") is True  # a skill of its own
    assert (await ask("redo", "double"))["names"] == ["twice", "two_times"]
    assert await answer("two_times", 4) == 8


async def test_another_name_that_is_pinned_stays(taught, learned, ask):
    await learned()
    await taught(ALIASES[0])
    await ask("pin", "twice")
    assert (await ask("unlearn", "double"))["names"] == []


async def test_a_name_that_was_unlearned_for_itself_stays_so(taught, learned, ask, answer):
    await learned()
    await taught(ALIASES[0])
    await ask("unlearn", "twice")
    await ask("unlearn", "double")
    assert (await ask("redo", "double"))["names"] == []
    assert await answer("respondsTo", "twice") is False


async def test_why_and_the_list_say_what_changed_under_a_skill_until_it_is_verified_again(
    learned, taught, ask
):
    await learned()
    await taught("def twice_more(self, n):\n    return self.double(n) * 2\n", [QUADRUPLE])
    assert (await ask("list", target="", stale=True))["stale"] == []
    await taught("def double(self, number):\n    return number + number\n")
    change = {"what": "callee", "name": "double", "change": "version 1 -> 2"}
    assert (await ask("why", "twice_more"))["changes"] == [change]
    (row,) = (await ask("list", target="", stale=True))["stale"]
    assert (row["selector"], row["changes"]) == ("twice_more", [change])
    await ask("verify-method", "twice_more")
    assert (await ask("list", target="", stale=True))["stale"] == []
