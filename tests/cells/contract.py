"""What every adapter of the port Cell does, the fake and the real ones alike.

A test module subclasses ``CellContract`` and has a fixture ``cell_for``: a function that
returns a cell in which the method ``m`` of a source can be called.
"""

import asyncio
import datetime as dt
import uuid
from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

import pytest

from bat_os.core.values import Ref
from bat_os.errors import CellError, NotFoundError
from bat_os.ports import Call, Delta, NestedReply, ObjectView

BENIGN = "def m(self):\n    return 6 * 7"
ROBOT = Ref("00000000000000aa", "robot")
LAMP = Ref("00000000000000bb", "lamp")
PLAIN = [
    *(None, True, -3, 1 << 70, -(1 << 64), 2.5, "bat", b"\x00", [1, [2]], {"a": {"b": 1}}),
    *({1: "one", (2, 3): "pair"}, (1, (2,)), {1, "x"}, frozenset({2}), Decimal("1.10")),
    *(dt.date(2026, 1, 2), dt.time(3, 4, tzinfo=dt.UTC), dt.timedelta(days=-1, seconds=5)),
    *(dt.datetime(2026, 1, 2, 3, 4, 5, 6), uuid.UUID(int=7), LAMP),  # noqa: DTZ001 - naive too
    dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
]


def make_call(source, *args, slots=None, selectors=(), **options):
    view = ObjectView(ROBOT, slots or {}, frozenset(selectors))
    return Call(source, "m", view, args, **options)


async def refuse(nested):
    raise NotFoundError(f"no object {nested.target}")


# Past the import list, as any attack gets: what then holds is the confinement alone.
REACH = (
    "import random\ndef m(self):\n    os, sys = random._os, random._os.sys\n"
    "    socket, ctypes = sys.modules['socket'], sys.modules['ctypes']\n"
    "    libc = ctypes.CDLL(None, use_errno=True)\n"
)


async def run(cell, source, *args, **options):
    return await cell.run(make_call(source, *args, **options), refuse)


async def fail(cell, source, **options):
    """Return the error of a method that must fail, once the next call has answered."""
    with pytest.raises(CellError) as caught:
        await run(cell, source, **options)
    assert (await run(cell, BENIGN)).value == 42
    return caught.value


