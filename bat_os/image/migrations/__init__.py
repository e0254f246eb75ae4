"""The format of an image, and the steps that bring an older one to the present.

    about["format"] = OLDEST --format_4--> 4 --desks--> 5 --desks--> 6 ... --> FORMAT

All steps run in the transaction that opens the image. A step is a function of the root; a long one
is in a module ``format_N`` of this folder. What it needs of the program's past is in that module,
because classes change and stored images do not. Each step comes with a test on an image that
the version before it wrote. Any other format is refused: this program would misread it, and
write what the right program cannot read.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import FormatError, StorageError
from bat_os.image import desks
from bat_os.image.migrations import format_4

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    Steps = Mapping[int, Callable[[MutableMapping[str, Any]], None]]

OLDEST: Final = 3


def _compress(_root: MutableMapping[str, Any]) -> None:
    """Change nothing: what is written from now on is compressed, and a pack compresses the rest."""


STEPS: Final[Steps] = MappingProxyType(
    {4: format_4.migrate, 5: desks.migrate, 6: desks.begin, 7: _compress}
)
FORMAT: Final = max(STEPS, default=OLDEST)


def check_format(root: Mapping[str, Any]) -> int:
    """Return the format of an awakened image.

    Raises:
        FormatError: This program does not read it.
        StorageError: The image does not say which format it has.
    """
    number = root["about"].get("format")
    if type(number) is not int or number < 1:
        raise StorageError(f"the image gives {number!r} as its format; restore a backup")
    if number > FORMAT:
        advice = "start the newer program that wrote it, or restore a backup"
    elif number < OLDEST:
        advice = (
            "start the program that wrote it, export what you need (batos export), "
            "and import that here"
        )
    else:
        return number
    span = f"{OLDEST} to {FORMAT}" if OLDEST < FORMAT else f"{FORMAT} only"
    raise FormatError(
        f"the image has format {number}, and this program reads {span}; {advice}",
        format=number,
        known=FORMAT,
    )


def migrate(root: MutableMapping[str, Any], steps: Steps = STEPS) -> int:
    """Bring the image to the format of the last step; return the format that it had."""
    had = check_format(root)
    for number in sorted(number for number in steps if number > had):
        steps[number](root)
        root["about"] = {**root["about"], "format": number}
    return had
