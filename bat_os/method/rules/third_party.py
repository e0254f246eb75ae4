"""Fix-up of packages that are not here: what Python's own modules do as well.

Text to text, as ``fixups`` describes: ``pytz.timezone`` is ``zoneinfo.ZoneInfo``, ``np.mean`` is
``statistics.mean``. A method that also uses what has no such twin stays as it is.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from bat_os.method.allowed import SAFE_MODULES
from bat_os.method.rules.places import Wanted, read, replace
from bat_os.method.text import BUILTINS, get_bound, words

if TYPE_CHECKING:
    from collections.abc import Iterator

_TWINS: Final = {
    "pytz.timezone": "zoneinfo.ZoneInfo",
    "pytz.utc": 'zoneinfo.ZoneInfo("UTC")',
    "pytz.UTC": 'zoneinfo.ZoneInfo("UTC")',
    "dateutil.tz.gettz": "zoneinfo.ZoneInfo",
    "numpy.abs": "abs",
    "numpy.max": "max",
    "numpy.min": "min",
    "numpy.round": "round",
    "numpy.sort": "sorted",
    "numpy.sum": "sum",
    "numpy.mean": "statistics.mean",
    "numpy.average": "statistics.mean",
    "numpy.median": "statistics.median",
    "numpy.std": "statistics.pstdev",
    "numpy.var": "statistics.pvariance",
    "numpy.random.choice": "random.choice",
    "numpy.random.rand": "random.random",
    "numpy.random.uniform": "random.uniform",
    "numpy.random.randint": "random.randrange",
    **{
        f"numpy.{name}": f"math.{name}"
        for name in words("ceil cos e exp floor gcd hypot lcm log log10 log2 pi prod sin sqrt tan")
    },
}
_ROOTS: Final = {"numpy": "numpy", "np": "numpy", "pytz": "pytz"}
_FOREIGN: Final = frozenset(name.partition(".")[0] for name in _TWINS)


def use_stdlib(source: str, wanted: Wanted) -> str:
    """Return the source with Python's own functions for those of packages that are not here.

    The imports that are then of no use are for ``drop_imports``.
    """
    found = read(source, wanted)
    if found is None:
        return source
    tree = found[0]
    bound = get_bound(tree)
    stands_for = {name: full for name, full in _ROOTS.items() if name not in bound}
    stands_for |= dict(_get_foreign(tree))
    texts: dict[ast.expr, str] = {}
    chains: set[ast.AST] = set()
    for node in ast.walk(tree):  # the outer parts of a dotted name come first
        name = _get_root(node)
        if name not in stands_for or node in chains:
            continue
        chains |= set(ast.walk(node))
        twin = _TWINS.get(_get_dotted(node, stands_for), "")
        root = twin.partition(".")[0]
        if not twin or (root in bound and root not in BUILTINS and root not in _get_modules(tree)):
            return source
        if isinstance(node, ast.expr):
            texts[node] = twin
    return replace(source, tree, texts)


def _get_foreign(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (name, what it stands for) of the imports of foreign packages."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                root = item.name.partition(".")[0]
                if root in _FOREIGN:
                    yield (item.asname, item.name) if item.asname else (root, root)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for item in node.names:
                if node.module.partition(".")[0] in _FOREIGN:
                    yield item.asname or item.name, f"{node.module}.{item.name}"


def _get_modules(tree: ast.Module) -> set[str]:
    return {
        item.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for item in node.names
        if item.asname is None and item.name in SAFE_MODULES
    }


def _get_root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _get_dotted(node: ast.AST, stands_for: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        base = _get_dotted(node.value, stands_for)
        full = f"{base}.{node.attr}"
        return full if base else ""
    return stands_for.get(node.id, "") if isinstance(node, ast.Name) else ""
