"""A plugin of pytest: the longest files first; and how long each test took, into a file.

    pytest --times FILE

The file is JSON: ``tests`` has for each test its seconds of set-up, call and taking down, and the
processor time of all three with that of the processes that ended meanwhile; ``fixtures`` for each
fixture how often it was made and its seconds, without those it asks for; ``marks`` counts and sums
the tests of each mark; ``failed`` names the tests that failed.
``python -m benchmarks.suite FILE`` sums them.
"""

import json
import os
import time
from collections import defaultdict

import pytest

from tests.nearest import read_seconds

MARKS = ("slow", "system", "model", "gpu")
_used = [0.0]  # processor time, at the last report of this process
_spent = {}  # fixture: (how often, seconds), since the last report of this process


def pytest_addoption(parser):
    parser.addoption("--times", metavar="FILE", help="write what each test and fixture took")


def pytest_configure(config):
    _used[0] = sum(os.times()[:4])
    path = config.getoption("--times")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Book(path))


def pytest_collection_modifyitems(items):
    """Begin with the files that took longest; a file stays together, and an unknown one is last."""
    seconds = read_seconds()
    names = [item.nodeid.partition("::")[0] for item in items]
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    rank = {name: (-seconds.get(name, 0.0), place) for name, place in order.items()}
    items.sort(key=lambda item: rank[item.nodeid.partition("::")[0]])


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    start = time.perf_counter()
    try:
        return (yield)
    finally:
        name = f"{fixturedef.baseid}::{fixturedef.argname}"
        count, seconds = _spent.get(name, (0, 0.0))
        _spent[name] = count + 1, seconds + time.perf_counter() - start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    used = sum(os.times()[:4])
    report.used, _used[0] = used - _used[0], used
    report.fixtures = {name: list(one) for name, one in _spent.items()}  # reaches the controller
    _spent.clear()
    return report


class _Book:
    """What the reports say, until the end of the run."""

    def __init__(self, path):
        self.path = path
        self.tests = defaultdict(lambda: [0.0, 0.0, 0.0, 0.0])
        self.fixtures = defaultdict(lambda: [0, 0.0])
        self.marks = {mark: [0, 0.0] for mark in MARKS}
        self.failed = []

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid)
        part = ("setup", "call", "teardown").index(report.when)
        self.tests[report.nodeid][part] += round(report.duration, 4)
        self.tests[report.nodeid][3] += round(getattr(report, "used", 0.0), 4)
        for mark in self.marks.keys() & set(report.keywords):
            self.marks[mark][0] += report.when == "call"
            self.marks[mark][1] = round(self.marks[mark][1] + report.duration, 4)
        for name, (count, seconds) in getattr(report, "fixtures", {}).items():
            self.fixtures[name][0] += count
            self.fixtures[name][1] = round(self.fixtures[name][1] + seconds, 4)

    def pytest_sessionfinish(self):
        told = {"tests": self.tests, "fixtures": self.fixtures, "marks": self.marks,
                "failed": self.failed}  # fmt: skip
        with open(self.path, "w", encoding="utf-8") as file:  # noqa: PTH123 - as given
            json.dump(told, file, indent=0)
