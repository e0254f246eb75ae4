"""bat_os.kernel.verbs.files: whatever is asked for gets an answer or one coded error."""

import contextlib
import itertools
import json
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bat_os.core.digest import digest
from bat_os.core.protocol import MAX_FRAME
from bat_os.core.values import ALIKE
from bat_os.errors import (
    ArgumentsError,
    BatError,
    ImageError,
    MissionError,
    NotPlainError,
    ProtocolError,
    ResourceError,
)
from bat_os.image.files.export import decode, read, seal
from bat_os.kernel.verbs.files import WORKS
from tests.image.files.images import make_image

of_the_cell = pytest.mark.asyncio(loop_scope="module")
SOURCE = "def wave(self):\n    return 1\n"
METHOD = {
    "kind": "method", "object": "genesis_obj", "selector": "wave", "source": SOURCE,
    "sha256": digest(SOURCE), "status": "taught", "version": 1, "origin": {},
    "examples": [{"args": [1], "kwargs": {"by": {"$decimal": "1.5"}}, "result": None}],
}  # fmt: skip
OBJECT = {
    "kind": "object", "name": "robot_obj", "parents": ["traits_obj"], "methods": [METHOD],
    "slots": {"size": {"$span": "1 2 3"}, "seen": {"$set": [1, {"$tuple": [2]}]},
              "more": {"$map": [[1, {"$float": "inf"}]]}},
}  # fmt: skip
TAGS = ("bytes", "date", "datetime", "decimal", "float", "frozenset", "map", "ref", "set", "span",
        "time", "tuple", "uuid")  # fmt: skip
TEXTS = st.sampled_from(["", "abc", "9999999999999 0 0", "1e999999999", "0001-01-01", "\ud800"])
ODD = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2)
        | st.builds(lambda tag, part: {f"${tag}": part}, st.sampled_from(TAGS), inner)
    ),
    max_leaves=4,
)  # fmt: skip


def places(value, path=()):
    """Yield the path of every part of a value, its own first."""
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*path, key))


def change(value, path, odd):
    """Return a value in which the part at ``path`` is another one, or is missing."""
    if not path:
        return odd
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    if odd is places and not rest:
        del copy[key]
    else:
        copy[key] = change(value[key], rest, odd)
    return copy


@settings(suppress_health_check=list(HealthCheck))
@given(st.data())
def test_an_export_with_any_part_changed_or_missing_is_read_or_refused(data):
    whole = data.draw(st.sampled_from([METHOD, OBJECT]))
    path = data.draw(st.sampled_from(list(places(whole))[1:]))
    content = change(whole, path, data.draw(st.just(places) | ODD))
    with contextlib.suppress(ArgumentsError, NotPlainError):  # any other fails the test
        read(json.dumps(seal(content)))


@of_the_cell
@pytest.mark.parametrize("whole", [METHOD, OBJECT], ids=["method", "object"])
async def test_an_import_of_an_export_with_a_part_missing_is_coded(mind, ask, whole):
    for path in list(places(whole))[1:]:
        if isinstance(path[-1], str) and not path[-1].startswith("$"):
            text = json.dumps(seal(change(whole, path, places)))
            with contextlib.suppress(ProtocolError, ImageError, MissionError, ResourceError):
                await ask("import", target="", text=text)


@of_the_cell
async def test_nothing_that_could_not_be_read_again_is_imported(ask):
    for slot in ("\ud800", {"\udfff": 1}, {"$map": [["\ud800", 1]]}, {"$set": ["\ud800"]}):
        text = json.dumps(seal(OBJECT | {"slots": {"a": slot}}))
        with pytest.raises(BatError, match="half of a surrogate pair"):
            await ask("import", text=text)


