"""Models made on the spot: random weights in shapes of a few hundred kilobytes, and adapters.

They say nothing sensible, but the same nonsense for the same input, through the same code as
a real model.
"""

import json
import warnings
from contextlib import contextmanager

import torch
from gguf import GGUFWriter, TokenType
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from bat_os.engines.gguf import LAYERS
from bat_os.engines.loragguf import permute

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
END = "<end>"


def make_tiny(
    folder, *, seed=0, hidden=64, dtype=torch.float32, shard="5GB", context=2048, kind=LlamaConfig
):
    """Write a small llama with a tokenizer of single bytes; return ``folder``.

    ``kind`` may be the configuration of a model with the same parts.
    """
    vocabulary = {character: number for number, character in enumerate([*ALPHABET, END])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END).save_pretrained(folder)
    torch.manual_seed(seed)
    config = kind(
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
    AutoModelForCausalLM.from_config(config).to(dtype).save_pretrained(folder, max_shard_size=shard)
    return folder


def write_gguf(folder, file):
    """Write the model that ``make_tiny`` made as a GGUF file; return ``file``."""
    net = AutoModelForCausalLM.from_pretrained(folder)
    config, weights = net.config, {n: w.numpy() for n, w in net.state_dict().items()}
    writer = GGUFWriter(file, config.model_type)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer)
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    names = {path: name for name, path in LAYERS.items()}
    names |= {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    heads = {}
    if config.model_type == "llama":
        heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, values in weights.items():
        if name.startswith("model.layers."):
            number, _, rest = name.removeprefix("model.layers.").partition(".")
            path, _, side = rest.rpartition(".")
            count = heads.get(names[path])
            rows = permute(values, count) if count else values
            writer.add_tensor(f"blk.{number}.{names[path]}.{side}", rows.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tokenizer(writer):
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*ALPHABET, END])
    writer.add_token_types([TokenType.NORMAL] * len(ALPHABET) + [TokenType.CONTROL])
    writer.add_token_merges([f"{ALPHABET[-1]} {ALPHABET[-1]}"])  # there has to be one
    writer.add_eos_token_id(len(ALPHABET))
    writer.add_chat_template("{% for one in messages %}{{ one['content'] }}{% endfor %}")


@contextmanager
def ignoring_peft():
    """Let peft's own wrapper, which the engine does not use, ask for a name that is going."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
        yield


def adapted_by_peft(base, folder):
    """Return the model in ``base`` as peft's own wrapper adapts it."""
    from peft import PeftModel

    net = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    with ignoring_peft():
        return PeftModel.from_pretrained(net, str(folder)).eval()


def make_adapter(base, folder, *, seed=1, rank=4, targets=("q_proj", "down_proj"), **changes):
    """Write a random LoRA adapter for the model in ``base``; ``changes`` go to its config."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    net = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(
        r=rank,
        lora_alpha=8 * rank,
        target_modules=list(targets),
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    with ignoring_peft():
        get_peft_model(net, config).save_pretrained(folder)
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return folder
