"""How a method is found: its entry in the catalog, and the documents that it cites.

``versions.install`` makes the entry of a new version; the functions here remove it when a method
is unlearned and make it again when a version comes back. Citations have an index of their own,
so that editing a document does not read every method:

    root["citations"]  id of a document -> oids of the methods with a version that cites it
                       "method#" and oid of a method -> the same, of those shown to the writer

The methods of a clone have no entries of their own as long as those of its prototype find the
same text; when such an entry would go, it goes over to a clone that still has the text.

    root["copies"]     oids of the objects that got learned methods by cloning

All functions work on the root inside ``ImageStore.transact``, except the two that make summaries,
which are pure.
"""

from __future__ import annotations

import ast
import contextlib
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOTreeSet

from bat_os.core.brief import Brief, goal, kinds, signature
from bat_os.image.catalog import catalog_in
from bat_os.image.history import marks
from bat_os.image.objects import Method, UvmObject, connection_of, object_of, ref_of, tree_of
from bat_os.method.text import is_pure, parse_method

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bat_os.image.objects import MethodVersion

    Root = MutableMapping[str, Any]
PREFIX: Final = "method"
CITATIONS: Final = "citations"
COPIES: Final = "copies"
_DOCUMENT: Final = "document:"
REHEARSAL: Final = "rehearsal"  # the mind that a rehearsed method came through: a copy of this one
_EXAMPLES: Final = 8
_WISHES: Final = 8
_SHOWN: Final = 200
_DOCSTRING: Final = 1_000


@dataclass(frozen=True, slots=True)
class Summary:
    """What a version is found by."""

    text: str  # wish and signature, as ``install`` had them; of each further wish, after "\n\n"
    # of the arguments that it was made for, or None where that is not known
    kinds: tuple[str, ...] | None

    @property
    def passages(self) -> list[str]:
        """Wish and signature of each wish; the first is the version's own."""
        return self.text.split("\n\n")


def summary_of(selector: str, version: MethodVersion) -> Summary:
    """Return what ``version`` is found by: of a mission its brief, of a person its docstring."""
    origin = version.provenance
    if (asked := origin.get("brief")) is not None:
        return summary_of_brief(Brief.from_plain(asked))
    return summary_of_taught(
        selector, version.source, origin.get("examples", ()), origin.get("wishes", ())
    )


def summary_of_brief(brief: Brief) -> Summary:
    """Return what the method is found by that a mission wrote for ``brief``."""
    return Summary(f"{goal(brief)}\n{signature(brief)}", tuple(kinds(brief)))


def summary_of_taught(
    selector: str, source: str, examples: Sequence[Mapping[str, Any]], wishes: Sequence[str] = ()
) -> Summary:
    """Return what a person's method is found by: its docstring, its name and its parameters.

    And by the wishes that earlier versions were learned for (``wishes_of``).
    """
    node = _function(selector, source)
    wish = (_docstring(node) or selector.replace("_", " ")).splitlines()[0]
    line = f"def {selector}({ast.unparse(node.args)}):" if node is not None else f"def {selector}"
    shown = [Brief("", selector, tuple(one["args"]), one["kwargs"]) for one in examples[:1]]
    texts = [f"{one}\n{line}" for one in dict.fromkeys((wish, *wishes))]
    return Summary("\n\n".join(texts), tuple(kinds(shown[0])) if shown else None)


def wishes_of(method: Method | None) -> list[str]:
    """Return what the versions of a method were learned for, the newest first, at most _WISHES."""
    found: dict[str, None] = {}
    for version in reversed(method.versions if method is not None else ()):
        if (asked := version.provenance.get("brief")) is not None:
            found[goal(Brief.from_plain(asked))] = None
        found |= dict.fromkeys(version.provenance.get("wishes", ()))
    return list(found)[:_WISHES]


def learned(root: Root, *, copies: bool = False) -> Iterator[tuple[UvmObject, Method]]:
    """Yield (holder, method) of every learned method that answers, each method once.

    With ``copies``, those too that came with a clone and that the search finds elsewhere.
    """
    seen = set()
    for document in catalog_in(root).documents("method"):
        holder, method = _of_entry(root, document.doc_id)
        if holder is not None and method is not None and method._p_oid not in seen:
            seen.add(method._p_oid)
            if method.current >= 0:
                yield holder, method
    for holder in _clones(root) if copies else ():
        for method in holder.slots.values():
            if isinstance(method, Method) and method._p_oid not in seen and _is_learned(method):
                yield holder, method


