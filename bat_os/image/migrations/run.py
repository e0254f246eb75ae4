"""Which format an image has, and the steps from an older one to the present.

    about["format"] = 1 --format_2--> 2 --format_3--> 3

All steps are taken in the transaction that opens the image.

A step is a function of the root, in a module ``format_N``: what it needs of the program's
past stands in that module, for classes change and old images do not. Each comes with a test
on an image that the version before wrote. A newer image is refused: this program would read
it wrong, and write what the newer one cannot read.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import FormatError, StorageError
from bat_os.image.migrations import format_2, format_3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

STEPS: Final[Mapping[int, Callable[[MutableMapping[str, Any]], None]]] = MappingProxyType(
    {2: format_2.migrate, 3: format_3.migrate}
)
FORMAT: Final = max(STEPS)


def migrate(root: MutableMapping[str, Any]) -> int:
    """Bring the image to FORMAT; return the format that it had.

    Raises:
        FormatError: A newer program wrote it.
        StorageError: It does not say which format it has.
    """
    had = root["about"].get("format")
    if type(had) is not int or had < 1:
        raise StorageError(f"the image says {had!r} of its format; restore a backup")
    if had > FORMAT:
        raise FormatError(
            f"the image has format {had}, this program knows up to {FORMAT}; "
            "start the newer program that wrote it, or restore a backup",
            format=had,
            known=FORMAT,
        )
    for number in range(had + 1, FORMAT + 1):
        STEPS[number](root)
    if had != FORMAT:
        root["about"] = {**root["about"], "format": FORMAT}
    return int(had)
