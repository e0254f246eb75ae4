"""Whether the machine's clock can be believed when something is to be forgotten for its age.

A clock that jumps 400 days ahead, because a battery is empty or someone mistyped, makes all
answers and all history look old at once. So the image notes when it looked at the clock last:

    0 to FORWARD seconds later    time went by
    anything else                 the clock jumped, or nobody looked for so long

What is to be kept for some days is safe for that many days after a jump.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FORWARD: Final = 3 * 86_400.0
NOTE_EVERY: Final = 6 * 3600.0
_SLACK: Final = 60.0  # clocks are set right by a little now and then
_NAME: Final = "clock"


def look(root: MutableMapping[str, Any], now: float) -> float:
    """Return for how many seconds the clock has not jumped; infinity where it never has.

    Writes a note when it jumped, and every NOTE_EVERY seconds.

    Args:
        root: The image root, in a transaction.
        now: Unix time, as the machine tells it.
    """
    note = root.get(_NAME, {"seen": now, "steady": math.inf})
    gap, steady = now - note["seen"], float(note["steady"])
    steady = steady + max(gap, 0.0) if -_SLACK <= gap <= FORWARD else 0.0
    if _NAME not in root or steady == 0.0 or gap >= NOTE_EVERY:
        root[_NAME] = {"seen": now, "steady": steady}
    return steady
