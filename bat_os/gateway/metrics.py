"""``/metrics`` in the text form of Prometheus: what a monitor asks for every few seconds.

    KernelLink ── each request ──→ Latencies ─┐
    health, missions ── the kernel ───────────┴─→ samples ── prometheus_client ──→ text

Needs a token that may read, as every other route. A kernel that is away gives ``batos_up 0`` and
what the gateway itself knows, so that an alarm can tell the two apart.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from bat_os.errors import BatError, HttpError, NotFoundError
from bat_os.gateway.requests import demand

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import Metric
    from starlette.requests import Request

    from bat_os.gateway.link import KernelLink

PATIENCE: Final = 2.0  # seconds for a kernel that is away; a monitor waits for ten
RECENT: Final = 200  # missions whose states are counted
_MISSING: Final = "the package prometheus_client is not installed; batos setup --all installs it"


class Metrics:
    """The route, over one link to a kernel."""

    def __init__(self, link: KernelLink) -> None:
        self._link = link

    async def answer(self, request: Request) -> Response:
        """Return what there is to say now."""
        demand(request, "read")
        try:
            # Few have a monitor, and set-up installs it later.
            from prometheus_client import CollectorRegistry, exposition
        except ImportError:
            raise HttpError(503, NotFoundError(_MISSING)) from None
        said = [*self._of_gateway(), *await self._of_kernel()]

        class Once:
            def collect(self) -> Iterator[Metric]:
                yield from said

        registry = CollectorRegistry()
        registry.register(Once())
        return Response(
            exposition.generate_latest(registry), media_type=exposition.CONTENT_TYPE_LATEST
        )

    def _of_gateway(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        took = HistogramMetricFamily(
            "batos_request_seconds", "Requests of this gateway to the daemon, until the last reply",
            labels=["verb", "code"],
        )  # fmt: skip
        clock = self._link.latencies
        for what in sorted(clock.sums):
            took.add_metric(list(what), clock.buckets(what), clock.sums[what])
        yield took
        yield CounterMetricFamily(
            "batos_kernel_lost", "Connections to the daemon that ended", self._link.lost
        )

    async def _of_kernel(self) -> list[Metric]:
        from prometheus_client.core import GaugeMetricFamily as Gauge

        try:
            health = await self._link.request("health", patience=PATIENCE)
            body = {"limit": RECENT}
            missions = await self._link.request("missions", patience=PATIENCE, body=body)
        except BatError:
            return [Gauge("batos_up", "Whether the daemon answers", 0)]
        said: list[Metric] = [Gauge("batos_up", "Whether the daemon answers", 1)]
        said += [
            Gauge("batos_ready", "Whether missions can run", float(health["ready"])),
            Gauge("batos_uptime_seconds", "Since the daemon started", health["uptime"]),
            Gauge("batos_missions_unfinished", "Missions that have not ended", health["queued"]),
        ]
        states = Gauge("batos_missions", f"The newest {RECENT} missions", labels=["state"])
        for state, count in sorted(Counter(m["state"] for m in missions["missions"]).items()):
            states.add_metric([state], count)
        return [*said, states, *_of_image(health.get("image", {})),
                *_of_models(health["models"])]  # fmt: skip


def _of_image(image: Mapping[str, Any]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    counted = {
        "commits": "Transactions that changed the image",
        "conflicts": "Tries of a transaction that another writer beat; each was run again",
    }
    for name, text in counted.items():
        if name in image:
            yield CounterMetricFamily(f"batos_{name}", text, image[name])
    if "bytes" in image:
        text = "Size of the image without its blobs"
        yield GaugeMetricFamily("batos_image_bytes", text, image["bytes"])
    if "inbox_seconds" in image:
        text = "For how long the kernel that leads has tried to index lessons that wait"
        yield GaugeMetricFamily("batos_inbox_seconds", text, image["inbox_seconds"])


def _of_models(roster: Mapping[str, Any]) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily as Gauge

    yield Gauge("batos_model_requests_waiting", "Requests that wait for any model",
                roster["waiting"])  # fmt: skip
    facts = {
        "in_use": Gauge("batos_model_requests_running", "Being drawn", labels=["model"]),
        "bytes": Gauge("batos_model_bytes", "Memory that the model holds", labels=["model"]),
    }
    for model in roster["models"]:
        for name, gauge in facts.items():
            gauge.add_metric([model["name"]], model[name])
    yield from facts.values()
    labels = ["model", "server"]
    servers = {
        "running": Gauge("batos_server_running", "Calls that a server has", labels=labels),
        "places": Gauge("batos_server_places", "Calls that it takes at a time", labels=labels),
        "seconds": Gauge("batos_server_mean_seconds", "Mean seconds of a call", labels=labels),
        "ready": Gauge("batos_server_ready", "Whether it is asked", labels=labels),
    }
    for model in roster["models"]:
        for one in model.get("replicas", ()):
            for name, gauge in servers.items():
                value = one["state"] == "ready" if name == "ready" else one[name]
                gauge.add_metric([model["name"], one["url"]], float(value))
    yield from servers.values()
