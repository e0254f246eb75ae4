"""Adapters by peft on a real, small model, and the same ones in llama.cpp."""

import json

import pytest

from bat_os.engines.base import prepare

prepare(1)

import torch  # noqa: E402 - after the switches are set
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import LlamaConfig, Qwen2Config  # noqa: E402

from bat_os.engines.adapters import attach_adapter, detach_adapter, read_adapter, use_adapter  # noqa: E402
from bat_os.engines.llamaserver import LlamaServer  # noqa: E402
from bat_os.engines.loragguf import convert_adapter  # noqa: E402
from bat_os.engines.transformers.loading import StoredWeights  # noqa: E402
from bat_os.errors import ModelError  # noqa: E402
from tests.engines.tiny import adapted_by_peft, make_adapter, make_tiny, write_gguf  # noqa: E402

pytestmark = pytest.mark.slow

IDS = torch.arange(40)[None]


def load(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()


def read(net):
    with torch.inference_mode():
        return net(input_ids=IDS).logits


@pytest.fixture
def net(tiny_folder):
    return load(tiny_folder)


def test_an_adapter_gives_what_peft_itself_gives(net, tiny_folder, adapter_folder):
    plain = read(net)
    attach_adapter(net, "a1", read_adapter(adapter_folder))
    use_adapter(net, "a1")
    adapted = read(net)
    use_adapter(net, "")

    expected = read(adapted_by_peft(tiny_folder, adapter_folder))
    assert torch.allclose(adapted, expected, atol=1e-4)
    assert not torch.allclose(adapted, plain, atol=1e-2)
    assert torch.equal(read(net), plain)


def test_adapters_of_different_rank_and_layers_are_switched_in_place(
    net, tiny_folder, adapter_folder, tmp_path
):
    other = make_adapter(tiny_folder, tmp_path / "other", seed=5, rank=2)
    answers = {}
    for handle, folder in (("a1", adapter_folder), ("a2", other)):
        alone = load(tiny_folder)
        for one, name in ((alone, handle), (net, handle)):
            attach_adapter(one, name, read_adapter(folder))
        use_adapter(alone, handle)
        answers[handle] = read(alone)
    for handle in ("a1", "a2", "a1"):
        use_adapter(net, handle)
        assert torch.equal(read(net), answers[handle])

    detach_adapter(net, "a2")
    use_adapter(net, "a1")
    assert torch.equal(read(net), answers["a1"])


def test_an_adapter_for_another_model_is_refused_and_changes_nothing(net, tmp_path):
    wide = make_tiny(tmp_path / "wide", hidden=128)
    folder = make_adapter(wide, tmp_path / "misfit")
    before = [name for name, _ in net.named_modules()]
    with pytest.raises(ModelError, match=r"misfit does not fit.*128"):
        attach_adapter(net, "a1", read_adapter(folder))

    assert [name for name, _ in net.named_modules()] == before


@pytest.mark.parametrize("harm", ["nan", "shape"])
def test_weights_that_were_changed_after_the_check_are_refused(net, tiny_folder, tmp_path, harm):
    folder = make_adapter(tiny_folder, tmp_path / "harmed")
    adapter = read_adapter(folder)
    plain = read(net)
    state = load_file(adapter.weights)
    key = min(state)
    state[key] = torch.full_like(state[key], torch.nan) if harm == "nan" else state[key][:, :3]
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, adapter.weights)
    with pytest.raises(ModelError, match="harmed cannot be used"):
        attach_adapter(net, "a1", adapter)

    assert torch.equal(read(net), plain)


def test_an_adapter_outlives_parking(net, tiny_folder, adapter_folder):
    attach_adapter(net, "a1", read_adapter(adapter_folder))
    use_adapter(net, "a1")
    before = read(net)
    stored = StoredWeights(tiny_folder, torch.device("cpu"))
    stored.detach(net)
    stored.attach(net)

    assert torch.equal(read(net), before)


def test_an_adapter_with_rank_stabilised_scale_gives_what_peft_gives(net, tiny_folder, tmp_path):
    folder = make_adapter(tiny_folder, tmp_path / "rs", use_rslora=True)
    attach_adapter(net, "a1", read_adapter(folder))
    use_adapter(net, "a1")

    expected = read(adapted_by_peft(tiny_folder, folder))
    assert json.loads((folder / "adapter_config.json").read_text())["use_rslora"]
    assert torch.allclose(read(net), expected, atol=1e-4)


def read_by_llama_cpp(server, scale):
    """Return token -> log-probability of what comes after ``IDS``, of the likeliest."""
    pieces = []
    lora = [{"id": 0, "scale": scale}]
    body = {"prompt": IDS.tolist(), "max_tokens": 1, "logprobs": 20, "lora": lora}
    body["logit_bias"] = [[65, 1000]]  # a letter: half a character comes with no facts
    server.complete(body, pieces.append)
    [token] = pieces[0]["choices"][0]["logprobs"]["content"]
    return {one["id"]: one["logprob"] for one in token["top_logprobs"]}


@pytest.mark.parametrize("kind", [LlamaConfig, Qwen2Config])
def test_llama_cpp_gives_through_the_converted_adapter_what_peft_gives(tmp_path, kind):
    folder = make_tiny(tmp_path / "base", kind=kind)
    changed = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    expert = make_adapter(folder, tmp_path / "expert", targets=changed)
    base, file = write_gguf(folder, tmp_path / "base.gguf"), tmp_path / "expert.gguf"
    convert_adapter(read_adapter(expert), base, file)
    nets = {0.0: load(folder), 1.0: adapted_by_peft(folder, expert)}
    server = LlamaServer(base, 1, 256, {"expert": file})
    for scale, net in nets.items():
        expected = torch.log_softmax(read(net)[0, -1], -1)
        for token, value in read_by_llama_cpp(server, scale).items():
            assert value == pytest.approx(float(expected[token]), abs=0.05)
    server.close()
    plain, adapted = (read(net)[0, -1] for net in nets.values())
    assert float((plain - adapted).abs().max()) > 1
