"""Everything of a person leaves one mind as files that people can read, and comes into another."""

import csv
import datetime as dt
import json
import os
import shutil
import time
from itertools import islice, product

import pytest
from cronsim import CronSim
from dateutil.rrule import rrulestr
from icalendar import Calendar

from bat_os.app.library import load_library
from bat_os.errors import RemoteError
from bat_os.image import grants, memory, schedules
from bat_os.image.catalog import catalog_in
from bat_os.image.files import export
from bat_os.image.history.experience import TALKS, keep_talk
from bat_os.image.objects import find
from bat_os.natives.recurrence import as_rrule
from tests.kernels import ThinkingKernel

pytestmark = pytest.mark.slow
CALLS_ANOTHER = 'def alpha(self, n):\n    """Add one to treble."""\n    return self.zeta(n) + 1\n'
ZETA = 'def zeta(self, n):\n    """Treble a number."""\n    return n * 3\n'
PLANTED = "bat_9f8e7d6c5b4a39281706f5e4d3c2b1a0"
SETTINGS = f"""\
threads = 2
server = "http://ann:{PLANTED}@example.org/v1"
tcp_port = 0
http_key = "/home/ann/secret.pem"
"""
TALK = {"talk": "000001", "asked": 1.0, "question": "why?", "answers": []}
MARKDOWN = """# Bats

## Sleep

Bats sleep by day and hang upside down.

## Food

Most of them eat insects. Some drink nectar.
"""


async def send(kernel, target, selector, *args):
    fields = {"target": target, "selector": selector, "args": list(args)}
    return (await kernel.request("send", timeout=60, **fields))["result"]


async def teach(kernel, target, source, args, result):
    body = {"source": source, "examples": [{"args": args, "kwargs": {}, "result": result}]}
    await kernel.request("teach", target=target, body=body, timeout=60)


async def say(kernel, text):
    return await kernel.request("say", body={"text": text}, timeout=60)


async def fill(thinking, kernel):
    """Put in something of each kind."""
    await load_library(thinking.mind)
    await teach(kernel, "genesis_obj", ZETA, [2], 6)
    await teach(kernel, "genesis_obj", CALLS_ANOTHER, [2], 7)
    await kernel.request("derive", target="genesis_obj", body={"name": "robot_obj"})
    await send(kernel, "robot_obj", "setSlot", "colour", "red")
    await send(kernel, "robot_obj", "setSlot", "friend", {"ref": "genesis_obj"})
    await send(kernel, "genesis_obj", "setSlot", "parts", {"bolts": [1, 2.5, None]})
    for text in ("remember that my sister's birthday is 3 May",
                 "remember that the spare key is at Anna's",
                 "put milk and bread on the shopping list", "log 40 minutes of swimming",
                 "log 20 minutes of swimming"):  # fmt: skip
        assert (await say(kernel, text))["kind"] == "acted", text
    await send(kernel, "lists_obj", "tick", "milk", "shopping")
    for when in ("every weekday at 8", "tomorrow at 9"):
        body = {"when": when, "kind": "remind", "text": "call Ann, and Bob"}
        await kernel.request("schedule", body=body)
    about = {"form": "markdown", "tags": ["zoo"]}
    body = {"title": "Bats", "text": MARKDOWN, "meta": about}
    await kernel.request("learn", body=body, timeout=120)
    body = {"do": "set", "key": "temperature", "value": 0.25}
    await kernel.request("entry", target="brick_obj", body=body)

    def more(root):
        keep_talk(root, "000001", TALK)
        scope = {"path": str(thinking.home.path), "write": False}
        files = thinking.mind.drivers["files"]
        grants.give(root, files, scope, "notes_obj", given=time.time())

    await thinking.mind.image.transact(more, note="more")
    (thinking.home.path / "batos.toml").write_text(SETTINGS)
    (thinking.home.path / "keys").mkdir()
    (thinking.home.path / "keys" / "tokens.json").write_text(json.dumps({"phone": PLANTED}))


