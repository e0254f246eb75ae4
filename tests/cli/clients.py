"""Client processes, as a person or a script starts them."""

import asyncio
import json
import os
from dataclasses import dataclass

from tests.forks import PYTHON
from tests.kernels import ROOT

# Whoever runs the tests may have a terminal, colours and a home of their own.
ENVIRON = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith("BATOS_") and key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
}


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        """The one JSON object on standard output."""
        assert self.out.count("\n") == 1, self
        return json.loads(self.out)


async def launch(script, home, *arguments, stdin=asyncio.subprocess.PIPE, **environ):
    return await asyncio.create_subprocess_exec(
        PYTHON, ROOT / script, *arguments, "--home", home,
        stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=ENVIRON | environ,
    )  # fmt: skip


async def finish(process, given=b""):
    out, err = await process.communicate(given)
    ended = Ended(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in ended.err, ended.err
    return ended


async def chat(home, *arguments, given=b"", **environ):
    """Run chat_client.py to its end; ``given`` is piped into it."""
    return await finish(await launch("chat_client.py", home, *arguments, **environ), given)


async def verb(home, *arguments, given=b"", **environ):
    """Run ``batos VERB`` to its end; ``given`` is piped into it."""
    return await finish(await launch("batos.py", home, *arguments, **environ), given)
