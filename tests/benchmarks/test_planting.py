"""Planted faults: each is one change that compiles, and a probe changes nothing."""

import builtins

import pytest

from benchmarks.planting import draw_sample, find_faults, probe

PATH = "bat_os/kernel/some.py"
SOURCE = b'''"""Some module."""

LIMIT = 5


def share(text, most=LIMIT):
    """The halves."""
    told = {"text": text, "most": most}
    if not text and most < 1:
        return None
    told["size"] = divmod(len(text), most)
    most += 1
    print(text)
    return told if most in (1, 2) else dict(reversed([(text, told["size"][0] > 3), ("a", 1)]))
'''


def run(source, *words):
    """Return what the function gives, with the faults that its probes report."""
    reported = set()
    builtins.report_probe = reported.add
    try:
        space = {}
        exec(compile(source, PATH, "exec"), space)  # noqa: S102 - the text above
        return space["share"](*words), reported
    finally:
        del builtins.report_probe


def test_each_fault_is_one_change_of_one_place_that_compiles():
    faults = find_faults(PATH, SOURCE)
    assert {fault.kind for fault in faults} == {
        "condition", "boundary", "choice", "number", "return", "keys", "call", "assignment",
    }  # fmt: skip
    planted = {fault.plant(SOURCE) for fault in faults}
    assert len(planted) == len(faults)
    assert SOURCE not in planted
    for source in planted:
        compile(source, PATH, "exec")


def test_what_is_only_declared_is_no_place_for_a_fault():
    assert not [fault for fault in find_faults(PATH, SOURCE) if fault.line < 6]


def test_a_fault_is_the_same_when_its_lines_move():
    moved = SOURCE.replace(b"LIMIT = 5", b"LIMIT = 5\nOTHER = 6")
    before, after = find_faults(PATH, SOURCE), find_faults(PATH, moved)
    assert [fault.id for fault in before] == [fault.id for fault in after]
    assert {later.line - fault.line for fault, later in zip(before, after, strict=True)} == {1}


@pytest.mark.parametrize("words", [("abc", 2), ("", 0), ("abc", 0)])
def test_a_probed_file_does_the_same_and_says_which_places_run(words):
    faults = dict(enumerate(find_faults(PATH, SOURCE), 1))
    probed = probe(SOURCE, faults)
    try:
        told, reported = run(SOURCE, *words)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            run(probed, *words)
        return
    assert reported == set()
    told_again, reported = run(probed, *words)
    assert told_again == told
    calls = {number for number, fault in faults.items() if fault.kind == "call"}
    assert (calls <= reported) == (told is not None)


def test_a_sample_has_every_folder_and_is_the_same_for_a_seed(tmp_path):
    for name in ("core", "image", "kernel"):
        (tmp_path / "bat_os" / name).mkdir(parents=True)
        (tmp_path / "bat_os" / name / "some.py").write_bytes(SOURCE)
    sample = draw_sample(tmp_path, 12, seed=3)
    assert len(sample) == 12
    assert {fault.path.split("/")[1] for fault in sample} == {"core", "image", "kernel"}
    assert len({(fault.path, fault.line) for fault in sample}) == 12
    assert [fault.id for fault in draw_sample(tmp_path, 12, seed=3)] == [f.id for f in sample]