def picture(root):
    """Return what a person put in, as one value that can be compared."""
    own = {
        name: {
            slot: value for slot, value in root["objects"][name].slots.items()
            if slot in ("colour", "parts", "lists", "logs")
        }
        for name in ("genesis_obj", "robot_obj", "lists_obj", "counters_obj")
    }  # fmt: skip
    facts = [(fact.id, fact.text, fact.told_at, fact.when) for fact in memory.facts_in(root)]
    documents = [
        (one.title, one.passages, one.sections, one.meta["tags"])
        for one in catalog_in(root).documents("document")
    ]
    live = [(one.kind, one.text, dict(one.rule), one.next) for one in schedules.live(root)]
    parents = [parent.name for parent in find(root, "robot_obj").parents]
    friend = find(root, "robot_obj").slots["friend"].name
    talks = [dict(talk) for talk in root[TALKS].values()]
    return [own, facts, documents, live, parents, friend, talks]


@pytest.fixture
async def two(thinking, tmp_path):
    """A mind with everything, and a kernel with an empty one."""
    thinking.gate.set()
    async with thinking.client() as kernel, ThinkingKernel(tmp_path / "second") as other:
        await fill(thinking, kernel)
        other.gate.set()
        await load_library(other.mind)
        async with other.client() as there:
            yield thinking, kernel, other, there


async def test_everything_comes_into_an_empty_mind_as_it_was(two, tmp_path):
    thinking, kernel, other, there = two
    folder = tmp_path / "mine"
    made = await kernel.request("export.all", body={"folder": str(folder)}, timeout=60)
    done = await there.request("import.all", body={"folder": str(folder)}, timeout=60)

    here = await thinking.mind.image.transact(picture, note="look")
    assert await other.mind.image.transact(picture, note="look") == here
    assert done["carried"] == {
        "settings": 1, "objects": 2, "methods": 2, "facts": 2, "lists": 1, "counters": 1,
        "reminders": 2, "documents": 1, "talks": 1, "entries": 1,
    }  # fmt: skip
    assert made["counts"]["methods"] == 2
    assert await send(there, "genesis_obj", "alpha", 3) == 10  # and what it calls
    why = await there.request("why", target="genesis_obj", selector="zeta")
    image_id = (await kernel.request("health"))["image_id"]
    assert image_id in json.dumps(why)  # where it came from
    told = await say(there, "when is my sister's birthday?")
    assert told["kind"] == "recalled"
    assert "3 May" in told["text"]
    shown = await there.request("entry", target="brick_obj", body={"key": "temperature"})
    assert shown["entries"][0]["value"] == 0.25
    assert any("notes_obj" in line for line in made["left"])
    assert await other.mind.image.transact(lambda root: list(grants.every(root)), note="g") == []


async def test_a_second_import_changes_nothing_and_nothing_that_is_here_is_overwritten(
    two, tmp_path
):
    _, kernel, other, there = two
    folder = tmp_path / "mine"
    await kernel.request("export.all", body={"folder": str(folder)}, timeout=60)
    await send(there, "lists_obj", "create", "shopping", ["tea"])
    await teach(there, "genesis_obj", ZETA.replace("n * 3", "3 * n"), [2], 6)
    first = await there.request("import.all", body={"folder": str(folder)}, timeout=60)
    before = await other.mind.image.transact(picture, note="look")
    again = await there.request("import.all", body={"folder": str(folder)}, timeout=60)

    assert await other.mind.image.transact(picture, note="look") == before
    assert sum(again["carried"].values()) - again["carried"]["lists"] - again["carried"][
        "counters"
    ] == 0  # fmt: skip
    assert await send(there, "lists_obj", "show", "shopping") == ["tea"]
    assert any("shopping" in line for line in first["left"])
    assert any("zeta" in line and "stays" in line for line in first["left"])


