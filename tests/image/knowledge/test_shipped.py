"""bat_os.image.knowledge.embedding: the file of vectors that comes with the program."""

import io

import numpy as np
import pytest

from bat_os.errors import ArgumentsError
from bat_os.image.knowledge.embedding import ShippedVectors

TEXTS = [f"text number {i}" for i in range(50)]


def unit(*shape):
    vectors = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


VECTORS, OWN = unit(50, 64), unit(64)


@pytest.fixture
def shipped():
    return ShippedVectors.make(TEXTS, VECTORS, OWN)


def saved(**changes):
    """Return a file with some arrays replaced, or left out where they are None."""
    rows = ShippedVectors.make(TEXTS, VECTORS, OWN).rows
    arrays = {"probe": OWN, "ids": rows.ids, "scales": rows.scales, "codes": rows.codes} | changes
    stream = io.BytesIO()
    np.savez(stream, **{name: array for name, array in arrays.items() if array is not None})
    return stream.getvalue()


def test_each_text_has_its_vector_and_unknown_ones_have_none(shipped):
    vectors, has = shipped.find([TEXTS[3], "something else", TEXTS[40]])
    assert has.tolist() == [True, False, True]
    assert vectors[0] @ VECTORS[3] > 0.999
    assert vectors[2] @ VECTORS[40] > 0.999


def test_a_written_file_is_read_as_it_was_and_is_always_the_same(shipped):
    data = shipped.write()
    read = ShippedVectors.read(data)
    assert read.write() == data == ShippedVectors.make(TEXTS, VECTORS, OWN).write()
    assert np.array_equal(read.find(TEXTS)[0], shipped.find(TEXTS)[0])
    assert data == ShippedVectors.make(TEXTS[::-1], VECTORS[::-1], OWN).write()


def test_a_text_that_comes_twice_is_kept_once():
    shipped = ShippedVectors.make(["a", "b", "a"], unit(3, 64), OWN)
    assert len(shipped.rows.ids) == 2


def test_no_vectors_at_all_are_of_no_text():
    empty = ShippedVectors.make([], np.zeros((0, 64), np.float32), OWN)
    assert not ShippedVectors.read(empty.write()).find(TEXTS)[1].any()


def test_vectors_are_of_the_model_that_answers_the_probe_alike(shipped):
    assert shipped.are_of(OWN)
    assert not shipped.are_of(np.roll(OWN, 1))
    assert not shipped.are_of(OWN[:32])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        saved()[:2000],
        saved().replace(b"codes", b"cabin"),
        saved(scales=None),
        saved(scales=np.ones(3, np.float32)),
        saved(ids=np.zeros(50, np.int64)),
        saved(codes=np.zeros((50, 32), np.int8)),
        saved(codes=np.zeros((50, 64), np.float64)),
        saved(codes=np.array([object()])),
        saved(probe=np.ones((1, 64), np.float32)),
    ],
)
def test_a_damaged_file_is_refused(data):
    with pytest.raises(ArgumentsError, match="shipped vectors"):
        ShippedVectors.read(data)


def test_flipped_bytes_are_noticed():
    data = bytearray(saved())
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ArgumentsError, match="shipped vectors"):
        ShippedVectors.read(bytes(data))
