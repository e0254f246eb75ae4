"""The Linux cell: real processes, really confined."""

import asyncio
import datetime as dt
import hashlib
import os
import select
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from bat_os.cells.zygote import zygote_cell as zygote
from bat_os.cells.zygote.zygote_cell import ZygoteCell
from bat_os.errors import CellError, CellUnavailableError
from bat_os.ports import Delta, NestedReply
from tests.cells.contract import BENIGN, REACH, CellContract, fail, make_call, run

pytestmark = [
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="this cell is for Linux"),
]
PYTHON = Path(sys.executable).resolve()


@pytest.fixture
def cell_for(cell):
    return lambda source: cell


class TestContract(CellContract):
    pass


async def test_its_own_exception_is_told_with_its_line(cell):
    error = await fail(cell, "def m(self):\n    x = 1\n    raise ValueError('no such bat')")

    assert str(error) == "ValueError on line 3: no such bat"
    assert error.details == {
        "kind": "raised",
        "type": "ValueError",
        "line": 3,
        "text": "no such bat",
    }


async def test_the_line_of_an_error_inside_a_library_is_the_line_that_called_it(cell):
    error = await fail(cell, "import json\ndef m(self):\n    return json.loads('{')")

    assert str(error).startswith("JSONDecodeError on line 3: Expecting")


async def test_a_child_that_has_answered_ends_when_it_is_killed_and_not_before(cell, monkeypatch):
    while cell._running:  # noqa: ASYNC110 - a poll is meant; these are of the test before
        await asyncio.sleep(0.001)
    monkeypatch.setattr(zygote, "_ANSWER_FIRST", 0.3)
    await cell.start()  # with a spare more, the one that has answered is not ended at once
    await run(cell, "def m(self):\n    return 1")
    (child,) = cell._running
    handle = os.dup(child.handle)
    try:
        assert await asyncio.to_thread(select.select, [handle], [], [], 0.1) == ([], [], [])
        assert (await asyncio.to_thread(select.select, [handle], [], [], 10))[0] == [handle]
    finally:
        os.close(handle)


async def test_source_that_does_not_compile_names_its_line(cell):
    error = await fail(cell, "def m(self):\n    return (1 +\n")

    assert error.details["type"] == "SyntaxError"
    assert error.details["line"] == 2


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
async def test_no_exception_slips_out_of_the_call(cell, kind):
    assert (await fail(cell, f"def m(self):\n    raise {kind}('x')")).details["type"] == kind


async def test_a_source_without_the_method_says_so(cell):
    assert "defines no function 'm'" in str(await fail(cell, "def n(self):\n    return 1"))


async def test_a_module_outside_the_list_cannot_be_imported(cell):
    error = await fail(cell, "def m(self):\n    import subprocess")

    assert error.details["type"] == "ImportError"
    assert "subprocess" in str(error)


async def test_an_endless_loop_ends_at_the_deadline(cell):
    error = await fail(cell, "def m(self):\n    while True:\n        pass", deadline=0.2)

    assert error.details["kind"] == "deadline"
    assert str(error) == "took longer than 0.2 s"


async def test_memory_is_limited(cell):
    error = await fail(cell, "def m(self):\n    return len('x' * (300 << 20))")

    assert error.details["kind"] == "limit"


async def test_printing_is_kept_up_to_the_limit(cell):
    assert (
        await run(cell, "def m(self):\n    print('a', 1)\n    print('b')")
    ).printed == "a 1\nb\n"

    error = await fail(cell, "def m(self):\n    print('x' * 70_000)")

    assert error.details["kind"] == "limit"


async def test_a_crash_of_the_interpreter_is_told(cell):
    error = await fail(cell, REACH + "    ctypes.string_at(0)")

    assert error.details["kind"] == "died"
    assert "SIGSEGV" in str(error)


async def test_leaving_without_an_answer_is_told(cell):
    assert (await fail(cell, REACH + "    os._exit(0)")).details["kind"] == "died"


async def test_filling_the_image_a_frame_at_a_time_ends_the_call(cell):
    source = (
        "def m(self):\n    for n in range(9):\n        self._slots[f's{n}'] = 'x' * (4 << 20)\n"
        "        self.send('x', 'y')\n"
    )

    async def send(nested):
        return NestedReply(None)

    with pytest.raises(CellError, match="16 MB") as caught:
        await cell.run(make_call(source), send)

    assert caught.value.details["kind"] == "limit"


