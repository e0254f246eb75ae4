"""bat_os.world.fence: no grant reaches BAT OS itself, and what is guarded only if it names it."""

import contextlib
import itertools
import os
import shutil
import tomllib
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bat_os.errors import BatError, NotGrantedError
from bat_os.ports import Deed
from bat_os.world import fence
from bat_os.world.confined import holds
from bat_os.world.fence import Fence, guarded
from bat_os.world.files import Files
from bat_os.world.mcp.driver import Mcp
from bat_os.world.shell import Shell

caged = pytest.mark.skipif(not holds(), reason="this system has no cage")
SECRET = "SECRET"  # noqa: S105 - what no answer may hold
LIST = tomllib.loads(Path(fence.__file__).with_name("guarded.toml").read_text(encoding="utf-8"))
ROWS = [row for group in ("starts", "keys") for kind in LIST[group].values() for row in kind]
# Where a place may be: in a home folder; those at the root of a disk cannot be made here.
PLACES = [row for row in ROWS if not row.startswith("/")]
OPERATIONS = {
    "read": lambda path: (path,), "facts": lambda path: (path,), "names": lambda path: (path,),
    "find": lambda path: ("*", path), "search": lambda path: (SECRET, path),
    "write": lambda path: (path, "evil"), "append": lambda path: (path, "evil"),
    "remove": lambda path: (path,), "put_back": lambda path: (path, b"evil", None),
}  # fmt: skip
SPELLINGS = {
    "plain": str, "upper": str.upper, "title": str.title, "dotted": lambda name: f"{name}.",
    "blank": lambda name: f"{name} ", "unseen": lambda name: f"{name[:1]}\u200c{name[1:]}",
    "stream": lambda name: f"{name}::$DATA", "wide": lambda name: name.replace("s", "\uff53"),
}  # fmt: skip


