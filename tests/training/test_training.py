"""The adapter that ships, and the command that makes one, with a tiny model made on the spot."""

import json
import math
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from bat_os.training.training import EXAMPLES, PACKAGED, main
from tests.forks import TRAINER

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "lora_adapters" / "method-writer"
WIDTHS = {"q": (576, 576), "k": (576, 192), "v": (576, 192), "o": (576, 576)} | {
    "gate": (576, 1536),
    "up": (576, 1536),
    "down": (1536, 576),
}
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def read_header(file):
    """Return name -> facts of the tensors of a safetensors file, and the bytes of all."""
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
    return {name: facts for name, facts in header.items() if name != "__metadata__"}


def make_base(folder):
    """Write a llama of two small layers with random weights, and a tokenizer of bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<|im_start|>", "<|im_end|>", *alphabet]
    tokenizer = Tokenizer(models.BPE({word: at for at, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=words[0], eos_token=words[1], chat_template=CHAT
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("base") / "tiny-llama")


@pytest.fixture
def few(tmp_path):
    """Eight examples in a file of their own."""
    texts = EXAMPLES.read_text(encoding="utf-8").split("[[example]]")[1:9]
    file = tmp_path / "few.toml"
    file.write_text("".join(f"[[example]]{text}" for text in texts), encoding="utf-8")
    return file


@pytest.fixture
def arguments(base, few, tmp_path):
    options = {"base": base, "examples": few, "out": tmp_path / "pupil", "rank": 2, "threads": 1}
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


def test_the_shipped_adapter_fits_its_base_in_every_layer_and_is_small():
    config = json.loads((SHIPPED / "adapter_config.json").read_text(encoding="utf-8"))
    file = SHIPPED / "adapter_model.safetensors"
    tensors = read_header(file)

    assert config["base_model_name_or_path"] == PACKAGED
    assert (config["peft_type"], config["r"]) == ("LORA", 16)
    assert len(tensors) == 30 * 7 * 2
    for name, facts in tensors.items():
        projection, side = re.search(r"(\w+)_proj\.lora_([AB])\.weight$", name).groups()
        wide, out = WIDTHS[projection]
        assert facts["shape"] == ([16, wide] if side == "A" else [out, 16])
        assert facts["dtype"] == "F16"
    assert file.stat().st_size < 10_000_000


def test_what_ships_with_the_adapter_names_no_folder_of_the_machine_that_made_it():
    files = {path.name: path for path in SHIPPED.iterdir()}

    assert set(files) == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    for name in ("README.md", "adapter_config.json"):
        text = files[name].read_text(encoding="utf-8")
        assert re.search(r"(^|[\s\"'`])(/|~/|[A-Z]:\\)\w", text) is None


@pytest.mark.slow
@pytest.mark.model
# peft asks transformers for a name that is on its way out.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
def test_two_steps_write_an_adapter_that_peft_loads_and_that_changes_the_model(
    base, arguments, tmp_path, capsys
):
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    assert main([*arguments, "--steps", "2"]) == 0

    losses = re.findall(r"step (\d) of 2: loss (\S+), \d+ s left", capsys.readouterr().out)
    assert [step for step, _ in losses] == ["1", "2"]
    assert all(math.isfinite(float(loss)) for _, loss in losses)
    assert {path.name for path in tmp_path.iterdir()} == {"pupil", "few.toml"}
    net = AutoModelForCausalLM.from_pretrained(base)
    tokens = torch.arange(8)[None]
    with torch.inference_mode():
        before = net(tokens).logits.clone()
        taught = peft.PeftModel.from_pretrained(net, tmp_path / "pupil")
        assert not torch.equal(taught(tokens).logits, before)
    config, shipped = (
        json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        for folder in (tmp_path / "pupil", SHIPPED)
    )
    assert config["base_model_name_or_path"] == "tiny-llama"
    # It counts as much as the one that ships.
    assert config["lora_alpha"] / config["r"] == shipped["lora_alpha"] / shipped["r"]


@pytest.mark.slow
@pytest.mark.model
def test_the_same_seed_gives_the_same_adapter_and_an_old_one_is_replaced(arguments, tmp_path):
    weights = tmp_path / "pupil" / "adapter_model.safetensors"
    written = []
    for seed in (1, 2, 1):
        assert main([*arguments, "--steps", "2", "--seed", str(seed)]) == 0
        written.append(weights.read_bytes())

    assert written[0] == written[2] != written[1]


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.system
def test_a_training_that_is_interrupted_leaves_nothing(arguments, tmp_path):
    command = [TRAINER, "-m", "bat_os.training.training", *arguments, "--steps", "500"]
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    try:
        said = next((line for line in child.stdout if line.startswith("step 1 ")), "")
        child.send_signal(signal.SIGINT)
        last = child.communicate()[0].splitlines()[-1]
    finally:
        child.kill()

    assert said
    assert (child.returncode, last) == (130, "stopped; nothing was written")
    assert [path.name for path in tmp_path.iterdir()] == ["few.toml"]


def test_a_folder_with_other_things_is_left_alone(arguments, tmp_path, capsys):
    (tmp_path / "pupil").mkdir()
    kept = tmp_path / "pupil" / "letter.txt"
    kept.write_text("dear", encoding="utf-8")

    assert main(arguments) == 1

    assert "has other files" in capsys.readouterr().out
    assert kept.read_text(encoding="utf-8") == "dear"


@pytest.mark.model
def test_a_base_that_is_no_model_is_named(arguments, tmp_path, capsys):
    assert main([*arguments, "--base", str(tmp_path)]) == 1

    assert "is not a model that can be trained" in capsys.readouterr().out


def test_examples_that_are_no_text_are_refused(arguments, tmp_path, capsys):
    (tmp_path / "few.toml").write_bytes(b"\xff\xfe")

    assert main(arguments) == 1

    assert "is not UTF-8" in capsys.readouterr().out


@pytest.mark.parametrize("option", [("--steps", "0"), ("--lr", "nan"), ("--precision", "int8")])
def test_options_that_make_no_sense_are_refused(arguments, option, capsys):
    with pytest.raises(SystemExit):
        main([*arguments, *option])
    assert option[0] in capsys.readouterr().err
