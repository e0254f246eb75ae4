"""Models that are stored packed: bitsandbytes NF4, made and used on the CPU."""

import json
import shutil

import pytest

from bat_os.engines.transformers.engine import LocalModel
from bat_os.engines.transformers.forms import quantize_folder
from bat_os.engines.transformers.loading import digest_of
from bat_os.errors import ModelError
from bat_os.ports import Prompt, Sampling

pytestmark = pytest.mark.slow

PROMPT = Prompt((("user", "Name the seven days of the week."),))


@pytest.fixture(scope="module")
def packed(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "tiny-nf4"
    quantize_folder(tiny_folder, folder, lambda _line: None, "cpu")
    return folder


def draw(model, **arguments):
    return model.draw([PROMPT], Sampling(max_tokens=10), lambda: False, **arguments)[0].text


def test_the_packed_form_says_what_it_is_and_is_smaller(tiny_folder, packed):
    config = json.loads((packed / "config.json").read_text())["quantization_config"]

    assert config["bnb_4bit_quant_type"] == "nf4"
    assert config["bnb_4bit_use_double_quant"] is True
    assert config["bnb_4bit_compute_dtype"] == "bfloat16"
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (tiny_folder, packed)]
    assert sizes[1] < sizes[0] / 2


def test_packing_again_gives_the_same_bytes(tiny_folder, packed, tmp_path):
    said = []
    quantize_folder(tiny_folder, tmp_path / "again", said.append, "cpu")

    assert digest_of(tmp_path / "again") == digest_of(packed)
    assert len(said) > 1
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_packed_model_answers_and_comes_back_from_parking(packed):
    model = LocalModel("nf4", 1)
    model.load(packed)
    first = draw(model)
    model.park()
    parked = model.state
    second = draw(model)

    assert (parked, model.state) == ("parked", "resident")
    assert first == second != ""


def test_a_packed_model_takes_adapters(tiny_folder, packed, adapter_folder):
    model = LocalModel("nf4", 1)
    model.add_adapter("expert", adapter_folder)
    model.load(packed)
    texts = [draw(model, adapter=name) for name in ("", "expert", "")]
    model.park()
    texts.append(draw(model, adapter="expert"))

    assert texts[0] == texts[2] != texts[1] == texts[3]


def test_a_packed_model_is_not_packed_again(packed, tmp_path):
    with pytest.raises(ModelError, match="packed already"):
        quantize_folder(packed, tmp_path / "twice", lambda _line: None)

    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_read_leaves_nothing_behind(tiny_folder, tmp_path):
    source = shutil.copytree(tiny_folder, tmp_path / "source")
    weights = source / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="source cannot be quantized"):
        quantize_folder(source, tmp_path / "packed", lambda _line: None)

    assert [path.name for path in tmp_path.iterdir()] == ["source"]