async def test_the_same_seed_draws_the_same_numbers(cell):
    source = "import random\ndef m(self):\n    return [random.random() for _ in range(3)]"

    drawn = [(await run(cell, source, seed=seed)).value for seed in (5, 5, 6, None, None)]

    assert drawn[0] == drawn[1]
    assert len({tuple(row) for row in drawn}) == 4


async def test_the_clock_starts_where_the_caller_says(cell):
    source = textwrap.dedent("""
        import time, datetime
        from datetime import date, datetime as moment, timezone
        def m(self):
            made = moment(1999, 1, 2)
            self.kept = moment.now(timezone.utc)
            stamps = [time.time(), moment.now().timestamp(), moment.now(timezone.utc).timestamp(),
                      time.mktime(time.localtime()), time.time_ns() / 1e9,
                      moment.utcnow().replace(tzinfo=timezone.utc).timestamp()]
            facts = [isinstance(made, moment), isinstance(made, date),
                     isinstance(self.given, datetime.datetime), isinstance(date.today(), date),
                     not isinstance(date.today(), moment), made < moment.now(),
                     date.today() == moment.now().date(), made - made == datetime.timedelta(0),
                     moment.strptime("2021", "%Y").year == 2021,
                     str(moment.now().year) in time.ctime()]
            return [stamps, facts, made]
    """)
    now = dt.datetime(2001, 9, 9, 1, 46, 40, tzinfo=dt.UTC)

    result = await run(cell, source, now=now.timestamp(), slots={"given": now})

    stamps, facts, made = result.value
    assert all(0 <= stamp - int(now.timestamp()) < 60 for stamp in stamps)
    assert all(facts)
    assert made == dt.datetime(1999, 1, 2)  # noqa: DTZ001 - naive on purpose
    assert result.delta.changed["kept"].date() == now.date()


async def test_the_clock_is_the_real_one_otherwise(cell):
    source = "import time\ndef m(self):\n    return time.time()"
    before = dt.datetime.now(dt.UTC).timestamp()

    told = (await run(cell, source)).value

    assert before <= told <= dt.datetime.now(dt.UTC).timestamp()


async def test_time_zones_are_there(cell):
    source = (
        "from zoneinfo import ZoneInfo\nfrom datetime import datetime\n"
        "def m(self):\n    return datetime(2026, 1, 1, tzinfo=ZoneInfo('Asia/Tokyo'))"
    )

    assert (await run(cell, source)).value.utcoffset() == dt.timedelta(hours=9)


async def test_all_time_zones_are_listed(cell):
    source = (
        "from zoneinfo import ZoneInfo, available_timezones\ndef m(self):\n"
        "    names = available_timezones()\n"
        "    return [len(names), len({ZoneInfo(name) for name in names}), ZoneInfo('No/Where')]"
    )

    error = await fail(cell, source)
    names, zones = (await run(cell, source.replace(", ZoneInfo('No/Where')", ""))).value

    assert error.details["type"] == "ZoneInfoNotFoundError"
    assert names == zones > 100


async def test_each_call_draws_other_numbers(cell):
    source = (
        "import random, secrets, uuid\ndef m(self):\n"
        "    return [random.random(), secrets.randbits(60), str(uuid.uuid4())]"
    )

    drawn = [(await run(cell, source)).value for _ in range(4)]

    assert all(len(set(column)) == 4 for column in zip(*drawn, strict=True))


async def test_libraries_work_that_others_leave_out(cell):
    names = ("md5", "sha3_256", "blake2s")
    source = (
        "import hashlib, uuid\ndef m(self, names):\n"
        "    derived = hashlib.pbkdf2_hmac('sha256', b'a', b'b', 2).hex()\n"
        "    plain = [hashlib.new(name, b'a').hexdigest() for name in names]\n"
        "    return [*plain, derived, uuid.uuid1().version]"
    )
    plain = [hashlib.new(name, b"a").hexdigest() for name in names]

    value = (await run(cell, source, names)).value

    assert value == [*plain, hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2).hex(), 1]


async def test_asyncio_works_inside_a_method(cell):
    source = (
        "import asyncio\ndef m(self):\n    async def one(n):\n        await asyncio.sleep(0)\n"
        "        return n\n    async def both():\n"
        "        return await asyncio.gather(one(1), one(2))\n    return asyncio.run(both())"
    )

    assert (await run(cell, source)).value == [1, 2]


async def test_a_dataclass_with_postponed_annotations_works(cell):
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\n"
        "class P:\n    x: int\ndef m(self):\n    return P(3)"
    )

    assert (await run(cell, source)).value == {"x": 3}


