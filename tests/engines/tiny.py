"""Models made on the spot: random weights in shapes of a few hundred kilobytes, and adapters.

They say nothing sensible, but the same nonsense for the same input, through the same code as
a real model.
"""

import json
import warnings
from contextlib import contextmanager

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
END = "<end>"


def make_tiny(folder, *, seed=0, hidden=64, dtype=torch.float32, shard="5GB", context=2048):
    """Write a small llama with a tokenizer of single bytes; return ``folder``."""
    vocabulary = {character: number for number, character in enumerate([*ALPHABET, END])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END).save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        # Large enough that what comes next depends on all that came before.
        initializer_range=0.2,
        eos_token_id=vocabulary[END],
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).to(dtype).save_pretrained(folder, max_shard_size=shard)
    return folder


@contextmanager
def ignoring_peft():
    """Let peft's own wrapper, which the engine does not use, ask for a name that is going."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
        yield


def adapted_by_peft(base, folder):
    """Return the model in ``base`` as peft's own wrapper adapts it."""
    from peft import PeftModel

    net = LlamaForCausalLM.from_pretrained(base, dtype="auto")
    with ignoring_peft():
        return PeftModel.from_pretrained(net, str(folder)).eval()


def make_adapter(base, folder, *, seed=1, rank=4, **changes):
    """Write a random LoRA adapter for the model in ``base``; ``changes`` go to its config."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    net = LlamaForCausalLM.from_pretrained(base)
    config = LoraConfig(
        r=rank,
        lora_alpha=8 * rank,
        target_modules=["q_proj", "down_proj"],
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    with ignoring_peft():
        get_peft_model(net, config).save_pretrained(folder)
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return folder
