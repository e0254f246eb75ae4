"""bat_os.kernel.heap: what a process has freed goes back to the system, in a process of its own."""

import subprocess
import sys

import pytest

from bat_os.kernel.heap import has_glibc

BURST = """
import asyncio, threading
from bat_os.kernel import heap

def work(together, kept, peaks):
    blocks = [b"x" * 20_000 for _ in range(600)]
    kept.append(blocks[0])
    together.wait()
    peaks.append(heap._resident())
    together.wait()

async def main():
    heap.share_arena()
    before, kept, peaks = heap._resident(), [], []
    bytes(8 << 20)  # from now on glibc keeps up to 16 MB at the end of each arena
    shared = threading.Barrier(5), kept, peaks
    threads = [threading.Thread(target=work, args=shared) for _ in range(5)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    trimming = asyncio.create_task(heap.keep_trimming(0.01))
    for _ in range(500):
        await asyncio.sleep(0.01)
        if heap._resident() - before < 8 << 20:
            break
    print((max(peaks) - before) >> 20, (heap._resident() - before) >> 20)
    trimming.cancel()

asyncio.run(main())
"""


@pytest.mark.skipif(not has_glibc(), reason="another C library than glibc")
def test_what_threads_have_freed_goes_back_although_some_of_it_is_kept():
    done = subprocess.run([sys.executable, "-c", BURST], capture_output=True, text=True, check=True)
    most, after = map(int, done.stdout.split())
    assert most > 40
    assert after < 8
