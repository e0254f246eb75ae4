"""bat_os.supervisor.minds: a directory of minds in a file that anybody may have written."""

import json

import pytest

from bat_os.errors import ArgumentsError, SettingsError
from bat_os.supervisor.minds import Mind, add_mind, directory, find_mind, read_minds, remove_mind


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some" / "minds.json"


def test_minds_are_added_found_replaced_and_removed(path):
    there = {"BATOS_MINDS": str(path)}
    assert read_minds(path) == {}
    add_mind(path, "work", Mind(home="/srv/work"))
    add_mind(path, "ann", Mind(connect="tcp://10.0.0.7:5556", key_file="/home/a/ann.key"))
    assert find_mind(there, "work").home == "/srv/work"
    add_mind(path, "work", Mind(home="/srv/other"))
    assert {name: one.home for name, one in read_minds(path).items()} == {
        "work": "/srv/other", "ann": "",
    }  # fmt: skip
    assert remove_mind(path, "work").home == "/srv/other"
    with pytest.raises(SettingsError, match="no mind 'work'; there are: ann"):
        find_mind(there, "work")
    with pytest.raises(ArgumentsError, match="no mind 'work'"):
        remove_mind(path, "work")


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "-x", "x" * 64, "a\n"])
def test_a_name_that_could_be_mistaken_is_refused(path, name):
    with pytest.raises(ArgumentsError, match="cannot name a mind"):
        add_mind(path, name, Mind(home="/srv/work"))


@pytest.mark.parametrize(
    "mind",
    [
        {}, {"home": "relative"}, {"home": "/a", "key_file": "/b"}, {"connect": "tcp://a:1"},
        {"key_file": "/b", "connect": "http://a"}, {"home": "/a", "more": 1}, {"home": 7}, [],
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(path, mind):
    path.parent.mkdir()
    path.write_text(json.dumps({"minds": {"x": mind}}))
    with pytest.raises(SettingsError, match=r"minds\.json"):
        read_minds(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"minds": {"a b": {"home": "/x"}}}', "\0"])
def test_what_is_no_directory_is_an_error(path, text):
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(SettingsError):
        read_minds(path)


def test_the_directory_is_where_settings_of_a_user_are(tmp_path):
    assert directory({"XDG_CONFIG_HOME": "/x"}).as_posix() == "/x/batos/minds.json"
    assert directory({"BATOS_MINDS": "/y/m.json"}).as_posix() == "/y/m.json"


def test_a_directory_that_an_earlier_program_made_stays_where_it_is(tmp_path):
    older = tmp_path / "bat-os" / "minds.json"
    add_mind(older, "work", Mind(home="/srv/work"))
    place = directory({"XDG_CONFIG_HOME": str(tmp_path)})
    assert read_minds(place)["work"].home == "/srv/work"
    assert place == older
