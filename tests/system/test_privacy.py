"""Without a grant nothing leaves the machine: watched on the wire, whatever library would send."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from bat_os.cli.environment import UNTRACKED, kernel_environ
from tests import sealed
from tests.kernels import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(900)]
LISTS = ("requirements-first.txt", "requirements.txt", "requirements-models.txt")
# What sends figures on its users somewhere, by the names of services and of functions.
TRACKER = re.compile(
    r"\b(posthog|sentry_sdk|mixpanel|(?:api\.)?amplitude\.com|segment\.(?:io|com)|scarf\.sh"
    r"|send_telemetry|google-analytics|googletagmanager|datadoghq|bugsnag\.com|rollbar\.com)\b"
)
# Packages that have such code, and what switches it off.
KNOWN = {"huggingface_hub": "HF_HUB_DISABLE_TELEMETRY"}
needs_namespace = pytest.mark.skipif(
    sys.platform != "linux" or not sealed.is_possible(),
    reason="this machine makes no network namespace for us (unshare, iproute2)",
)


def run_sealed(tmp_path, *words):
    """Return what a command wanted to reach, and what it wrote."""
    found = tmp_path / "found.json"
    done = subprocess.run(
        sealed.command(found, *words), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.exists(), done.stderr
    return json.loads(found.read_text()), done.stdout + done.stderr


@needs_namespace
@pytest.mark.parametrize(
    ("code", "where"),
    [
        ("import socket as s; t = s.socket(); t.connect_ex(('192.0.2.7', 443))", "192.0.2.7"),
        ("import socket as s; t = s.socket(s.AF_INET, s.SOCK_DGRAM); "
         "t.sendto(b'x', ('198.51.100.9', 53))", "198.51.100.9"),
        ("import socket as s; t = s.socket(s.AF_INET6); "
         "t.connect_ex(('2001:db8::1', 443))", "2001:db8::1"),
        # past Python's sockets, and in a child of a child
        ("import time, zmq; z = zmq.Context().socket(zmq.DEALER); "
         "z.connect('tcp://203.0.113.5:80'); time.sleep(1)", "203.0.113.5"),
        ("import subprocess, sys; subprocess.run([sys.executable, '-c', \"import socket as s; "
         "s.socket().connect_ex(('192.0.2.8', 80))\"])", "192.0.2.8"),
    ],
)  # fmt: skip
def test_whatever_would_leave_is_seen(tmp_path, code, where):
    told, said = run_sealed(tmp_path, sys.executable, "-c", code)
    assert told["found"] == [where], said


@needs_namespace
def test_what_stays_on_the_machine_is_no_finding(tmp_path):
    code = "import socket as s; s.socket().connect_ex(('127.0.0.1', 9))"
    told, said = run_sealed(tmp_path, sys.executable, "-c", code)
    assert told["found"] == [], said
    assert told["seen"] > 0


@needs_namespace
@pytest.mark.model
def test_nothing_leaves_during_the_whole_tutorial(tmp_path):
    words = [sys.executable, "-m", "pytest", "-q", "tests/cli/test_tutorial.py", "--timeout", "600",
             "--basetemp", str(tmp_path / "inner")]  # fmt: skip
    told, said = run_sealed(tmp_path, *words)
    if "2 passed" not in said:
        pytest.skip(f"the tutorial does not run here: {said[-300:]}")
    assert told["found"] == []
    assert told["dropped"] == 0
    assert told["seen"] > 0


@pytest.mark.parametrize("switch", UNTRACKED)
def test_each_process_of_ours_tells_libraries_to_send_no_figures(switch):
    assert kernel_environ({switch: "0"})[switch] == UNTRACKED[switch]
    code = (
        "import os, sys; from bat_os.cli.main import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        f"print(os.environ[{switch!r}])"
    )
    environ = {key: value for key, value in os.environ.items() if key != switch}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == UNTRACKED[switch]


def trackers(name):
    """Return what a package has that sends figures on its users."""
    found = set()
    for file in metadata.files(name) or ():
        if file.suffix == ".py" and "tests" not in file.parts:
            text = file.locate().read_text(encoding="utf-8", errors="replace")
            found.update(TRACKER.findall(text))
    return found


def test_no_pinned_library_has_a_tracker_that_is_not_switched_off():
    names = set()
    for path in LISTS:
        for line in (ROOT / path).read_text().splitlines():
            if line and line[0] not in "#-":
                names.add(Requirement(line.partition("#")[0]).name)
    found = {}
    for name in sorted(names):
        try:
            if hits := trackers(name):
                found[name] = hits
        except metadata.PackageNotFoundError:
            continue
    assert found.keys() <= KNOWN.keys(), found
    assert found.keys() == KNOWN.keys(), "it has none any more; take it off the table"
    assert all(switch in UNTRACKED for switch in KNOWN.values())


def test_the_client_of_the_hub_obeys_its_switch():
    code = (
        "from huggingface_hub.utils import build_hf_headers, send_telemetry\n"
        "from huggingface_hub import constants\n"
        "from huggingface_hub.utils import _telemetry\n"
        "send_telemetry('x'); print(constants.HF_HUB_DISABLE_TELEMETRY, "
        "_telemetry._TELEMETRY_THREAD)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **UNTRACKED, "HF_HUB_OFFLINE": "0"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "None"]
