"""bat_os.image.files.rotation: real backups by the day, and which of them are kept."""

import datetime as dt
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.settings import IMAGE
from bat_os.errors import StorageFullError
from bat_os.image.files import rotation
from bat_os.image.files.backup import verify
from bat_os.image.files.manifest import NAME
from bat_os.image.files.restore import restore
from bat_os.image.files.rotation import back_up_if_due, choose_kept, newest_in
from bat_os.image.store import ImageStore

DAY = 86_400.0
NOON = dt.datetime(2026, 11, 24, 12).astimezone().timestamp()
days = st.dates(dt.date(2020, 1, 1), dt.date(2030, 1, 1))


@given(st.sets(days, max_size=60))
def test_the_last_seven_days_are_kept_and_what_is_kept_stays_bounded(found):
    kept = choose_kept(found)
    assert set(sorted(found)[-7:]) <= kept <= found
    assert len(kept) <= 7 + 4 + 12


def test_a_year_of_days_leaves_a_week_four_weeks_and_twelve_months():
    kept, first = set(), dt.date(2026, 1, 1)
    for number in range(365):  # forgetting each day is what forgetting once would be
        kept = choose_kept(kept | {first + dt.timedelta(number)})
    assert {f"{day:%Y-%m}" for day in kept} == {f"2026-{month:02}" for month in range(1, 13)}
    assert {day for day in kept if day > dt.date(2026, 12, 24)} >= {dt.date(2026, 12, 25)}
    assert {f"{day:%V}" for day in kept if day > dt.date(2026, 12, 1)} == {"50", "51", "52", "53"}
    assert len(kept) == 20


@pytest.fixture
async def image(tmp_path):
    opened = ImageStore.open(tmp_path / "home" / IMAGE)
    yield opened
    await opened.close()


async def write(image, text):
    def work(root):
        root["said"] = text

    await image.transact(work, note=text)


async def test_one_backup_a_day_is_made_kept_and_restored(image, tmp_path):
    folder = tmp_path / "home" / "backups"
    (folder / "own").mkdir(parents=True)
    for number in range(12):
        await write(image, f"day {number}")
        assert await back_up_if_due(image, folder, NOON + number * DAY)
        assert await back_up_if_due(image, folder, NOON + number * DAY + 60) is None
    names = sorted(path.name for path in folder.iterdir())
    kept = [f"daily-2026-{day}" for day in ("11-29", "11-30", "12-01", "12-02", "12-03",
                                            "12-04", "12-05")]  # fmt: skip
    assert set(kept) <= set(names) <= {*kept, "own"}
    assert "own" in names
    assert newest_in(folder) > 0
    verify(folder / "daily-2026-12-05")
    restore(folder / "daily-2026-11-29", tmp_path / "back")
    back = ImageStore.open(tmp_path / "back" / IMAGE)
    try:
        assert await back.transact(lambda root: root["said"], note="look") == "day 5"
    finally:
        await back.close()


async def test_without_room_there_is_none_and_what_a_kill_left_is_cleared_away(
    image, tmp_path, monkeypatch
):
    folder = tmp_path / "home" / "backups"
    monkeypatch.setattr(rotation, "LEFT", 1 << 60)
    with pytest.raises(StorageFullError):
        await back_up_if_due(image, folder, NOON)
    monkeypatch.undo()
    await write(image, "a")
    half = folder / "daily-2026-11-20"
    half.mkdir()
    (half / "part").write_text("half")
    await back_up_if_due(image, folder, NOON)
    assert [path.name for path in folder.iterdir()] == ["daily-2026-11-24"]


@pytest.fixture
def other_disk(tmp_path):
    """A folder for the models, on another file system."""
    shared = Path("/dev/shm")  # noqa: S108 - another file system
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    folder = shared / f"batos-{tmp_path.name}"
    yield folder
    shutil.rmtree(folder)


async def test_models_on_another_disk_are_not_copied_each_day(image, tmp_path, other_disk):
    blobs = f"{tmp_path / 'home' / IMAGE}.blob"
    shutil.move(blobs, other_disk)
    os.symlink(other_disk, blobs)  # noqa: PTH211 - a path in an async test
    assert await back_up_if_due(image, tmp_path / "home" / "backups", NOON) is None
    assert not list(tmp_path.rglob(NAME))
