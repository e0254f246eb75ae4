"""bat_os.cli.chat.slash: what can follow a slash."""

from bat_os.cli.chat.slash import GROUPS, OWN, SlashVerbs
from bat_os.cli.console import Screen
from bat_os.core.verbs import COMMANDS


def test_the_help_begins_with_five_verbs_and_has_all_of_them_by_group(tmp_path):
    assert sorted(" ".join(GROUPS.values()).split()) == sorted(COMMANDS)
    told = SlashVerbs(tmp_path, Screen()).overview()
    verbs = [line.split()[0] for line in told.splitlines() if line.startswith("/")]
    assert verbs[:5] == ["/list", "/inspect", "/why", "/unlearn", "/learn"]
    assert all(f"/{name}" in told for name in COMMANDS)
    assert max(map(len, told.splitlines())) <= 100


def test_all_that_follows_a_slash_is_explained(tmp_path):
    slashes = SlashVerbs(tmp_path, Screen())
    assert set(slashes.table()) == {*COMMANDS, *OWN}
    assert slashes.explain("/source").startswith("usage: /source")
