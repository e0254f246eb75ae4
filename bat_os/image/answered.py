"""Answers by the key of their request: asked again, a request that changed something says the same.

    root["answers"]  key -> what was asked, as a digest; when; the body of the reply, as msgpack

An answer is stored in the commit that does what it tells of (``bat_os.image.unit_of_work``), and is
kept as long as those of missions, which have their own (``bat_os.image.missions``).
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from persistent.mapping import PersistentMapping

from bat_os.errors import KeyReusedError
from bat_os.image.objects import tree_of

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

ANSWERS: Final = "answers"
SAMPLE: Final = 200  # answers that are looked at to see whether it is time to forget some


def put(
    root: MutableMapping[str, Any], key: str, asked: str, at: float, reply: bytes, coming: str
) -> bool:
    """Store the body of a reply, or b"" for a request that has begun and has none yet.

    Wherever it has ``coming``, the id of this transaction is meant. Returns False, and stores
    nothing, if the key has an answer.
    """
    tree = tree_of(root, ANSWERS)
    if (known := tree.get(key)) is not None and known["reply"]:
        return False
    tree[key] = PersistentMapping({"asked": asked, "at": at, "reply": reply, "coming": coming})
    return True


def find(root: Mapping[str, Any], key: str, asked: str) -> bytes | None:
    """Return the stored body of the reply to a request, b"" if it has only begun; else None.

    Raises:
        KeyReusedError: The key was used for something else.
    """
    record = root.get(ANSWERS, {}).get(key)
    if record is None:
        return None
    if record["asked"] != asked:
        raise KeyReusedError(f"the key {key!r} was used for another request")
    transaction = record._p_serial.hex()  # a record is never written again
    reply: bytes = record["reply"].replace(record["coming"].encode(), transaction.encode())
    return reply


def has_old(root: Mapping[str, Any], before: float) -> bool:
    """Return whether one of SAMPLE answers is old; keys do not say how old they are."""
    looked = islice(root.get(ANSWERS, {}).values(), SAMPLE)
    return any(record["at"] < before for record in looked)


def prune(root: Mapping[str, Any], before: float, after: str, limit: int) -> tuple[int, str | None]:
    """Forget answers given before a moment; up to ``limit`` behind the key ``after`` are looked at.

    Returns:
        How many are gone, and the key to go on behind; None when all were looked at.
    """
    tree = root.get(ANSWERS)
    if tree is None:
        return 0, None
    looked = list(islice(tree.keys(min=after, excludemin=bool(after)), limit))
    old = [key for key in looked if tree[key]["at"] < before]
    for key in old:
        del tree[key]
    return len(old), looked[-1] if len(looked) == limit else None
