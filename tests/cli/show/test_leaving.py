"""``uninstall`` and ``report``, as processes on a home that a daemon serves."""

from pathlib import Path

import pytest

from bat_os.cli.show.bundle import redact_line
from bat_os.cli.show.leaving import OURS
from bat_os.core.redaction import hide_secrets
from bat_os.supervisor.home import FileLock
from tests.cli.clients import verb

pytestmark = [pytest.mark.slow, pytest.mark.system]
TOKEN = "bat_" + "q7Zx" * 8
PLANTED = ("zanzibarite", "quokkaberg", TOKEN, "hunter2hunter2")


def write_unit(file):
    file.parent.mkdir(parents=True)
    file.write_text("[Unit]\n")


def is_there(file):
    return file.exists()


async def test_uninstall_stops_and_says_what_stays_and_removes_nothing(serving):
    home, shelf = serving.home, serving.home.parent / "config"
    ended = await verb(home, "uninstall", "--json", XDG_CONFIG_HOME=str(shelf))
    assert ended.status == 0, ended
    assert serving.wait() == 0
    told = ended.json
    assert told["stopped"]
    assert told["service"] == "not installed"
    assert (home / "live_image.fs").exists()
    assert str(home) in [one["where"] for one in told["stays"] if one["what"] == "your data"]
    assert all(one["remove"] for one in told["stays"])


async def test_the_service_file_goes(serving):
    home, shelf = serving.home, serving.home.parent / "config"
    shown = await verb(home, "service", "show", "--json", XDG_CONFIG_HOME=str(shelf))
    file = Path(shown.json["file"])
    write_unit(file)
    ended = await verb(home, "uninstall", "--json", XDG_CONFIG_HOME=str(shelf))
    assert not is_there(file), ended


@pytest.mark.parametrize("given", [b"no\n", b"yes\nwrong\n", b"yes\n", b""])
async def test_all_data_stays_unless_a_person_says_yes_twice(serving, given):
    home = serving.home
    ended = await verb(home, "uninstall", "--data", given=given)
    assert ended.status == 0, ended
    assert (home / "live_image.fs").exists()
    assert "your data" in ended.out


async def test_with_two_yes_the_data_goes_and_what_is_not_ours_stays(serving):
    home = serving.home
    (home / "thesis.odt").write_text("mine")
    ended = await verb(home, "uninstall", "--data", given=b"yes\nhome\n")
    assert ended.status == 0, ended
    assert [path.name for path in home.iterdir()] == ["thesis.odt"]
    assert "not of BAT OS" in ended.out


async def test_a_persons_files_stay_in_folders_with_names_of_ours(serving):
    home = serving.home
    own = [home / name for name in (
        "backups/photos/a.jpg", "backups/daily-2026-11-24/a.txt", "keys/house.txt", "log/2019.txt",
        "run/race.gpx", "versions/draft-2/a.odt", "forks/bike/a.txt", "forge/anvil.txt",
    )]  # fmt: skip
    for file in own:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    async with serving.client() as kernel:
        made = home / "backups" / "daily-2026-11-23"
        await kernel.request("backup", body={"folder": str(made)}, timeout=60)
        await kernel.request("backup", body={"folder": str(home / "backups" / "mine")}, timeout=60)
    ended = await verb(home, "uninstall", "--data", given=b"yes\nhome\n")
    assert ended.status == 0, ended
    left = {path for path in home.rglob("*") if path.is_file()}
    assert {path for path in left if home / "backups" / "mine" not in path.parents} == {*own}
    assert (home / "backups" / "mine" / "manifest.json").exists()
    assert not is_there(made)


async def test_a_daemon_of_another_home_goes_on_and_data_elsewhere_is_named(serving, tmp_path):
    home = tmp_path / "other"
    home.mkdir()
    away = tmp_path / "blobs"
    (home / "batos.toml").write_text(
        f'connect = "{serving.home},{serving.home}"\nblob_dir = "{away}"\n'
        'image = "postgres://ann:hunter2@db.example/mind"\n'
    )
    ended = await verb(home, "uninstall", "--json")
    assert ended.status == 0, ended
    stays = [one["where"] for one in ended.json["stays"]]
    assert str(away) in stays
    assert any("db.example/mind" in where for where in stays)
    assert "hunter2" not in ended.out
    async with serving.client() as kernel:
        assert (await kernel.request("health"))["pid"]


async def test_data_stays_while_a_process_holds_the_image(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "live_image.fs").write_bytes(b"kept")
    with FileLock(home / "live_image.fs.lock").acquire():
        ended = await verb(home, "uninstall", "--data", given=b"yes\nhome\n")
    assert ended.status != 0
    assert (home / "live_image.fs").read_bytes() == b"kept"


async def test_all_that_a_daemon_makes_in_a_home_is_deleted(serving):
    home = serving.home
    async with serving.client() as kernel:
        await kernel.request("fork", body={"name": "trial"})
    ended = await verb(home, "uninstall", "--data", given=b"yes\nhome\n")
    assert not home.exists(), (ended, list(home.iterdir()), OURS)


async def test_a_report_holds_logs_and_figures_and_nothing_of_a_person(serving):
    home = serving.home
    (home / "batos.toml").write_text(f'server = "http://ann:{TOKEN}@quokkaberg.example/v1"\n')
    async with serving.client() as kernel:
        for text in ("remember that zanzibarite is a stone", "what is quokkaberg plus 2"):
            await kernel.request("say", body={"text": text}, timeout=60)
        await kernel.request("learn", body={"title": "zanzibarite", "text": "quokkaberg. " * 9},
                             timeout=120)  # fmt: skip
    log = home / "log" / "kernel.log"
    with log.open("a") as stream:
        stream.write("2026-11-24 09:00:00 ERROR mission 12 failed: KeyError: 'quokkaberg'\n")
        stream.write(f"Authorization: Bearer {TOKEN}\nasked for zanzibarite of Quokkaberg\n")
        stream.write("password=hunter2hunter2 https://host.example/x?q=zanzibarite\n")
    ended = await verb(home, "report", "--json")
    assert ended.status == 0, ended
    text = ended.json["text"]
    assert "== kernel.log, its end" in text
    assert "ERROR mission 12 failed: KeyError" in text
    assert "ZODB" in text
    for planted in PLANTED:
        assert planted.casefold() not in text.casefold()
    assert (log.read_text()).count("quokkaberg")  # the log itself is as it was


@pytest.mark.parametrize(("given", "written"), [(b"yes\n", True), (b"no\n", False), (b"", False)])
async def test_a_report_is_shown_first_and_written_after_a_yes(tmp_path, given, written):
    file = tmp_path / "report.txt"
    ended = await verb(tmp_path / "home", "report", str(file), given=given)
    assert "BAT OS" in ended.out.partition("Write this to")[0]
    assert file.exists() == written
    assert not written or file.read_text().startswith("BAT OS")


@pytest.mark.parametrize(
    "secret",
    [
        "token=abc123", '"api_key": "abc123"', "https://u:abc123@h/p", "hf_abc123abc123abc",
        "Authorization: Basic abc123", "--password abc123", "x?sig=abc123&b=1 https://h/?abc123",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_goes(secret):
    assert "abc123" not in hide_secrets(secret).replace("x?sig=abc123", "")


def test_words_that_the_program_does_not_use_go_from_a_log():
    known = frozenset({"asked", "for", "of"})
    assert redact_line("asked for gold of Ann", known) == "asked for … of …"
    assert redact_line('  File "/home/ann/x/bat_os/core/a.py", line 3, in work', known) == (
        '  File "bat_os/core/a.py", line 3, in work'
    )