def note_copies(root: Root, obj: UvmObject) -> None:
    """Note that a stored object holds learned methods that came with its cloning, if it does."""
    if any(isinstance(each, Method) and each.versions for each in obj.slots.values()):
        if COPIES not in root:
            root[COPIES] = OOTreeSet()
        root[COPIES].insert(ref_of(obj).oid)


def drop_copies(root: Root, obj: UvmObject) -> None:
    """Do not look any more for learned methods in an object."""
    if (oid := ref_of(obj).oid) in root.get(COPIES, ()):
        root[COPIES].remove(oid)


def forget_copies(root: Root) -> None:
    """Drop the clones that are not in the image any more."""
    for oid in [oid for oid in root.get(COPIES, ()) if object_of(root, oid) is None]:
        root[COPIES].remove(oid)


def _clones(root: Root) -> Iterator[UvmObject]:
    for oid in root.get(COPIES, ()):
        if (obj := object_of(root, oid)) is not None:
            yield obj


def _is_learned(method: Method) -> bool:
    return method.current >= 0 and method.versions[method.current].status != "shipped"


def is_listed(root: Root, holder: UvmObject, method: Method) -> bool:
    """Return whether the catalog has the method under its holder."""
    return _doc_id(holder, method.selector) in catalog_in(root)


def holders(root: Root, method: Method) -> list[UvmObject]:
    """Return the objects under which the catalog has the method: one, or none."""
    listed = catalog_in(root).documents("method", {"selector": method.selector})
    found = (_of_entry(root, document.doc_id) for document in listed)
    return [holder for holder, held in found if holder is not None and held is method]


def holder_of(root: Root, method: Method) -> UvmObject | None:
    """Return the object that has a learned method, listed or come with a clone."""
    clones = (obj for obj in _clones(root) if obj.slots.get(method.selector) is method)
    return next(chain(holders(root, method), clones), None)


def name_of(root: Root, method: Method) -> str:
    """Return the name of a method with that of its object."""
    holder = holder_of(root, method)
    return f"{holder.name}.{method.selector}" if holder is not None else method.selector


def remove_entries(root: Root, method: Method) -> list[str]:
    """Take the method out of the search; return the oids of the objects it was listed under."""
    oids = []
    for holder in holders(root, method):
        oids.append(ref_of(holder).oid)
        remove_entry(root, holder, method)
    return oids


def remove_entry(root: Root, holder: UvmObject, method: Method) -> None:
    """Take away the entry under one object, or give it to a clone that still has the text."""
    catalog, doc_id = catalog_in(root), _doc_id(holder, method.selector)
    source = catalog.meta(doc_id).get("source")
    heir = next((obj for obj in _clones(root) if _inherits(root, obj, method, source)), None)
    if heir is not None:
        move_entry(root, holder, heir, method.selector)
    else:
        catalog.remove(doc_id)


def _inherits(root: Root, obj: UvmObject, method: Method, source: Any) -> bool:
    """Return whether a clone has a copy of a method that answers by this text, and no entry."""
    held = obj.slots.get(method.selector)
    if not isinstance(held, Method) or held is method or held.current < 0:
        return False
    return held.versions[held.current].source == source and not is_listed(root, obj, held)


def move_entry(root: Root, origin: UvmObject, holder: UvmObject, selector: str) -> None:
    """Let the entry of ``origin`` lead to ``holder`` under its present name."""
    catalog, doc_id = catalog_in(root), _doc_id(origin, selector)
    meta = catalog.meta(doc_id) | {"object": holder.name}
    catalog.rename(doc_id, _doc_id(holder, selector), _title(holder, selector), meta)


def put_entry(
    root: Root, holder: UvmObject, method: Method, found_by: tuple[Summary, NDArray[np.float32]]
) -> None:
    """Let the search find the method's current version under its holder.

    The summary comes with the vectors of its passages.
    """
    summary, vectors = found_by
    source = method.version.source
    meta: Mapping[str, Any] = {
        "object": holder.name,
        "selector": method.selector,
        "source": source,
        "kinds": None if summary.kinds is None else list(summary.kinds),
        "pure": is_pure(source, method.selector),
        "words": _words_of(method),
    }
    doc_id, title = _doc_id(holder, method.selector), _title(holder, method.selector)
    catalog_in(root).leave(doc_id, title, summary.passages, vectors, kind="method", meta=meta)


