"""Where a method of an export comes from, as far as it travels; what is read was never believed.

    provenance --carried--> ``origin`` of the export --taken--> provenance here, with ``through``

An export can say anything of a method's past: who wrote it, for which request, from which prompt.
So all of it is checked for form and bounds, and the last entry of ``through`` (from which mind,
and when) marks it as hearsay for good. It decides nothing: the guardian audits the source, the
examples run, and the status is what they show here.

ArgumentsError: what is read has another form, or is longer than a method's past can be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from bat_os.core.brief import Brief, checked
from bat_os.core.digest import digest
from bat_os.core.prompts import FENCE_STOP, STOP, Prompt
from bat_os.core.schema import Meta, Record, convert, field, number, one_of, text
from bat_os.core.scopes import PERSON
from bat_os.core.values import Ref, check
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_HOPS: Final = 20
MAX_CANDIDATES: Final = 64
_SHORT: Final = text(300)
_LINE: Final = text(2_000)
_LONG: Final = text(200_000)
_HASH: Final = text(64, pattern="[0-9a-f]*")
_COUNT: Final = number(0, 1 << 53)
_Names = Annotated[list[Annotated[str, _SHORT]], Meta(max_length=1_000)]


class _Prompt(Record, frozen=True):
    messages: Annotated[
        list[tuple[Annotated[str, one_of(("system", "user", "assistant"))], Annotated[str, _LONG]]],
        Meta(max_length=64),
    ]
    prefill: Annotated[str, _LONG] = ""


class _Sampling(Record, frozen=True):
    """As ``bat_os.ports.Sampling``; a stop is a regular expression, so only our own will do."""

    temperature: Annotated[float, number(0, 2)]
    top_p: Annotated[float, number(0, 1)]
    top_k: Annotated[int, _COUNT]
    max_tokens: Annotated[int, number(1, 4_096)]
    seed: Annotated[int, _COUNT]
    stop: Annotated[str, one_of(("", STOP, FENCE_STOP))]


class _Drawn(Record, frozen=True):
    prompts: Annotated[list[_Prompt], Meta(max_length=16)]
    batch: Annotated[list[Annotated[int, number(0, 15)]], Meta(max_length=MAX_CANDIDATES)]
    place: Annotated[int, number(0, MAX_CANDIDATES - 1)]
    sampling: _Sampling
    slots: _Names
    selectors: _Names

    def __post_init__(self) -> None:
        if self.place >= len(self.batch) or max(self.batch) >= len(self.prompts):
            raise ValueError("names a prompt that is not there")


class _Candidate(Record, frozen=True):
    draft: Annotated[int, _COUNT]
    problem: Annotated[str, _LINE] = ""
    preview: Annotated[str, _LINE] = ""
    passed: Annotated[int, _COUNT] = 0
    agree: Annotated[int, _COUNT] = 0
    fixups: _Names = field(default_factory=list)


class _Brief(Record, frozen=True):
    target: Annotated[str, _SHORT]
    selector: Annotated[str, _SHORT]
    args: Annotated[list[Any], Meta(max_length=1_000)]
    kwargs: Annotated[dict[str, Any], Meta(max_length=1_000)]
    text: Annotated[str, _LONG]
    examples: Annotated[list[dict[str, Any]], Meta(max_length=1_000)]
    fresh: bool = False
    mode: Annotated[str, one_of(("", "cascade"))] = ""
    tentative: bool = False


class _Hop(Record, frozen=True):
    """One passage from mind to mind."""

    mind: Annotated[str, _SHORT]  # id of the image that it came from
    at: Annotated[float, _COUNT]  # Unix time
    name: Annotated[str, _SHORT] = ""  # of the fork that the image is; "" for none
    object: Annotated[str, _SHORT] = ""  # that had it there
    version: Annotated[int, _COUNT] = 0  # that it was there
    status: Annotated[str, _SHORT] = ""  # that it had there
    sha256: Annotated[str, _HASH] = ""  # of the source there
    created: Annotated[float, _COUNT] = 0.0  # when it was written or came there


class _Origin(Record, frozen=True, forbid_unknown_fields=False):
    """What of a method's provenance an export carries; further fields may come from later."""

    brief: _Brief | None = None
    mission: Annotated[str, _SHORT] = ""
    goal: Annotated[str, _LINE] = ""
    persona: Annotated[str, _SHORT] = ""
    model: Annotated[str, _SHORT] = ""
    model_digest: Annotated[str, _HASH] = ""
    adapter: Annotated[str, _SHORT] = ""
    adapted_from: Annotated[str, _SHORT] = ""
    prompt_sha256: Annotated[str, _HASH] = ""
    temperature: Annotated[float, number(0, 2)] = 0.0
    seed: Annotated[int, _COUNT] = 0
    drawn: _Drawn | None = None
    why: Annotated[str, _LINE] = ""
    fixups: _Names = field(default_factory=list)
    draft: Annotated[int, _COUNT] = 0
    candidates: Annotated[list[_Candidate], Meta(max_length=MAX_CANDIDATES)] = field(
        default_factory=list
    )
    passages: _Names = field(default_factory=list)
    created: Annotated[float, _COUNT] = 0.0
    rehearsed: bool = False
    tainted: Annotated[str, _SHORT] = ""  # the document for which it was to be verified again
    through: Annotated[list[_Hop], Meta(max_length=MAX_HOPS)] = field(default_factory=list)


