"""Adapters written for llama.cpp: the order of the rows, what is refused, and by what name."""

import json

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter
from safetensors.numpy import load_file, save_file

from bat_os.engines.adapters import ADAPTER_GGUF, CONFIG, WEIGHTS, find_base, fits, read_adapter
from bat_os.engines.loragguf import check_adapter, convert_adapter, permute
from bat_os.errors import ModelError
from tests.engines.test_adapters import write_adapter

# Linear layers of one block: name in GGUF -> inputs, outputs. Four heads of 4, two for k and v.
SIZES = {"attn_q": (16, 16), "attn_k": (16, 8), "ffn_up": (16, 40)}
PATHS = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "ffn_up": "mlp.up_proj"
}  # fmt: skip


def write_base(file, architecture="llama", blocks=2, sizes=None, **keys):
    writer = GGUFWriter(file, architecture)
    for key, value in ({"attention.head_count": 4, "attention.head_count_kv": 2} | keys).items():
        writer.add_uint32(f"{architecture}.{key}", value)
    for block in range(blocks):
        for name, (inputs, outputs) in (sizes or SIZES).items():
            values = np.zeros((outputs, inputs), np.float16)
            writer.add_tensor(f"blk.{block}.{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def random_tensors(rank=4, dtype=np.float32):
    rng = np.random.default_rng(3)
    tensors = {}
    for block in range(2):
        for name, (inputs, outputs) in SIZES.items():
            above = f"base_model.model.model.layers.{block}.{PATHS[name]}"
            tensors[f"{above}.lora_A.weight"] = rng.normal(size=(rank, inputs)).astype(dtype)
            tensors[f"{above}.lora_B.weight"] = rng.normal(size=(outputs, rank)).astype(dtype)
    return tensors


@pytest.fixture
def base(tmp_path):
    return write_base(tmp_path / "Tiny-Q4_1.gguf")


@pytest.fixture
def folder(tmp_path):
    targets = [path.rpartition(".")[2] for path in PATHS.values()]
    return write_adapter(tmp_path / "expert", random_tensors(), target_modules=targets)


def convert(folder, base):
    file = folder / ADAPTER_GGUF
    convert_adapter(read_adapter(folder), base, file)
    return file


def test_rows_move_in_the_product_as_they_move_in_its_left_side():
    rng = np.random.default_rng(1)
    for heads in (1, 3, 9):
        rows = heads * 8
        weight, left = rng.normal(size=(rows, 12)), rng.normal(size=(rows, 4))
        right = rng.normal(size=(4, 12))
        changed = permute(weight + left @ right, heads)
        assert np.allclose(changed, permute(weight, heads) + permute(left, heads) @ right)
        assert not np.allclose(changed, weight + left @ right)


def test_each_head_has_its_halves_interleaved():
    rows = np.arange(8)

    assert permute(rows, 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize(("architecture", "moved"), [("llama", True), ("qwen2", False)])
def test_the_file_has_all_tensors_and_alpha(tmp_path, folder, architecture, moved):
    base = write_base(tmp_path / "base.gguf", architecture)
    reader = GGUFReader(convert(folder, base))
    facts = {name: field.contents() for name, field in reader.fields.items()}
    written = {tensor.name: tensor.data for tensor in reader.tensors}
    given = random_tensors()

    assert (facts["general.architecture"], facts["general.type"]) == (architecture, "adapter")
    assert (facts["adapter.type"], facts["adapter.lora.alpha"]) == ("lora", 8.0)
    assert len(written) == len(given)
    for name, path in PATHS.items():
        for block in range(2):
            above = f"base_model.model.model.layers.{block}.{path}.lora_"
            left = given[f"{above}B.weight"]
            heads = {"attn_q": 4, "attn_k": 2}.get(name, 0) if moved else 0
            expected = permute(left, heads) if heads else left
            below = f"blk.{block}.{name}.weight.lora_"
            assert np.array_equal(written[f"{below}a"], given[f"{above}A.weight"])
            assert np.array_equal(written[f"{below}b"], expected)


def test_the_same_adapter_gives_the_same_bytes_and_leaves_nothing_beside_them(folder, base):
    first = convert(folder, base).read_bytes()
    second = convert(folder, base).read_bytes()

    assert first == second
    assert {path.name for path in folder.iterdir()} == {CONFIG, WEIGHTS, ADAPTER_GGUF}
    check_adapter("expert", folder / ADAPTER_GGUF)


def save_bfloat16(tensors, file):
    """Write a file as torch does; numpy knows no bfloat16."""
    header, data = {}, b""
    for name, values in tensors.items():
        upper = (np.ascontiguousarray(values).view("<u4") >> 16).astype("<u2").tobytes()
        place = [len(data), len(data) + len(upper)]
        header[name] = {"dtype": "BF16", "shape": values.shape, "data_offsets": place}
        data += upper
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_half_precision_of_both_kinds_is_written_as_it_is(folder, base):
    exact = {name: np.round(values * 8) / 8 for name, values in random_tensors().items()}
    save_file(exact, folder / WEIGHTS)
    whole = convert(folder, base).read_bytes()
    save_file({name: v.astype(np.float16) for name, v in exact.items()}, folder / WEIGHTS)
    assert convert(folder, base).read_bytes() == whole
    save_bfloat16(exact, folder / WEIGHTS)
    assert convert(folder, base).read_bytes() == whole


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"use_rslora": True}, "use_rslora in its configuration"),
        ({"alpha_pattern": {"q_proj": 3}}, "alpha_pattern in its configuration"),
    ],
)
def test_a_scale_that_differs_between_layers_is_refused_by_name(folder, base, changes, said):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | changes))
    with pytest.raises(ModelError, match=f"adapter expert cannot be used in llama.cpp: {said}"):
        convert(folder, base)

    assert not (folder / ADAPTER_GGUF).exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused_and_leave_the_old_file(folder, base, value):
    before = convert(folder, base).read_bytes()
    tensors = load_file(folder / WEIGHTS)
    name = "base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"
    tensors[name][-1, -1] = value
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(ModelError, match=rf"expert.*{name} has values that are no finite"):
        convert(folder, base)

    assert (folder / ADAPTER_GGUF).read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {CONFIG, WEIGHTS, ADAPTER_GGUF}