class CellContract:
    # What an adapter's language cannot do: name of the test, or with [id], and why.
    lacking: ClassVar[dict[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _skip_what_the_language_lacks(self, request):
        node = request.node
        reason = self.lacking.get(node.name) or self.lacking.get(node.originalname)
        if reason:
            pytest.skip(reason)

    @pytest.mark.parametrize("value", PLAIN, ids=lambda one: type(one).__name__)
    async def test_plain_data_goes_in_and_comes_back_exactly(self, cell_for, value):
        source = "def m(self, x):\n    self.copy = [x]\n    return [x, self.kept]"
        cell = cell_for(source)

        result = await cell.run(make_call(source, value, slots={"kept": value}), refuse)

        assert result.value == [value, value]
        assert [type(item) for item in result.value] == [type(value)] * 2
        assert result.delta == Delta({"copy": [value]})

    async def test_keyword_arguments_arrive(self, cell_for):
        source = "def m(self, a, *, b=2):\n    return a - b"
        call = replace(make_call(source, 1), kwargs={"b": 5})

        assert (await cell_for(source).run(call, refuse)).value == -4

    async def test_reading_changes_nothing(self, cell_for):
        source = "def m(self):\n    return [sum(self.row), sorted(self.set), dict(self._slots)]"
        slots = {"row": [1, 2], "set": {"x", "y", "z"}, "map": {2: 3}}

        result = await cell_for(source).run(make_call(source, slots=slots), refuse)

        assert result.value[:2] == [3, ["x", "y", "z"]]
        assert result.value[2] == slots
        assert result.delta == Delta()

    async def test_a_change_deep_inside_a_slot_counts(self, cell_for):
        source = "def m(self):\n    self.tree['a'][0]['b'] += 1"
        slots = {"tree": {"a": [{"b": 1}]}, "other": [1]}

        result = await cell_for(source).run(make_call(source, slots=slots), refuse)

        assert result.delta == Delta({"tree": {"a": [{"b": 2}]}})

    async def test_slots_are_set_and_deleted(self, cell_for):
        source = (
            "def m(self):\n    self.x = 1\n    del self.old\n    self._slots['y'] = 2\n"
            "    self._p_changed = True\n"
            "    return [hasattr(self, 'old'), hasattr(self, 'x'), 'y' in self._slots]"
        )

        result = await cell_for(source).run(make_call(source, slots={"old": 1}), refuse)

        assert result.value == [False, True, True]
        assert result.delta == Delta({"x": 1, "y": 2}, ("old",))

    async def test_an_unknown_slot_is_an_error_that_lists_those_there_are(self, cell_for):
        source = "def m(self):\n    return self.colour"

        with pytest.raises(CellError, match=r"no slot 'colour'.*height, width") as caught:
            await cell_for(source).run(make_call(source, slots={"width": 1, "height": 2}), refuse)

        assert caught.value.details["kind"] == "raised"
        assert caught.value.details["type"] == "AttributeError"

    @pytest.mark.parametrize("value", ["lambda: 1", "(i for i in [])", "object()", "print"])
    async def test_a_slot_that_cannot_be_kept_is_refused_where_it_is_set(self, cell_for, value):
        source = (
            f"def m(self):\n    try:\n        self.x = {value}\n"
            "    except TypeError as error:\n        return str(error)"
        )

        result = await cell_for(source).run(make_call(source), refuse)

        assert result.value.startswith("slot 'x' cannot be a ")
        assert result.delta == Delta()

    async def test_what_slips_into_a_slot_later_is_refused_at_the_end(self, cell_for):
        source = "def m(self):\n    self.row.append(print)"

        with pytest.raises(CellError, match="slot 'row'") as caught:
            await cell_for(source).run(make_call(source, slots={"row": []}), refuse)

        assert caught.value.details["kind"] == "refused"

    @pytest.mark.parametrize(
        ("value", "plain"),
        [
            ("collections.Counter('aab')", {"a": 2, "b": 1}),
            ("collections.deque([1])", [1]),
            ("collections.OrderedDict(a=1)", {"a": 1}),
            ("collections.namedtuple('P', 'x y')(1, 2)", (1, 2)),
            ("enum.Enum('C', 'RED').RED", 1),
            ("bytearray(b'x')", b"x"),
            ("range(3)", [0, 1, 2]),
            ("{1: 2}.items()", [(1, 2)]),
        ],
    )
    async def test_an_answer_with_a_plain_form_takes_it(self, cell_for, value, plain):
        imports = [f"import {name}\n" for name in ("collections", "enum") if name in value]
        source = "".join(imports) + f"def m(self):\n    return [{value}]"

        assert (await cell_for(source).run(make_call(source), refuse)).value == [plain]

    @pytest.mark.parametrize("value", ["(i for i in [])", "print", "object()", "int"])
    async def test_an_answer_without_a_plain_form_is_refused(self, cell_for, value):
        source = f"def m(self):\n    return {value}"

        with pytest.raises(CellError, match="the answer cannot be") as caught:
            await cell_for(source).run(make_call(source), refuse)

        assert caught.value.details["kind"] == "refused"

    async def test_an_answer_that_contains_itself_is_refused(self, cell_for):
        source = "def m(self):\n    x = []\n    x.append(x)\n    return x"

        with pytest.raises(CellError, match="contains itself") as caught:
            await cell_for(source).run(make_call(source), refuse)

        assert caught.value.details["kind"] == "refused"

    async def test_a_send_carries_its_parts_and_brings_the_answer(self, cell_for):
        source = (
            "def m(self):\n    return [self.lamp.shine(1, level=2), self.area('x'),\n"
            "            self.send('calculator', 'add', [3])]"
        )
        seen = []

        async def send(nested):
            seen.append((nested.target, nested.selector, nested.args, dict(nested.kwargs)))
            return NestedReply(len(seen))

        call = make_call(source, slots={"lamp": LAMP}, selectors=["area"])
        result = await cell_for(source).run(call, send)

        assert result.value == [1, 2, 3]
        assert seen == [
            (LAMP, "shine", (1,), {"level": 2}),
            (ROBOT, "area", ("x",), {}),
            ("calculator", "add", ([3],), {}),
        ]

    async def test_references_are_equal_by_identity_and_self_is_one(self, cell_for):
        source = (
            "def m(self, a, b):\n    self.me = self\n"
            "    return [a == b, a is not None, len({a, b}), a == self, self.back == self, self]"
        )
        other = Ref(LAMP.oid, "another name")

        call = make_call(source, LAMP, other, slots={"back": ROBOT})
        result = await cell_for(source).run(call, refuse)

        assert result.value == [True, True, 1, False, True, ROBOT]
        assert result.delta == Delta({"me": ROBOT})

    async def test_changes_are_flushed_before_a_send_and_slots_are_fresh_after_it(self, cell_for):
        source = (
            "def m(self):\n    self.notes.append('mine')\n    del self.old\n"
            "    self.send('other', 'touch')\n    self.notes.append('after')\n"
            "    return [self.notes, hasattr(self, 'gone'), hasattr(self, 'old')]"
        )
        deltas = []

        async def send(nested):
            deltas.append(nested.delta)
            return NestedReply(None, {"notes": ["mine", "theirs"]}, ("gone",))

        slots = {"notes": [], "old": 1, "gone": 2}
        result = await cell_for(source).run(make_call(source, slots=slots), send)

        assert deltas == [Delta({"notes": ["mine"]}, ("old",))]
        assert result.value == [["mine", "theirs", "after"], False, False]
        assert result.delta == Delta({"notes": ["mine", "theirs", "after"]})

    async def test_a_send_that_fails_is_a_runtime_error_with_the_same_text(self, cell_for):
        source = (
            "def m(self):\n    try:\n        self.send('vault', 'secret')\n"
            "    except RuntimeError as error:\n        return str(error)"
        )

        assert (await cell_for(source).run(make_call(source), refuse)).value == "no object vault"

    @pytest.mark.slow
    async def test_the_deadline_pauses_while_a_send_is_answered(self, cell_for):
        source = "def m(self):\n    return self.send('slow', 'wait')"
        over = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def send(nested):
            loop.call_later(0.8, over.set)
            await over.wait()
            return NestedReply("done")

        result = await cell_for(source).run(make_call(source, deadline=0.4), send)

        assert result.value == "done"

    async def test_more_messages_than_the_limit_end_the_call(self, cell_for):
        source = "def m(self):\n    while True:\n        self.send('x', 'y')"

        async def send(nested):
            return NestedReply(None)

        with pytest.raises(CellError, match="messages") as caught:
            await cell_for(source).run(make_call(source), send)

        assert caught.value.details["kind"] == "limit"

    async def test_an_answer_over_the_frame_limit_is_refused(self, cell_for):
        source = "def m(self):\n    return 'x' * (9 << 20)"

        with pytest.raises(CellError, match="8 MB") as caught:
            await cell_for(source).run(make_call(source), refuse)

        assert caught.value.details["kind"] == "limit"

    async def test_calls_at_the_same_time_do_not_mix(self, cell_for):
        source = "def m(self, x):\n    return self.send('echo', 'say', x)"
        cell = cell_for(source)

        async def echo(nested):
            return NestedReply(nested.args[0])

        results = await asyncio.gather(
            *(cell.run(make_call(source, number), echo) for number in range(12))
        )

        assert [result.value for result in results] == list(range(12))
