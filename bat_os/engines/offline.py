"""Prepares this process for torch and the Hugging Face libraries: offline, silent, few threads.

These libraries read their switches from the environment while they are imported, so
``prepare`` comes before the first import of any of them.
"""

from __future__ import annotations

import logging as stdlib_logging
import os
from typing import Final

SWITCHES: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def default_threads() -> int:
    """Return the cores that this process may use, less one for the event loop; at least 1.

    More threads than free cores is the costliest mistake on a CPU: decoding becomes
    several times slower as soon as anything else runs.
    """
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)) - 1)
    return max(1, (os.cpu_count() or 1) - 1)


def prepare(threads: int) -> None:
    """Set the switches and the number of threads of torch for the calling thread."""
    os.environ.update(SWITCHES)
    # Heavy, and only right after the switches are set.
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # theirs has no types
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # nor this
    torch.set_num_threads(threads)
    # It tells everyone on standard error which kernels it could have downloaded.
    stdlib_logging.getLogger("bitsandbytes").setLevel(stdlib_logging.ERROR)
