"""``/metrics``: what a monitor reads, by the parser of Prometheus' own library."""

import asyncio
import inspect
import json
import re
from pathlib import Path

import pytest

from bat_os.gateway import metrics
from tests.gateway.conftest import opened
from tests.kernels import ThinkingKernel

BOARD = Path(__file__).parents[2] / "deploy" / "grafana.json"
pytestmark = pytest.mark.asyncio(loop_scope="module")
parser = pytest.importorskip("prometheus_client.parser", reason="set-up installs it with --all")


async def read(http, **more):
    answer = await http.ask("GET", "/metrics", **more)
    assert answer.status == 200, answer
    families = parser.text_string_to_metric_families(answer.raw.decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families for sample in family.samples
    }  # fmt: skip


async def test_requests_are_counted_by_verb_and_by_how_they_ended(http):
    def count(samples, verb, code, least="+Inf"):
        labels = (("code", code), ("le", least), ("verb", verb))
        return samples.get(("batos_request_seconds_bucket", *labels), 0)

    before = await read(http)
    for name in ("genesis_obj", "genesis_obj", "nobody_obj"):
        await http.ask("GET", f"/objects/{name}")
    after = await read(http)

    assert count(after, "inspect", "ok") - count(before, "inspect", "ok") == 2
    assert count(after, "inspect", "NOT_FOUND") - count(before, "inspect", "NOT_FOUND") == 1
    assert count(after, "inspect", "ok", "60.0") <= count(after, "inspect", "ok")


async def test_missions_models_and_the_image_are_there(http):
    message = {"method_name": "give_seven"}
    accepted = await http.ask("POST", "/message", message)
    await http.until_done(accepted.headers["location"])
    while (samples := await read(http))["batos_missions_unfinished",]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)

    assert samples["batos_up",] == samples["batos_ready",] == 1
    assert samples["batos_missions", ("state", "complete")] >= 1
    assert samples["batos_commits_total",] > 0
    assert samples["batos_image_bytes",] > 1000
    assert samples["batos_model_requests_waiting",] == 0
    assert any(name == "batos_model_bytes" for name, *_ in samples)


async def test_a_caller_without_a_token_gets_nothing(http):
    assert (await http.rude("GET", "/metrics")).status == 401
    assert await read(http, scope="read")


async def test_a_daemon_that_is_away_is_told_from_a_gateway_that_is_away(tmp_path, monkeypatch):
    monkeypatch.setattr("bat_os.gateway.metrics.PATIENCE", 0.1)
    async with ThinkingKernel(tmp_path / "home") as kernel, opened(kernel) as http:
        assert (await read(http))["batos_up",] == 1
        kernel.kernel.stop()
        await kernel.task
        assert (await read(http))["batos_up",] == 0


async def test_the_board_asks_for_figures_that_there_are(http):
    board = json.loads(BOARD.read_text())
    asked = {
        name for panel in board["panels"] for target in panel["targets"]
        for name in re.findall(r"\bbatos_\w+", target["expr"])
    }  # fmt: skip
    source = inspect.getsource(metrics)
    given = {name for name, *_ in await read(http)}
    named = {name.removesuffix("_count").removesuffix("_bucket") for name in asked - given}

    assert len(asked) > 10
    # Some figures are there only with servers, or an inbox; the rest came with an answer.
    assert all(name.removesuffix("_total") in source for name in named), named