async def test_the_files_are_of_open_formats_and_hold_no_secret(two, tmp_path):
    thinking, kernel, _, _ = two

    def age(root):
        counters = find(root, "counters_obj")
        past = {"at": "2026-01-01T00:00:00", "number": 7, "days": [0, 3, 0, 4]}
        log = counters.slots["logs"]["swimming"]["log"]
        counters.slots["logs"]["swimming"]["log"] = [past, *log]
        counters._p_changed = True

    await thinking.mind.image.transact(age, note="age")
    folder = tmp_path / "mine"
    await kernel.request("export.all", body={"folder": str(folder)}, timeout=60)
    texts = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.*")
             if path.is_file()}  # fmt: skip

    assert texts["methods/genesis_obj/zeta.py"] == ZETA
    assert json.loads(texts["methods/genesis_obj/zeta.json"])["examples"][0]["result"] == 6
    assert "- my sister's birthday is 3 May" in texts["facts.md"]
    assert "- [x] milk\n- [ ] bread" in texts["lists.md"]
    rows = list(csv.DictReader(texts["counters.csv"].splitlines()))
    assert [(row["counter"], row["unit"], row["number"]) for row in rows] == [
        ("swimming", "minutes", number) for number in ("3", "4", "40", "20")
    ]
    assert [row["at"] for row in rows[:2]] == ["2026-01-02T00:00:00", "2026-01-04T00:00:00"]
    events = Calendar.from_ical(texts["reminders.ics"]).walk("VEVENT")
    assert [str(event["summary"]) for event in events] == ["call Ann, and Bob"] * 2
    assert texts["documents/Bats.md"] == MARKDOWN
    assert texts["settings.toml"] == "threads = 2\n"
    assert json.loads(texts["talks.jsonl"])["question"] == "why?"
    assert all(PLANTED not in text for text in texts.values())


async def test_an_export_never_overwrites_and_a_failed_one_leaves_nothing(two, tmp_path):
    _, kernel, _, _ = two
    (tmp_path / "mine").mkdir()
    with pytest.raises(RemoteError, match="there already"):
        await kernel.request("export.all", body={"folder": str(tmp_path / "mine")}, timeout=60)
    closed = tmp_path / "file"
    closed.write_text("")
    with pytest.raises(RemoteError, match="cannot be written"):
        await kernel.request("export.all", body={"folder": str(closed / "mine")}, timeout=60)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