FIELDS: Final = _Origin.__struct_fields__
_VERDICT: Final = _Candidate.__struct_fields__
_PARTS: Final = ("brief", "drawn")  # of a method that nobody drew, both are empty
_DRAWING: Final = {"brief", "persona", "model", "model_digest", "adapter", "fixups"}


def carried(provenance: Mapping[str, Any], encode: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the origin of a method for its export; ``encode`` makes JSON of plain data."""
    held = _known(provenance)
    if "candidates" in held:
        held["candidates"] = [
            {key: _cut(one[key]) for key in _VERDICT if key in one}
            for one in held["candidates"][:MAX_CANDIDATES]
        ]
    if "drawn" in held:  # as JSON has them: the pairs of a prompt are lists there
        drawn = held["drawn"]
        held["drawn"] = {**drawn, "prompts": [_as_lists(one) for one in drawn["prompts"]]}
    if "brief" in held:
        held["brief"] = {**held["brief"], "args": list(held["brief"]["args"])}
        held["brief"]["examples"] = [dict(one) for one in held["brief"]["examples"]]
    return {key: encode(value) for key, value in held.items()}


def taken(origin: Mapping[str, Any], selector: str, decode: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the provenance that an export's origin gives, checked; ``decode`` reads plain data."""
    held = {key: decode(value) for key, value in _known(origin).items()}
    # Decoded, as it will be kept: the arguments of a request are any plain data.
    convert(held, _Origin, ArgumentsError, "the origin of a method")
    check(held, where="the origin of a method")
    if "brief" in held:
        brief = checked(Brief.from_plain(held["brief"]))
        if brief.selector != selector:
            raise ArgumentsError("the origin of a method is a request for another message")
        held["brief"] = replace(brief, may=PERSON).to_plain()  # scopes are those of this home
    if "drawn" in held and not _is_drawn(held):
        del held["drawn"]  # it could not be drawn again
    return held


def hop_of(
    mind: Mapping[str, Any], provenance: Mapping[str, Any], about: Mapping[str, Any], at: float
) -> dict[str, Any]:
    """Return the provenance of a method that came from another mind, with its last hop.

    ``mind`` has ``id`` and ``name`` of the image there, ``about`` what is known of the version
    there: ``object``, ``version``, ``status``, ``sha256``. Of too many hops the oldest go.
    """
    hop = {
        "mind": mind.get("id", ""),
        "name": mind.get("name", ""),
        "at": at,
        **about,
        "created": provenance.get("created", 0.0),
    }
    through = [*provenance.get("through", ()), hop][-MAX_HOPS:]
    return {**provenance, "through": through, "created": at}


def mind_of(root: Mapping[str, Any]) -> dict[str, str]:
    """Return ``id`` of an image, and ``name`` if it is a fork."""
    about = root.get("about", {})
    return {
        "id": str(about.get("id", "")),
        "name": str(about.get("forked_from", {}).get("name", "")),
    }


def _known(held: Mapping[str, Any]) -> dict[str, Any]:
    return {key: held[key] for key in FIELDS if key in held and (held[key] or key not in _PARTS)}


def _is_drawn(held: Mapping[str, Any]) -> bool:
    """Return whether the prompt is the one that was hashed, and what draws it is all there."""
    drawn = held["drawn"]
    prompt = drawn["prompts"][drawn["batch"][drawn["place"]]]
    pairs = tuple((role, said) for role, said in prompt["messages"])
    same = digest(repr(Prompt(pairs, prompt["prefill"]))) == held.get("prompt_sha256")
    return same and held.keys() >= _DRAWING


def _as_lists(prompt: Mapping[str, Any]) -> dict[str, Any]:
    return {**prompt, "messages": [list(pair) for pair in prompt["messages"]]}


def _cut(value: Any) -> Any:
    return value[:2_000] if type(value) is str else value


def unresolved(name: str) -> Ref:
    """Return a reference by name alone: what a past request named need not be here."""
    return Ref("0" * 16, name)
