"""An image at a server: what each verb does there, and which settings are refused at a start."""

import asyncio
import contextlib
import re
import shutil
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest

from bat_os.cli.doctor.image import _judge_server
from bat_os.core.settings import IMAGE
from bat_os.errors import ArgumentsError, SettingsError
from bat_os.image import server_care, servers
from bat_os.image.awakening import awaken
from bat_os.image.files.ability import open_and_prove
from bat_os.image.history.moments import survey
from bat_os.image.models import ingest_folder, link_folder, list_models
from bat_os.image.server_care import DUMP, broken_promises, check_promises, engine_of, mark_blobs
from bat_os.image.store import ImageStore
from bat_os.kernel.verbs.files import WORKS
from tests.kernels import ROOT
from tests.storages import storage_of

pytestmark = pytest.mark.slow
BODY = {"full": False, "copy": False, "reason": "to keep", "name": "trial", "at": "",
        "days": None, "policy": None}  # fmt: skip
WORD = "a slot that comes back"


@pytest.fixture(params=["zeo", "postgres"])
def place(request):
    with storage_of(request.param) as made:
        yield made


@pytest.fixture
def zeo():
    with storage_of("zeo") as made:
        yield made


@pytest.fixture
def postgres():
    with storage_of("postgres") as made:
        yield made


@contextlib.asynccontextmanager
async def opened(uri):
    image = open_and_prove(uri)
    try:
        yield image
    finally:
        await image.close()


async def fill(image, tmp_path):
    """Awaken the image, and store a small model in it."""
    await image.transact(
        lambda root: awaken(root, image_id="ab" * 8, created=1.0, personas={}, primitives={}),
        note="awaken",
    )
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(b"w" * 5000)
    await ingest_folder(image, "toy", folder)
    await image.transact(lambda root: root.__setitem__("kept", WORD), note="keep a word")


async def do(image, verb, **more):
    return await WORKS[verb](image, {**BODY, **more})


async def test_the_room_is_told_by_kind(place, tmp_path):
    async with opened(place.uri()) as image:
        await fill(image, tmp_path)
        room, engine = await do(image, "space"), engine_of(image.storage)

    assert room["engine"] == engine in ("ZEO", "PostgreSQL")
    assert room["file"] > 0
    assert room["kinds"]["models"]["objects"] > 0
    assert room["blobs"]["bytes"] >= 5000
    assert room["policy"]


async def test_a_survey_sees_what_another_kernel_has_just_stored(place, tmp_path):
    async with opened(place.uri()) as image, opened(place.uri()) as other:
        await fill(image, tmp_path)
        for number in range(5):
            await other.transact(lambda root, n=number: root.__setitem__("kept", n), note="keep")
            await image.catch_up()
            assert await survey(image, lambda root: root["kept"], note="look") == number


async def test_an_address_without_a_password_leaves_it_to_the_file_of_passwords(postgres):
    async with opened(postgres.uri()) as image:
        dsn = image.storage._adapter._dsn
    assert f"dbname='{postgres.name}'" in dsn
    assert "password" not in dsn


async def test_how_far_the_clock_of_the_server_is_off_is_seen_with_each_commit(
    place, tmp_path, monkeypatch
):
    async with opened(place.uri()) as image:
        await fill(image, tmp_path)
        assert abs(image.database.clock_ahead) < 2
        seen = {}
        for here in (-3600, 3600):
            clock = SimpleNamespace(time=lambda here=here: time.time() + here)
            monkeypatch.setattr(servers, "time", clock)
            await image.transact(lambda root: root.__setitem__("kept", 1), note="keep")
            seen[here] = image.database.clock_ahead
    assert 3590 < seen[-3600] < 3601
    assert -3601 < seen[3600] < -3590


async def test_kernels_know_by_a_file_whether_they_share_their_blobs(place):
    async with opened(place.uri()) as first, opened(place.uri()) as second:
        told = [mark_blobs(each.storage) for each in (first, second, first)]
    elsewhere = re.sub(
        r"(?<=[?&])blob_dir=[^&]+", f"blob_dir={place.folder}/elsewhere", place.uri()
    )
    image = await asyncio.to_thread(ImageStore.open, elsewhere)
    other = mark_blobs(image.storage)
    await image.close()
    assert len(set(told)) == 1
    assert len(other) == len(told[0]) == 16
    assert other != told[0]


