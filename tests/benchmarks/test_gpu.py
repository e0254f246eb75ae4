"""The benchmark for GPUs runs everywhere: in full on toy shapes, else it says why not."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.system]


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_toy_shapes_fill_every_cell_of_the_table(tmp_path):
    answer = run("--tiny", "--tokens", "8", "--scratch", str(tmp_path))
    head, _, *rows = [line for line in answer.stdout.splitlines() if line.startswith("|")]

    assert answer.returncode == 0, answer.stderr
    assert len(rows) == 4
    assert {row.count("|") for row in rows} == {head.count("|")}
    assert not list(tmp_path.iterdir())


def test_without_cuda_it_says_in_one_sentence_that_it_was_skipped():
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    answer = run()

    assert answer.returncode == 0
    assert answer.stdout.startswith("Skipped: ")
    assert answer.stdout.count(".") == 1
