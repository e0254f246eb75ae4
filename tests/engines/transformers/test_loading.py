"""Weights that go and come back."""

import json

import pytest

from bat_os.engines.base import prepare

prepare(1)

import torch  # noqa: E402 - after the switches are set

from bat_os.engines.transformers.forms import weight_files  # noqa: E402
from bat_os.engines.transformers.loading import StoredWeights, held_bytes  # noqa: E402
from tests.engines.tiny import make_tiny  # noqa: E402

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
IDS = torch.arange(40)[None]


def load(folder, **arguments):
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(folder, dtype="auto", **arguments).eval()


def read(net):
    with torch.inference_mode():
        return net(input_ids=IDS).logits


def test_parameters_that_come_back_are_bit_for_bit_what_they_were(tiny_folder):
    net = load(tiny_folder)
    stored = StoredWeights(tiny_folder, CPU)
    before, held = read(net), held_bytes(net)
    stored.detach(net)
    away = held_bytes(net)
    stored.attach(net)

    assert stored.holds(net)
    assert away < held / 100
    assert held_bytes(net) == held
    assert torch.equal(read(net), before)
    assert net.lm_head.weight is net.model.embed_tokens.weight


def test_a_model_in_several_files_comes_back_too(tmp_path):
    folder = make_tiny(tmp_path / "sharded", shard="100KB")
    net = load(folder)
    before = read(net)
    stored = StoredWeights(folder, CPU)
    stored.detach(net)
    stored.attach(net)

    assert len(weight_files(folder)) > 1
    assert torch.equal(read(net), before)


def test_weights_that_were_widened_come_back_widened(tmp_path):
    folder = make_tiny(tmp_path / "narrow", dtype=torch.bfloat16)
    from transformers import LlamaForCausalLM

    net = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    before = read(net)
    stored = StoredWeights(folder, CPU)
    stored.detach(net)
    stored.attach(net)

    assert net.dtype == torch.float32
    assert torch.equal(read(net), before)


def test_a_model_of_another_shape_is_not_held_by_the_files(tiny_folder, tmp_path):
    other = load(make_tiny(tmp_path / "other", hidden=32))

    assert not StoredWeights(tiny_folder, CPU).holds(other)


def test_files_that_were_replaced_or_removed_are_noticed(tmp_path):
    folder = make_tiny(tmp_path / "model")
    stored = StoredWeights(folder, CPU)
    assert stored.unchanged()

    content = (folder / "model.safetensors").read_bytes()
    (folder / "new").write_bytes(content)
    (folder / "new").replace(folder / "model.safetensors")
    assert not stored.unchanged()

    (folder / "model.safetensors").unlink()
    assert not stored.unchanged()


@pytest.mark.parametrize(
    "table", [{"a": "../model.safetensors"}, {"a": "/etc/passwd"}, {"a": 7}, [], {}, {"a": ".."}]
)
def test_an_index_that_leaves_its_folder_or_is_none_is_refused(tmp_path, table):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": table}))
    with pytest.raises(ValueError, match="index"):
        weight_files(tmp_path)
