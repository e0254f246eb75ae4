"""How versions of methods are shown, and how often one was called."""

import pytest

from bat_os.cli.console import Screen
from bat_os.cli.show.history import COMMANDS, explain

VERSION = {"current": True, "version": 1, "status": "approved", "whole": True, "created": 1.0,
           "persona": "BRICK", "model": "m", "imported": False, "examples": 2,
           "sha256": "ab" * 32}  # fmt: skip


def test_the_versions_of_each_method_stand_below_its_name(capsys):
    methods = [
        {"object": "genesis_obj", "selector": name, "versions": [VERSION], "waiting": 0,
         "current": 1, "pinned": 0, "tainted": None}
        for name in ("double", "treble")
    ]  # fmt: skip
    COMMANDS["history"].show({"object": "genesis_obj", "methods": methods}, Screen())
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[3]) == ("genesis_obj.double", "genesis_obj.treble")
    assert lines[2].split()[:3] == ["*", "1", "approved"]


@pytest.mark.parametrize(("count", "said"), [(0, ""), (1, "once, last "), (3, "3 times, last ")])
def test_it_is_said_how_often_a_method_was_called(count, said):
    uses = {"count": count, "last": 1.0, "callers": {"chat": count}}
    method = {"object": "genesis_obj", "selector": "double", "status": "approved", "current": True,
              "version": 1, "versions": 1, "origin": {}, "mission": None, "brief": None,
              "approval": None, "waiting": 0, "pinned": 0, "tainted": None, "uses": uses,
              "sha256": "ab" * 32, "whole": True, "source": "pass", "candidates": [],
              "examples": [], "passages": [], "moves": []}  # fmt: skip
    lines = [line.split(maxsplit=1) for line in explain(method) if line]
    called = [rest[0] for name, *rest in lines if name == "called"]
    assert [line.startswith(said) for line in called] == [True] * bool(count)
