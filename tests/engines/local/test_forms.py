"""In which form a model is loaded: a table of machines and models."""

import json

import pytest

from bat_os.engines.local.forms import (
    Device,
    Stored,
    describe_device,
    inspect_device,
    measure_stored,
    plan_form,
)
from bat_os.engines.offline import prepare

GB = 1 << 30


def cpu(free=16 * GB, *, bf16=False):
    return Device("cpu", "AVX512", 32 * GB, free, free, bf16, packs=True)


def gpu(free=8 * GB, *, bf16=True, packs=True, main=16 * GB):
    return Device("cuda", "a GPU", 8 * GB, free, main, bf16, packs)


@pytest.mark.parametrize(
    ("device", "stored", "expected"),
    [
        (cpu(), Stored(GB, "float32", False), ("auto", "cpu", False)),
        (cpu(), Stored(GB, "bfloat16", False), ("float32", "cpu", False)),
        (cpu(bf16=True), Stored(GB, "bfloat16", False), ("auto", "cpu", False)),
        (cpu(2 * GB), Stored(GB, "float16", False), ("auto", "cpu", False)),
        (cpu(), Stored(GB, "bfloat16", True), ("auto", "cpu", False)),
        (gpu(), Stored(3 * GB, "bfloat16", False), ("bfloat16", "cuda:0", False)),
        (gpu(), Stored(12 * GB, "float32", False), ("bfloat16", "cuda:0", False)),
        (gpu(bf16=False), Stored(3 * GB, "bfloat16", False), ("float16", "cuda:0", False)),
        (gpu(), Stored(15 * GB, "bfloat16", False), ("bfloat16", "cuda:0", True)),
        (gpu(), Stored(5 * GB, "bfloat16", True), ("auto", "cuda:0", False)),
        (gpu(packs=False), Stored(15 * GB, "bfloat16", False), ("bfloat16", "auto", False)),
        (gpu(), Stored(22 * GB, "bfloat16", False), ("bfloat16", "auto", False)),
    ],
)
def test_the_form_follows_from_the_device_and_the_weights(device, stored, expected):
    form = plan_form(device, stored)

    assert (form.dtype, form.device_map, form.quantize) == expected
    assert form.why


@pytest.mark.parametrize(
    ("device", "stored"),
    [
        (cpu(GB), Stored(2 * GB, "float32", False)),
        (cpu(GB), Stored(2 * GB, "bfloat16", False)),
        (gpu(GB, main=GB), Stored(9 * GB, "bfloat16", False)),
        (gpu(2 * GB), Stored(5 * GB, "bfloat16", True)),
        (gpu(packs=False), Stored(5 * GB, "bfloat16", True)),
    ],
)
def test_a_model_that_fits_in_no_form_is_refused(device, stored):
    with pytest.raises(MemoryError, match="bytes of"):
        plan_form(device, stored)


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
