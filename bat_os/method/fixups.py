"""Fix-ups: small certain repairs of what language models get wrong, text to text.

A rule takes the source and what is wanted, and returns the source, changed or not. It leaves
alone what is right, and what it changes could not have worked. No rule guesses what the method
should compute. The missing covenant line is for ``covenant``, which knows every path.

    layout     > receiver   > arguments > foreign, imports > results
    text around  self         parameters   modules           what is returned
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bat_os.method.rules.arguments import ask_argument, keep_argument, use_argument
from bat_os.method.rules.imports import drop_imports, import_missing, mend_datetime
from bat_os.method.rules.layout import (
    align_body,
    close_brackets,
    cut_rest,
    drop_fences,
    drop_unfinished,
    expand_tabs,
)
from bat_os.method.rules.places import Wanted
from bat_os.method.rules.receiver import add_self, drop_self, name_slot, pass_self, qualify_slots
from bat_os.method.rules.results import call_inner, return_print, return_printed, return_result
from bat_os.method.rules.third_party import use_stdlib
from bat_os.method.text import MAX_SOURCE, parses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# In this order; the names are kept in each method's provenance and never change.
RULES: Final[Mapping[str, Callable[[str, Wanted], str]]] = MappingProxyType(
    {
        "expand_tabs": expand_tabs,
        "align_body": align_body,
        "drop_fences": drop_fences,
        "drop_unfinished": drop_unfinished,
        "close_brackets": close_brackets,
        "cut_rest": cut_rest,
        "call_inner": call_inner,
        "add_self": add_self,
        "pass_self": pass_self,
        "keep_argument": keep_argument,
        "ask_argument": ask_argument,
        "qualify_slots": qualify_slots,
        "drop_self": drop_self,
        "name_slot": name_slot,
        "use_stdlib": use_stdlib,
        "use_argument": use_argument,
        "drop_imports": drop_imports,
        "import_missing": import_missing,
        "mend_datetime": mend_datetime,
        "return_print": return_print,
        "return_printed": return_printed,
        "return_result": return_result,
    }
)
_PASSES: Final = 3  # a repair can make another one possible


def apply_fixups(
    source: str,
    selector: str,
    slots: frozenset[str] | None = None,
    selectors: frozenset[str] | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Return the mended source and the names of the rules that changed it, in order.

    A source that is no Python after all of them comes back as it was.

    Args:
        source: A candidate, as a model wrote it; any text.
        selector: The method that it should define.
        slots: Names of the receiver's slots, inherited ones too; None where not known.
        selectors: Messages that the receiver understands; None where not known.
    """
    wanted = Wanted(selector, slots, selectors)
    text, applied = source, dict[str, None]()
    for _ in range(_PASSES if len(source) <= MAX_SOURCE else 0):
        before = text
        for name, rule in RULES.items():
            mended = rule(text, wanted)
            if mended != text and (parses(mended) or not parses(text)):
                text = mended
                applied[name] = None
        if text == before:
            break
    return (text, tuple(applied)) if parses(text) else (source, ())
