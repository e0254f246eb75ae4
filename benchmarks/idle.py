"""What a person notices of idle work: known messages while the mind practises. Real model.

    python benchmarks/idle.py [--messages N]        some minutes; prints one table

A real daemon learns one method and fails at one wish, then is left alone. Messages for the known
method come seconds apart: first with the setting ``idle`` = "off", then each in the middle of a
draw, which it breaks off. The daemon of the second part begins two seconds after the last message,
rests only briefly, and does not look at what other programs do; nothing else is changed. At the
end it is left alone until something is proposed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.client.client import KernelClient  # noqa: E402 - runs from a checkout
from benchmarks.mission import TIME, once, stop, until  # noqa: E402 - as above
from benchmarks.processor import processor_seconds  # noqa: E402 - as above

FAILS = "word_frequencies", "count how often each word occurs in a text", ("a b a",)
APART = 3.0  # seconds between two messages
DRAWS = 0.3  # seconds of processor time after which it is at work
PATIENCE = 600.0  # seconds until something is proposed
EAGER = """
import sys
from bat_os.kernel.idle import heartbeat, politeness
heartbeat.QUIET_SECONDS, heartbeat.LOOK_SECONDS, heartbeat.REST = 2.0, 0.2, 0.1
politeness.LOAD = 1e9
from bat_os.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def serve(home: Path, idle: str) -> subprocess.Popen[bytes]:
    """Return a kernel process that serves ``home`` and works as soon as nobody is there."""
    return subprocess.Popen(
        [sys.executable, "-c", EAGER, "serve", "--home", str(home), "--supervised",
         "--tcp-port", "-1"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "BATOS_IDLE": idle},
    )  # fmt: skip


async def ask_apart(
    home: Path, kernel: subprocess.Popen[bytes], count: int, *, drawing: bool
) -> list[float]:
    """Return the seconds of ``count`` known messages, each sent in the middle of a draw."""
    took: list[float] = []
    async with KernelClient.at(home) as client:
        while len(took) < count:
            await asyncio.sleep(APART)
            spent, until_ = processor_seconds(kernel.pid), time.monotonic() + PATIENCE
            while drawing and processor_seconds(kernel.pid) - spent < DRAWS:
                if time.monotonic() > until_:
                    print(f"nothing was drawn any more after {len(took)}", file=sys.stderr)
                    return took
                await asyncio.sleep(0.05)
            begun = time.perf_counter()
            await client.request("send", target="genesis_obj", selector=TIME[0])
            took.append(time.perf_counter() - begun)
            print(f"{took[-1] * 1e3:.1f} ms", file=sys.stderr)
    return took


async def wait_for_proposals(home: Path) -> str:
    """Return what is proposed; it is looked at seldom, since a look is somebody's, too."""
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE:
        await asyncio.sleep(60)
        async with KernelClient.at(home) as client:
            told = await client.request("proposals")
        if told["proposals"]:
            found = told["proposals"][0]
            return f"{found['what']} ({found['why']}; {told['spent']:.0f} cpu s)"
    return "nothing"


async def measure(home: Path, messages: int) -> list[tuple[str, str]]:
    """Return (what, value) rows."""
    rows, middles = [], []
    for idle, name in (("off", "quiet"), ("propose", "in the middle of a draw")):
        kernel = serve(home, idle)
        try:
            await until(home, "ready")
            for wish in (TIME, FAILS):
                await once(home, *wish)
            took = sorted(await ask_apart(home, kernel, messages, drawing=idle != "off"))
            middles.append((median(took), took[-1]))
            shown = " / ".join(f"{one * 1e3:.1f}" for one in middles[-1])
            rows.append((f"known message, {name}: median / slowest of {len(took)}", f"{shown} ms"))
            if idle != "off":
                rows.append(("proposed, left alone", await wait_for_proposals(home)))
        finally:
            await asyncio.to_thread(stop, kernel)
    more = [(after - before) * 1e3 for before, after in zip(*middles, strict=True)]
    rows.append(("more while it practises: median / slowest", f"{more[0]:.1f} / {more[1]:.1f} ms"))
    return rows


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=30)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="batos-idle-") as folder:
        rows = asyncio.run(measure(Path(folder) / "home", options.messages))
    for what, value in rows:
        print(f"{what:<64}{value}")
    print(f"{os.cpu_count()} cores; load before {load:.1f}, after {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
