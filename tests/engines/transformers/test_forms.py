"""The facts about devices and stored weights that decide in which form a model is loaded."""

import json

import pytest

from bat_os.engines.base import prepare
from bat_os.engines.transformers.forms import (
    describe_device,
    held_on_gpu,
    inspect_device,
    measure_stored,
)


@pytest.mark.slow
def test_this_machine_is_described_in_plain_facts():
    prepare(1)
    facts = describe_device()

    assert json.loads(json.dumps(facts)) == facts
    assert facts["kind"] in {"cpu", "cuda"}
    assert 0 < facts["free"] <= facts["memory"]
    assert facts["torch"]
    assert isinstance(facts["bf16"], bool)
    assert facts["packs"] is bool(facts["bitsandbytes"])
    assert inspect_device("cpu").kind == "cpu"


@pytest.mark.slow
def test_the_facts_about_stored_weights_are_read_off_their_headers(tiny_folder):
    stored = measure_stored(tiny_folder)

    assert (stored.dtype, stored.packed) == ("float32", False)
    assert stored.bytes == (tiny_folder / "model.safetensors").stat().st_size


@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000])
def test_a_configuration_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises((ValueError, RecursionError)):
        measure_stored(tmp_path)


@pytest.mark.slow
def test_without_cuda_nothing_is_held_on_a_gpu():
    if inspect_device().kind == "cuda":
        pytest.skip("this machine has a GPU")

    assert held_on_gpu() == 0
