"""Whether a kernel lives: a pure rule over the times at which its loop was heard of.

    heard of < 5 s ago    well
             5 to 15 s    suspect: the kernel writes the stacks of its threads into its log
             over 15 s    lost: it is to be killed
    not serving 300 s after its birth: late, to be killed too

A kernel that never beats (an older program) is known by its exit and by the start-up limit
only. Time in which we ourselves did not run, asleep or stopped, counts against nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Vital(Enum):
    """What the pulse of a kernel says."""

    WELL = "well"
    SUSPECT = "suspect"
    LOST = "lost"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class PulseLimits:
    """The limits, in seconds.

    Attributes:
        suspect: Without a beat for this long, the kernel may hang.
        lost: Without one for this long, it does.
        startup: By then it has to serve.
        nap: A look that comes this much later than the one before means that we slept.
    """

    suspect: float = 5.0
    lost: float = 15.0
    startup: float = 300.0
    nap: float = 4.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is known of one life of a kernel; all times are monotonic seconds.

    Attributes:
        born: When it was started.
        looked: When we last looked.
        heard: When its last beat came, or None before the first one.
        serving: Since when it serves, or None.
    """

    born: float
    looked: float
    heard: float | None = None
    serving: float | None = None

    @classmethod
    def begin(cls, now: float) -> Pulse:
        """Return the pulse of a kernel that is started now."""
        return cls(now, now)

    def look(self, now: float, limits: PulseLimits, *, beat: bool) -> Pulse:
        """Return the pulse after a look at ``now``; ``beat`` says that one has come since."""
        slept = now - self.looked if now - self.looked > limits.nap else 0.0
        heard = self.heard
        if beat:
            heard = now
        elif heard is not None:
            heard += slept
        return replace(self, born=self.born + slept, looked=now, heard=heard)

    def judge(self, limits: PulseLimits) -> Vital:
        """Return what it says as of the last look."""
        if self.serving is None and self.looked - self.born > limits.startup:
            return Vital.LATE
        silence = 0.0 if self.heard is None else self.looked - self.heard
        if silence > limits.lost:
            return Vital.LOST
        return Vital.SUSPECT if silence > limits.suspect else Vital.WELL
