"""Wordings that a person has confirmed: other words for a skill, kept as data.

    root["wordings"]  number -> target, selector, text, slots, fixed, language, vector

"take 15 off 80" for apply_discount(80, 15) becomes "take {percent} off {price}". Values that the
words do not name stay as they were (``fixed``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from BTrees.IOBTree import IOBTree

from bat_os.image.objects import Method, find
from bat_os.kernel.say.book import FIRST, read_book
from bat_os.method.shelf import Parameter, parameters_of
from bat_os.method.text import parse_method
from bat_os.sentence.matching import Skill, Wording
from bat_os.sentence.phrasebook import Phrasebook, as_embedded

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import KernelContext
    from bat_os.sentence.reading import Sentence

    Root = MutableMapping[str, Any]

WORDINGS: Final = "wordings"
MOST: Final = 2_000
MAX_TEXT: Final = 300  # characters of a wording
_KIND_OF: Final[Mapping[type, str]] = {
    int: "number", float: "number", str: "text", list: "list", dict: "map",
}  # fmt: skip
# Of each image, the number of its newest wording, and the book that holds all of them.
_BOOKS: WeakKeyDictionary[ImageStore, tuple[int, Phrasebook]] = WeakKeyDictionary()


async def add_wording(
    mind: KernelContext,
    target: str,
    selector: str,
    sentence: Sentence,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
) -> bool:
    """Keep the words of a sentence for a skill; return False if they cannot serve again.

    Raises:
        NotFoundError: No such object.
    """
    parameters = await mind.image.transact(
        lambda root: _parameters(root, target, selector), note="read a signature"
    )
    given = dict(zip((each.name for each in parameters), args, strict=False)) | dict(kwargs or {})
    text, slots = _as_template(sentence, parameters, given)
    bare = re.sub(r"\{\w+\}", "", text)
    if len(text) > MAX_TEXT or not re.search(r"[^\W\d_]{2}", bare):
        return False
    fixed = {name: value for name, value in given.items() if name not in slots}
    skill = Skill(target, selector, tuple(parameters))
    wording = Wording.make(skill, text, sentence.language, slots, fixed)
    vector = (await mind.catalog.embed([as_embedded(wording.masked)]))[0]
    record = {
        "target": target, "selector": selector, "text": text, "slots": slots, "fixed": fixed,
        "language": sentence.language, "vector": np.asarray(vector, np.float16).tobytes(),
    }  # fmt: skip
    await mind.image.transact(lambda root: _keep(root, record), note="keep a wording")
    return True


async def confirmed(mind: KernelContext) -> Phrasebook | None:
    """Return the wordings that people have confirmed, or None if there are none yet."""
    newest = await mind.image.transact(_newest, note="look for wordings")
    if newest < 0:
        return None
    known, book = _BOOKS.get(mind.image, (-1, None))
    if book is None or known != newest:
        book = await mind.image.transact(_read, note="read the wordings")
        _BOOKS[mind.image] = newest, book
    return book


def _as_template(
    sentence: Sentence, parameters: Sequence[Parameter], given: Mapping[str, Any]
) -> tuple[str, dict[str, str]]:
    """Return the sentence with the names of parameters for their values, and their kinds."""
    text, slots = sentence.text, {}
    places: list[tuple[int, int, str]] = []
    kinds = {each.name: each.kind for each in parameters}
    for name, value in given.items():
        free = [v for v in sentence.values if not any(v.start == at for at, _, _ in places)]
        same = next((v for v in free if _is_value(v.value, value)), None)
        if same is not None:
            places.append((same.start, same.end, name))
            slots[name] = same.kind
        elif (
            isinstance(value, str) and value and (at := text.casefold().find(value.casefold())) >= 0
        ):
            places.append((at, at + len(value), name))
            slots[name] = kinds.get(name) or "text"
    for start, end, name in sorted(places, reverse=True):
        text = f"{text[:start]}{{{name}}}{text[end:]}"
    return " ".join(text.casefold().split()).strip(" .?!"), slots


def _is_value(said: Any, value: Any) -> bool:
    amount = said.get("amount") if isinstance(said, dict) else said
    return type(value) is not bool and value in (said, amount)


def _parameters(root: Root, target: str, selector: str) -> list[Parameter]:
    holder = find(root, target)
    if shipped := _shipped(target, selector):
        return list(shipped)
    held = holder.lookup(selector)
    method = held[1] if held is not None else None
    if not isinstance(method, Method) or method.current < 0:
        return []
    parsed = parse_method(method.version.source, method.selector)
    names = [] if parsed is None else [each.arg for each in parsed[1].args.args[1:]]
    return [Parameter(name, "") for name in names]


def _shipped(target: str, selector: str) -> tuple[Parameter, ...]:
    try:
        return parameters_of(target).get(selector, ())
    except KeyError:
        return ()


def _keep(root: Root, record: Mapping[str, Any]) -> None:
    kept = root.get(WORDINGS)
    if kept is None:
        kept = root[WORDINGS] = IOBTree()
    for number, other in list(kept.items()):
        if (other["text"], other["language"]) == (record["text"], record["language"]):
            del kept[number]  # the newest word counts
    if len(kept) >= MOST:
        del kept[kept.minKey()]
    kept[(kept.maxKey() + 1) if len(kept) else 0] = dict(record)


def _newest(root: Root) -> int:
    kept = root.get(WORDINGS)
    return int(kept.maxKey()) if kept else -1


def _read(root: Root) -> Phrasebook:
    wordings, rows = [], []
    for record in root[WORDINGS].values():
        fixed, slots = dict(record["fixed"]), dict(record["slots"])
        found = _parameters(root, record["target"], record["selector"])
        kinds = slots | {name: _KIND_OF.get(type(value), "text") for name, value in fixed.items()}
        parameters = tuple(
            each if each.kind else Parameter(each.name, kinds.get(each.name, "text"))
            for each in found
        )
        skill = Skill(record["target"], record["selector"], parameters, "confirmed")
        wordings.append(Wording.make(skill, record["text"], record["language"], slots, fixed))
        rows.append(np.frombuffer(record["vector"], np.float16).astype(np.float32))
    return Phrasebook(wordings, np.stack(rows), FIRST, base=read_book(FIRST).lexicon)
