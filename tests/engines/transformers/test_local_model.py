"""One model in memory: what goes wrong stays small, and memory really goes back."""

import json
import shutil
import subprocess
import sys
import threading

import pytest

from bat_os.core.forms import Device, Form
from bat_os.engines.transformers.engine import LocalModel
from bat_os.errors import ModelError, ModelMemoryError
from bat_os.ports import Prompt, Sampling
from tests.engines.tiny import make_adapter, make_tiny

pytestmark = pytest.mark.slow

PROMPT = Prompt((("user", "Name the seven days of the week."),))
# Reads, draws, parks and takes back, five times; prints what memory it held.
SWAPS = """
import json, sys
from pathlib import Path
import psutil
from bat_os.engines.transformers.engine import LocalModel
from bat_os.ports import Prompt, Sampling

def rss():
    return psutil.Process().memory_info().rss

model = LocalModel("swapped", 1)
model.load(Path(sys.argv[1]))
held = []
for _ in range(5):
    model.draw([Prompt((("user", "Hello"),))], Sampling(max_tokens=1), lambda: False)
    resident = rss()
    model.park()
    held.append((resident, rss()))
print(json.dumps({"bytes": model.bytes, "held": held}))
"""


@pytest.fixture
def model(tiny_folder):
    model = LocalModel("tiny", 1)
    model.load(tiny_folder)
    return model


def draw(model, **arguments):
    return model.draw([PROMPT], Sampling(max_tokens=10), lambda: False, **arguments)[0].text


def test_a_parked_model_holds_nothing_and_comes_back_the_same(model):
    from bat_os.engines.transformers.loading import held_bytes

    first = draw(model)
    held = held_bytes(model.model.net)
    model.park()
    assert model.state == "parked"
    assert held_bytes(model.model.net) < held / 100

    assert draw(model) == first
    assert model.state == "resident"
    assert model.bytes >= held


@pytest.mark.model
def test_memory_goes_back_to_the_system_and_does_not_grow_with_swaps(smollm_folder):
    told = subprocess.run(
        [sys.executable, "-c", SWAPS, str(smollm_folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(told.stdout)
    (resident, _), (_, second), *_, (_, last) = answer["held"]
    weights = (smollm_folder / "model.safetensors").stat().st_size

    assert weights * 0.95 < answer["bytes"] < weights * 1.5
    assert resident - last > 0.8 * weights
    assert last < 1.05 * second


def test_a_parked_model_whose_files_were_replaced_is_loaded_anew(tmp_path):
    folder = make_tiny(tmp_path / "model")
    other = make_tiny(tmp_path / "other", seed=7)
    model = LocalModel("replaced", 1)
    model.load(folder)
    first, digest = draw(model), model.digest
    model.park()
    (other / "model.safetensors").replace(folder / "model.safetensors")
    second = draw(model)

    assert second != first
    assert model.digest != digest


def test_a_model_whose_files_are_gone_is_an_error_until_they_are_back(tmp_path):
    folder = make_tiny(tmp_path / "model")
    model = LocalModel("gone", 1)
    model.load(folder)
    first = draw(model)
    model.park()
    folder.rename(tmp_path / "away")
    with pytest.raises(ModelError, match="gone cannot be loaded"):
        draw(model)
    assert model.state == "unloaded"

    (tmp_path / "away").rename(folder)
    assert draw(model) == first


def test_weights_that_are_missing_are_an_error_and_no_random_numbers(tiny_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_folder, tmp_path / "holes")
    state = load_file(folder / "model.safetensors")
    state.pop("model.layers.1.mlp.up_proj.weight")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    model = LocalModel("holes", 1)
    with pytest.raises(ModelError, match=r"missing.*up_proj"):
        model.load(folder)

    model.load(tiny_folder)
    assert draw(model)


def test_a_load_that_fails_does_not_spoil_one_that_runs_beside_it(tiny_folder, tmp_path):
    broken = shutil.copytree(tiny_folder, tmp_path / "broken")
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 5}))
    good = [LocalModel(f"good{number}", 1) for number in range(2)]
    bad = LocalModel("bad", 1)
    errors = []

    def fail():
        try:
            bad.load(broken)
        except ModelError as error:
            errors.append(error)

    jobs = [threading.Thread(target=one.load, args=[tiny_folder]) for one in good]
    jobs.insert(1, threading.Thread(target=fail))
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()

    assert len(errors) == 1
    assert draw(good[0]) == draw(good[1]) != ""
    import torch

    assert torch.get_default_dtype() == torch.float32


