"""The same image on every engine: a file, a ZEO server, PostgreSQL. What each promises, on each."""

import asyncio
import contextlib
import os
import pickle
import threading

import pytest
from BTrees.Length import Length
from ZODB.Connection import TransactionMetaData
from ZODB.utils import p64, z64

from bat_os.errors import ForbiddenClassError, RemoteError, StorageError, StorageFullError
from bat_os.image.servers import INSTALL
from bat_os.image.store import ImageStore
from tests.kernels import ANSWERS, KernelProcess, write_script
from tests.storages import storage_of
from tests.system.test_history import send, teach, verb

pytestmark = [pytest.mark.system, pytest.mark.slow]
ENGINES = ("file", "zeo", "postgres")
SERVERS = ("zeo", "postgres")
OID = p64(7)


@pytest.fixture
def storage(request):
    with storage_of(request.param) as made:
        yield made


every_engine = pytest.mark.parametrize("storage", ENGINES, indirect=True)
every_server = pytest.mark.parametrize("storage", SERVERS, indirect=True)


@pytest.fixture
def kernels(tmp_path, storage):
    """Return a function that starts one more kernel on the storage, each with its own home."""
    started = []

    async def start(*, ready=True, **settings):
        script = write_script(tmp_path / "script.jsonl", ANSWERS)
        (tmp_path / f"k{len(started)}").mkdir()
        kernel = KernelProcess(tmp_path / f"k{len(started)}" / "home", script)
        started.append(kernel)
        kernel.start(**{"image": storage.uri(), **settings})
        if ready:
            await kernel.until_ready()
        return kernel

    yield start
    for kernel in started:
        kernel.stop()


@every_engine
async def test_every_verb_of_a_life_works(kernels, tmp_path):
    home = (await kernels()).home
    notes = tmp_path / "notes.md"
    notes.write_text("Bats find their way by echo.\n")

    async def ask(*words, status=0):
        told = await verb(home, *words, "--json")
        assert told.status == status, told
        return told.json

    assert (await ask("send", "genesis_obj", "give_seven"))["result"] == 7  # learned
    assert (await ask("send", "genesis_obj", "give_seven"))["result"] == 7  # known
    await ask("send", "genesis_obj", "clone", '["bat_obj"]')
    assert (await ask("send", "bat_obj", "give_seven"))["result"] == 7
    before = (await ask("diff", "now"))["to"]
    await ask("send", "bat_obj", "setSlot", '["colour", "red"]')
    await ask("unlearn", "genesis_obj", "give_seven")
    gone = (await ask("diff", before))["methods"]
    assert [(one["object"], one["before"], one["after"]) for one in gone] == [("genesis_obj", 1, 0)]
    await ask("redo", "genesis_obj", "give_seven")
    assert (await ask("why", "genesis_obj", "give_seven"))["selector"] == "give_seven"
    await ask("learn", str(notes))
    found = await ask("search", "how do bats find their way")
    assert "echo" in str(found)
    then = await verb(home, "send", "bat_obj", "respondsTo", '["colour"]', "--at", before)
    assert (then.status, then.out) == (0, "false\n"), then
    now = await verb(home, "send", "bat_obj", "colour", "--at", "now")
    assert (now.status, now.out) == (0, "red\n"), now
    checked = await ask("verify")
    assert checked["damaged"] == []
    assert checked["checked"]["record"] > 100


@every_engine
async def test_the_change_of_an_answer_is_found_right_after_it(kernels, storage):
    """Own commits, and those of another kernel where there can be one."""
    first = await kernels()
    other = await kernels() if storage.others else first
    async with first.client() as kernel, other.client() as writer:
        await teach(kernel, "def area(self, a):\n    return a * a\n")
        good = (await kernel.request("diff", body={"a": "now"}))["to"]
        for source in ("def one(self):\n    return 1\n", "def area(self, a):\n    return a + a\n"):
            await teach(writer, source)
        end = (await kernel.request("diff", body={"a": good}))["transactions"]
        assert [one["note"] for one in end][-2:] == ["teach one", "teach area"]
        assert await send(writer, "area", 3) == 6
    found = await verb(first.home, "bisect", "genesis_obj", "area", "3", "--good", good)
    assert found.status == 0, found
    assert found.out.splitlines()[0].endswith("teach area")
    assert found.out.splitlines()[-2:] == ["before   9", "after    6"]
    then = await verb(first.home, "send", "genesis_obj", "area", "3", "--at", good)
    assert then.out == "9\n"