@pytest.mark.parametrize("tag", ["$set", "$frozenset", "$map"])
def test_an_export_whose_keys_all_have_one_hash_is_refused_before_they_are_compared(tag):
    powers = [{"$tuple": [{"$float": repr(2.0 ** (61 * k))}, n % 7]} for n in range(100)
              for k in range(-16, 16)]  # fmt: skip
    held = [[key, 1] for key in powers] if tag == "$map" else powers
    with pytest.raises(ArgumentsError, match="not written by batos export") as caught:
        read(json.dumps(seal(OBJECT | {"slots": {"a": {tag: held}}})))
    assert "same hash" in str(caught.value.__cause__)


def one_hash(kind, count):
    """Return as many different keys with one hash, as an export writes them."""
    modulus = 2**61 - 1  # Python's numbers have the rest of a division by it for a hash
    if kind == "tuple":  # of three floats
        powers = [2.0 ** (61 * k) for k in range(-17, 17)]
        parts = [power for power in powers if hash(power) == 1]
        made = ({"$tuple": list(key)} for key in itertools.product(parts, repeat=3))
    else:
        numbers = (1 + number * modulus for number in itertools.count())
        write = {
            "int": int, "decimal": lambda number: {"$decimal": str(number)},
            "uuid": lambda number: {"$uuid": str(uuid.UUID(int=number))},
        }[kind]  # fmt: skip
        made = map(write, numbers)
    keys = list(itertools.islice(made, count))
    assert len({hash(decode(key, str)) for key in keys}) == 1
    return keys


@of_the_cell
@pytest.mark.timeout(60)  # ten thousand that are compared take longer
@pytest.mark.parametrize("count", [5_000, 10_000])
@pytest.mark.parametrize("kind", ["tuple", "int", "decimal", "uuid"])
@pytest.mark.parametrize("place", ["slot", "key", "example"])
async def test_keys_of_one_hash_are_refused_at_each_place_of_an_import(ask, kind, count, place):
    keys = one_hash(kind, count)
    held = {"$map": [[key, 1] for key in keys]} if place == "key" else {"$set": keys}
    shown = METHOD | {"examples": [{"args": [held], "kwargs": {}, "result": 1}]}
    whole = {
        "slot": OBJECT | {"slots": {"a": held}}, "key": OBJECT | {"slots": {"a": [held]}},
        "example": OBJECT | {"methods": [shown]},
    }[place]  # fmt: skip
    with pytest.raises(ArgumentsError, match="not written by batos export") as caught:
        await ask("import", text=json.dumps(seal(whole), separators=(",", ":")))
    assert "same hash" in str(caught.value.__cause__)
    assert OBJECT["name"] not in (await ask("list"))["objects"]


@of_the_cell
@pytest.mark.timeout(60)
async def test_the_most_keys_of_one_hash_that_are_taken_cost_little_whenever_they_are_used(ask):
    most = {"$set": one_hash("tuple", ALIKE)}
    whole = OBJECT | {"methods": [], "slots": {"a": [most] * 190}}
    text = json.dumps(seal(whole))
    assert MAX_FRAME // 2 < len(text) < MAX_FRAME
    await ask("import", text=text)
    for _ in range(10):
        told = await ask("inspect", target="robot_obj")
    assert len(told["slots"]["a"]) == 190
    (await ask("export", target="robot_obj"))["text"].index("$set")
    assert (await ask("verify"))["damaged"] == []


ODD_PATHS = ("/dev/null/x", "/" + "x" * 300, "/tmp/a\0b", "relative", "", "/proc/1/x/y")  # noqa: S108


@pytest.mark.parametrize("place", ODD_PATHS)
@pytest.mark.parametrize("verb", ["archive", "backup"])
async def test_a_path_that_cannot_be_used_is_a_coded_error(tmp_path, verb, place):
    image = await make_image(tmp_path / "home" / "live_image.fs")
    fields = {"file": place, "folder": place, "reason": "why", "full": False, "copy": False}
    try:
        with pytest.raises(BatError) as caught:
            await WORKS[verb](image, fields)
    finally:
        await image.close()
    assert caught.value.code != "INTERNAL"