def test_values_of_another_type_are_refused_by_name(folder, base):
    tensors = {
        name: values.astype(np.int32) for name, values in load_file(folder / WEIGHTS).items()
    }
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(ModelError, match=r"lora_[AB]\.weight has values of the type I32"):
        convert(folder, base)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"architecture": "mamba"}, "the architecture mamba; known are llama"),
        ({"blocks": 1}, r"it has no layer model\.layers\.1\.mlp\.up_proj"),
        ({"sizes": SIZES | {"ffn_up": (16, 48)}}, "up_proj has 16 in and 48 out"),
        ({"attention.head_count": 0}, "does not say its head_count"),
        ({"attention.head_count": 5}, "has 16 rows, its base 5 heads"),
    ],
)
def test_a_base_that_it_is_not_for_is_refused_by_name(tmp_path, folder, wrong, said):
    base = write_base(tmp_path / "other.gguf", **wrong)
    with pytest.raises(ModelError, match=f"adapter expert cannot be used in llama.cpp.*{said}"):
        convert(folder, base)


def test_a_base_in_gguf_is_found_by_its_shapes_and_its_name(tmp_path, folder, base):
    read = read_adapter(folder)
    narrow = write_base(tmp_path / "narrow.gguf", sizes=SIZES | {"attn_k": (16, 4)})
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(base.read_bytes()[:80])

    assert find_base(read, {"other": base, "narrow": narrow}) == ("other", "")
    # It names someone/tiny; the form of the weights is no part of that name.
    assert find_base(read, {"twin": base, "Tiny-Q4_1": base}) == ("Tiny-Q4_1", "")
    assert fits(read, narrow) == (
        "model.layers.0.self_attn.k_proj has 16 in and 4 out, the adapter 16 and 8"
    )
    assert fits(read, broken).startswith("its weights cannot be read: broken.gguf is not a GGUF")
