"""Reading adapters and matching them to a base; headers only, so nothing here needs torch."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from bat_os.engines.adapters import (
    CONFIG,
    WEIGHTS,
    as_folder,
    find_base,
    fits,
    read_adapter,
    scan_adapters,
)
from bat_os.errors import ModelError

CONFIG_OF_PEFT = {
    "task_type": "CAUSAL_LM", "peft_type": "LORA", "auto_mapping": None, "peft_version": "0.21.2",
    "base_model_name_or_path": "someone/tiny", "revision": None, "inference_mode": True, "r": 4,
    "target_modules": ["q_proj", "mlp.up_proj"], "exclude_modules": None, "lora_alpha": 8,
    "lora_dropout": 0.05, "fan_in_fan_out": False, "bias": "none", "use_rslora": False,
    "modules_to_save": None, "init_lora_weights": True, "layers_to_transform": None,
    "rank_pattern": {}, "alpha_pattern": {}, "megatron_config": None,
    "megatron_core": "megatron.core", "loftq_config": {}, "use_dora": False,
    "qalora_group_size": 16, "layer_replication": None, "ensure_weight_tying": False,
}  # fmt: skip
LAYERS = {"model.layers.0.self_attn.q_proj": (16, 16), "model.layers.0.mlp.up_proj": (16, 40)}


def pairs(layers=LAYERS, rank=4):
    tensors = {}
    for module, (inputs, outputs) in layers.items():
        above = f"base_model.model.{module}"
        tensors[f"{above}.lora_A.weight"] = np.zeros((rank, inputs), np.float32)
        tensors[f"{above}.lora_B.weight"] = np.zeros((outputs, rank), np.float32)
    return tensors


def write_adapter(folder, tensors=None, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(pairs() if tensors is None else tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(CONFIG_OF_PEFT | changes))
    return folder


def write_base(folder, layers=LAYERS, name="", extra=()):
    folder.mkdir(parents=True)
    tensors = {
        f"{module}.weight": np.zeros(shape[::-1], np.float16) for module, shape in layers.items()
    }
    save_file(tensors | dict(extra), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"_name_or_path": name} if name else {}))
    return folder


@pytest.fixture
def adapter(tmp_path):
    return write_adapter(tmp_path / "lora_adapters" / "writer")


def test_an_adapter_of_peft_is_read_without_loading_its_tensors(adapter):
    read = read_adapter(adapter)

    assert (read.name, read.base) == ("writer", "someone/tiny")
    assert (read.config["r"], read.config["lora_alpha"]) == (4, 8)
    assert read.modules == LAYERS
    assert read.tensors["base_model.model.model.layers.0.mlp.up_proj.lora_B.weight"] == (40, 4)
    assert as_folder(read, adapter.parent / "unused") == adapter


def test_targets_may_be_the_full_paths_of_all_layers_as_peft_writes_them(tmp_path):
    layers = {f"model.layers.{n}.mlp.{kind}_proj": (2, 2) for n in range(150) for kind in "ab"}
    folder = write_adapter(tmp_path / "all", pairs(layers), target_modules=list(layers))

    assert read_adapter(folder).modules == layers


@pytest.mark.parametrize("beside", [True, False])
def test_a_single_file_has_its_configuration_beside_it_or_in_its_metadata(tmp_path, beside):
    text = json.dumps(CONFIG_OF_PEFT)
    single = tmp_path / "writer.safetensors"
    save_file(pairs(), single, None if beside else {"adapter_config": text})
    if beside:
        (tmp_path / "writer.json").write_text(text)
    read = read_adapter(single)
    folder = as_folder(read, tmp_path / "scratch")

    assert read.name == "writer"
    assert read_adapter(folder).modules == read.modules
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]


def test_a_single_file_without_a_configuration_is_what_its_shapes_say(tmp_path):
    wide = {"model.layers.1.mlp.up_proj": (16, 40)}
    save_file(pairs() | pairs(wide, rank=8), tmp_path / "TAMLAND.safetensors")
    ((name, path),) = scan_adapters(tmp_path)
    read = read_adapter(path)
    again = read_adapter(as_folder(read, tmp_path / "scratch"))

    assert (name, read.base, read.modules) == ("TAMLAND", "", LAYERS | wide)
    assert read.config["r"] == read.config["lora_alpha"] == 4
    assert read.config["rank_pattern"] == {"model.layers.1.mlp.up_proj": 8}
    assert again.modules == read.modules
    bases = {
        "tiny": write_base(tmp_path / "tiny", LAYERS | wide),
        "other": write_base(tmp_path / "other", dict.fromkeys(LAYERS | wide, (8, 8))),
    }
    assert find_base(read, bases) == ("tiny", "")


def test_the_folder_of_adapters_is_scanned_by_name(adapter, tmp_path):
    root = adapter.parent
    save_file(pairs(), root / "alone.safetensors")
    save_file(pairs(), root / "writer.safetensors")
    save_file(pairs(), root / ".hidden.safetensors")
    (root / "README.md").write_text("about adapters")
    (root / "empty").mkdir()

    assert scan_adapters(root) == [("alone", root / "alone.safetensors"), ("writer", adapter)]
    assert scan_adapters(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "IA3"}, "peft_type"),
        ({"r": 0}, "r must be a whole number from 1 to 256, not 0"),
        ({"r": 257}, "not 257"),
        ({"r": True}, "not true"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"target_modules": "all-linear"}, "target_modules"),
        ({"target_modules": ["(a+)+$"]}, "target_modules"),
        ({"target_modules": []}, "target_modules"),
        ({"rank_pattern": {"(a+)+$": 8}}, "rank_pattern"),
        ({"auto_mapping": {"parent_library": "evil", "base_model_class": "X"}}, "auto_mapping"),
        ({"megatron_core": "evil.module"}, "megatron_core"),
        ({"megatron_config": {"a": 1}}, "megatron_config"),
        ({"loftq_config": {"loftq_bits": 4}}, "loftq_config"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"use_dora": True}, "use_dora"),
        ({"custom_path": "/etc/passwd"}, "custom_path"),
        ({"bias": "all"}, "bias"),
        ({"base_model_name_or_path": ["x"]}, "base_model_name_or_path"),
    ],
)
def test_a_configuration_that_asks_for_more_than_plain_lora_is_refused(tmp_path, changes, said):
    folder = write_adapter(tmp_path / "bad", **changes)
    with pytest.raises(ModelError, match=f"adapter bad cannot be used: .*{said}"):
        read_adapter(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "must be a map"),
        ("{", "Expecting"),
        ("[" * 100_000, "recursion"),
        ('{"r": 4}', "peft_type is missing"),
        ("", "no adapter_config.json with its configuration"),
    ],
)
def test_a_configuration_that_is_none_is_refused(adapter, text, said):
    (adapter / CONFIG).write_text(text)
    with pytest.raises(ModelError, match=said):
        read_adapter(adapter)


def without(tensors, name):
    return {key: value for key, value in tensors.items() if name not in key}


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (pairs(rank=2), "has rank 2, and its configuration 4"),
        (without(pairs(), "q_proj.lora_B"), "only one of its two tensors"),
        (without(pairs(), "up_proj"), "no tensors for mlp.up_proj"),
        ({}, "no tensors for mlp.up_proj, q_proj"),
        (pairs(LAYERS | {"model.norm": (4, 4)}), "model.norm is not among its target_modules"),
        (
            pairs() | {"model.embed.weight": np.zeros((2, 2))},
            "'model.embed.weight' is not a tensor",
        ),
    ],
)
def test_tensors_that_are_not_those_of_the_configuration_are_refused(tmp_path, tensors, said):
    folder = write_adapter(tmp_path / "bad", tensors)
    with pytest.raises(ModelError, match=said):
        read_adapter(folder)


def test_pickles_and_broken_files_are_refused_by_name(adapter):
    content = (adapter / WEIGHTS).read_bytes()
    (adapter / WEIGHTS).write_bytes(content[:-10])
    with pytest.raises(ModelError, match=r"adapter writer cannot be used: .*not fully covered"):
        read_adapter(adapter)
    (adapter / WEIGHTS).rename(adapter / "adapter_model.bin")
    with pytest.raises(
        ModelError, match=r"no adapter_model\.safetensors; only safetensors are read"
    ):
        read_adapter(adapter)


def test_a_file_over_the_limit_is_refused_unread(adapter):
    with (adapter / WEIGHTS).open("r+b") as file:
        file.truncate((512 << 20) + 1)
    with pytest.raises(ModelError, match="536870913 bytes are more than 536870912"):
        read_adapter(adapter)


def test_an_adapter_fits_a_base_that_has_its_layers_in_its_shapes(adapter, tmp_path):
    read = read_adapter(adapter)
    other = LAYERS | {"model.layers.0.mlp.up_proj": (16, 48)}

    assert fits(read, write_base(tmp_path / "same")) == ""
    assert fits(read, write_base(tmp_path / "wider", other)) == (
        "model.layers.0.mlp.up_proj has 16 in and 48 out, the adapter 16 and 40"
    )
    assert fits(read, write_base(tmp_path / "other", {"lm.q": (16, 16)})) == (
        "it has no layer model.layers.0.mlp.up_proj"
    )
    assert fits(read, tmp_path / "nowhere").startswith("it has no safetensors weights")
    (tmp_path / "same" / "model.safetensors").write_bytes(b"broken")
    assert fits(read, tmp_path / "same").startswith("its weights cannot be read")


def test_the_shapes_of_a_quantized_base_are_those_before(adapter, tmp_path):
    packed = {}
    for module, (inputs, outputs) in LAYERS.items():
        state = json.dumps({"shape": [outputs, inputs], "quant_type": "nf4"}).encode()
        packed[f"{module}.weight"] = np.zeros((inputs * outputs // 2, 1), np.uint8)
        name = f"{module}.weight.quant_state.bitsandbytes__nf4"
        packed[name] = np.frombuffer(state, np.uint8)
    base = write_base(tmp_path / "nf4", {}, extra=packed)

    assert fits(read_adapter(adapter), base) == ""


def test_an_output_layer_tied_to_the_embeddings_counts(tmp_path):
    layers = {"lm_head": (16, 99)}
    adapter = write_adapter(tmp_path / "head", pairs(layers), target_modules=["lm_head"])
    base = write_base(tmp_path / "tied", {"model.embed_tokens": (16, 99)})

    assert fits(read_adapter(adapter), base) == ""


def test_the_base_that_an_adapter_names_is_its_base(adapter, tmp_path):
    bases = {"Tiny": write_base(tmp_path / "a"), "twin": write_base(tmp_path / "b")}
    read = read_adapter(adapter)

    assert find_base(read, bases) == ("Tiny", "")
    named = write_base(tmp_path / "c", name="owner/tiny")
    assert find_base(read, {"x": named, "twin": bases["twin"]}) == ("x", "")


def test_without_the_named_base_the_only_one_that_fits_by_shapes_is_taken(adapter, tmp_path):
    other = write_base(tmp_path / "b", {"model.layers.0.self_attn.q_proj": (8, 8)})
    twin = write_base(tmp_path / "a")
    read = read_adapter(adapter)

    assert find_base(read, {"other": other, "twin": twin}) == ("twin", "")
    name, reason = find_base(read, {"twin": twin, "second": twin})
    assert (name, reason[:29]) == ("", "it fits second, twin alike; n")


def test_an_adapter_that_fits_no_base_says_why_for_each(adapter, tmp_path):
    narrow = write_base(tmp_path / "a", {"model.layers.0.mlp.up_proj": (8, 8)})
    read = read_adapter(adapter)

    assert find_base(read, {}) == ("", "there is no model that it could belong to")
    layer = "model.layers.0.mlp.up_proj has 8 in and 8 out, the adapter 16 and 40"
    assert find_base(read, {"a": narrow}) == ("", f"not for a: {layer}")
    twin = write_base(tmp_path / "b")
    # The one that it names has another shape: no other is taken in its place.
    assert find_base(read, {"tiny": narrow, "b": twin}) == ("", f"not for tiny: {layer}")
