"""A running kernel has a history, by the verbs that people type, from why to recall."""

import asyncio
import contextlib
import io
import math
import re
import shlex
from pathlib import Path

import pytest

from bat_os.cli import verbs
from bat_os.errors import RemoteError
from tests.cli.clients import Ended
from tests.cli.clients import verb as launch_verb

pytestmark = [pytest.mark.system, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
TEN = [f"def m{n}(self):\n    return {n}\n" for n in range(10)]


async def verb(home, *arguments):
    """Run ``batos VERB`` in a thread of this process; starting one costs a second each time."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = await asyncio.to_thread(verbs.main, [*arguments, "--home", str(home)])
    return Ended(status, out.getvalue(), err.getvalue())


async def teach(kernel, source, **body):
    return await kernel.request("teach", target="genesis_obj", body={"source": source} | body)


async def send(kernel, selector, *args):
    told = await kernel.request(
        "send", timeout=30, target="genesis_obj", selector=selector, args=list(args)
    )
    return told["result"]


async def about(kernel, kind, selector, **body):
    return await kernel.request(
        kind, timeout=30, target="genesis_obj", selector=selector, body=body
    )


async def test_of_ten_the_third_is_unlearned_across_a_restart_and_redone_with_its_hash(serving):
    async with serving.client() as kernel:
        hashes = [(await teach(kernel, source))["sha256"] for source in TEN]
        await teach(kernel, "def never_works(self):\n    return 1\n")
        for selector in ("m3", "never_works"):
            assert (await about(kernel, "unlearn", selector))["status"] == "unlearned"
    assert serving.kill() == -9
    serving.start()
    await serving.until_ready()
    async with serving.client() as kernel:
        nine = [n for n in range(10) if n != 3]
        assert [await send(kernel, f"m{n}") for n in nine] == nine
        assert await send(kernel, "respondsTo", "m3") is False
        with pytest.raises(RemoteError):  # not understood, and the model cannot write it
            await send(kernel, "never_works")
        assert (await about(kernel, "redo", "m3"))["sha256"] == hashes[3]
        assert await send(kernel, "m3") == 3


async def check_why(home, double):
    why = await verb(home, "why", *double)
    assert why.status == 0, why.err
    lines = why.out.splitlines()
    assert lines[0] == "genesis_obj.double: provisional, version 1 of 1, current"
    for word in ("wish", "message", "written by", "drawn with", "mission", "cost", "SHA-256"):
        assert any(line.startswith(f"  {word}") for line in lines), word
    assert "genesis_obj.double(21)" in why.out
    (chosen,) = [line.split() for line in lines if line.startswith("  * ")]
    assert chosen[-1] == "42"
    assert lines[lines.index("source") + 1].strip().startswith("def double(self, number):")
    assert lines[-1].strip() == "return number * 2"


async def test_people_are_told_why_and_can_move_and_recall_what_was_learned(serving):
    home, double = serving.home, ("genesis_obj", "double")
    learned = await launch_verb(home, "send", *double, "[21]")
    assert (learned.status, learned.out) == (0, "42\n"), learned.err

    await check_why(home, double)
    async with serving.client() as kernel:
        told = await about(kernel, "why", "double")
        model, why_mission = told["origin"]["model"], told["mission"]["id"]
        await teach(kernel, "def double(self, number):\n    return number + number\n")
        await about(kernel, "redo", "double", version=1)
    assert "+    return number + number" in (await verb(home, "diff-method", *double, "1", "2")).out
    pinned = await verb(home, "pin", *double)
    assert pinned.out == "genesis_obj.double: pinned, version 1\n", pinned.err
    refused = await verb(home, "unlearn", *double)
    assert (refused.status, refused.out) == (1, "")
    assert "pinned to version 1" in refused.err
    listed = (await verb(home, "versions", *double)).out.splitlines()
    assert [line.split()[:2] for line in listed[1:]] == [["*", "1"], ["2", "taught"]]

    changed = await verb(home, "diff", "1 hour ago")  # the image is younger than that
    assert (changed.status, changed.err[:9]) == (1, "NOT_FOUND"), changed.err
    changed = await verb(home, "diff", why_mission)
    assert "method  genesis_obj.double" not in changed.out  # it was version 1, and is again
    assert "transactions, from" in changed.err

    asked = await verb(home, "recall", "--model", model)
    assert "genesis_obj.double" in asked.out
    assert "nothing was changed" in asked.err
    gone = (await verb(home, "recall", "--model", model, "--yes", "--json")).json
    assert [one["selector"] for one in gone["methods"]] == ["double"]
    assert gone["recall"] in (await verb(home, "recall")).out
    back = await verb(home, "recall", "--undo", gone["recall"])
    assert "version 1 is back" in back.out, back.err
    again = (await verb(home, "send", *double, "[4]", "--json")).json
    assert (again["result"], again["learned"]) == (8, False)


async def test_a_method_is_relearned_replayed_and_asked_as_of_then(serving):
    home, double = serving.home, ("genesis_obj", "double")
    assert (await verb(home, "send", *double, "21")).out == "42\n"
    async with serving.client() as kernel:
        first = (await about(kernel, "why", "double"))["mission"]["id"]
    again = (await verb(home, "why", *double, "--replay")).out.splitlines()[-1]
    assert again.startswith("replayed with"), again
    assert again.endswith("byte for byte the same")

    refused = await verb(home, "relearn", *double)  # this model always writes the same
    assert refused.status == 1, refused
    assert len((await verb(home, "versions", *double, "--json")).json["versions"]) == 1
    relearned = await verb(home, "relearn", *double, "--wish", "Add the number to itself", "--json")
    assert (relearned.json["result"], relearned.json["learned"]) == (42, True), relearned
    assert (await verb(home, "versions", *double, "--json")).json["current"] == 2

    then = await verb(home, "send", *double, "ab", "--at", first)
    assert then.out == "abab\n"
    assert "as of 20" in then.err
    assert (await verb(home, "source", *double, "--at", first)).out.count("number * 2") == 1
    assert "Add the number to itself" in (await verb(home, "source", *double)).out
    listed = await verb(home, "list", "--at", "1 hour ago")
    assert (listed.status, listed.err[:9]) == (1, "NOT_FOUND"), listed.err
    changed = (await verb(home, "diff", first, "--json")).json
    assert [(m["selector"], m["before"], m["after"]) for m in changed["methods"]] == [
        ("double", 1, 2)
    ]


async def test_the_transaction_that_changed_an_answer_is_found(serving):
    home, area = serving.home, ("genesis_obj", "area")
    async with serving.client() as kernel:
        await teach(kernel, "def area(self, a):\n    return a * a\n")
        good = (await kernel.request("diff", body={"a": "now", "b": "now"}))["to"]
        for source in TEN[:5]:
            await teach(kernel, source)
        await teach(kernel, "def area(self, a):\n    return a + a\n")
        for source in TEN[5:]:
            await teach(kernel, source)
    found = await verb(home, "bisect", *area, "3", "--good", good)
    assert found.status == 0, found.err
    assert found.out.splitlines()[0].endswith("teach area")
    assert found.out.splitlines()[-2:] == ["before   9", "after    6"]
    told = (await verb(home, "bisect", *area, "3", "--good", good, "--json")).json
    assert told["transactions"] >= 11
    assert told["openings"] - 1 <= math.log2(told["transactions"]) + 1


async def test_what_cites_a_document_is_tainted_by_its_change_and_recalled_with_it(
    serving, tmp_path
):
    home, double = serving.home, ("genesis_obj", "double")
    page = tmp_path / "doubling.md"
    page.write_text("To double a number, multiply the number by two.")
    learned = (await verb(home, "learn", str(page), "--json")).json
    doc_id = learned["learned"][0]["doc_id"]
    assert (await verb(home, "send", *double, "21")).out == "42\n"
    page.write_text("To double a number, add the number to itself.")
    await verb(home, "learn", str(page))
    assert "double (tainted)" in (await verb(home, "list")).out
    inspected = (await verb(home, "inspect", *double[:1], "--json")).json
    assert inspected["methods"]["double"]["tainted"]["document"] == doc_id
    verified = await verb(home, "verify-method", *double, "--example", "4 gives 8")
    assert verified.out == "genesis_obj.double: verified, version 1\n", verified.err
    assert "tainted" not in (await verb(home, "list")).out
    gone = (await verb(home, "recall", "--document", doc_id, "--yes", "--json")).json
    assert [one["selector"] for one in gone["methods"]] == ["double"]
    async with serving.client() as kernel:
        assert await send(kernel, "respondsTo", "double") is False


async def test_in_approval_mode_a_method_answers_after_the_yes_across_a_restart(kernel_process):
    home, double = kernel_process.home, ("genesis_obj", "double")
    kernel_process.start(approve="yes")
    await kernel_process.until_ready()
    told = await verb(home, "send", *double, "21")
    assert (told.status, told.err.splitlines()[-1][:15]) == (1, "APPROVAL_WANTED"), told.err
    assert kernel_process.kill() == -9
    kernel_process.start(approve="yes")
    await kernel_process.until_ready()
    assert "genesis_obj.double" in (await verb(home, "approve")).out
    yes = await verb(home, "approve", *double)
    assert yes.out == "genesis_obj.double: verified, version 1\n", yes.err
    assert (await verb(home, "send", *double, "21")).out == "42\n"
    why = (await verb(home, "why", *double, "--json")).json
    assert (why["uses"]["count"], why["uses"]["callers"]) == (1, {"client": 1})


def sitting():
    """Return (words, comment) of each line under that heading of the page."""
    page = (ROOT / "docs" / "history.md").read_text()
    part = page.split("## In one sitting")[1].split("\n## ")[0]
    lines = re.findall(r"^    batos\.py (.*?)(?:  +# (.*))?$", part, re.MULTILINE)
    return [(shlex.split(line), comment) for line, comment in lines]


async def test_the_lines_of_the_page_work_one_after_the_other(serving, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notes, known, told = tmp_path / "notes.md", {}, {}
    notes.write_text("# Doubling\n\nTo double a number, multiply it by two.\n")
    home = serving.home
    for words, comment in sitting():
        if tuple(words) in told:  # learned a second time
            notes.write_text("# Doubling\n\nTo double a number, add it to itself.\n")
        words = [known.get(word, word) for word in words]  # noqa: PLW2901 - what stands for what
        ended = await verb(home, *words)
        assert (ended.status != 0) == (comment.startswith("fails")), (words, ended)
        told[tuple(words)] = ended.out + ended.err
        if words[1:3] == ["genesis_obj", "double"] and words[0] == "send":
            why = (await verb(home, "why", *words[1:3], "--json")).json
            known["MODEL"] = why["origin"]["model"]
        elif "--yes" in words:
            known["RECALL"] = re.search(r"--undo (\w+)", told[tuple(words)])[1]
        elif words == ["missions", "--state", "failed"]:
            known["MISSION"] = ended.out.splitlines()[1].split()[0]
    texts = {" ".join(words): text for words, text in told.items()}
    model = known["MODEL"]
    assert "byte for byte the same" in texts["why helper_obj double --replay"]
    assert "of that mind" in texts["why helper_obj double --replay"]
    found = texts[f"recall --model {model}"]
    assert "genesis_obj.double" in found
    assert "helper_obj.double" in found
    assert "new     genesis_obj.double" in texts["diff --with trial"]
    assert "genesis_obj.double" in texts["recall"].split("to be verified again:")[1]
    assert "tainted by document:" in texts["list --stale"]
    assert "all 3 batches were rejected" in texts[f"missions resume {known['MISSION']}"]
    experience = (await verb(home, "experience", "--json")).json["experience"]
    (failed,) = [one for one in experience if one["mission"] == known["MISSION"]]
    assert failed["outcome"]["kind"] == "failed"
    events = [step["event"] for step in failed["steps"]]
    assert events.count("MethodDrafted") == 6
    assert events.count("MissionResumed") == 1
