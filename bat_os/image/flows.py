"""Flows: what was read through one grant may be sent through another one.

    root["flows"]   oid of the sink -> {oid of the source: who allowed it, and when}

A grant lets in, a flow lets through; at the start there are no flows. Only a person's word makes
one. Source and sink are objects with a grant; a persona, which is sent what its prompt holds, is a
sink too. What counts for a grant counts for its parts. All functions work on the root inside
``ImageStore.transact``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import NotFoundError
from bat_os.image import grants
from bat_os.image.objects import tree_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping

    Root = MutableMapping[str, Any]

FLOWS: Final = "flows"


@dataclass(frozen=True, slots=True)
class Flow:
    """Leave to send what was read through ``source`` through ``sink``; both are oids."""

    source: str
    sink: str
    given: float  # Unix time
    by: str = ""  # who gave it: a caller


def allow(root: Root, flow: Flow) -> None:
    """Let something through from now on."""
    held = tree_of(root, FLOWS)
    about = {"given": flow.given, "by": flow.by}
    held[flow.sink] = {**held.get(flow.sink, {}), flow.source: about}


def disallow(root: Root, source: str, sink: str) -> None:
    """Take a flow back.

    Raises:
        NotFoundError: That one was never allowed.
    """
    held = dict(root.get(FLOWS, {}).get(sink, {}))
    if held.pop(source, None) is None:
        raise NotFoundError("nothing flows there; batos flows lists what does")
    root[FLOWS][sink] = held


def forget(root: Root, oid: str) -> None:
    """Take back all flows from and to a grant."""
    held = root.get(FLOWS, {})
    for sink, sources in [*held.items()]:
        if sink == oid or oid in sources:
            held[sink] = {} if sink == oid else {k: v for k, v in sources.items() if k != oid}


def every(root: Mapping[str, Any]) -> Iterator[Flow]:
    """Yield all flows."""
    for sink, sources in root.get(FLOWS, {}).items():
        for source, about in sources.items():
            yield Flow(source, sink, **about)


def lacking(
    root: Mapping[str, Any],
    label: Iterable[str],
    sink: str,
    once: Collection[tuple[str, str, str]] = (),
) -> list[str]:
    """Return the grants of a label that nothing lets through to a sink.

    Args:
        root: Of the image.
        label: Oids of grants.
        sink: Oid of an object with a grant, or of a persona.
        once: What a person lets this run do: ``Brief.once``.
    """
    held = root.get(FLOWS, {})
    open_to = {sink, *_outer(root, sink)}
    open_to.update(*(held.get(oid, ()) for oid in tuple(open_to)))
    return sorted(
        source
        for source in label
        if ("flow", source, sink) not in once and not open_to & {source, *_outer(root, source)}
    )


def _outer(root: Mapping[str, Any], oid: str) -> list[str]:
    return [each.oid for each in grants.links(root, oid)]
