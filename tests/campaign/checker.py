"""Reads an image file without any code of BAT OS, and compares it with what clients were told.

    python tests/campaign/checker.py live_image.fs      the facts as JSON

Records are unpickled with a stand-in for every class, trees are walked by the shape of their
states, and nothing of ``bat_os`` is imported: a fault there cannot hide itself here. An image
that a process holds can be read too, up to its last finished transaction.
"""

import hashlib
import io
import json
import pickle
import subprocess
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path

ROOT_OID = bytes(8)
TREES = ("BTree", "TreeSet")


class Stand:
    """What any class of the image is read as: its name and its state.

    Objects that are records of their own are ``bytes``, their oid.
    """

    kind = ""
    state = None

    def __init__(self, *_):
        pass

    def __setstate__(self, state):
        self.state = state


class Unpickler(pickle.Unpickler):
    """Loads a record; no class of it is the real one."""

    def find_class(self, module, name):
        if name == "_reconstructor":
            return lambda kind, *_: kind()
        if (module, name) in (("builtins", "set"), ("builtins", "frozenset")):
            return set
        if module == "datetime":
            return lambda *given: f"{name}{given}"
        return type(name, (Stand,), {"kind": name})

    def persistent_load(self, ref):
        return ref[0] if isinstance(ref, tuple) else ref


class Reader:
    """The objects of one image file."""

    def __init__(self, path):
        from ZODB.FileStorage import FileStorage

        self._storage = FileStorage(str(path), read_only=True)

    def close(self):
        self._storage.close()

    def load(self, oid):
        """Return (class name, state) of a record."""
        record, _ = self._storage.load(oid)
        if record.startswith(b".z"):
            record = zlib.decompress(record[2:])
        unpickler = Unpickler(io.BytesIO(record))
        kind = unpickler.load()
        kind = kind[0] if isinstance(kind, tuple) else kind
        return kind.kind, unpickler.load()

    def tree(self, oid):
        """Return the items of a BTree as a map; of a TreeSet, its keys in a list."""
        kind, state = self.load(oid)
        is_set = kind.endswith(("TreeSet", "Set"))
        flat = list(self._flat(kind, state))
        return flat if is_set else dict(zip(flat[::2], flat[1::2], strict=True))

    def _flat(self, kind, state):
        if state is None:
            return
        if not kind.endswith(TREES):  # a bucket
            yield from state[0]
        elif len(state) == 1:  # one bucket, inside the tree's own record
            yield from state[0][0][0]
        else:
            for child in state[0][::2]:
                yield from self._flat(*self.load(child))


def read_facts(path):
    """Return what an image holds, as plain data.

    ``missions``: id -> ``key``, ``state``, ``answer``, ``brief``. ``keys``: idempotency key ->
    id. ``unfinished``: ids. ``objects``: name -> slots, methods as a map with ``current`` and
    ``versions`` (``sha256``, ``sha256_found``, ``mission``).
    """
    reader = Reader(path)
    try:
        root = reader.load(ROOT_OID)[1]
        root = root.get("data", root)
        if "missions" not in root:
            return {"missions": {}, "keys": {}, "unfinished": [], "objects": {}}
        desks = _all_of(reader, root["unfinished"])
        # What begins like no id is the key of a mission of a lone kernel, or holds a desk's place.
        unfinished = {name: oid for name, oid in desks.items() if name >= "$"}
        waiting = {name[1:]: one for name, one in desks.items() if name.startswith("#")}
        missions = reader.tree(root["missions"]) | unfinished
        objects = reader.tree(root["objects"])
        return {
            "missions": {name: _mission(reader, oid) for name, oid in missions.items()},
            "keys": _all_of(reader, root["keys"]) | waiting,
            "unfinished": list(unfinished),
            "objects": {name: _slots(reader, oid) for name, oid in objects.items()},
        }
    finally:
        reader.close()


def _all_of(reader, oid):
    """Return the items of all trees of a tree of trees: desks, or shards of keys."""
    items = {}
    for tree in reader.tree(oid).values():
        items |= reader.tree(tree)
    return items


def _mission(reader, oid):
    slots = reader.load(oid)[1]["slots"]
    record = slots["record"]
    return {
        "key": slots["key"],
        "answer": slots["answer"],
        "brief": record["brief"],
        "events": len(record["events"]),
    }


