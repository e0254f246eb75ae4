"""Where a benchmark works: with the settings that ship, in a folder that is gone afterwards."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def work_in(kept: Path | None = None) -> Iterator[Path]:
    """Give a scratch folder, or ``kept``, which is not removed; unset all BATOS_ variables.

    With ``kept`` a benchmark that was ended can go on with what lies there.
    """
    for name in [one for one in os.environ if one.startswith("BATOS_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="batos-bench-") as folder:
        place = kept or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        yield place