def _title(holder: UvmObject, selector: str) -> str:
    return f"{holder.name or 'object'}.{selector}"


def _words_of(method: Method) -> str:
    """Return what the method is found by in words only: parameters, docstring, examples."""
    version = method.version
    node = _function(method.selector, version.source)
    names = [] if node is None else [arg.arg for arg in node.args.args[1:]]
    approval = method.approvals.get(version.number, {})
    examples = (*version.provenance.get("examples", ()), *approval.get("examples", ()))
    shown = (f"{list(one['args'])} gives {one['result']}"[:_SHOWN] for one in examples[:_EXAMPLES])
    docstring = _docstring(node)[:_DOCSTRING]
    return "\n".join([" ".join(names), docstring, *shown])


def _docstring(node: ast.FunctionDef | None) -> str:
    return (ast.get_docstring(node) if node is not None else None) or ""


def _function(selector: str, source: str) -> ast.FunctionDef | None:
    parsed = parse_method(source, selector)
    return None if parsed is None else parsed[1]


def _doc_id(holder: UvmObject, selector: str) -> str:
    return f"{PREFIX}:{ref_of(holder).oid}:{selector}"


def _of_entry(root: Root, doc_id: str) -> tuple[UvmObject | None, Method | None]:
    _, _, rest = doc_id.partition(":")
    oid, _, selector = rest.partition(":")
    holder = object_of(root, oid)
    method = holder.slots.get(selector) if holder is not None else None
    return holder, method if isinstance(method, Method) else None


def is_sound(root: Root, doc_id: str) -> bool:
    """Return whether nothing speaks against a known function: no taint, and no faults in use."""
    method = _of_entry(root, doc_id)[1] if doc_id.startswith(f"{PREFIX}:") else None
    return method is None or marks.flags(method).keys().isdisjoint({"tainted", "failing"})


def is_indexed(doc_id: str) -> bool:
    """Return whether citations of such a document are entered; seeds and methods are not."""
    return doc_id.startswith(_DOCUMENT)


def cites(version: MethodVersion, doc_id: str) -> bool:
    """Return whether the writer of a version was shown the document."""
    return doc_id in version.provenance.get("passages", ())


def shown_to(root: Root, version: MethodVersion) -> list[Method]:
    """Return the methods that the writer of a version was shown, or that it was adapted from."""
    origin = version.provenance
    if any(hop["name"] != REHEARSAL for hop in origin.get("through", ())):
        return []  # what it names are objects of another image
    named = dict.fromkeys((*origin.get("passages", ()), origin.get("adapted_from", "")))
    found = (_of_entry(root, name)[1] for name in named if name.startswith(f"{PREFIX}:"))
    return [method for method in found if method is not None and method.versions]


def note_citations(root: Root, method: Method, version: MethodVersion) -> None:
    """Enter what a version of a method cites: documents, and methods that its writer was shown."""
    cited = {doc_id for doc_id in version.provenance.get("passages", ()) if is_indexed(doc_id)}
    cited |= {_key_of(shown) for shown in shown_to(root, version) if shown is not method}
    if cited and method._p_oid is None:  # made in this transaction
        connection_of(root).add(method)
    citations = tree_of(root, CITATIONS)
    for key in cited:
        if key not in citations:
            citations[key] = OOTreeSet()
        citations[key].insert(method._p_oid.hex())


def _key_of(method: Method) -> str:
    return f"{PREFIX}#{method._p_oid.hex()}"


def citing(root: Mapping[str, Any], doc_id: str) -> Iterator[Method]:
    """Yield the methods whose current version cites a document."""
    for method in ever_citing(root, doc_id):
        if method.current >= 0 and cites(method.versions[method.current], doc_id):
            yield method


def ever_citing(root: Mapping[str, Any], source: str | Method) -> list[Method]:
    """Return the methods with a version that cites a document, or was written after a method."""
    key, jar = source if isinstance(source, str) else _key_of(source), connection_of(root)
    found = []
    for oid in root.get(CITATIONS, {}).get(key, ()):
        with contextlib.suppress(KeyError):  # it went with its object
            found.append(jar.get(bytes.fromhex(oid)))
    return found