async def test_a_backup_of_zeo_is_an_image_that_a_kernel_opens(zeo, tmp_path):
    async with opened(zeo.uri()) as image:
        await fill(image, tmp_path)
        for _ in range(2):  # the second takes the place of the first
            done = await do(image, "backup", folder=str(tmp_path / "kept"))
    assert (done["full"], done["damaged"], done["blobs"]) == (True, [], 2)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir() if "draft" in path.name) == []

    async with opened(tmp_path / "kept" / IMAGE) as copy:
        assert await copy.transact(lambda root: root["kept"], note="read") == WORD
        place = await link_folder(copy, "toy", tmp_path / "links")
        assert (place / "model.safetensors").read_bytes() == b"w" * 5000


async def test_an_image_in_a_file_is_copied_to_a_server_by_what_the_docs_say(place, tmp_path):
    async with opened(tmp_path / IMAGE) as image:
        await fill(image, tmp_path)
        long = WORD * 100
        await image.transact(lambda root: root["models"].__setitem__("long", long), note="keep")
    page = (ROOT / "docs" / "scaling.md").read_text()
    (code,) = re.findall(r"<<'END'\n(.*?)    END\n", page, re.DOTALL)
    plain = [str(tmp_path / "mind.fs"), str(tmp_path / "blobs")]
    words = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / IMAGE), *plain]
    await asyncio.to_thread(subprocess.check_call, words, cwd=ROOT)
    await asyncio.to_thread(place.fill, *plain)

    async with opened(place.uri()) as copy:
        assert await copy.transact(lambda root: root["kept"], note="read") == WORD
        assert await copy.transact(lambda root: root["models"]["long"], note="read") == long
        assert (await do(copy, "space"))["kinds"]["models"]["objects"] > 0
        await copy.transact(lambda root: root["models"].pop("long"), note="clear")
        where = await link_folder(copy, "toy", tmp_path / "links")
        assert (where / "model.safetensors").read_bytes() == b"w" * 5000


async def test_a_file_that_a_server_was_given_as_it_is_is_refused(zeo, tmp_path):
    async with opened(tmp_path / IMAGE) as image:
        await fill(image, tmp_path)
    await asyncio.to_thread(zeo.fill, tmp_path / IMAGE, tmp_path / f"{IMAGE}.blob")
    with pytest.raises(SettingsError, match=r"docs/scaling\.md"):
        async with opened(zeo.uri()):
            pass


async def test_a_backup_of_postgres_is_a_dump_that_restores(postgres, tmp_path):
    async with opened(postgres.uri()) as image:
        await fill(image, tmp_path)
        done = await do(image, "backup", folder=str(tmp_path / "kept"))
    assert done["blobs"] == 2
    assert (tmp_path / "kept" / DUMP).stat().st_size > 1000
    assert len(list((tmp_path / "kept" / "blobs").rglob("*.blob"))) == 2

    with storage_of("postgres") as other:
        at = other.server
        await in_thread(
            subprocess.check_call,
            ["pg_restore", "--host", at.hostname, "--port", str(at.port), "--username",
             at.username, "--no-owner", "--dbname", other.name, tmp_path / "kept" / DUMP],
        )  # fmt: skip
        shutil.copytree(tmp_path / "kept" / "blobs", other.folder, dirs_exist_ok=True)
        async with opened(other.uri()) as copy:
            assert await copy.transact(lambda root: root["kept"], note="read") == WORD
            assert [row["name"] for row in await list_models(copy)] == ["toy"]


async def test_a_backup_without_the_tools_names_the_command(postgres, tmp_path, monkeypatch):
    async with opened(postgres.uri()) as image:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(
            ArgumentsError, match=rf"PGDATABASE={postgres.name} .* pg_dump --format"
        ):
            await do(image, "backup", folder=str(tmp_path / "kept"))