async def until_back(image):
    """Wait until the server takes a commit; return ``n``. A look proves nothing: ZEO keeps some."""

    def touch(root):
        root["touched"] = True
        return root["n"]

    while True:  # ZEO looks for its server each second
        with contextlib.suppress(StorageError):
            return await image.transact(touch, note="touch")


@every_server
async def test_an_outage_is_a_storage_error_that_passes_by_itself(storage):
    image = ImageStore.open(storage.uri(wait=1))
    await image.transact(lambda root: root.update(n=1), note="start")
    with storage.away():
        for _ in range(3):
            with pytest.raises(StorageError) as caught:
                await image.transact(lambda root: root.update(n=2), note="change it")
            assert caught.value.retryable
    assert await until_back(image) == 1
    await image.transact(lambda root: root.update(n=3), note="change it again")
    assert await image.transact(lambda root: root["n"], note="look") == 3
    await image.close()


@every_server
async def test_what_was_read_is_kept_until_another_process_commits(storage):
    image, other = ImageStore.open(storage.uri(wait=1)), ImageStore.open(storage.uri())
    looks = []

    def look(root):
        looks.append(root["n"])
        return root["n"]

    for number in range(5):
        await other.transact(lambda root, number=number: root.update(n=number), note="change it")
        await image.catch_up()
        for _ in range(3):
            assert await image.read(("n",), look, note="look") == number
    assert looks == [0, 1, 2, 3, 4]
    await other.close()
    with storage.away():
        pass
    await until_back(image)
    assert await image.read(("n",), look, note="look") == 4
    assert await image.read(("n",), look, note="look") == 4
    assert looks == [0, 1, 2, 3, 4, 4]
    await image.close()


@every_server
async def test_a_server_that_goes_in_the_middle_of_a_transaction_leaves_all_or_nothing(storage):
    image = ImageStore.open(storage.uri(wait=1))
    await image.transact(lambda root: root.update(n=1, m=1), note="start")
    begun, gone = threading.Event(), threading.Event()

    def work(root):
        if not begun.is_set():
            begun.set()
            assert gone.wait(60)
        root.update(n=2, m=2)

    task = asyncio.create_task(image.transact(work, note="change both"))
    await asyncio.to_thread(begun.wait)
    with storage.away():
        gone.set()
        with pytest.raises(StorageError):
            await task
    assert await until_back(image) == 1
    assert await image.transact(lambda root: (root["n"], root["m"]), note="look") == (1, 1)
    await image.close()


@every_server
async def test_a_kernel_says_that_its_storage_is_away_and_goes_on(kernels, storage):
    kernel = await kernels()
    async with kernel.client() as client:
        assert await send(client, "give_seven") == 7
        with storage.away():
            with pytest.raises(RemoteError) as caught:
                await client.request(
                    "send", timeout=120, target="genesis_obj", selector="setSlot", args=["a", 1]
                )
            assert caught.value.body["code"] != "INTERNAL", caught.value.body
            assert caught.value.body["retryable"], caught.value.body
        await client.request(
            "send", timeout=60, target="genesis_obj", selector="setSlot", args=["a", 1]
        )
        assert await send(client, "a") == 1


async def _set_one(kernel):
    return await kernel.request(
        "send", timeout=120, target="genesis_obj", selector="setSlot", args=["a", 1]
    )


