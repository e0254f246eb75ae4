"""A first client of two frames, as a process of its own, and a kernel with an open loopback."""

import json
import subprocess

import pytest

from tests.forks import PYTHON
from tests.kernels import KernelProcess, write_script
from tests.system.conftest import ROOT

pytestmark = pytest.mark.system
GREET = "Please write a method to greet a user."
FACTORIAL = "Create a method to calculate the factorial of a number."
BEAR = "Simulate a conversation with a wise bear from the Hundred Acre Wood."
TRANSLATED = {
    GREET: ["greet_user", [], {}],
    FACTORIAL: ["calculate_factorial", ["number"], {}],
    BEAR: ["simulate_winnie_the_pooh_conversation", [], {"persona_id": "ROBIN"}],
}
WRITTEN = {
    "def greet_user(self, name": ' return f"Hello, {name}!"',
    "def greet_user(self": ' return "Hello!"',
    "def calculate_factorial(self": (
        " result = 1\n    for each in range(2, number + 1):\n        result *= each\n"
        "    return result"
    ),
    "def simulate_winnie": ' return "Oh, bother."',
    "wise bear": "The forest is quiet today. Sit down beside me, little one.",
}


@pytest.fixture
async def kernel(tmp_path):
    process = KernelProcess(tmp_path / "home", write_script(tmp_path / "script.jsonl", WRITTEN))
    process.start(open_loopback="yes")
    await process.until_ready()
    yield process
    process.stop()


@pytest.fixture
def say(kernel, tmp_path):
    """Return a function that says wishes to a client, then exit; it returns the answers."""

    def say(*wishes, briefs=None):
        (tmp_path / "briefs.json").write_text(json.dumps(briefs or {}))
        told = subprocess.run(
            [PYTHON, ROOT / "tests" / "system" / "simple_client.py", kernel.endpoint()["tcp"],
             tmp_path / "briefs.json"],
            input="\n".join([*wishes, "exit", ""]), capture_output=True, text=True, timeout=120,
            check=True,
        )  # fmt: skip
        *answers, last = told.stdout.splitlines()
        assert last == "ended"
        return [json.loads(line) for line in answers]

    return say


async def test_each_wish_without_a_translator_gets_one_answer_that_fits_it(kernel, say):
    greeting, factorial, bear, reckoned = say(GREET, FACTORIAL, BEAR, "What is 17% of 340?")
    for told in (greeting, factorial, bear, reckoned):
        assert told["status"] == "success", told
    assert (greeting["reading"], greeting["result"]) == ("greet_user('Ann')", "Hello, Ann!")
    assert "I have learned greet_user. I tried it: greet_user('Ann')" in greeting["message"]
    assert (factorial["reading"], factorial["result"]) == ("factorial(5)", 120)
    assert factorial["message"] == "I can do that already: factorial(5) is 120."
    assert (bear["kind"], bear["result"]) == ("said", WRITTEN["wise bear"])
    assert reckoned["result"] == 57.8
    async with kernel.client() as client:
        known = await client.request(
            "send", target="genesis_obj", selector="greet_user", args=["Bob"]
        )
        learned = (await client.request("inspect", target="genesis_obj"))["methods"]
    assert (known["result"], known["learned"]) == ("Hello, Bob!", False)
    assert set(learned) == {"greet_user"}


async def test_the_briefs_of_a_translator_are_understood_as_it_means_them(kernel, say):
    greeting, factorial, bear = say(*TRANSLATED, briefs=TRANSLATED)
    assert greeting["result"] == "Hello!"
    assert factorial["result"] == 120
    assert bear["result"] == "Oh, bother."
    async with kernel.client() as client:
        why = await client.request("why", target="genesis_obj", selector=TRANSLATED[BEAR][0])
    assert why["origin"]["persona"] == "ROBIN"
    (again,) = say(FACTORIAL, briefs=TRANSLATED)
    assert (again["result"], again["learned"]) == (120, False)
