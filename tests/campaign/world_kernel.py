"""The real kernel with a file in whose folder nobody can look what was done.

    python -m tests.campaign.world_kernel serve --home HOME --supervised ...

``blind.txt`` gets its lines as a letter gets into a letter box: one more each time, and nobody can
say afterwards whether it is in. All other files are those of the real driver. With CAMPAIGN_AWAIT
set, the message waits for the answer of such a line.
"""

import os
import sys
from pathlib import Path

from bat_os.ports import AWAIT, Operation
from bat_os.world.files import Files

BLIND = "blind.txt"


class PartlyBlind(Files):
    """The real driver, but for one file."""

    def perform(self, scope, operation, args, key=""):
        if operation != "append" or args[0] != BLIND:
            return super().perform(scope, operation, args, key)
        with (Path(scope["path"]) / BLIND).open("a") as stream:
            stream.write(f"{args[1]}\n")
            stream.flush()
            os.fsync(stream.fileno())
        return len(args[1])

    def operations(self, scope):
        awaited = {"append": Operation(AWAIT)} if os.environ.get("CAMPAIGN_AWAIT") else {}
        return {**super().operations(scope), **awaited}

    def was_done(self, deed, before):
        return None if deed.args[0] == BLIND else super().was_done(deed, before)


def main(argv):
    from bat_os.app import wiring

    wiring.Files = PartlyBlind
    from bat_os.cli import main as kernel

    return kernel.main(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
