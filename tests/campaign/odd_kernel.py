"""The real kernel in a world that has gone wrong: a shifted clock, a blocked loop, a bad model.

    python -m tests.campaign.odd_kernel serve --home HOME --supervised ...

Takes the arguments of ``batos.py``. What is odd is told by the environment:

    CAMPAIGN_CLOCK   a file with seconds by which the clock is off; SIGUSR1 has it read again
    CAMPAIGN_GRACE   seconds after which a commit is slow, and that a shutdown may take
    CAMPAIGN_MODEL   ``odd``: a model that does what the selector says; a URL: an OpenAI server
    CAMPAIGN_EAR     a file for the silences of the event loop, see ``silence``

The verb ``campaign.block`` blocks the event loop for ever. SIGUSR2 has the log say what runs.
"""

import faulthandler
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

CLOCK, GRACE, MODEL, EAR = (f"CAMPAIGN_{name}" for name in ("CLOCK", "GRACE", "MODEL", "EAR"))


def shift_clock(file):
    """Let the wall clock of this process be off by what ``file`` says."""
    real, told = time.time, [0.0]

    def read(*_):
        told[0] = float(file.read_text())

    read()
    signal.signal(signal.SIGUSR1, read)
    time.time = lambda: real() + told[0]


def main(argv):
    faulthandler.register(signal.SIGUSR2)
    if CLOCK in os.environ:
        shift_clock(Path(os.environ[CLOCK]))  # before anything takes the function by its name
    from bat_os.app import wiring
    from bat_os.cli import main as kernel
    from bat_os.core import verbs as table
    from bat_os.core.fields import Verb
    from bat_os.image.files import ability
    from tests.campaign.odd_model import roster_for
    from tests.campaign.silence import Ear

    if GRACE in os.environ:
        ability.SLOW = kernel.GRACE = float(os.environ[GRACE])
        ability.STUCK = 2 * ability.SLOW

    if EAR in os.environ:
        Ear(Path(os.environ[EAR])).listen()
    assemble = wiring.assemble

    def odd(*given):
        parts = assemble(*given)
        verbs = {**parts.verbs, "campaign.block": block}
        if MODEL not in os.environ:
            return replace(parts, verbs=verbs)
        mind = replace(parts.mind, roster=roster_for(os.environ[MODEL]))
        return replace(parts, mind=mind, verbs=verbs)

    wiring.assemble = odd
    blocking = Verb("campaign.block", "block the event loop", on="wire")
    table.REQUESTS = {**table.REQUESTS, blocking.name: blocking}
    return kernel.main(argv)


async def block(_mind, _request, _tell):
    """Never give the loop back."""
    while True:
        time.sleep(60)  # noqa: ASYNC251 - that is the point


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