async def test_a_folder_that_cannot_be_is_refused_with_a_code(thinking, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    names = ("relative", "~", "", f"{tmp_path}/nul\0", f"{tmp_path}/{'y' * 300}")
    async with thinking.client() as kernel:
        for verb, name in product(("export.all", "import.all"), names):
            with pytest.raises(RemoteError) as caught:
                await kernel.request(verb, body={"folder": name})
            assert caught.value.body["code"] != "INTERNAL", (verb, name)
    assert sorted(tmp_path.iterdir()) == before


async def test_what_somebody_else_has_written_is_checked_and_named(two, tmp_path):
    _, kernel, other, there = two
    folder = tmp_path / "mine"
    await kernel.request("export.all", body={"folder": str(folder)}, timeout=60)
    (folder / "methods/genesis_obj/zeta.py").write_text("def zeta(self, n):\n    import os\n")
    (folder / "facts.json").write_text('[{"id": "../../x", "text": "t", "told_at": 1}]')
    (folder / "reminders.json").write_text(
        json.dumps([{"kind": "remind", "text": "t", "rule": {"every": 1}}])
    )
    (folder / "counters.csv").write_text("counter,unit,at,number\nx,,never,1\n")
    (folder / "talks.jsonl").unlink()
    (folder / "talks.jsonl").symlink_to("/etc/passwd")
    shutil.rmtree(folder / "documents")
    done = await there.request("import.all", body={"folder": str(folder)}, timeout=60)

    left = "\n".join(done["left"])
    for said in ("zeta", "facts", "repetition", "counters.csv, line 2", "talks.jsonl is a link"):
        assert said in left, (said, left)
    assert done["carried"]["objects"] == 2
    facts = await other.mind.image.transact(lambda root: list(memory.facts_in(root)), note="f")
    assert facts == []
    with pytest.raises(RemoteError, match="not written by"):
        await there.request("import.all", body={"folder": str(tmp_path / "none")}, timeout=60)


@pytest.mark.parametrize(
    "line",
    ["30 8 * * 1-5", "0 9 * * *", "*/20 6-8 * * 0", "15 12 1,15 * *", "0 0 29 2 *", "5 5 * 3,6 7"],
)
def test_a_cron_line_comes_at_the_same_moments_in_a_calendar(line):
    start = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - a calendar of no place
    parts = {
        name: ",".join(map(str, value)) if isinstance(value, list) else value
        for name, value in as_rrule({"cron": line}).items()
    }
    text = ";".join(f"{name.upper()}={value}" for name, value in parts.items())
    coming = islice(rrulestr(text, dtstart=start), 30)
    expected = list(islice(CronSim(line, start - dt.timedelta(minutes=1)), 30))
    assert [one for one in coming if one >= expected[0]][: len(expected)] == expected


@pytest.mark.parametrize("line", ["0 9 1 * 1", "0 9 * * 1#1", "0 9 L * *"])
def test_a_line_that_calendars_have_no_words_for_is_no_rule(line):
    assert as_rrule({"cron": line}) is None


async def test_only_harmless_settings_come_along_and_the_others_are_named(two, tmp_path):
    thinking, kernel, other, there = two
    folder = tmp_path / "mine"
    more = f'locale = "de"\nmetacognition_log_file = "{tmp_path}/.profile"\ncluster = "/tmp/c"\n'
    (thinking.home.path / "batos.toml").write_text(SETTINGS + more)
    made = await kernel.request("export.all", body={"folder": str(folder)}, timeout=60)
    assert (folder / "settings.toml").read_text() == 'threads = 2\nlocale = "de"\n'
    (folder / "settings.toml").write_text(more + 'server = "https://evil.example/v1"\n')
    done = await there.request("import.all", body={"folder": str(folder)}, timeout=60)

    assert (other.home.path / "batos.toml").read_text() == 'locale = "de"\n'
    for name in ("metacognition_log_file", "cluster", "server"):
        for left in (made["left"], done["left"]):
            assert any(f"setting {name}:" in line for line in left), name


async def test_a_file_of_one_kind_in_the_place_of_another_is_refused(two, tmp_path):
    _, kernel, other, there = two
    folder = tmp_path / "mine"
    await kernel.request("export.all", body={"folder": str(folder)}, timeout=60)
    zeta = json.loads((folder / "methods/genesis_obj/zeta.json").read_text())
    robot = json.loads((folder / "objects/robot_obj.json").read_text())["content"]
    whole = {**zeta, "source": ZETA}
    stolen = {**whole, "name": "0000000000000005", "parents": [], "slots": {"colour": "black"}}
    (folder / "objects/a.json").write_text(json.dumps(export.seal(whole)))
    (folder / "objects/b.json").write_text(json.dumps(export.seal(stolen)))
    (folder / "methods/genesis_obj/x.json").write_text(json.dumps({**robot, "source": ""}))
    (folder / "methods/genesis_obj/x.py").write_text("")
    by_oid = {**zeta, "object": "0000000000000005"}
    (folder / "methods/genesis_obj/y.json").write_text(json.dumps(by_oid))
    (folder / "methods/genesis_obj/y.py").write_text(ZETA)
    (folder / "counters.csv").write_text("counter,unit,at,number\n" + "x" * 140_000 + ",,,\n")
    done = await there.request("import.all", body={"folder": str(folder)}, timeout=60)

    names = await other.mind.image.transact(lambda root: list(root["objects"]), note="n")
    assert "0000000000000005" not in names
    left = "\n".join(done["left"])
    for said in ("objects/a.json", "objects/b.json", "genesis_obj/x.json", "genesis_obj/y.json",
                 "counters.csv, line 2"):  # fmt: skip
        assert said in left, (said, left)
    assert done["carried"]["objects"] == 2
    assert done["carried"]["methods"] == 2
    assert done["carried"]["reminders"] == 2


async def test_an_imported_schedule_may_no_more_than_who_made_it(two, tmp_path):
    _, kernel, other, there = two
    folder = tmp_path / "mine"
    body = {"when": "tomorrow at 9", "kind": "send"}
    fields = {"target": "genesis_obj", "selector": "zeta", "args": [2]}
    await kernel.request("schedule", body=body, **fields)
    await kernel.request("export.all", body={"folder": str(folder)}, timeout=60)
    (good,) = (row for row in json.loads((folder / "reminders.json").read_text())
               if row["kind"] == "send")  # fmt: skip
    scope = {"path": str(other.home.path), "write": False}
    files = other.mind.drivers["files"]

    def give(root):
        grants.give(root, files, scope, "notes_obj", given=time.time())

    await other.mind.image.transact(give, note="grant")

    def row(text, brief=None, **fields):
        return {**good, "text": text, **fields, "brief": brief and {**good["brief"], **brief}}

    rows = [
        row("labelled", {"label": ["0000000000000005"]}),
        row("boundless", {"may": "bogus"}),
        row("granted", {"target": "notes_obj"}),
        row("passed", {"args": [{"ref": "notes_obj"}]}),
        row("by oid", {"target": "0000000000000005"}),
        row("empty"),
        row("stranger", caller="http:phone", kind="say"),
        row("forgets", {"selector": "forget", "may": "send"}),
        row("ruled", {}, rule={"every": "x"}),
        {**row("bare"), "brief": {"selector": "zeta"}},
    ]
    (folder / "reminders.json").write_text(json.dumps(rows))
    done = await there.request("import.all", body={"folder": str(folder)}, timeout=60)

    kept = await other.mind.image.transact(lambda root: list(schedules.live(root)), note="s")
    assert [one.text for one in kept] == ["labelled"]
    image_id = (await kernel.request("health"))["image_id"]
    assert kept[0].brief["label"] == (f"{image_id}/0000000000000005",)
    for text in ("boundless", "granted", "passed", "by oid", "empty", "stranger", "forgets",
                 "ruled", "bare"):  # fmt: skip
        assert any(f"'{text}'" in line for line in done["left"]), (text, done["left"])


async def test_only_files_that_lie_in_the_folder_are_read(two, tmp_path):
    _, kernel, _, there = two
    folder = tmp_path / "mine"
    await kernel.request("export.all", body={"folder": str(folder)}, timeout=60)
    (folder / "facts.json").unlink()
    os.mkfifo(folder / "facts.json")
    (folder / "methods").rename(tmp_path / "elsewhere")
    (folder / "methods").symlink_to(tmp_path / "elsewhere")
    done = await there.request("import.all", body={"folder": str(folder)}, timeout=60)

    assert "facts: facts.json is not a file" in done["left"]
    assert any("genesis_obj/zeta.json is a link" in line for line in done["left"])
    assert done["carried"]["objects"] == 2


async def test_parents_make_no_circle_and_what_only_a_person_sets_stays(two, tmp_path):
    _, kernel, other, there = two
    folder = tmp_path / "mine"
    await kernel.request("derive", target="robot_obj", body={"name": "child_obj"})
    await kernel.request("export.all", body={"folder": str(folder)}, timeout=60)

    def seal(name, **changes):
        path = folder / "objects" / f"{name}.json"
        content = json.loads(path.read_text())["content"] if path.exists() else {
            "kind": "object", "name": name, "parents": [], "slots": {}, "methods": [],
        }  # fmt: skip
        path.write_text(json.dumps(export.seal({**content, **changes})))

    seal("robot_obj", parents=["child_obj"])
    seal("alfred_obj", slots={"system_prompt": "obey"})
    seal("lists_obj", slots={"lists": {"shopping": []}})
    await send(there, "lists_obj", "setSlot", "lists", {})
    done = await there.request("import.all", body={"folder": str(folder)}, timeout=60)

    def look(root):
        lines = [[each.name for each in find(root, name).lineage()] for name in
                 ("robot_obj", "child_obj")]  # fmt: skip
        return lines, find(root, "alfred_obj").slots.get("system_prompt")

    lines, prompt = await other.mind.image.transact(look, note="look")
    assert min(map(len, lines)) == 1  # one of the two has no parent
    assert prompt != "obey"
    left = "\n".join(done["left"])
    assert "its own ancestor" in left
    assert "alfred_obj.system_prompt: only you" in left
    assert "lists_obj.lists: the slot holds something else" in left


async def test_labels_come_along_and_those_of_here_stay(two, tmp_path):
    thinking, kernel, other, there = two
    folder = tmp_path / "mine"

    def mark(root):
        find(root, "lists_obj").set_label("lists", ("00000000000000aa",))
        find(root, "counters_obj").set_label("logs", ("00000000000000bb",))
        find(root, "robot_obj").set_label("", ("00000000000000cc",))
        find(root, "robot_obj").set_label("gone", ("00000000000000dd",))
        find(root, "traits_obj").set_label("gone", ("00000000000000ee",))

    await thinking.mind.image.transact(mark, note="mark")
    await send(there, "lists_obj", "create", "own", ["tea"])

    def mark_here(root):
        find(root, "lists_obj").set_label("lists", ("00000000000000ff",))

    await other.mind.image.transact(mark_here, note="mark")
    await kernel.request("export.all", body={"folder": str(folder)}, timeout=60)
    await there.request("import.all", body={"folder": str(folder)}, timeout=60)

    def look(root):
        names = ("lists_obj", "counters_obj", "robot_obj", "traits_obj")
        return {name: dict(find(root, name).labels) for name in names}

    mind = (await kernel.request("health"))["image_id"]
    assert await other.mind.image.transact(look, note="look") == {
        "lists_obj": {"lists": ("00000000000000ff", f"{mind}/00000000000000aa")},
        "counters_obj": {"logs": (f"{mind}/00000000000000bb",)},
        "robot_obj": {"": (f"{mind}/00000000000000cc",), "gone": (f"{mind}/00000000000000dd",)},
        "traits_obj": {"gone": (f"{mind}/00000000000000ee",)},
    }


async def test_a_corrected_fact_does_not_come_back_as_true(two, tmp_path):
    thinking, kernel, other, there = two
    folder = tmp_path / "mine"
    await say(there, "remember that the bin goes out on Friday")

    def correct(root):
        old, new = sorted(memory.facts_in(root), key=lambda fact: fact.id)
        memory.supersede(root, old.id, new.id)
        memory.change(root, new.id, None, hidden=True)
        return old.text

    gone = await thinking.mind.image.transact(correct, note="correct")
    await kernel.request("export.all", body={"folder": str(folder)}, timeout=60)
    rows = json.loads((folder / "facts.json").read_text())
    assert [(row["text"], bool(row["replaced_by"])) for row in rows] == [(gone, True)]
    bins = [
        {"id": "0199000000000001", "text": "the bin goes out on Monday", "told_at": 1},
        {"id": "0199000000000002", "text": "the bin goes out on Friday", "told_at": 2,
         "replaces": ["0199000000000001"]},
    ]  # fmt: skip
    (folder / "facts.json").write_text(json.dumps([*rows, *bins]))
    await there.request("import.all", body={"folder": str(folder)}, timeout=60)

    live = await other.mind.image.transact(
        lambda root: [fact.text for fact in memory.facts_in(root)], note="f"
    )
    assert live == ["the bin goes out on Friday"]


async def test_talks_of_here_stay_and_a_wrong_one_is_named(two, tmp_path, monkeypatch):
    _, kernel, other, there = two
    folder = tmp_path / "mine"
    await kernel.request("export.all", body={"folder": str(folder)}, timeout=60)
    lines = [{**TALK, "talk": f"00000{n}", "question": f"a\u2028{n}"} for n in range(3, 6)]
    lines.append({"talk": "x", "question": "?", "answers": []})
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / "talks.jsonl").write_text(text, encoding="utf-8")
    table = 'counter,unit,at,number\n"a\u2028b\nc",m,2026-01-01T00:00:00,2\n'
    (folder / "counters.csv").write_text(table, encoding="utf-8")

    def hold(root):
        keep_talk(root, "000000", {**TALK, "talk": "000000"})

    await other.mind.image.transact(hold, note="hold")
    monkeypatch.setattr("bat_os.kernel.verbs.intake.MAX_TALKS", 3)
    done = await there.request("import.all", body={"folder": str(folder)}, timeout=60)

    talks = await there.request("talks")
    assert {one["question"] for one in talks["talks"]} == {"why?", "a\u20284", "a\u20285"}
    assert any("talks: 1 more than" in line for line in done["left"])
    assert any("talks.jsonl, line 4" in line for line in done["left"])
    logs = await other.mind.image.transact(
        lambda root: list(find(root, "counters_obj").slots["logs"]), note="c"
    )
    assert logs == ["a\u2028b\nc"]
