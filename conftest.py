"""Which files have doctests: those with an example, so that no other is imported for nothing."""

from pathlib import Path

import pytest
from _pytest.doctest import DoctestModule


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the examples of a module."""
    if file_path.suffix == ".py" and b">>>" in file_path.read_bytes():
        return DoctestModule.from_parent(parent, path=file_path)
    return None