async def test_nothing_of_the_kernel_process_is_in_the_child(cell):
    source = REACH + (
        "    return [dict(os.environ), sys.argv[1:2], sorted(sys.path),\n"
        "            [n for n in sys.modules if n.startswith(('ZODB', 'torch', 'zmq', 'pytest'))]]"
    )

    environment, _, path, modules = (await run(cell, source)).value

    assert set(environment) <= {"LC_CTYPE"}
    assert path == modules == []


async def test_one_call_leaves_nothing_for_the_next(cell):
    dirty = "import json, math\ndef m(self):\n    json.bat = math.pi = 3\n    return 1"
    clean = "import json, math\ndef m(self):\n    return [hasattr(json, 'bat'), math.pi > 3]"
    await run(cell, dirty)

    assert (await run(cell, clean)).value == [False, True]


async def test_a_cancelled_call_kills_its_child(cell):
    entered = asyncio.Event()

    async def wait(nested):
        entered.set()
        await asyncio.Event().wait()

    source = "def m(self):\n    self.send('x', 'y')"
    task = asyncio.create_task(cell.run(make_call(source, deadline=60), wait))
    await entered.wait()
    child = next(one for one in cell._running if one in cell._held)
    handle = os.dup(child.handle)
    try:
        assert select.select([handle], [], [], 0) == ([], [], [])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await asyncio.to_thread(select.select, [handle], [], [], 10))[0] == [handle]
    finally:
        os.close(handle)
    assert (await run(cell, BENIGN)).value == 42


async def test_stats_say_what_confines(cell):
    stats = cell.stats()

    assert stats["kind"] == "zygote"
    assert stats["confinement"]["landlock"] >= 1
    assert stats["confinement"]["seccomp"] is True
    assert stats["confinement"]["unprivileged"] is True


async def test_the_attacks_of_the_self_test_all_fail(cell):
    report = await cell.self_test()

    assert report["through"] == []
    assert report["ok"] is True
    assert len(report["held"]) >= 10


@pytest.mark.slow
async def test_a_zygote_that_was_killed_is_started_again():
    cell = ZygoteCell()
    await cell.start()
    first = psutil.Process(cell.stats()["pid"])
    family = [first, *first.children(recursive=True)]
    first.kill()
    for process in family:
        process.wait(20)

    result = await run(cell, "def m(self):\n    self.x = 1\n    return 2")
    starts = cell.stats()["starts"]
    await cell.close()

    assert result.delta == Delta({"x": 1})
    assert starts == 2


async def test_a_busy_kernel_may_leave_the_zygote_unread_for_a_while():
    cell = ZygoteCell()
    await cell.start()
    calls = [asyncio.create_task(run(cell, BENIGN)) for _ in range(64)]
    for _ in range(3):
        await asyncio.sleep(0)  # every request is on its way
    time.sleep(0.3)  # noqa: ASYNC251 - the loop is busy, and the zygote's answers pile up

    answers = await asyncio.gather(*calls)
    starts = cell.stats()["starts"]
    await cell.close()

    assert [answer.value for answer in answers] == [42] * 64
    assert starts == 1


@pytest.mark.parametrize("python", ["/bin/false", "/nothing/here", "/etc/hostname", "/"])
async def test_an_interpreter_that_does_not_start_is_told(python):
    cell = ZygoteCell(python=python)

    with pytest.raises(CellUnavailableError, match="did not start"):
        await cell.start()
    await cell.close()


async def test_a_time_zone_can_be_given():
    cell = ZygoteCell(spares=0, zone="Asia/Tokyo")
    source = (
        "from datetime import datetime\ndef m(self):\n"
        "    return datetime(2026, 1, 1).astimezone().utcoffset().total_seconds()"
    )

    assert (await run(cell, source)).value == 9 * 3600
    await cell.close()


@pytest.mark.slow
@pytest.mark.skipif(
    os.getuid() != 0 or not all(p.stat().st_mode & 1 for p in PYTHON.parents),
    reason="needs root, and an interpreter that others may run",
)
async def test_an_ordinary_user_gets_the_same_confinement():
    script = textwrap.dedent("""
        import asyncio
        from bat_os.cells.zygote.zygote_cell import ZygoteCell
        async def main():
            cell = ZygoteCell()
            report = await cell.self_test()
            print(report["ok"], report["through"], cell.stats()["confinement"]["seccomp"])
            await cell.close()
        asyncio.run(main())
    """)
    python = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        cwd=Path(__file__).parents[3],
        user=65534,
        group=65534,
        extra_groups=[],
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )

    said = (await python.communicate())[0].decode()

    assert said == "True [] True\n"
