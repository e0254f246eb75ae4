"""bat_os.image.files.export: what goes out as text comes back the same, or not at all."""

import datetime as dt
import json
import math
import uuid
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.values import Ref
from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.image.files.export import (
    decode,
    encode,
    export_method,
    export_object,
    read,
    references,
    seal,
)
from tests.image.files.images import put, teach

ATOMS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.datetimes() | st.dates() | st.times() | st.timedeltas() | st.uuids()
    | st.decimals(allow_nan=False, places=3) | st.builds(Ref, st.just("0" * 16), st.just("x_obj"))
)  # fmt: skip
KEYS = st.text() | st.integers() | st.tuples(st.integers(), st.text())
PLAIN = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
        | st.tuples(inner, inner) | st.sets(st.integers() | st.text(), max_size=3)
    ),
    max_leaves=10,
)  # fmt: skip


@given(PLAIN)
def test_all_plain_data_comes_back_the_same_through_json(value):
    text = json.dumps(encode(value, "a slot"), allow_nan=False)
    back = decode(json.loads(text), lambda name: Ref("0" * 16, name))
    assert repr(back) == repr(value) or back == value


def test_what_json_lacks_has_a_form_that_people_can_read():
    assert encode({"at": dt.date(2026, 1, 2), 1: b"a"}, "a slot") == {
        "$map": [["at", {"$date": "2026-01-02"}], [1, {"$bytes": "YQ=="}]]
    }
    assert encode([math.inf, Decimal("1.50"), {"$x": 1}], "a slot") == [
        {"$float": "inf"}, {"$decimal": "1.50"}, {"$map": [["$x", 1]]},
    ]  # fmt: skip
    assert encode(uuid.UUID(int=1), "a slot") == {"$uuid": str(uuid.UUID(int=1))}


async def test_an_object_goes_with_its_methods_and_names_what_it_needs(image):
    await put(image, "robot_obj", size=3, seen={"a", "b"})
    await teach(image, "robot_obj", "def wave(self):\n    return 1\n")
    told = await image.transact(lambda root: export_object(root["objects"]["robot_obj"]), note="x")
    content = read(json.dumps(told))
    assert content["slots"] == {"colour": "red", "seen": {"$set": ["a", "b"]}, "size": 3}
    assert [one["selector"] for one in content["methods"]] == ["wave"]
    assert references(content) == ["traits_obj"]


async def test_only_learned_methods_can_be_exported(image):
    with pytest.raises(NotFoundError, match="no learned method"):
        await image.transact(
            lambda root: export_method(root["objects"]["robot_obj"], "colour"), note="x"
        )


def method(**changed):
    source = "def wave(self):\n    return 1\n"
    from bat_os.core.digest import digest

    told = {"kind": "method", "object": "a_obj", "selector": "wave", "source": source,
            "sha256": digest(source), "status": "taught", "version": 1, "examples": [],
            "origin": {}}  # fmt: skip
    return told | changed


DEEP = "[" * 200 + "]" * 200


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "null", '{"bat_os_export": 2}', "[" * 100_000, "x" * ((1 << 20) + 1),
        json.dumps(seal(method(source="def wave(self):\n    return 2\n"))),
        json.dumps(seal(method(selector="__init__"))),
        json.dumps(seal(method(examples=[{"args": {"$bytes": "*"}, "kwargs": {}, "result": 1}]))),
        json.dumps(seal(method(examples=[{"args": 1, "kwargs": {}, "result": 1}]))),
        json.dumps(seal(method(origin=None)) | {"sha256": "0" * 64}),
        json.dumps(seal({"kind": "object", "name": "../x", "parents": [], "slots": {},
                         "methods": []})),
        json.dumps(seal({"kind": "object", "name": "a_obj", "parents": [1], "slots": {},
                         "methods": []})),
        json.dumps(seal({"kind": "object", "name": "a_obj", "parents": [], "methods": [],
                         "slots": {"__class__": 1}})),
        json.dumps(seal({"kind": "object", "name": "a_obj", "parents": [], "methods": [],
                         "slots": {"x": {"$os": "system"}}})),
        json.dumps(seal({"kind": "object", "name": "a_obj", "parents": [], "methods": [],
                         "slots": {"x": {"$decimal": "ten"}}})),
        json.dumps(seal({"kind": "object", "name": "a_obj", "parents": [], "methods": [],
                         "slots": {"x": {"$span": "9999999999 0 0"}}})),
        json.dumps(seal({"kind": "object", "name": "a_obj", "parents": [], "methods": [],
                         "slots": {"x": json.loads(DEEP)}})),
        json.dumps(seal({"kind": "object", "name": "a_obj", "parents": [], "methods": [method()],
                         "slots": {"wave": 1}})),
    ],
)  # fmt: skip
def test_a_text_that_is_no_export_or_was_changed_is_refused(text):
    with pytest.raises(ArgumentsError):
        read(text)


def test_a_file_of_another_kind_is_called_that():
    for text in ('{"a": 1}', "[]", "def f(): pass", '{"bat_os_export": 1}'):
        with pytest.raises(ArgumentsError, match="not written by batos export"):
            read(text)
