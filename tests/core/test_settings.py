"""bat_os.core.settings: what an owner may set."""

import pytest

from bat_os.core.settings import Settings
from bat_os.errors import SettingsError


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
    with pytest.raises(SettingsError, match=f"BATOS_{key}='?{text}"):
        Settings.from_mapping({f"BATOS_{key}": text})
