"""The files of the container: what they promise, and that the build gets all that it needs."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import yaml

from bat_os.core.settings import Settings
from bat_os.core.verbs import COMMANDS

ROOT = Path(__file__).parents[2]
FILE = (ROOT / "deploy" / "Containerfile").read_text()
IGNORED = (ROOT / ".containerignore").read_text()


def test_what_the_wheel_is_built_of_is_in_the_context():
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = built["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["packages"], *wheel["force-include"], "pyproject.toml", "README.md", "LICENSE"]
    needed += built["tool"]["hatch"]["metadata"]["hooks"]["requirements_txt"]["files"]
    lines = IGNORED.splitlines()
    assert lines[0] == "*"
    let = [line[1:] for line in lines if line.startswith("!")]
    assert [name for name in needed if not any(fnmatch(name.split("/")[0], p) for p in let)] == []
    assert (ROOT / ".dockerignore").read_text() == IGNORED


def test_the_passwords_of_a_cluster_stay_out_of_the_context_and_of_git():
    lines = IGNORED.splitlines()
    assert lines.index("deploy/.env") > lines.index("!deploy")
    assert "/deploy/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_what_the_image_has_besides_is_pinned_with_the_rest():
    [names] = re.findall(r"grep -E '\^\(([\w|-]+)\)=='", FILE)
    pinned = (ROOT / "requirements.txt").read_text()
    assert all(re.search(rf"^{name}==", pinned, re.MULTILINE) for name in names.split("|"))
    # The slim base lacks what llama.cpp is linked with.
    assert "libgomp1" in FILE.split("FROM ")[-1]


def test_it_runs_as_nobody_in_particular_with_one_volume_and_a_health_check():
    last = FILE.split("FROM ")[-1]
    assert re.findall(r"^USER (\S+)", last, re.MULTILINE) == ["10001:10001"]
    assert re.findall(r"^VOLUME (\S+)", last, re.MULTILINE) == ["/data"]
    [check] = re.findall(r'^HEALTHCHECK .*CMD \["batos", "(\w+)"\]', last, re.MULTILINE)
    assert check in COMMANDS


def test_the_compose_file_keeps_the_root_read_only_and_gives_no_privileges():
    [service] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"].values()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["volumes"] == ["data:/data"]
    assert service["healthcheck"]["test"] == "batos status"
    assert (
        ROOT / "deploy" / service["build"]["context"] / service["build"]["dockerfile"]
    ).is_file()


def test_the_cluster_has_a_database_two_model_servers_and_three_kernels_on_one_mind():
    services = yaml.safe_load((ROOT / "deploy" / "cluster.yaml").read_text())["services"]
    kernels = {name: services[name] for name in ("one", "two", "three")}
    assert {"db", "model-1", "model-2", "homes", *kernels} == services.keys()
    # Builders of compose files work on all services at once.
    [build] = [one["build"] for one in services.values() if "build" in one]
    assert build["args"]["ALSO"] in {p.name for p in ROOT.glob("requirements*.txt")}
    assert {one["image"] for one in kernels.values()} == {services["homes"]["image"]}
    names = {field.upper() for field in Settings.__dataclass_fields__}
    for name, kernel in kernels.items():
        about = kernel["environment"]
        assert (about["BATOS_HOME"], kernel["volumes"]) == (f"/data/{name}", ["mind:/data"])
        assert kernel["read_only"] is True
        assert kernel["depends_on"].keys() == {"db", "homes"}
        assert {one.removeprefix("BATOS_") for one in about} <= names | {"PGPASSWORD"}
        assert kernel["healthcheck"]["test"] == "batos status"
    [image] = {kernel["environment"]["BATOS_IMAGE"] for kernel in kernels.values()}
    assert image.startswith(kernels["one"]["environment"]["BATOS_CLUSTER"] + "?")
    ports = re.findall(r"--port (\d+)", " ".join(services[f"model-{n}"]["command"] for n in (1, 2)))
    for n, port in zip((1, 2), ports, strict=True):
        assert f":{port}/health" in services[f"model-{n}"]["healthcheck"]["test"]
    profile = tomllib.loads((ROOT / "deploy" / "cluster-profile.toml").read_text())
    served = profile["models"]["served"]["source"]
    assert served == [f"http://127.0.0.1:{port}/v1" for port in ports]
    # Without --alias, llama-server names a model by its full path.
    commands = [services[f"model-{n}"]["command"] for n in (1, 2)]
    commands.append((ROOT / "deploy" / "systemd" / "batos-model@.service").read_text())
    named = {re.search(r"--alias (\S+)", command).group(1) for command in commands}
    assert named == {profile["models"]["served"]["file"]}
