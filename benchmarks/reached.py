"""A plugin of pytest: a probe that a test runs in this very process says so."""

import os
import sys


def pytest_configure() -> None:
    """Leave the number of this process where the probes look."""
    sys.tests_run_in = os.getpid()  # type: ignore[attr-defined] - read by the probes