def test_the_command_that_a_backup_names_holds_no_password(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    address = "dbname='mind' host='db' user='ann' password='hush' sslmode='require'"
    storage = SimpleNamespace(_adapter=SimpleNamespace(_dsn=address))
    wanted = "PGDATABASE=mind PGHOST=db PGUSER=ann PGSSLMODE=require pg_dump --format"
    with pytest.raises(ArgumentsError, match=wanted) as raised:
        server_care._dump(storage, tmp_path / "kept")
    assert "hush" not in str(raised.value)


async def test_zeo_packs(zeo, tmp_path):
    async with opened(zeo.uri()) as image:
        await fill(image, tmp_path)
        for number in range(20):
            word = f"{number}" * 5000
            await image.transact(lambda root, word=word: root.__setitem__("kept", word), note="x")
        done = await do(image, "pack", days=0)
        chronicle = await do(image, "chronicle")

    assert done["after"] < done["before"]
    assert [entry["kind"] for entry in chronicle["chronicle"]] == ["pack"]


async def test_postgres_names_the_commands_that_pack_it(postgres):
    async with opened(postgres.uri()) as image:
        with pytest.raises(ArgumentsError, match="zodbpack --days 7 --prepack") as raised:
            await do(image, "pack", days=7)

    assert "password" not in str(raised.value)
    assert postgres.name in str(raised.value)


async def test_what_a_server_has_not_names_what_to_do(place, tmp_path):
    async with opened(place.uri()) as image:
        with pytest.raises(ArgumentsError, match=r"batos backup FOLDER.*tar czf"):
            await do(image, "archive", file=str(tmp_path / "a.tar.gz"))
        with pytest.raises(ArgumentsError, match="batos backup FOLDER"):
            await do(image, "fork")
        assert await do(image, "forks") == {"forks": []}


async def test_a_server_as_it_should_be_breaks_no_promise(place):
    async with opened(place.uri()) as image:
        assert broken_promises(image) == []

    [outcome] = await in_thread(_judge_server, place.uri())
    assert outcome.state == "ok"


async def in_thread(work, *args):
    return await asyncio.to_thread(work, *args)


async def test_a_database_that_forgets_is_refused_and_shown_by_the_doctor(postgres):
    postgres._ask(f"ALTER DATABASE {postgres.name} SET synchronous_commit = off")
    with pytest.raises(SettingsError, match=r"synchronous_commit = off.*accepted could be lost"):
        open_and_prove(postgres.uri())

    [outcome] = await in_thread(_judge_server, postgres.uri())
    assert outcome.state == "broken"
    assert f"ALTER DATABASE {postgres.name}" in outcome.found
    postgres._ask(f"ALTER DATABASE {postgres.name} RESET synchronous_commit")
    async with opened(postgres.uri()) as image:
        assert broken_promises(image) == []


async def test_a_zeo_server_that_resolves_conflicts_is_refused(zeo):
    conf = zeo.folder / "zeo.conf"
    text = conf.read_text()
    with zeo.away():
        conf.write_text(text.replace("  client-conflict-resolution true\n", ""))
    with pytest.raises(SettingsError, match="client-conflict-resolution true"):
        open_and_prove(zeo.uri())
    with zeo.away():
        conf.write_text(text)
    async with opened(zeo.uri()) as image:
        await image.transact(lambda root: root.__setitem__("x", 1), note="the look left nothing")


async def test_a_blob_cache_smaller_than_the_models_is_refused(place, tmp_path):
    async with opened(place.uri()) as image:
        await fill(image, tmp_path)
    own = re.sub(r"blob_dir=[^&]*&shared_blob_dir=1", f"blob_dir={tmp_path}/cache", place.uri())
    small = ImageStore.open(f"{own}&blob_cache_size=1000")
    try:
        with pytest.raises(SettingsError, match=r"blob cache .1000 bytes. is smaller"):
            check_promises(small)
    finally:
        await small.close()


async def test_a_blob_folder_that_is_not_shared_is_refused(place, tmp_path):
    async with opened(place.uri()) as image:
        await fill(image, tmp_path)
    (tmp_path / "mine").mkdir()
    mine = re.sub(r"\bblob_dir=[^&]*", f"blob_dir={tmp_path}/mine", place.uri())
    with pytest.raises(SettingsError, match=r"mine is not the one.*lacks the file"):
        open_and_prove(mine)
