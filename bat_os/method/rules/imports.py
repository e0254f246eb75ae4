"""Fix-ups of imports: missing ones, useless ones, and ``datetime`` the module or the class.

Text to text, as ``fixups`` describes; only safe modules are ever imported.
"""

from __future__ import annotations

import ast
from typing import Final

from bat_os.method.allowed import SAFE_MODULES, is_public
from bat_os.method.rules.places import Wanted, drop_statements
from bat_os.method.text import (
    Edit,
    apply_edits,
    count_stores,
    get_bound,
    get_text,
    get_uses,
    insert_before,
    is_name,
    parse,
    words,
)

KNOWN_NAMES: Final = {
    name: module
    for module, names in {
        "base64": "b64decode b64encode",
        "bisect": "bisect_left bisect_right insort",
        "calendar": "isleap monthrange",
        "collections": "ChainMap Counter OrderedDict defaultdict deque namedtuple",
        "contextlib": "contextmanager suppress",
        "copy": "deepcopy",
        "dataclasses": "asdict dataclass field",
        "datetime": "date timedelta timezone",
        "decimal": "Decimal",
        "difflib": "SequenceMatcher get_close_matches",
        "enum": "Enum",
        "fractions": "Fraction",
        "functools": "lru_cache partial reduce wraps",
        "hashlib": "md5 sha1 sha256 sha512",
        "heapq": "heapify heappop heappush nlargest nsmallest",
        "io": "StringIO",
        "itertools": "accumulate chain combinations cycle groupby islice pairwise permutations "
        "product starmap takewhile zip_longest",
        "json": "dumps loads",
        "math": "acos asin atan atan2 ceil comb cos degrees exp factorial floor fsum gcd hypot inf "
        "isclose isqrt lcm log log2 log10 nan perm pi prod radians sin sqrt tan tau trunc",
        "random": "choice choices randint randrange sample shuffle uniform",
        "statistics": "fmean mean median mode multimode pstdev pvariance stdev variance",
        "string": "ascii_letters ascii_lowercase ascii_uppercase digits punctuation",
        "textwrap": "dedent",
        "time": "perf_counter sleep strftime",
        "typing": "Any Callable Dict Iterable Iterator List Literal Mapping NamedTuple Optional "
        "Sequence Set Tuple Union",
        "urllib.parse": "quote unquote urlencode urlparse",
        "uuid": "uuid4",
        "zoneinfo": "ZoneInfo",
    }.items()
    for name in names.split()
}
_CLASS_ONLY: Final = words(
    "combine fromisoformat fromordinal fromtimestamp now strptime today utcfromtimestamp utcnow"
)
_MODULE_ONLY: Final = words("date datetime time timedelta timezone UTC")


def import_missing(source: str, wanted: Wanted) -> str:
    """Return the source with imports of the safe modules and common names that it lacks."""
    tree = parse(source)
    if not isinstance(tree, ast.Module):
        return source
    uses = get_uses(tree)
    missing = sorted(uses.keys() - get_bound(tree))
    imports = [line for name in missing if (line := get_import(name, uses[name]))]
    if not imports:
        return source
    after = 1 if isinstance(tree.body[0], ast.Expr) and len(tree.body) > 1 else 0
    node = tree.body[after]  # not before the docstring
    first = min(part.lineno for part in (node, *getattr(node, "decorator_list", [])))
    return apply_edits(source, [Edit(first, 0, "".join(f"{line}\n" for line in imports))])


def get_import(name: str, attributes: list[str]) -> str:
    """Return the import for a name, given what is taken of it each time; "" for none."""
    if name == "datetime" and all(attr in _CLASS_ONLY or not attr for attr in attributes):
        return "from datetime import datetime"
    if name == "urllib":
        return "import urllib.parse"
    if name in SAFE_MODULES and all(attributes):
        return f"import {name}"
    if name in SAFE_MODULES and is_public(name, name):
        return f"from {name} import {name}"
    return f"from {KNOWN_NAMES[name]} import {name}" if name in KNOWN_NAMES else ""


def drop_imports(source: str, wanted: Wanted) -> str:
    """Return the source without imports of unsafe modules that nothing uses."""
    tree = parse(source)
    if not isinstance(tree, ast.Module):
        return source
    used = get_uses(tree).keys()
    useless = [
        node
        for scope in ast.walk(tree)
        for node in _get_imports(scope)
        if not any((item.asname or item.name).partition(".")[0] in used for item in node.names)
        and not any(_get_module(node, item) in SAFE_MODULES for item in node.names)
    ]
    return drop_statements(source, useless)


def _get_imports(scope: ast.AST) -> list[ast.Import | ast.ImportFrom]:
    """Return the imports of a body that also holds something else."""
    body = getattr(scope, "body", None)
    if not isinstance(body, list):  # that of a lambda is one expression
        return []
    found = [n for n in body if isinstance(n, ast.Import | ast.ImportFrom)]
    return found if len(found) < len(body) else []


def _get_module(node: ast.Import | ast.ImportFrom, item: ast.alias) -> str:
    return (node.module or "") if isinstance(node, ast.ImportFrom) else item.name


def mend_datetime(source: str, wanted: Wanted) -> str:
    """Return the source with ``datetime`` the module or the class, as it is used."""
    tree = parse(source)
    if not isinstance(tree, ast.Module):
        return source
    plain = [n for n in _imports(tree) if isinstance(n, ast.Import)]
    classes = [n for n in _imports(tree) if isinstance(n, ast.ImportFrom)]
    if len(plain) + len(classes) != 1 or count_stores(tree, "datetime"):
        return source
    return _mend_module(source, tree, plain[0]) if plain else _mend_class(source, tree, classes[0])


def _imports(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    """Return the imports that bind the name ``datetime``."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and any((item.asname or item.name) == "datetime" for item in node.names)
    ]


def _mend_module(source: str, tree: ast.Module, node: ast.Import) -> str:
    used = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and _of_datetime(n)]
    called = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
    wrong: list[ast.expr] = [n.value for n in used if n.attr in _CLASS_ONLY]
    wrong += [func for func in called if is_name(func, "datetime")]
    if wrong and len(node.names) == 1 and all(n.value in wrong for n in used):
        length = (node.end_col_offset or 0) - node.col_offset
        line = "from datetime import datetime"
        return apply_edits(source, [Edit(node.lineno, node.col_offset, line, length)])
    return insert_before(source, wrong, "datetime.")


def _mend_class(source: str, tree: ast.Module, node: ast.ImportFrom) -> str:
    imported = {item.name for item in node.names if item.asname is None}
    bound = get_bound(tree)
    edits = []
    for use in ast.walk(tree):
        if not isinstance(use, ast.Attribute) or not _of_datetime(use):
            continue
        name = use.attr
        if name not in _MODULE_ONLY or (name not in imported and name in bound):
            continue
        edits.append(Edit(use.lineno, use.col_offset, "", len("datetime.")))
        if name not in imported:
            imported.add(name)
            last = node.names[-1]
            edits.append(Edit(last.end_lineno or 0, last.end_col_offset or 0, f", {name}"))
    if any(edit.length and get_text(source, edit) != "datetime." for edit in edits):
        return source
    return apply_edits(source, edits)


def _of_datetime(node: ast.Attribute) -> bool:
    return is_name(node.value, "datetime")
