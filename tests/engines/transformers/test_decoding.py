"""What is drawn depends on the prompt, the seed and the row, and on nothing else."""

from dataclasses import replace

import pytest

from bat_os.engines.base import prepare

prepare(1)

import torch  # noqa: E402 - after the switches are set

from bat_os.core.forms import Device, Form  # noqa: E402
from bat_os.engines.transformers.decoding import draw  # noqa: E402
from bat_os.engines.transformers.loading import load_model  # noqa: E402
from bat_os.ports import Prompt, Sampling  # noqa: E402

pytestmark = pytest.mark.slow

START = "You are terse and write short methods. " * 3
CPU = Device("cpu", "any", 1 << 33, 1 << 33, 1 << 33, bf16=False, packs=False)


@pytest.fixture(scope="module")
def model(tiny_folder):
    return load_model(tiny_folder, Form("auto", "cpu", False, "for a test"), CPU)


def ask(model, *texts, halted=lambda: False, **sampling):
    prompts = [Prompt((("user", text),)) for text in texts]
    return draw(model, prompts, Sampling(**({"max_tokens": 12} | sampling)), halted)


@pytest.fixture
def passes(model):
    """Return the sizes ``(rows, tokens)`` of what goes through the model."""
    seen = []
    hook = model.net.register_forward_hook(
        lambda _net, _args, given, _out: seen.append(tuple(given["input_ids"].shape)),
        with_kwargs=True,
    )
    yield seen
    hook.remove()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_batch_draws_what_each_prompt_draws_alone(model, temperature):
    texts = [START + "a fox", "You are", "Something else entirely", START, START + "a fox and"]
    together = ask(model, *texts, temperature=temperature)
    # The first row of a call has the random numbers of row 0.
    alone = [ask(model, *[text] * 5, temperature=temperature)[at] for at, text in enumerate(texts)]

    assert [c.text for c in together] == [c.text for c in alone]
    assert [c.read for c in together] == [c.read for c in alone]


def test_what_is_drawn_does_not_depend_on_other_rows_ending(model):
    [long] = ask(model, START + "x")
    both = ask(model, START + "x", START + "y", stop=long.text[4])

    assert both[0].text == long.text[: long.text.index(long.text[4])]


def test_the_beginning_that_prompts_share_is_read_once(model, passes):
    completions = ask(model, *[START] * 3, max_tokens=1)
    shared = completions[0].read - 1

    assert passes == [(1, shared), (3, 1)]
    assert [c.reused for c in completions] == [0, 0, 0]


def test_prompts_that_share_nothing_are_read_side_by_side(model, passes):
    ask(model, "one", "other", "a third", max_tokens=2)

    assert [rows for rows, _ in passes] == [3, 3]


def test_a_raised_flag_is_seen_between_two_pieces_of_a_prompt(model, passes):
    looks = iter([False, True])
    small = replace(model, piece=16)
    [completion] = ask(small, START * 4, halted=lambda: next(looks))

    assert (completion.text, completion.finished) == ("", False)
    assert passes == [(1, 16)]


def test_what_the_folder_says_about_drawing_changes_nothing(tiny_folder, model, tmp_path):
    from transformers import GenerationConfig, LlamaForCausalLM

    net = LlamaForCausalLM.from_pretrained(tiny_folder)
    net.generation_config = GenerationConfig(
        do_sample=True, repetition_penalty=1.9, max_length=5, eos_token_id=[256, 255]
    )
    net.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    other = load_model(tmp_path, Form("auto", "cpu", False, "for a test"), CPU)

    assert other.ends == {255, 256}
    assert ask(other, START)[0].text == ask(model, START)[0].text


def test_drawing_leaves_no_hook_behind(model):
    ask(model, START)
    ask(model, START, halted=lambda: True)
    with pytest.raises(ValueError, match="broken"):
        ask(model, START, halted=lambda: (_ for _ in ()).throw(ValueError("broken")))

    assert not model.net._forward_pre_hooks
    assert torch.is_grad_enabled()
