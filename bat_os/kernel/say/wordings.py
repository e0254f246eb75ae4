"""Wordings that a person has confirmed: other words for a skill, kept as data.

    root["wordings"]  number -> target, selector, text, slots, fixed, language, vector

"take 15 off 80" for apply_discount(80, 15) becomes "take {percent} off {price}". Values that the
words do not name stay as they were (``fixed``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from BTrees.IOBTree import IOBTree

from bat_os.image.objects import Method, find
from bat_os.kernel.say.book import FIRST, read_book
from bat_os.method.shelf import Parameter, parameters_of
from bat_os.method.text import parse_method
from bat_os.natives.table import SERVERS, signature_of
from bat_os.sentence.matching import Skill, Wording
from bat_os.sentence.phrasebook import Phrasebook, as_embedded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping, Sequence

    from numpy.typing import NDArray

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
# Of each image, how its wordings stood, and the book that holds those that can serve.
_BOOKS: WeakKeyDictionary[ImageStore, tuple[tuple[Any, ...], Phrasebook | None]] = (
    WeakKeyDictionary()
)


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
    wanted = await mind.image.transact(
        lambda root: parameters(root, target, selector), note="read a signature"
    )
    given = dict(zip((each.name for each in wanted), args, strict=False)) | dict(kwargs or {})
    text, slots = _as_template(sentence, wanted, given)
    bare = re.sub(r"\{\w+\}", "", text)
    if len(text) > MAX_TEXT or not re.search(r"[^\W\d_]{2}", bare):
        return False
    fixed = {name: value for name, value in given.items() if name not in slots}
    skill = Skill(target, selector, tuple(wanted))
    wording = Wording.make(skill, text, sentence.language, slots, fixed)
    vector = (await mind.catalog.embed([as_embedded(wording.masked)]))[0]
    record = {
        "target": target, "selector": selector, "text": text, "slots": slots, "fixed": fixed,
        "language": sentence.language, "vector": np.asarray(vector, np.float16).tobytes(),
    }  # fmt: skip
    await mind.image.transact(lambda root: _keep(root, record), note="keep a wording")
    return True


class Worded(NamedTuple):
    """A tool of a server, as sentences find it."""

    selector: str  # its message, whose words are the wording
    slots: Mapping[str, str]  # parameter that it needs -> kind
    # of what the server says of it: no model that chooses or writes reads that itself
    vector: NDArray[np.float32]


def word_tools(root: Root, target: str, tools: Iterable[Worded]) -> None:
    """Let sentences find the tools of a server, and forget those that it had before."""
    for number, record in list(root.get(WORDINGS, {}).items()):
        if record["target"] == target and record.get("tool"):
            del root[WORDINGS][number]
    for tool in tools:
        words = [tool.selector.replace("_", " "), *(f"{{{name}}}" for name in tool.slots)]
        record = {
            "target": target, "selector": tool.selector, "text": " ".join(words),
            "slots": dict(tool.slots), "fixed": {}, "language": FIRST, "tool": True,
            "vector": np.asarray(tool.vector, np.float16).tobytes(),
        }  # fmt: skip
        _keep(root, record)


async def confirmed(mind: KernelContext) -> Phrasebook | None:
    """Return the wordings that people have confirmed, or None if there are none yet."""
    state = await mind.image.transact(_state, note="look for wordings")
    if not state:
        return None
    known, book = _BOOKS.get(mind.image, ((), None))
    if known != state:
        book = await mind.image.transact(_read, note="read the wordings")
        _BOOKS[mind.image] = state, book
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


def parameters(root: Root, target: str, selector: str) -> list[Parameter]:
    """Return the parameters of what answers a message now; [] if nothing does."""
    holder = find(root, target)
    if shipped := _shipped(target, selector):
        return list(shipped)
    held = holder.lookup(selector)
    method = held[1] if held is not None else None
    if isinstance(method, Method) and method.primitive.startswith(f"{SERVERS}."):
        named = signature_of(method.primitive).parameters.values()
        return [Parameter(each.name, "", each.default is each.empty) for each in named]
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


def rename(root: Root, skill: tuple[str, str], before: Sequence[Parameter]) -> None:
    """Keep the wordings of a skill whose parameters have other names by now, in the same places.

    If there are more parameters or fewer, nothing is known about their places, and nothing changes.
    """
    old = [each.name for each in before]
    new = [each.name for each in parameters(root, *skill)]
    if old == new or len(old) != len(new):
        return
    names, kept = dict(zip(old, new, strict=True)), root.get(WORDINGS, {})
    for number, record in list(kept.items()):
        if (record["target"], record["selector"]) == skill:
            changed = {part: {names.get(name, name): value for name, value in record[part].items()}
                       for part in ("slots", "fixed")}  # fmt: skip
            text = re.sub(r"\{(\w+)\}", lambda m: f"{{{names.get(m[1], m[1])}}}", record["text"])
            kept[number] = {**record, **changed, "text": text}


def _state(root: Root) -> tuple[Any, ...]:
    """Return what changes whenever other wordings serve, or serve otherwise; () without any."""
    kept = root.get(WORDINGS)
    if not kept:
        return ()
    skills = {(record["target"], record["selector"]) for record in kept.values()}
    return (
        kept.maxKey(),
        len(kept),
        *sorted((*skill, _answering(root, skill)) for skill in skills),
    )


def _answering(root: Root, skill: tuple[str, str]) -> int:
    """Return the number of the version that answers now; 0 for one of the program, -1 for none."""
    holder = root["objects"].get(skill[0])
    found = holder.lookup(skill[1]) if holder is not None else None
    if found is None:
        return -1
    return found[1].current + 1 if isinstance(found[1], Method) else 0


def _read(root: Root) -> Phrasebook | None:
    wordings, rows = [], []
    for record in root[WORDINGS].values():
        if _answering(root, (record["target"], record["selector"])) < 0:
            continue  # unlearned; it comes back with its skill
        fixed, slots = dict(record["fixed"]), dict(record["slots"])
        found = parameters(root, record["target"], record["selector"])
        kinds = slots | {name: _KIND_OF.get(type(value), "text") for name, value in fixed.items()}
        taken = tuple(
            each if each.kind else Parameter(each.name, kinds.get(each.name, "text"))
            for each in found
        )
        skill = Skill(record["target"], record["selector"], taken, "confirmed")
        wordings.append(Wording.make(skill, record["text"], record["language"], slots, fixed))
        rows.append(np.frombuffer(record["vector"], np.float16).astype(np.float32))
    if not wordings:
        return None
    return Phrasebook(wordings, np.stack(rows), FIRST, base=read_book(FIRST).lexicon)