@every_server
async def test_why_nothing_can_be_stored_is_said_until_the_server_is_back(kernels, storage):
    async with (await kernels(image=storage.uri(wait=1))).client() as kernel:
        with storage.away():
            with pytest.raises(RemoteError):
                await _set_one(kernel)
            while not (problem := (await kernel.request("health", timeout=60))["problem"]):
                pass
        assert problem.startswith("nothing can be stored: a trial commit: ")
        while (await kernel.request("health", timeout=60))["problem"]:
            pass
        assert (await _set_one(kernel))["result"] == 1


@every_server
async def test_a_kernel_waits_for_a_server_that_is_away_when_it_starts(kernels, storage):
    with storage.away():
        kernel = await kernels(ready=False, image=storage.uri(wait=1))
        while "waiting: the image" not in kernel.log():
            assert kernel.process.poll() is None, kernel.log()
            await asyncio.sleep(0.02)
    await kernel.until_ready()


@pytest.mark.parametrize("storage", ["postgres"], indirect=True)
async def test_a_full_disk_of_a_database_is_one_like_that_of_a_file(storage):
    image = ImageStore.open(storage.uri())
    await image.transact(lambda root: root.update(n=1), note="start")
    storage.fill_disk()
    with pytest.raises(StorageFullError, match="the disk of the database is full"):
        await image.transact(lambda root: root.update(n=2), note="change it")
    assert await image.transact(lambda root: root["n"], note="look") == 1
    await image.close()


class Hostile:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def commit(storage, state, serial=None):
    """Commit a revision of a counter past every check; return the transaction's id."""
    about = TransactionMetaData()
    storage.tpc_begin(about)
    try:
        record = pickle.dumps(Length, 3) + pickle.dumps(state, 3)
        storage.store(OID, serial or z64, record, "", about)
        storage.tpc_vote(about)
        return storage.tpc_finish(about)
    except BaseException:
        storage.tpc_abort(about)
        raise


@every_engine
@pytest.mark.parametrize("trap", [0, 1, 2, None])
async def test_a_forbidden_class_in_a_conflict_is_refused(storage, trap, tmp_path):
    image = ImageStore.open(storage.uri() or tmp_path / "image.fs")
    await image.transact(lambda root: root.update(a=1), note="start")
    writer = image.storage
    if hasattr(writer, "poll_invalidations"):
        writer = writer.new_instance()
    states = [1, 12, 101]
    if trap is not None:
        states[trap] = Hostile(tmp_path / "owned")
    old = commit(writer, states[0])
    commit(writer, states[1], old)
    if trap is None:  # an honest conflict is resolved: both changes count
        commit(writer, states[2], old)
        assert await image.transact(lambda root: root._p_jar.get(OID)(), note="look") == 112
    else:
        with pytest.raises(ForbiddenClassError, match=r"posix\.mkdir"):
            commit(writer, states[2], old)
    assert not (tmp_path / "owned").exists()
    await image.close()


@pytest.mark.parametrize("storage", ["zeo"], indirect=True)
async def test_a_commit_that_is_beaten_at_each_vote_runs_again(storage):
    image, other = ImageStore.open(storage.uri()), ImageStore.open(storage.uri())
    await image.transact(lambda root: root.update(n=Length()), note="start")
    loop, resolve, left = asyncio.get_running_loop(), image.storage.tryToResolveConflict, [20]

    def beat():
        change = other.transact(lambda root: root["n"].change(1), note="beat it")
        asyncio.run_coroutine_threadsafe(change, loop).result(60)

    def resolve_and_lose(*conflict):
        if left[0]:
            left[0] -= 1
            beat()
        return resolve(*conflict)

    image.storage.tryToResolveConflict = resolve_and_lose
    runs = []

    def work(root):
        root["n"].change(100)
        if not runs:
            beat()
        runs.append(1)

    await image.transact(work, note="count")
    assert len(runs) > 1
    await image.catch_up()
    assert await image.transact(lambda root: root["n"](), note="look") == 100 + 1 + 20 - left[0]
    await other.close()
    await image.close()


def test_a_missing_package_is_named():
    with pytest.raises(StorageError, match=INSTALL):
        ImageStore.open("nowhere://mind")
