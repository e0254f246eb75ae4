"""What learned code may import, name and define: the tables behind the guardian's rules.

All safe modules compute; none reads files, starts processes or reaches the network. Python's own
modules leak each other (``json.codecs.open``), so a name that is a module, private, or on a
short list of dangerous ones is refused. A test holds this against the running Python.
"""

from __future__ import annotations

import ast
import sys
from typing import Final

from bat_os.method.text import words

SAFE_MODULES: Final = words("""
    datetime time calendar math cmath random statistics itertools functools collections
    collections.abc string textwrap decimal fractions numbers operator heapq bisect copy
    dataclasses enum typing contextlib abc hashlib base64 binascii uuid csv io asyncio unicodedata
    difflib html pprint struct zlib secrets hmac colorsys graphlib array queue urllib.parse json re
    zoneinfo
""")

_ONLY: Final = {
    "asyncio": words(
        "run gather sleep wait_for wait as_completed timeout create_task TaskGroup Queue "
        "PriorityQueue LifoQueue QueueEmpty QueueFull Event Lock Condition Semaphore "
        "BoundedSemaphore TimeoutError CancelledError"
    ),
    "datetime": words("datetime date time timedelta timezone UTC tzinfo MINYEAR MAXYEAR"),
}
_BANNED: Final = {
    "dataclasses": words("make_dataclass"),
    "enum": words("bltns"),
    "functools": words("singledispatch singledispatchmethod"),
    "hashlib": words("file_digest"),
    "html": words("entities parser"),
    "io": words("open open_code FileIO OpenWrapper text_encoding"),
    "json": words("decoder encoder scanner tool"),
    "operator": words("attrgetter methodcaller"),
    "queue": words("threading"),
    "string": words("Formatter"),
    "typing": words("get_type_hints ForwardRef stdlib_re"),
    "uuid": words("getnode main"),
    "zoneinfo": words("reset_tzpath"),
}
_NAMESAKES: Final = words(
    "array.array bisect.bisect calendar.calendar copy.copy pprint.pprint random.random time.time"
)

# Names that are often used without their import, and the module of each.
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

OURS: Final = "_bat_"  # how the names of the Monty prelude begin, in any case
FORBIDDEN_NAMES: Final = words(
    "eval exec compile open globals locals vars breakpoint memoryview input exit quit help"
)
HARMLESS_AS_PARAMETERS: Final = words("input exit quit help open compile vars locals")
NEEDS_CALL: Final = words("getattr setattr delattr")
FORBIDDEN_ATTRIBUTES: Final = words("""
    gi_frame gi_code gi_yieldfrom cr_frame cr_code cr_await cr_origin ag_frame ag_code ag_await
    tb_frame tb_next f_back f_builtins f_code f_globals f_locals f_trace co_code func_globals
    func_code func_closure mro format_map get_field vformat Formatter
""")
DUNDER_METHODS: Final = words("""
    __init__ __repr__ __str__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __hash__ __bool__ __len__
    __iter__ __next__ __contains__ __getitem__ __setitem__ __delitem__ __add__ __sub__ __mul__
    __truediv__ __floordiv__ __mod__ __divmod__ __pow__ __matmul__ __radd__ __rsub__ __rmul__
    __rtruediv__ __neg__ __pos__ __abs__ __int__ __float__ __round__ __enter__ __exit__ __call__
    __post_init__ __format__ __iadd__ __isub__ __imul__ __and__ __or__ __xor__ __invert__
    __missing__ __reversed__ __index__ __aiter__ __anext__ __aenter__ __aexit__ __await__
""")
DUNDER_ATTRIBUTES: Final = (DUNDER_METHODS - words("__format__")) | words(
    "__name__ __doc__ __class__ __qualname__"
)
UNDERSCORED_PUBLIC: Final = words("_replace _asdict _fields _make")
SELF_LIKE: Final = words("self cls other")
DECORATORS: Final = words("""
    property staticmethod classmethod dataclass dataclasses.dataclass lru_cache functools.lru_cache
    cache functools.cache cached_property functools.cached_property contextmanager
    contextlib.contextmanager wraps functools.wraps total_ordering functools.total_ordering
    abstractmethod abc.abstractmethod unique enum.unique
""")
CONSTRUCTORS: Final = words("bytes dict float frozenset int list namedtuple range set str tuple")
DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def is_public(module: str, name: str) -> bool:
    """Return whether learned code may use ``module.name``; unknown names pass."""
    full = f"{module}.{name}"
    if full in SAFE_MODULES or full in _NAMESAKES:
        return True
    if module not in SAFE_MODULES or name.startswith("_") or name in _BANNED.get(module, ()):
        return False
    if module in _ONLY:
        return name in _ONLY[module]
    return name not in sys.stdlib_module_names
