"""What was read is not read again, and makes no difference to what is drawn."""

import pytest

from bat_os.engines.base import prepare

prepare(1)

import torch  # noqa: E402 - after the switches are set

from bat_os.engines.transformers.attention import Batch, PrefixCache, PromptState  # noqa: E402
from bat_os.engines.transformers.decoding import LoadedModel, draw  # noqa: E402
from bat_os.ports import Prompt, Sampling  # noqa: E402

pytestmark = pytest.mark.slow

START = "You are terse and write short methods. " * 3
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def net(tiny_folder):
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(tiny_folder).eval()


@pytest.fixture
def model(net, tiny_folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    return LoadedModel(net, tokenizer, frozenset({256}), 2048, CPU, piece=128)


def ask(model, *texts, **sampling):
    prompts = [Prompt((("user", text),)) for text in texts]
    return draw(model, prompts, Sampling(max_tokens=12, **sampling), lambda: False)


def fresh(model):
    model.prefixes.clear()
    return model


def a_state(tokens):
    part = torch.zeros(2, tokens, 4)
    return PromptState(((part, part),), torch.zeros(8))


def test_an_equal_prompt_is_not_read_again_and_draws_the_same(model):
    [first] = ask(model, START, temperature=1.0, seed=3)
    [second] = ask(model, START, temperature=1.0, seed=3)

    assert (first.reused, second.reused) == (0, second.read)
    assert first.text == second.text


def test_the_beginning_shared_with_an_earlier_prompt_is_not_read_again(model):
    ask(model, START + "one")
    [cached] = ask(model, START + "two and more")
    [read] = ask(fresh(model), START + "two and more")

    assert len(START) <= cached.reused < cached.read == read.read
    assert read.reused == 0
    assert cached.text == read.text


def test_a_batch_draws_the_same_whatever_part_of_each_prompt_was_read_before(model):
    texts = [START + "a fox", "You are", "Something else entirely", START, START + "a fox and"]
    alone = [ask(fresh(model), text)[0].text for text in texts]
    ask(fresh(model), START + "a fox")
    ask(model, "You are well")
    together = ask(model, *texts, texts[0])

    assert [c.text for c in together] == [*alone, alone[0]]
    reused = [c.reused for c in together]
    assert reused[0] == reused[5] == together[0].read
    assert 0 < reused[1] < together[1].read
    assert reused[2] == 0
    assert len(START) - 1 <= reused[3] <= len(START) + 1


def test_a_prompt_that_begins_another_is_read_but_for_its_last_token(model):
    ask(model, START + "one")
    tokens = model.encode(Prompt((("user", START),)))[:-2]
    known, _ = model.prefixes.find("", tokens)

    assert known == len(tokens) - 1


def test_what_was_drawn_does_not_depend_on_other_rows_ending(model):
    [long] = ask(fresh(model), START + "x")
    both = ask(fresh(model), START + "x", START + "y", stop=long.text[4])

    assert both[0].text == long.text[: long.text.index(long.text[4])]


def test_halting_before_everything_is_read_keeps_nothing(model):
    looks = iter([False, True])
    model.prefixes.clear()
    prompt = Prompt((("user", START * 4),))
    [completion] = draw(model, [prompt], Sampling(), lambda: next(looks))

    assert (completion.text, completion.finished) == ("", False)
    assert len(model.prefixes) == 0


def test_the_state_of_one_adapter_is_not_anothers():
    prefixes = PrefixCache()
    prefixes.keep("poet", (1, 2, 3), a_state(3))

    assert prefixes.find("poet", (1, 2, 4))[0] == 2
    assert prefixes.find("", (1, 2, 4)) == (0, None)

    prefixes.forget("poet")
    assert prefixes.find("poet", (1, 2, 4)) == (0, None)
    assert prefixes.size == 0


def test_the_prompts_kept_are_few_and_the_least_recently_used_goes_first():
    prefixes = PrefixCache(most_prompts=2)
    prefixes.keep("", (1, 1), a_state(2))
    prefixes.keep("", (2, 2), a_state(2))
    prefixes.find("", (1, 5))
    prefixes.keep("", (3, 3), a_state(2))

    assert [prefixes.find("", (token, 9))[0] for token in (1, 2, 3)] == [1, 0, 1]


def test_the_bytes_kept_are_bounded():
    size = a_state(3).size
    prefixes = PrefixCache(most_bytes=2 * size)
    for token in range(5):
        prefixes.keep("", (token, 0, 0), a_state(3))
    assert (len(prefixes), prefixes.size) == (2, 2 * size)

    prefixes.keep("", (9,) * 90, a_state(90))
    assert len(prefixes) == 2


def test_a_longer_prompt_takes_the_place_of_the_one_that_it_begins_with():
    prefixes = PrefixCache()
    prefixes.keep("", (1, 2), a_state(2))
    prefixes.keep("", (1, 2, 3), a_state(3))

    assert len(prefixes) == 1
    assert prefixes.size == a_state(3).size


def test_a_batch_tells_what_more_tokens_will_cost(net):
    batch = Batch(net, CPU, [(1, 2, 3), (4, 5)], PrefixCache())
    with torch.inference_mode():
        batch.prefill(lambda: False, 128)

    keys_and_values = 2 * 2 * (2 * 16) * 4  # two layers, two heads of 16, four bytes each
    assert batch.bytes_for(rows=10, more=5) == 10 * 8 * keys_and_values
