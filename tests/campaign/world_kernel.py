"""The real kernel with a file in whose folder nobody can look what was done.

    python -m tests.campaign.world_kernel serve --home HOME --supervised ...

``blind.txt`` gets its lines as a letter gets into a letter box: one more each time, and nobody can
say afterwards whether it is in. All other files are those of the real driver. With CAMPAIGN_AWAIT
set, the message waits for the answer of such a line.

CAMPAIGN_HOLD names a folder. While it has a file ``look``, deeds wait there before they begin, and
while it has a file ``done``, they wait before anybody hears that they are done; ``waits`` says that
one does. CAMPAIGN_WITHOUT names an operation that this version of the program does not have.
"""

import os
import sys
import time
from pathlib import Path

from bat_os.ports import AWAIT, Operation
from bat_os.world.files import Files

BLIND = "blind.txt"


class PartlyBlind(Files):
    """The real driver, but for one file."""

    def look(self, deed):
        hold("look")
        return super().look(deed)

    def perform(self, scope, operation, args, key=""):
        answer = self._perform(scope, operation, args, key)
        if operation in ("append", "write", "remove"):
            hold("done")
        return answer

    def _perform(self, scope, operation, args, key):
        if operation != "append" or args[0] != BLIND:
            return super().perform(scope, operation, args, key)
        with (Path(scope["path"]) / BLIND).open("a") as stream:
            stream.write(f"{args[1]}\n")
            stream.flush()
            os.fsync(stream.fileno())
        return len(args[1])

    def operations(self, scope):
        awaited = {"append": Operation(AWAIT)} if os.environ.get("CAMPAIGN_AWAIT") else {}
        known = {**super().operations(scope), **awaited}
        known.pop(os.environ.get("CAMPAIGN_WITHOUT", ""), None)
        return known

    def was_done(self, deed, before):
        return None if deed.args[0] == BLIND else super().was_done(deed, before)


def hold(name):
    folder = os.environ.get("CAMPAIGN_HOLD")
    while folder and Path(folder, name).exists():
        Path(folder, "waits").touch()
        time.sleep(0.01)


def main(argv):
    from bat_os.app import wiring

    wiring.Files = PartlyBlind
    from bat_os.cli import main as kernel

    return kernel.main(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
