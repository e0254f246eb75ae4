"""The process that trains an adapter: paused, killed and gone on with, the adapter is the same."""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from bat_os.kernel.forge.child import ADAPTER, ORDER, PAUSED, RECORDS
from tests.forks import TRAINER
from tests.training.test_training import make_base

ROOT = Path(__file__).parents[2]
WEIGHTS = f"{ADAPTER}/adapter_model.safetensors"
KILLS = int(os.environ.get("BATOS_FORGE_KILLS", "1"))
RECORD = {
    "wish": "the next number",
    "call": "successor(n)",
    "body": "return n + 1",
    "cases": [{"args": "1", "slots": "{}", "value": "2"}],
    "cluster": "mission-1",
}

pytestmark = [pytest.mark.slow, pytest.mark.model, pytest.mark.system]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("base") / "tiny-llama")


class Run:
    """A folder to train in, and the process that does."""

    def __init__(self, folder, base, *, records=(RECORD,), **order):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        order = {"base": str(base), "base_name": "tiny-llama", "rank": 2, **order}
        (folder / ORDER).write_text(json.dumps(order), encoding="utf-8")
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / RECORDS).write_text(lines, encoding="utf-8")

    def start(self):
        return subprocess.Popen(
            [TRAINER, "-m", "tests.training.eager", str(self.folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def finish(self):
        """Let it run to its end; return (exit status, what it said)."""
        with self.start() as child:
            said = [json.loads(line) for line in child.stdout]
        return child.returncode, said

    def until(self, step, end):
        """Start, end it once it has done ``step``; return (exit status, steps that it did)."""
        with self.start() as child:
            steps = []
            for line in child.stdout:
                steps += [json.loads(line)["step"]]
                if steps[-1] == step:
                    end(child)
            return child.wait(), steps

    @property
    def kept(self):
        """The step of its last whole checkpoint."""
        return max(int(path.name[-6:]) for path in self.folder.glob("checkpoint-??????"))

    @property
    def weights(self):
        return (self.folder / WEIGHTS).read_bytes()


RECORDED = [
    RECORD | {"body": f"return n + {more}", "wish": f"{more} more than a number"}
    for more in range(1, 13)
]
FEW = {"records": RECORDED, "shipped": False, "epochs": 10}  # 30 steps


def press(child):
    child.stdin.write("p")
    child.stdin.flush()


def leave(child):
    child.stdin.close()


@pytest.fixture(scope="module")
def unbroken(base, tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("unbroken") / "run", base, **FEW)
    status, said = run.finish()
    assert status == 0
    assert [line["step"] for line in said] == list(range(1, said[0]["of"] + 1))
    return run, said[0]["of"]


def test_ended_anywhere_it_goes_on_and_the_adapter_is_the_same_bit_for_bit(
    base, unbroken, tmp_path
):
    whole, of = unbroken
    draw = random.Random(7)  # noqa: S311 - moments, no secret
    run, begun = Run(tmp_path / "run", base, **FEW), 1
    for end in (press, leave, *KILLS * (subprocess.Popen.kill,)):
        step = draw.randrange(begun, max(begun + 1, min(begun + 14, of)))
        status, steps = run.until(step, end)
        assert steps[0] == begun
        assert not (run.folder / ADAPTER).exists()
        if end in (press, leave):
            assert status == PAUSED
            begun = steps[-1] + 1
        else:
            begun = run.kept + 1
            assert steps[-1] - begun < 10  # that many steps are lost at most
    status, said = run.finish()
    assert (status, said[0]["step"]) == (0, begun)
    assert run.weights == whole.weights


def test_a_pause_before_the_first_step_ends_it_at_once(base, tmp_path):
    run = Run(tmp_path / "run", base, **FEW)
    with run.start() as child:
        child.stdin.close()
        assert child.stdout.read() == ""
    assert child.returncode == PAUSED
    assert not list(run.folder.glob("checkpoint-*"))


def test_a_damaged_checkpoint_is_passed_over_and_one_of_other_lessons_is_not_used(base, tmp_path):
    run = Run(tmp_path / "run", base, **FEW)
    run.until(25, press)
    names = sorted(path.name for path in run.folder.glob("checkpoint-*"))
    assert len(names) == 2
    kept = run.folder / names[-1] / "tensors.safetensors"
    kept.write_bytes(kept.read_bytes()[:-1] + b"\xff")

    _, steps = run.until(21, press)
    assert steps[0] == 21

    other = Run(run.folder, base, **{**FEW, "records": RECORDED[1:]})
    assert other.until(1, press)[1][0] == 1


def test_what_cannot_be_learned_from_is_said(base, tmp_path):
    run = Run(tmp_path / "run", base, records=[RECORD | {"cases": []}])
    status, said = run.finish()
    assert status == 1
    assert "cases" in said[-1]["error"]

    run = Run(tmp_path / "run", tmp_path / "nothing")
    status, said = run.finish()
    assert status == 1
    assert "is not a model that can be trained" in said[-1]["error"]


@pytest.mark.gpu
def test_on_a_gpu_the_same_steps_run_with_the_base_in_four_bits(base, tmp_path):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA")
    run = Run(tmp_path / "run", base, **FEW, device="cuda", precision="nf4")
    status, said = run.finish()
    assert status == 0
    assert said[-1]["step"] == said[-1]["of"]
    assert run.weights
