"""A question to the real weights: two personas answer in whole sentences, from what was learned."""

import pytest

from bat_os.client.client import KernelClient
from tests.system.test_real_model import start, stop, until_ready

pytestmark = [pytest.mark.system, pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(600)]
FACT = (
    "Bats find their way in the dark by echolocation. A bat calls, and the echo of its call tells "
    "how far away a wall or a moth is. Most bats eat insects, and some eat fruit."
)
QUESTION = "How do bats find their way in the dark?"


async def test_the_real_model_answers_in_counterpoint_from_a_passage(tmp_path):
    home = tmp_path / "home"
    process = start(home)
    await until_ready(home)
    heard = []
    async with KernelClient.at(home) as kernel:
        await kernel.request("learn", timeout=120, body={"title": "Bats", "text": FACT})
        first = await kernel.request(
            "ask", timeout=300, on_event=lambda kind, told: heard.append(told),
            body={"text": QUESTION},
        )  # fmt: skip
        voice = await kernel.request(
            "send", timeout=300, target="robin_obj", selector="infer",
            args=["Why do people like owls?"], kwargs={"max_tokens": 30},
        )  # fmt: skip
    stop(process)
    assert 3 < len(voice["result"].split()) <= 30
    assert (voice["model_calls"], voice["status"]) == (1, "shipped")
    assert 0 < voice["tokens"] <= 30
    assert first["passages"][0]["title"] == "Bats"
    assert first["answers"][0]["persona"] == "BRICK"
    for one in first["answers"]:
        assert 0 < len(one["text"].split()) < 200
        assert one["text"].rstrip("0123456789[] ")[-1] in ".!?\"')"
    assert first["grounded"] == any(one["cites"] for one in first["answers"])
    assert heard[0]["persona"] == "BRICK"
    assert "Traceback" not in (tmp_path / "kernel.log").read_text()
