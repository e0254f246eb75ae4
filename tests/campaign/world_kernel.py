"""The real kernel with a file in whose folder nobody can look what was done.

    python -m tests.campaign.world_kernel serve --home HOME --supervised ...

``blind.txt`` gets its lines as a letter gets into a letter box: one more each time, and nobody can
say afterwards whether it is in. All other files are those of the real driver. With CAMPAIGN_AWAIT
set, the message waits for the answer of such a line.

CAMPAIGN_HOLD names a folder. While it has a file ``look``, deeds wait there before they begin, and
while it has a file ``done``, they wait before anybody hears that they are done; ``waits`` says that
one does. CAMPAIGN_WITHOUT names an operation that this version of the program does not have.
With CAMPAIGN_STEPS, all personas think with a model that decides on steps, as ``decide`` does.
"""

import json
import os
import re
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
        if operation != "append" or Path(args[0]).name != BLIND:
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
        return None if Path(deed.args[0]).name == BLIND else super().was_done(deed, before)


def hold(name):
    folder = os.environ.get("CAMPAIGN_HOLD")
    while folder and Path(folder, name).exists():
        Path(folder, "waits").touch()
        time.sleep(0.01)


def decide(prompt, *_):
    """Return the next of five decisions: two files are read, two are changed, and that is all."""
    asked = prompt.messages[-1][1]
    steps = len(re.findall(r"^Step \d+:", asked, re.MULTILINE))
    request = re.search(r"^Request: (.*)$", asked, re.MULTILINE)[1]
    paths, word = re.findall(r"/\S+\.txt", request), re.search(r"word (\w+)", request)[1]
    if steps == 2 * len(paths):
        return json.dumps({"answer": "all is done"})
    text = {"text": word} if steps >= len(paths) else {}
    tool = "files.append" if text else "files.read"
    return json.dumps({"tool": tool, "args": {"path": paths[steps % len(paths)], **text}})


def take_steps(wiring):
    """Have an able model and the real embedding model in a kernel without any."""
    from bat_os.core.ability import Ability
    from bat_os.engines.minilm import packaged_embedder
    from bat_os.kernel.context import KernelContext

    wiring.HashEmbedder = packaged_embedder
    wiring.read_script = lambda path: decide
    KernelContext.ability_of = lambda self, persona: Ability(tools=1.0)


def main(argv):
    from bat_os.app import wiring

    wiring.Files = PartlyBlind
    if os.environ.get("CAMPAIGN_STEPS"):
        take_steps(wiring)
    from bat_os.cli import main as kernel

    return kernel.main(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
