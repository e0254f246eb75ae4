"""What cannot be run on one machine: up to 1,000 kernels on one image, and on many, simulated.

    python -m benchmarks.minds [--seconds N] [--fsync MS]

Discrete events. A commit is the kernel's work, a trip, the engine's work (on so many cores), and
the serial part: one commit at a time of one image, held through the fsync, by FileStorage, by ZEO,
and by RelStorage too (its advisory lock -1, to the end of COMMIT). What another commit changed
meanwhile is a conflict; the loser comes again after a pause.

The costs are in milliseconds. Those of the kernel, and ZEO's, were measured commit by commit; of
PostgreSQL the engine's are half of what was measured under load, and the serial part is an
estimate. The trip, the fsync and the cores are assumptions. So read the shape, not the digits.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

TRIP: Final = 0.3  # a network in one room
RATE: Final = 10.0  # commits a second that each kernel wants: some two learned missions
TRIES: Final = 12
LEAST_PAUSE: Final = 4.0


@dataclass(frozen=True)
class Engine:
    """What a commit costs, in milliseconds."""

    kernel: float
    engine: float
    cores: int
    serial: float


ENGINES: Final = {"ZEO": Engine(2.3, 1.6, 1, 1.6), "PostgreSQL": Engine(3.0, 4.0, 8, 1.5)}


class Sim:
    """Kernels that commit to minds of one engine; each mind has a server of its own share.

    Args:
        engine: Its costs.
        kernels: How many; kernel k serves the mind k modulo ``minds``.
        minds: Images; each has a serial part of its own.
        servers: Engines that the minds share.
        hot: Objects that all kernels of a mind write; 0: each writes its own.
        fsync: Milliseconds.
    """

    def __init__(
        self, engine: Engine, *, kernels: int, minds: int, servers: int, hot: int, fsync: float
    ) -> None:
        self._engine, self._hot, self._fsync = engine, hot, fsync
        self._minds, self._kernels = minds, kernels
        self._chance = random.Random(1)  # noqa: S311 - a simulation
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = itertools.count()
        self._kernel_free = [0.0] * kernels
        self._cores = [[0.0] * engine.cores for _ in range(servers)]
        self._lock_free = [0.0] * minds
        self._written: dict[tuple[int, int], float] = {}
        self.took: list[float] = []
        self.conflicts = 0
        self.given_up = 0
        self._end = 0.0

    def run(self, seconds: float) -> dict[str, float]:
        """Return commits a second, p50 and p99 in milliseconds, and conflicts for each commit."""
        self._end = seconds * 1000
        for kernel in range(self._kernels):
            self._at(self._chance.random() * 1000 / RATE, self._arrive, kernel)
        while self._queue and self._queue[0][0] < self._end:
            now, _, what, args = heapq.heappop(self._queue)
            what(now, *args)
        took = sorted(self.took) or [float("nan")]
        return {
            "done": len(self.took) / seconds, "p50": took[len(took) // 2],
            "p99": took[int(len(took) * 0.99)], "conflicts": self.conflicts / len(took),
        }  # fmt: skip

    def _at(self, when: float, what: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self._queue, (when, next(self._count), what, args))

    def _arrive(self, now: float, kernel: int) -> None:
        self._at(now + self._chance.expovariate(RATE / 1000), self._arrive, kernel)
        self._begin(now, kernel, now, 0)

    def _begin(self, now: float, kernel: int, first: float, lost: int) -> None:
        start = max(now, self._kernel_free[kernel])
        self._kernel_free[kernel] = start + self._engine.kernel
        what = self._chance.randrange(self._hot) if self._hot else -1
        # Its reads are as old as the moment when it began, not as its place in the queue.
        self._at(start + self._engine.kernel + TRIP, self._commit, kernel, first, lost, what, start)

    def _commit(
        self, now: float, kernel: int, first: float, lost: int, what: int, read: float
    ) -> None:
        mind = kernel % self._minds
        cores = self._cores[mind % len(self._cores)]
        core = min(range(len(cores)), key=cores.__getitem__)
        ready = cores[core] = max(now, cores[core]) + self._engine.engine
        if what >= 0 and self._written.get((mind, what), -1.0) > read:
            self.conflicts += 1
            if lost + 1 < TRIES:
                pause = self._chance.random() * LEAST_PAUSE * 2 ** min(lost, 6)
                self._at(ready + TRIP + pause, self._begin, kernel, first, lost + 1)
            else:
                self.given_up += 1
            return
        over = max(ready, self._lock_free[mind]) + self._engine.serial + self._fsync
        self._lock_free[mind] = over
        if what >= 0:
            self._written[mind, what] = over
        if over <= self._end:
            self.took.append(over + TRIP - first)


def show(name: str, sim: Sim, kernels: int, minds: int, seconds: float) -> None:
    """Print a row."""
    got = sim.run(seconds)
    print(
        f"{name:<34}{kernels:>8,}{minds:>7}{kernels * RATE:>9,.0f}{got['done']:>9,.0f}"
        f"{got['p50']:>9,.0f}{got['p99']:>9,.0f}{got['conflicts']:>11.2f}",
        flush=True,
    )


def main(seconds: float, fsync: float) -> None:
    """Print both tables."""
    print(f"each kernel wants {RATE:.0f} commits/s; fsync {fsync:g} ms, trip {TRIP} ms\n")
    print(f"{'':<34}{'kernels':>8}{'minds':>7}{'wanted/s':>9}{'done/s':>9}{'p50 ms':>9}"
          f"{'p99 ms':>9}{'conflicts':>11}")  # fmt: skip
    layouts = (("one hot object", 1), ("1,000 objects", 1000), ("own trees", 0))
    for engine, costs in ENGINES.items():
        for layout, hot in layouts:
            for kernels in (1, 10, 100):
                sim = Sim(costs, kernels=kernels, minds=1, servers=1, hot=hot, fsync=fsync)
                show(f"{engine}, {layout}", sim, kernels, 1, seconds)
    print()
    for kernels, minds, servers in ((1000, 1, 1), (100, 10, 1), (1000, 100, 1), (1000, 100, 10)):
        sim = Sim(
            ENGINES["PostgreSQL"], kernels=kernels, minds=minds, servers=servers, hot=1000,
            fsync=fsync,
        )  # fmt: skip
        show(f"PostgreSQL, servers: {servers}", sim, kernels, minds, seconds / (kernels // 100))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="that are simulated")
    parser.add_argument("--fsync", type=float, default=1.0, help="milliseconds")
    options = parser.parse_args()
    main(options.seconds, options.fsync)
