"""What a model can do, as an exam measured it, and what a mission does differently for that.

No step asks for a model's name. An ability that was not measured is None, and then everything is
done as it suits a model of 135 million parameters, with which the rules were measured:

    figure   at least   then
    writes   0.8        two candidates at first, which have to agree on other arguments too; then
                        three of four; fix-ups only after a refusal
    writes   0.6        a refused candidate goes back to its writer with the error, twice
    form     0.95       the answer is a fenced block, instead of a body behind a forced opening
    tests    0.8        where no example is given, written tests are evidence
    plans    0.85       BRICK's queries are looked up beside the words of the request
    judges   0.6        whether two requests are one, where the rules leave it open
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ABLE: Final = 0.8  # of ``writes``
MENDING: Final = 0.6  # of ``writes``
FORMED: Final = 0.95
TESTING: Final = 0.8
JUDGING: Final = 0.6
# The words of the request alone find the passage of half the wishes, the queries of the smallest
# model that of three quarters, and its missions gained nothing by that (docs/benchmarks.md). This
# is one standard error of twenty wishes above it.
PLANNING: Final = 0.85
FEW: Final = 2  # candidates of a batch


@dataclass(frozen=True, slots=True)
class Agreement:
    """The number of candidates that must agree if no example decides."""

    share: float  # of the candidates that a model wrote
    # With so few written candidates, the same answer to other arguments counts as well.
    strict_up_to: int = 0

    def votes(self, written: int) -> float:
        """Return how many votes of so many written candidates are enough."""
        return max(self.share * written, 1)

    def is_strict(self, written: int) -> bool:
        """Return True if so few have to answer other arguments alike, too."""
        return 0 < written <= self.strict_up_to


# Of eight candidates five: measured, six of seven such methods were right (docs/benchmarks.md).
USUAL: Final = Agreement(5 / 8)
EARLY: Final = Agreement(3 / 4, FEW)


@dataclass(frozen=True, slots=True)
class Ability:
    """The figures of one model, each from 0 to 1, or None where it was not measured."""

    writes: float | None = None  # first drafts that are right
    # requests in other words that it knows, while at most 2% of the others are called the same
    judges: float | None = None
    tests: float | None = None  # written tests that accept the right body and refuse a wrong one
    plans: float | None = None  # searches that bring the right passage with its queries
    form: float | None = None  # answers that have the form that was asked for, unforced
    tools: float | None = None  # requests for which it decided on the right step

    @property
    def agreement(self) -> Agreement:
        """How many candidates have to agree."""
        return EARLY if _reaches(self.writes, ABLE) else USUAL

    @property
    def fixes_late(self) -> bool:
        """Fix-ups are tried only on what was refused without them."""
        return _reaches(self.writes, ABLE)

    @property
    def repairs(self) -> bool:
        """Refused candidates go back to their writer, with what is wrong."""
        return _reaches(self.writes, MENDING)

    @property
    def is_formed(self) -> bool:
        """It answers in the asked form without being forced to."""
        return _reaches(self.form, FORMED)

    @property
    def writes_tests(self) -> bool:
        """The tests that it writes are worth running."""
        return _reaches(self.tests, TESTING)

    @property
    def plans_ahead(self) -> bool:
        """Its queries bring more than the words of the request."""
        return _reaches(self.plans, PLANNING)

    @property
    def tells_apart(self) -> bool:
        """It may say whether two requests are one."""
        return _reaches(self.judges, JUDGING)

    def draws(self, usual: int) -> int:
        """Return how many candidates a batch has, where ``usual`` suits a small model."""
        return min(FEW, usual) if _reaches(self.writes, ABLE) else usual

    def to_plain(self) -> dict[str, float | None]:
        """Return plain data that ``from_plain`` reads back."""
        return asdict(self)

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Ability:
        """Return the figures in ``data``; anything but a share counts as not measured."""
        return cls(**{field.name: _share(data.get(field.name)) for field in fields(cls)})


UNKNOWN: Final = Ability()


def _share(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and 0 <= value <= 1 else None


def _reaches(figure: float | None, least: float) -> bool:
    return figure is not None and figure >= least
