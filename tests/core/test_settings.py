"""bat_os.core.settings: what an owner may set."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.settings import MAX_FILE, PREFIX, Settings, resolve
from bat_os.errors import SettingsError

NAMES = [PREFIX + field.name.upper() for field in fields(Settings)]


def test_what_is_not_set_has_its_default():
    assert Settings.from_mapping({}) == Settings()


def test_texts_are_read_by_the_type_of_the_setting():
    given = {"BATOS_TCP_PORT": "0", "BATOS_OPEN_LOOPBACK": "yes", "BATOS_MISSION_SECONDS": "1.5"}
    settings = Settings.from_mapping(given)
    assert (settings.tcp_port, settings.open_loopback, settings.mission_seconds) == (0, True, 1.5)


def test_a_flag_wins_over_the_environment():
    assert Settings.from_mapping({"BATOS_TCP_PORT": "1"}, tcp_port=2).tcp_port == 2


@pytest.mark.parametrize(
    ("key", "text"),
    [("TCP_PORT", "x"), ("TCP_PORT", "70000"), ("OPEN_LOOPBACK", "maybe"), ("ENGINE", "gpt"),
     ("CANDIDATES", "0"), ("MISSION_SECONDS", "0"), ("THREADS", "-1")],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_named(key, text):
    with pytest.raises(SettingsError, match=f"BATOS_{key} must be .*, not '?{text}"):
        Settings.from_mapping({f"BATOS_{key}": text})


def test_the_environment_wins_over_the_file_and_a_flag_over_both():
    file = "tcp_port = 1\nthreads = 1\ncandidates = 1\n"
    found = resolve(file, {"BATOS_THREADS": "2", "BATOS_CANDIDATES": "2"}, {"candidates": 3})
    settings = found.settings
    assert (settings.tcp_port, settings.threads, settings.candidates) == (1, 2, 3)
    assert found.origins["tcp_port"] == "batos.toml, line 1"
    assert found.origins["threads"] == "BATOS_THREADS"
    assert found.origins["candidates"] == "--candidates"
    assert found.origins["cell"] == "default"


def test_an_empty_variable_sets_nothing():
    assert resolve("threads = 1", {"BATOS_THREADS": ""}, {}).settings.threads == 1


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("\ntcp_port = 70000", "line 2: tcp_port must be a port, 0 (any) or -1 (none), not 70000"),
        ("tcp_port = '5555'", "line 1: tcp_port must be a port, 0 (any) or -1 (none), not '5555'"),
        ("tcp_port = true", "line 1: tcp_port must be a port, 0 (any) or -1 (none), not true"),
        ("open_loopback = 1", "line 1: open_loopback must be true or false, not 1"),
        ("# a\n\n'cell' = 'jail'", "line 3: cell must be auto, zygote or monty, not 'jail'"),
        ("mission_seconds = nan", "mission_seconds must be a number from 1 to 86,400, not nan"),
        ("tcp_prot = 0", "line 1: 'tcp_prot' is not a setting; did you mean tcp_port?"),
        ("[kernel]\nthreads = 1", "line 1: 'kernel' is not a setting; the settings are: image"),
        ("home = 'x'", "line 1: 'home' is not a setting; the file is in the home"),
        ("threads = ", "batos.toml: not valid TOML"),
        ("a = " + "[" * 9000, "batos.toml: not valid TOML"),
        ("threads = 1\nthreads = 2", "batos.toml: not valid TOML"),
        ("#" * (MAX_FILE + 1), "at most"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_line_and_what_is_allowed(file, told):
    with pytest.raises(SettingsError) as caught:
        resolve(file, {}, {})
    assert told in str(caught.value)
    assert len(str(caught.value)) < 300


def test_whole_numbers_serve_where_a_number_is_wanted():
    assert resolve("mission_seconds = 60", {}, {}).settings.mission_seconds == 60.0


def complaint(file, environ):
    """Return what is wrong, or "" where these make settings."""
    try:
        resolve(file, environ, {})
    except SettingsError as error:
        return str(error)
    return ""


@given(st.text(alphabet="atcp_or=[]{}'\"\\\n 0159.#tue", max_size=60))
def test_any_text_makes_settings_or_one_clear_error(text):
    told = complaint(text, {})
    assert not told or told.startswith("batos.toml")


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=20), max_size=4))
def test_any_environment_makes_settings_or_one_clear_error(environ):
    told = complaint("", environ)
    assert not told or told.startswith("BATOS_")


def test_the_models_of_single_personas_and_a_server_are_settings():
    file = 'brick_model = "served"\nserver = "http://10.0.0.7:8000/v1"\n'
    settings = resolve(file, {"BATOS_BABS_MODEL": "mine"}, {}).settings
    assert settings.persona_models == {"BRICK": "served", "BABS": "mine"}
    assert settings.server == "http://10.0.0.7:8000/v1"
    with pytest.raises(SettingsError, match="server must be an address, http://HOST:PORT/v1"):
        resolve('server = "10.0.0.7"', {}, {})
