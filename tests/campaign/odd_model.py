"""A model that fails in the way that the selector asks for; and one on a server."""

import asyncio

from bat_os.engines.openai import OpenAiEngine
from bat_os.engines.scripted import ScriptedEngine
from bat_os.errors import ModelError, ModelMemoryError
from tests.kernel.minds import PLAN, roster_of

RUBBISH = "\x00\ud800 ```python\nimport os; os.system('x')\n" + "def " * 50


class OddEngine(ScriptedEngine):
    """Writes ``return 1`` as every method, except for selectors that begin with a fault.

    ``crash_*``: the model is gone. ``break_*``: the adapter has a fault. ``memory_*``: no room.
    ``hang_*``: no answer, ever. ``rubbish_*``: neither Python nor JSON, ``babble_*``: JSON, but
    no Python. ``slow_*``: takes its time.
    """

    def __init__(self):
        super().__init__(self._write, name="odd")

    async def generate(self, prompts, sampling, **more):
        asked = "".join(text for _, text in prompts[0].messages) + prompts[0].prefill
        for word, fault in FAULTS.items():
            if f"{word}_" in asked:
                await fault()
        return await super().generate(prompts, sampling, **more)

    @staticmethod
    def _write(prompt, sampling, _index):
        asked = prompt.messages[-1][1] + prompt.prefill
        if "rubbish_" in asked or ("babble_" in asked and sampling.schema is None):
            return RUBBISH
        return " return 1" if sampling.schema is None else PLAN


async def crash():
    raise ModelError("the model's process has ended; it starts again with the next brief")


async def break_down():
    raise RuntimeError("a fault inside the library")


async def run_out_of_memory():
    raise ModelMemoryError("the model does not fit into memory")


async def hang():
    await asyncio.get_running_loop().create_future()


async def be_slow():
    await asyncio.sleep(0.15)


FAULTS = {
    "crash": crash,
    "break": break_down,
    "memory": run_out_of_memory,
    "hang": hang,
    "slow": be_slow,
}


def roster_for(model):
    """Return a roster for the value of CAMPAIGN_MODEL."""
    return roster_of(OddEngine() if model == "odd" else OpenAiEngine("served", model))
