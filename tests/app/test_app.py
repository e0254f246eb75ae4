"""bat_os.app: numpy has the kernel's threads, and children do not hear of it."""

import json
import os
import subprocess
import sys

import pytest

from bat_os.engines.base import default_threads
from tests.kernels import ROOT

# Runs a kernel as ``batos serve`` does; beside it, a thread asks the OpenBLAS that numpy has loaded
# how many threads it has, once the kernel serves.
KERNEL = """
import ctypes, json, os, re, sys, threading, time
from pathlib import Path
from bat_os.cli.main import main

home = Path(sys.argv[1])

def ask():
    while not (home / "run" / "endpoint.json").exists():
        time.sleep(0.01)
    library = re.search(r"/\\S*openblas\\S*", Path("/proc/self/maps").read_text())
    count = library and ctypes.CDLL(library[0]).scipy_openblas_get_num_threads64_()
    print(json.dumps([count, os.environ.get("OPENBLAS_NUM_THREADS")]), flush=True)
    os.kill(os.getpid(), 15)

threading.Thread(target=ask).start()
raise SystemExit(main(["serve", "--home", str(home), "--tcp-port", "-1"]))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="needs Linux and two cores"
)
@pytest.mark.parametrize(
    ("environ", "threads", "for_children"),
    [
        ({"BATOS_THREADS": "2"}, 2, None),
        ({}, default_threads(), None),
        ({"BATOS_THREADS": "1", "OPENBLAS_NUM_THREADS": "2"}, 2, "2"),  # the owner's own word
    ],
)
def test_numpy_in_a_kernel_has_the_threads_of_its_models(tmp_path, environ, threads, for_children):
    hidden = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "BATOS_THREADS")
    ours = {key: text for key, text in os.environ.items() if key not in hidden}
    script = tmp_path / "script.jsonl"
    script.write_text("")
    given = {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(script), "BATOS_CELL": "monty"}
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, tmp_path / "home"], env={**ours, **given, **environ},
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == [threads, for_children]
