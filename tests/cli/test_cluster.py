"""``batos cluster try``: a PostgreSQL of the distribution and three kernels, for real."""

import json
import shutil
import subprocess

import pytest

from bat_os.cli import cluster
from bat_os.cli.verbs import main
from bat_os.errors import ArgumentsError
from tests.cli.test_schemas import SCHEMAS, check
from tests.forks import PYTHON
from tests.kernels import ROOT


def test_what_is_missing_is_named(monkeypatch, capsys):
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(cluster.shutil, "which", lambda name: "/somewhere/pg_ctl")
    assert main(["cluster", "try"]) == 2
    assert "pip install -r requirements-cluster.txt" in capsys.readouterr().err


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_kernel_is_killed_and_nothing_is_lost(tmp_path):
    try:
        cluster.find_programs()
    except ArgumentsError as error:
        pytest.skip(str(error))
    shutil.rmtree(tmp_path)
    command = [PYTHON, ROOT / "batos.py", "--home", tmp_path, "cluster", "try", "--seconds", "1"]
    told = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    check(SCHEMAS["verbs"]["cluster"], told.stdout)
    found = json.loads(told.stdout)
    assert (found["lost"], found["twice"], found["learned"]) == (0, 0, found["asked"])
    assert found["answered"] > 0
    assert len(found["kernels"]) == 2
    assert not tmp_path.exists()
