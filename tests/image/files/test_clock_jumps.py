"""bat_os.image.files.clock_jumps: how long the machine's clock can be believed."""

import math

import pytest

from bat_os.image.files.clock_jumps import look

DAY = 86_400.0
NOW = 2_000_000_000.0


def test_a_clock_that_never_jumped_is_believed_from_the_first_look_on():
    root = {}
    days = [0, 0.01, 0.5, 1, 3, 5.9]
    assert {look(root, NOW + day * DAY) for day in days} == {math.inf}


@pytest.mark.parametrize("jump", [400 * DAY, 4 * DAY, -400 * DAY, -3600.0])
def test_after_a_jump_the_seconds_are_counted_anew(jump):
    root = {}
    look(root, NOW)
    there = NOW + jump
    assert look(root, there) == 0
    assert look(root, there + 60) == 60
    assert look(root, there + DAY) == DAY
    assert look(root, there + 3 * DAY) == 3 * DAY
    assert look(root, NOW - 500 * DAY) == 0


def test_a_second_jump_begins_the_count_again():
    root = {}
    for moment in (NOW, NOW + 400 * DAY, NOW + 401 * DAY):
        look(root, moment)
    assert look(root, NOW) == 0
    assert look(root, NOW + DAY) == DAY


def test_the_image_is_written_to_only_now_and_then():
    root = {}
    look(root, NOW)
    note = root["clock"]
    look(root, NOW + 3600)
    assert root["clock"] is note
    look(root, NOW + 7 * 3600)
    assert root["clock"] is not note


def test_a_clock_that_is_set_right_by_a_second_has_not_jumped():
    root = {}
    look(root, NOW)
    assert look(root, NOW - 1) == math.inf
