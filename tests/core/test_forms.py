"""bat_os.core.forms: in which form a model is kept and loaded, by device and profile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.forms import SPARE_BYTES, Device, Stored, form_to_store, plan_form

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
    ],
)
def test_a_model_that_fits_in_no_form_is_refused(device, stored):
    with pytest.raises(MemoryError, match="bytes of"):
        plan_form(device, stored)


@pytest.mark.parametrize(
    ("device", "stored", "expected"),
    [
        (gpu(), Stored(3 * GB, "bfloat16", False), ("bfloat16", "cuda:0", True)),
        (gpu(bf16=False), Stored(3 * GB, "float32", False), ("float16", "cuda:0", True)),
        (gpu(packs=False), Stored(3 * GB, "bfloat16", False), ("bfloat16", "cuda:0", False)),
        (gpu(), Stored(3 * GB, "bfloat16", True), ("auto", "cuda:0", False)),
        (gpu(2 * GB), Stored(3 * GB, "bfloat16", False), ("bfloat16", "auto", False)),
        (cpu(), Stored(GB, "float32", False), ("auto", "cpu", False)),
    ],
)
def test_where_the_profile_counts_on_nf4_a_gpu_packs_what_would_fit_unpacked(
    device, stored, expected
):
    form = plan_form(device, stored, "nf4")

    assert (form.dtype, form.device_map, form.quantize) == expected


def test_a_processor_packs_what_fits_in_no_other_form():
    form = plan_form(cpu(8 * GB), Stored(15 * GB, "bfloat16", False))

    assert (form.dtype, form.device_map, form.quantize) == ("bfloat16", "cpu", True)


@pytest.mark.parametrize("make", [cpu, gpu])
def test_packed_weights_where_nothing_unpacks_them_are_explained(make):
    device = Device(**{slot: getattr(make(), slot) for slot in Device.__slots__} | {"packs": False})
    with pytest.raises(ValueError, match="takes a bitsandbytes that works on this"):
        plan_form(device, Stored(GB, "bfloat16", True))


@pytest.mark.parametrize(
    ("device", "stored", "wanted", "form"),
    [
        (gpu(), Stored(15 * GB, "bfloat16", False), "", "nf4"),
        (gpu(), Stored(3 * GB, "bfloat16", False), "", ""),
        (gpu(), Stored(3 * GB, "bfloat16", False), "nf4", "nf4"),
        (gpu(), Stored(GB, "float32", False), "fp32", ""),
        (gpu(GB), Stored(3 * GB, "bfloat16", False), "bf16", ""),  # busy now, not for good
        (gpu(packs=False), Stored(3 * GB, "bfloat16", False), "nf4", ""),
        (gpu(), Stored(3 * GB, "bfloat16", True), "nf4", ""),
        (gpu(main=GB), Stored(90 * GB, "bfloat16", False), "nf4", ""),
        (cpu(), Stored(3 * GB, "bfloat16", False), "nf4", ""),
        (cpu(4 * GB), Stored(9 * GB, "bfloat16", False), "", ""),
    ],
)
def test_the_form_to_keep_is_packed_where_a_gpu_gains_by_it(device, stored, wanted, form):
    assert form_to_store(device, stored, wanted) == form


DEVICES = st.builds(
    Device,
    kind=st.sampled_from(["cpu", "cuda"]),
    name=st.just("any"),
    memory=st.just(8 * GB),
    free=st.integers(0, 8 * GB),
    main_free=st.integers(0, 32 * GB),
    bf16=st.booleans(),
    packs=st.booleans(),
)
STORED = st.builds(
    Stored,
    bytes=st.integers(1, 40 * GB),
    dtype=st.sampled_from(["float32", "bfloat16", "float16", ""]),
    packed=st.booleans(),
)


@given(DEVICES, STORED, st.sampled_from(["", "nf4", "bf16"]))
def test_every_plan_holds_what_it_promises_or_says_that_there_is_none(device, stored, wanted):
    try:
        form = plan_form(device, stored, wanted)
    except (MemoryError, ValueError):
        return
    assert not (form.quantize and (stored.packed or not device.packs))
    assert (form.device_map == "cpu") == (device.kind == "cpu")
    held = stored.packed_bytes if form.quantize else stored.narrow_bytes
    if form.device_map == "cuda:0":
        assert held + SPARE_BYTES <= device.free
