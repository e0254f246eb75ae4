"""bat_os.world.files: what is below one path, and nothing beside it."""

import datetime as dt
import os
import threading

import pytest

from bat_os.errors import ArgumentsError, BatError, NotFoundError, NotGrantedError
from bat_os.world import files
from bat_os.world.files import Files

DRIVER = Files()


@pytest.fixture
def home(tmp_path):
    """A folder to be granted, ``notes``, and a secret beside it."""
    notes = tmp_path / "notes"
    (notes / "deep").mkdir(parents=True)
    (notes / "a.txt").write_text("milk\nBread and butter\n")
    (notes / "deep" / "b.txt").write_text("ünïcode bread")
    (tmp_path / "secret.txt").write_text("SECRET")
    (tmp_path / "notes-too").mkdir()
    (tmp_path / "notes-too" / "c.txt").write_text("SECRET")
    return tmp_path


@pytest.fixture
def ask(home):
    """Return a function that asks the driver about ``notes``."""
    scope = DRIVER.scope(str(home / "notes"))
    return lambda operation, *args: DRIVER.perform(scope, operation, args)


def test_a_folder_answers_what_is_in_it(ask, home):
    assert ask("names") == ["a.txt", "deep/"]
    assert ask("read", "a.txt") == "milk\nBread and butter\n"
    assert ask("read", "deep/b.txt") == "ünïcode bread"
    assert ask("read", str(home / "notes" / "a.txt")).startswith("milk"), "a path said in full"
    assert ask("find", "*.TXT") == ["a.txt", "deep/b.txt"]
    assert ask("search", "BREAD") == [
        {"path": "a.txt", "line": 2, "text": "Bread and butter"},
        {"path": "deep/b.txt", "line": 1, "text": "ünïcode bread"},
    ]
    told = ask("facts", "a.txt")
    assert (told["kind"], told["bytes"]) == ("file", 22)
    assert abs(told["changed"] - dt.datetime.now(dt.UTC)) < dt.timedelta(hours=1)
    assert ask("facts")["kind"] == "folder"


def test_a_grant_of_one_file_reaches_that_file_alone(home):
    scope = DRIVER.scope(str(home / "notes" / "a.txt"))
    assert DRIVER.perform(scope, "read", ()).startswith("milk")
    with pytest.raises(BatError):
        DRIVER.perform(scope, "read", ("../deep/b.txt",))
    with pytest.raises(BatError):
        DRIVER.perform(scope, "read", ("b.txt",))


def escapes(home):
    """Paths that lead out of ``notes``, or to what is no file; links are made on the way."""
    notes = home / "notes"
    (notes / "link.txt").symlink_to(home / "secret.txt")
    (notes / "up").symlink_to(home)
    (notes / "etc").symlink_to("/etc")
    (notes / "root").symlink_to("/")
    (notes / "loop").symlink_to("loop")
    (notes / "deep" / "up").symlink_to("../..")
    (notes / "self").symlink_to("/proc/self")
    os.mkfifo(notes / "pipe")
    return [
        "../secret.txt", "deep/../../secret.txt", "./../secret.txt", "..", "deep/..", "../notes",
        "../notes-too/c.txt", str(home / "secret.txt"), str(home / "notes-too" / "c.txt"),
        str(home), "/", "/etc/passwd", "//etc/passwd", "/proc/self/environ", "/dev/zero",
        "~/secret.txt", "~root/secret.txt", "link.txt", "up/secret.txt", "up/notes/a.txt",
        "etc/passwd", "root/etc/passwd", "loop", "deep/up/secret.txt", "self/environ", "pipe",
        "a.txt\0.png", "a" * 300, "a/" * 3000, str(notes) + "-too/c.txt", f"{notes}/../secret.txt",
        "a.txt/", "a.txt/..", "a.txt/../../secret.txt",
    ]  # fmt: skip


def test_no_path_leads_out_of_a_folder(ask, home):
    tried = escapes(home)
    assert len(tried) >= 30
    for path in tried:
        for operation in ("read", "names"):
            try:
                answer = ask(operation, path)
            except BatError:
                continue
            assert (operation, path) == ("read", "a.txt/"), (path, answer)
            assert "milk" in answer, "a slash at the end is no way out"
    for operation, *args in (("search", "SECRET"), ("find", "secret*"), ("find", "passwd")):
        assert ask(operation, *args) == [], "links are not walked over"
    for folder in ("up", "etc", "..", str(home)):
        assert not _found(ask, folder)


def _found(ask, folder):
    try:
        return ask("search", "SECRET", folder)
    except BatError:
        return []


def test_a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere(ask, home):
    """One thread swaps a folder and a link to the secret's folder; the other one reads on."""
    notes, done = home / "notes", threading.Event()
    (notes / "swap").mkdir()
    (notes / "swap" / "secret.txt").write_text("own")
    (notes / "away").symlink_to(home)

    def swap():
        while not done.is_set():
            (notes / "swap").rename(notes / "kept")
            (notes / "away").rename(notes / "swap")
            (notes / "swap").rename(notes / "away")
            (notes / "kept").rename(notes / "swap")

    thread = threading.Thread(target=swap)
    thread.start()
    heard = set()
    try:
        for _ in range(3000):
            try:
                heard.add(ask("read", "swap/secret.txt"))
            except (NotFoundError, NotGrantedError):
                heard.add("refused")
    finally:
        done.set()
        thread.join()
    assert heard <= {"own", "refused"}
    assert "refused" in heard


def test_what_is_too_long_says_so_and_is_read_in_parts(ask, home):
    (home / "notes" / "long.log").write_text("x" * (files.MAX_BYTES + 5))
    with pytest.raises(ArgumentsError, match=r"read\(path, start\)"):
        ask("read", "long.log")
    assert len(ask("read", "long.log", 1)) == files.MAX_BYTES
    assert ask("read", "long.log", files.MAX_BYTES) == "xxxxx"


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("read", (5,)), ("read", ("a.txt", -1)), ("read", ("a.txt", "1")), ("read", ("deep",)),
        ("names", ("a.txt",)), ("find", ("",)), ("search", ("\0",)), ("search", (["x"],)),
        ("read", ("\ud800",)),
    ],
)  # fmt: skip
def test_bad_arguments_get_a_coded_error(ask, operation, args):
    with pytest.raises(BatError):
        ask(operation, *args)


def test_what_is_missing_is_said(ask):
    with pytest.raises(NotFoundError, match=r"has no none\.txt"):
        ask("read", "none.txt")


@pytest.mark.parametrize(
    "what",
    [
        "",
        "relative",
        "x\0",
        "/none/of/it",
        "/dev/null",
        "/" + "a" * 5000,
        "/" + "a" * 300,
        "~nobody_obj",
    ],
)
def test_only_a_folder_or_file_that_is_there_can_be_granted(what):
    with pytest.raises(BatError):
        DRIVER.scope(what)


def test_a_scope_is_where_a_link_led_when_it_was_granted(home):
    (home / "short").symlink_to(home / "notes")
    assert DRIVER.scope(str(home / "short")) == {"path": str((home / "notes").resolve())}


def test_a_scope_contains_what_is_below_it(home):
    notes, deep = DRIVER.scope(str(home / "notes")), DRIVER.scope(str(home / "notes" / "deep"))
    beside = DRIVER.scope(str(home / "notes-too"))
    assert DRIVER.contains(notes, deep)
    assert DRIVER.contains(notes, notes)
    assert not DRIVER.contains(deep, notes)
    assert not DRIVER.contains(notes, beside)