@pytest.fixture
def person(tmp_path, monkeypatch):
    """A home folder with notes, and a home of BAT OS in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("milk")
    make_home(tmp_path / "batos")
    return tmp_path


def make_home(path):
    (path / "run").mkdir(parents=True)
    for name in ("live_image.fs", "home.json", "batos.toml", "program.json", "run/token"):
        (path / name).write_text(SECRET)
    return path


def ask(driver, root, operation, path):
    """Return what an operation answers through a grant of ``root``, whatever the grant is."""
    return driver.perform({"path": str(root)}, operation, OPERATIONS[operation](str(path)))


def tree(root):
    """Return what lies below a folder: the bytes of files, and where links lead."""
    return {
        str(path.relative_to(root)): path.readlink() if path.is_symlink()
        else path.read_bytes() if path.is_file() else None
        for path in sorted(Path(root).rglob("*"))
    }  # fmt: skip


def put(place, is_folder):
    """Make a guarded place, and return the file whose content must stay where it is."""
    inner = place / "inner.txt" if is_folder else place
    inner.parent.mkdir(parents=True, exist_ok=True)
    inner.write_text(SECRET)
    return inner


@settings(max_examples=150, deadline=None)
@given(
    row=st.sampled_from(PLACES), is_folder=st.booleans(), deep=st.integers(0, 3),
    operation=st.sampled_from(sorted(OPERATIONS)), spelling=st.sampled_from(sorted(SPELLINGS)),
    is_there=st.booleans(), whole=st.booleans(), beside=st.booleans(),
)  # fmt: skip
def test_no_grant_reaches_a_guarded_place_that_it_does_not_name(
    row, is_folder, deep, operation, spelling, is_there, whole, beside
):
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        home = Path(folder).resolve() / "ann"
        patch.setenv("HOME", str(home))
        *above, last = PurePath(row.removeprefix("~/").replace("*", "x")).parts
        anywhere = not row.startswith("~")
        place = home.joinpath(*["project"] * (anywhere and beside), *above)
        spelled = place / SPELLINGS[spelling](last)
        place.mkdir(parents=True, exist_ok=True)
        inner = put(spelled, is_folder) if is_there else spelled
        roots = [each for each in (place, *place.parents) if each.is_relative_to(home)]
        root = roots[min(deep, len(roots) - 1)]
        before = tree(home)
        path = inner if whole else inner.relative_to(root)
        with contextlib.suppress(BatError):
            answer = ask(Files(), root, operation, path)
            assert SECRET not in str(answer), (root, path)
            assert operation in ("names", "find", "search"), (root, path)
        assert tree(home) == before
        assert not Files().contains({"path": str(root)}, {"path": str(inner)})
        if is_there and operation == "read":  # a grant that names it does
            assert ask(Files(), spelled, "read", inner) == SECRET
            assert Files().contains({"path": str(spelled)}, {"path": str(inner)})


@pytest.mark.parametrize("row", [row for row in ROWS if row.startswith("/")])
def test_a_guarded_place_of_the_system_is_no_part_of_a_grant_above_it(row):
    path = PurePath(row.replace("*", "x"))
    for above in path.parents:
        assert guarded(above, path / "inner"), above
    assert guarded(path, path / "plain.txt") is None


LINKED = [".bashrc", ".config/fish/config.fish", ".ssh/config", ".config/autostart/a.desktop",
          ".local/bin/tool", ".gitconfig", ".aws/credentials"]  # fmt: skip


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("row", LINKED)
def test_what_a_link_in_a_guarded_place_leads_to_is_guarded(person, row, link):
    """Many keep such files in a folder of their own, and link to them."""
    kept = put(person / "dotfiles" / "kept", is_folder=False)
    (person / row).parent.mkdir(parents=True, exist_ok=True)
    link(kept, person / row)
    before = tree(person)
    driver = Files()
    for root, operation in itertools.product((person, kept.parent), OPERATIONS):
        with contextlib.suppress(BatError):
            answer = ask(driver, root, operation, kept)
            assert operation in ("names", "find", "search"), answer
            assert SECRET not in str(answer)
    assert tree(person) == before
    assert ask(Files(), kept, "read", "") == SECRET, "a grant that names it"


def test_a_guarded_folder_that_is_a_link_is_guarded_where_it_leads(person):
    (person / "dotfiles" / "ssh").mkdir(parents=True)
    (person / ".ssh").symlink_to(person / "dotfiles" / "ssh")
    for operation in ("write", "append"):
        with pytest.raises(NotGrantedError):
            ask(Files(), person, operation, "dotfiles/ssh/authorized_keys2")
    assert not list((person / "dotfiles" / "ssh").iterdir())


@pytest.mark.parametrize(
    "name", ["live_image.fs", "batos.toml", "program.json", "run/token", "run/new", "new", ""]
)
def test_no_grant_reaches_bat_os_itself(person, name):
    """By its marks, and by device and inode where it has none."""
    unmarked, backup = person / "program", person / "copy"
    unmarked.mkdir()
    (unmarked / "main.py").write_text(SECRET)
    for folder in ("parts", "blobs"):
        (backup / folder).mkdir(parents=True)
    (backup / "manifest.json").write_text(SECRET)
    os.link(person / "batos" / "run" / "token", person / "notes" / "second")
    driver, before = Files(Fence([person / "batos"], [unmarked])), tree(person)
    inner = person / "batos" / name
    tried = [(root, inner) for root in (person, inner.parent, person / "batos")]
    tried += [(person, unmarked / "main.py"), (unmarked, "main.py"), (person, unmarked / "new")]
    tried += [(person, backup / "manifest.json"), (backup / "parts", "new")]
    tried += [(person, "notes/second"), (person / "notes", "second")]
    for (root, path), operation in itertools.product(tried, OPERATIONS):
        with contextlib.suppress(BatError):
            answer = ask(driver, root, operation, path)
            assert operation in ("names", "find", "search"), (root, path)
            assert SECRET not in str(answer), (root, path)
    assert tree(person) == before


def test_a_home_that_is_renamed_between_look_and_use_stays_out_of_reach(person):
    driver = Files(Fence([person / "batos"]))
    assert "a.txt" in ask(driver, person, "names", "notes")
    (person / "batos").rename(person / "notes" / "innocent")
    with pytest.raises(NotGrantedError):
        ask(driver, person, "read", "notes/innocent/run/token")


@pytest.mark.parametrize(
    "what", ["/", "/proc", "/proc/self", "/sys", "/sys/kernel", "/dev", "/dev/pts", "//", "/../"]
)
def test_a_disk_and_the_machine_cannot_be_granted(what):
    for driver, said in ((Files(), what), (Shell(), f"shell:cat {what}")):
        with pytest.raises(BatError, match=r"cannot be granted|can have"):
            driver.scope(said)
    for path in ("etc/hostname", "self/environ", "null", ""):
        with pytest.raises(BatError):
            ask(Files(), Path(what).resolve(), "read", path)


def test_bat_os_itself_cannot_be_granted(person):
    known = Fence([person / "batos"], [person / "notes"])
    for what in ("batos", "batos/run", "batos/run/token", "notes/a.txt"):
        with pytest.raises(NotGrantedError, match="belongs to BAT OS"):
            Files(known).scope(str(person / what))
    for what in ("batos/new", "notes/new"):
        with pytest.raises(NotGrantedError, match="belongs to BAT OS"):
            Files(known).scope_to_change(str(person / what))


def test_home_and_what_is_above_it_is_never_offered(person):
    (person / "link").symlink_to(person)
    (person / "notes" / "up").symlink_to(person.parent)
    offers = Files(Fence([person / "batos"])).may_offer
    for what in ("~", str(person), str(person.parent), "/", "/home", "/home/bob", "/Users/bob",
                 "/root", "/etc", "/data", "~/link", "~/notes/up", "~/.ssh", "~/.config",
                 "~/.bashrc", "~/x/.git/hooks", "~nobody-there", "~/\0"):  # fmt: skip
        assert not offers(what), what
    for what in ("~/notes", "~/notes/a.txt", "~/notes/new.txt", "/home/bob/papers"):
        assert offers(what), what


def test_a_watch_and_a_plan_see_no_guarded_place(person):
    put(person / "Library", is_folder=True)
    put(person / "notes" / "id_rsa", is_folder=False)
    driver, scope = Files(), {"path": str(person)}
    assert set(driver.survey(scope).files) == {"notes/a.txt", "notes/id_rsa"}
    with pytest.raises(NotGrantedError):
        driver.load(scope, "notes/id_rsa", 1 << 20)
    for operation, more in (("write", ("x",)), ("append", ("x",)), ("remove", ())):
        deed = Deed(scope, operation, ("notes/id_rsa", *more))
        for plan in (driver.pretend, driver.preview, driver.canonical):
            with pytest.raises(NotGrantedError):
                plan(deed)
        assert driver.look(deed) == {}


@caged
def test_a_program_finds_neither_keys_nor_bat_os_in_its_folder(person):
    work = person / "work"
    for name in (".git/config", ".git/hooks/pre-commit", ".env", "deep/id_rsa", "a.txt"):
        put(work / name, is_folder=False)
    make_home(work / "data")
    os.link(person / "batos" / "run" / "token", work / "second")
    before = tree(work)
    driver = Shell(60, Fence([person / "batos"]))
    scope = driver.scope(f"shell:sh {work}")
    order = """
        cat .env deep/id_rsa data/run/token data/live_image.fs second
        for f in .git/config .git/hooks/pre-commit .git/hooks/new .env deep/id_rsa data/new second
        do echo evil >> $f; rm -f $f; done
        mv .git/hooks gone; mv data gone; umount data .env; ln data/run/token third
        cat .git/config; echo; echo new >> a.txt
    """
    answer = driver.perform(scope, "run", ("sh", ["-c", order]))
    assert (answer["output"], answer["status"]) == (f"{SECRET}\n", 0), answer
    assert tree(work) == before | {"a.txt": f"{SECRET}new\n".encode()}


@caged
def test_a_program_gets_no_folder_in_which_others_start(person):
    (person / ".config").mkdir()
    for folder in (person, person.parent, person / ".config", person / "batos"):
        with pytest.raises(NotGrantedError):
            Shell().scope(f"shell:sh {folder}")
        scope = {"path": str(folder), "programs": {"sh": "/bin/sh"}}
        with pytest.raises(NotGrantedError):  # granted by an older program
            Shell().perform(scope, "run", ("sh", ["-c", "true"]))
    whole = Shell().scope(f"shell:cat {person}/notes")
    part = whole | {"path": str(person / "notes" / ".git" / "hooks")}
    assert not Shell().contains(whole, part)


def test_a_server_of_tools_gets_no_folder_that_nobody_can_grant(person):
    driver, program = Mcp(Fence([person / "batos"])), shutil.which("cat")
    wanted = {
        "program": [program], "read": [], "write": [], "net": [], "environment": [], "reads": [],
        "token": "", "trusted": False,
    }  # fmt: skip
    for kind, folder in (("read", "batos"), ("read", "/proc"), ("write", "batos/run"),
                         ("write", person), ("write", "/")):  # fmt: skip
        with pytest.raises(NotGrantedError):
            driver.meet("odd", wanted | {kind: [str(person / folder)]})