def test_a_model_too_large_for_the_machine_is_refused_before_it_is_read(tiny_folder):
    small = Device("cpu", "a small machine", 1 << 30, 1000, 1000, bf16=False, packs=False)
    model = LocalModel("large", 1, small)
    with pytest.raises(ModelMemoryError, match="large does not fit"):
        model.load(tiny_folder)

    assert model.state == "unloaded"


def test_texts_too_long_for_the_memory_are_refused_and_the_model_goes_on(tmp_path):
    model = LocalModel("long", 1)
    model.load(make_tiny(tmp_path / "long", context=10**15))
    first = draw(model)
    for rows in (1, 3):
        with pytest.raises(ModelMemoryError, match="long does not fit"):
            model.draw([PROMPT] * rows, Sampling(max_tokens=10**14), lambda: False)

    assert draw(model) == first


def test_memory_that_runs_out_while_drawing_is_an_error_and_the_model_goes_on(model):
    import torch

    first = draw(model)
    hook = model.model.net.register_forward_pre_hook(
        lambda *_: torch.empty(1 << 60, dtype=torch.uint8) and None
    )
    with pytest.raises(ModelMemoryError, match="tiny does not fit"):
        draw(model)
    hook.remove()

    assert draw(model) == first


def test_a_model_that_is_spread_by_accelerate_draws_the_same(tiny_folder):
    from bat_os.engines.transformers.decoding import draw as draw_from
    from bat_os.engines.transformers.loading import find_weights, load_model

    texts, maps = [], []
    for free in (10**9, 300_000):
        device = Device("cpu", "a small machine", free, free, free, bf16=False, packs=False)
        form = Form("auto", "cpu" if free == 10**9 else "auto", False, "for a test")
        model = load_model(tiny_folder, form, device)
        maps.append(set(getattr(model.net, "hf_device_map", {}).values()))
        [completion] = draw_from(model, [PROMPT], Sampling(max_tokens=10), lambda: False)
        texts.append(completion.text)

    assert maps == [set(), {"cpu", "disk"}]
    assert texts[0] == texts[1]
    assert find_weights(model, tiny_folder) is None


def test_adapters_named_before_the_load_are_there_after_it(tiny_folder, adapter_folder):
    model = LocalModel("tiny", 1)
    model.add_adapter("expert", adapter_folder)
    model.load(tiny_folder)
    plain, expert = draw(model), draw(model, adapter="expert")
    model.park()
    model.drop()
    model.load(tiny_folder)

    assert model.adapters == ["expert"]
    assert plain != expert
    assert (draw(model, adapter="expert"), draw(model)) == (expert, plain)


def test_an_adapter_may_come_while_the_model_is_parked(model, adapter_folder):
    plain = draw(model)
    model.park()
    model.add_adapter("expert", adapter_folder)

    assert draw(model, adapter="expert") != plain
    assert draw(model) == plain


def test_a_new_adapter_of_the_same_name_takes_the_place_of_the_old(
    model, tiny_folder, adapter_folder, tmp_path
):
    other = make_adapter(tiny_folder, tmp_path / "other", seed=9)
    model.add_adapter("expert", adapter_folder)
    first = draw(model, adapter="expert")
    model.add_adapter("expert", other)
    second = draw(model, adapter="expert")
    model.add_adapter("expert", adapter_folder)

    assert first != second
    assert draw(model, adapter="expert") == first
    assert model.adapters == ["expert"]


def test_an_adapter_that_does_not_fit_spoils_no_other_call(tiny_folder, tmp_path, adapter_folder):
    wide = make_adapter(make_tiny(tmp_path / "wide", hidden=128), tmp_path / "misfit")
    model = LocalModel("tiny", 1)
    model.add_adapter("misfit", wide)
    model.add_adapter("expert", adapter_folder)
    model.load(tiny_folder)
    with pytest.raises(ModelError, match="misfit does not fit"):
        draw(model, adapter="misfit")
    with pytest.raises(ModelError, match="second does not fit"):
        model.add_adapter("second", shutil.copytree(wide, tmp_path / "second"))

    assert draw(model) != draw(model, adapter="expert")
    assert model.adapters == ["expert", "misfit"]