def _slots(reader, oid):
    slots = reader.load(oid)[1]["slots"]
    return {name: _value(reader, value) for name, value in slots.items()}


def _value(reader, value):
    if not isinstance(value, bytes):
        return value
    kind, state = reader.load(value)
    if kind != "Method":
        return kind
    versions = [reader.load(one)[1] for one in state["versions"]]
    return {
        "current": state["current"],
        "primitive": state["primitive"],
        "versions": [
            {
                "sha256": one["sha256"],
                "sha256_found": hashlib.sha256(one["source"].encode()).hexdigest(),
                "mission": one["provenance"].get("mission", ""),
            }
            for one in versions
        ],
    }


@dataclass
class Told:
    """What clients were told, and must find again.

    Attributes:
        accepted: Key -> id of the brief that was acknowledged.
        results: Key -> result that was answered.
    """

    accepted: dict = field(default_factory=dict)
    results: dict = field(default_factory=dict)


def look(path):
    """Return ``read_facts`` of an image, read by a process of its own."""
    done = subprocess.run(
        [sys.executable, "-I", Path(__file__).absolute(), path],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def find_faults(facts, told, *, ended):
    """Return what is not as it was promised, one sentence each.

    Args:
        facts: Of the image.
        told: What clients know.
        ended: Every acknowledged brief must have come to its end by now.
    """
    return [
        *_lost(facts, told, ended=ended),
        *_twice(facts),
        *_half_installed(facts),
        *_differs(facts, told),
    ]


def _lost(facts, told, *, ended):
    unfinished = set(facts["unfinished"])
    for key, mission_id in told.accepted.items():
        mission = facts["missions"].get(mission_id)
        if mission is None:
            yield f"lost: {key} was accepted as {mission_id}, which is not in the image"
        elif mission["answer"] is None and mission_id not in unfinished:
            yield f"lost: {key} has no answer, and nobody will run it"
        elif ended and mission["answer"] is None:
            yield f"lost: {key} was accepted and has not ended"
    for mission_id, mission in facts["missions"].items():
        if mission["answer"] is not None and mission_id in unfinished:
            yield f"twice: {mission_id} has ended, and will be run again"


def _twice(facts):
    """Every tag once, and the counter as high as there are tags."""
    counter = facts["objects"].get("genesis_obj", {})
    seen = counter.get("seen", [])
    for tag in sorted({tag for tag in seen if seen.count(tag) > 1}):
        yield f"twice: {tag} was counted {seen.count(tag)} times"
    if counter.get("n", 0) != len(seen):
        yield f"half: the counter is {counter.get('n')}, and {len(seen)} were counted"
    done = [one for one in facts["missions"].values() if _result(one) is not None]
    tags = [one["brief"]["args"][0] for one in done if one["brief"]["selector"] == "count"]
    for tag in set(tags) - set(seen):
        yield f"half: {tag} was answered, and its effect is not there"
    for tag in set(seen) - set(tags):
        yield f"half: {tag} has its effect, and no answer"


def _half_installed(facts):
    """A learned method is whole, and its mission is complete; and the other way round."""
    genesis = facts["objects"].get("genesis_obj", {})
    for selector, method in genesis.items():
        if not isinstance(method, dict) or "versions" not in method:
            continue
        for version in method["versions"]:
            if version["sha256"] != version["sha256_found"]:
                yield f"half: the source of {selector} is not what its hash says"
            mission = facts["missions"].get(version["mission"])
            if version["mission"] and (mission is None or _result(mission) is None):
                yield f"half: {selector} is installed, and its mission is not complete"
    for mission in facts["missions"].values():
        selector = mission["brief"]["selector"]
        body = _result(mission)
        if body is not None and body.get("learned") and selector not in genesis:
            yield f"half: {selector} was learned, and is not there"


def _differs(facts, told):
    for key, result in told.results.items():
        mission = facts["missions"].get(facts["keys"].get(key, ""), {"answer": None})
        body = _result(mission)
        if body is None:
            yield f"lost: {key} was answered, and has no answer in the image"
        elif body["result"] != result:
            yield f"differs: {key} was answered {result!r}, stored is {body['result']!r}"


def _result(mission):
    answer = mission["answer"]
    return answer["body"] if answer is not None and answer["type"] == "result" else None


def main():
    json.dump(read_facts(sys.argv[1]), sys.stdout, default=repr)


if __name__ == "__main__":
    main()
