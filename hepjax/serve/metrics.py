"""The page /metrics for Prometheus, with the names of Triton where it has one, which the client
library would not give to a counter: they lack its ending ``_total``.

SuperSONIC scales on ``nv_inference_queue_duration_us`` and ``nv_inference_exec_count``; its charts
work unchanged.
"""

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hepjax.serve.served import Served
from hepjax.serve.service import Service
from hepjax.serve.statistics import Statistics

CONTENT_TYPE = CONTENT_TYPE_LATEST
COUNTERS = {
    "nv_inference_request_success": ("Requests answered", lambda s: s.success.count),
    "nv_inference_request_failure": ("Requests refused or failed", lambda s: s.fail.count),
    "nv_inference_count": ("Events answered", lambda s: s.events),
    "nv_inference_exec_count": ("Batches computed", lambda s: s.batches),
    "nv_inference_request_duration_us": (
        "Time of requests in the server", lambda s: (s.success.ns + s.fail.ns) // 1000
    ),
    "nv_inference_queue_duration_us": ("Time in the queue", lambda s: s.queue.ns // 1000),
    "nv_inference_compute_input_duration_us": (
        "Time of gathering batches", lambda s: s.gather.ns // 1000
    ),
    "nv_inference_compute_infer_duration_us": (
        "Time on the devices", lambda s: s.devices.ns // 1000
    ),
    "nv_inference_compute_output_duration_us": (
        "Time of handing out answers", lambda s: s.scatter.ns // 1000
    ),
    "hepjax_slots": ("Events or elements computed, padding included", lambda s: s.slots),
    "hepjax_slots_used": ("Those of them that were no padding", lambda s: s.used),
}  # fmt: skip
"""Counters of a version of a model."""


class _OfService(Collector):
    def __init__(self, service: Service) -> None:
        self.service = service

    def collect(self) -> Iterator[Metric]:
        models = self.service.models.values()
        for name, (text, value) in COUNTERS.items():
            family = Metric(name, text, "unknown")
            for m in models:
                counted: Statistics = m.version.statistics
                family.add_sample(name, _labels(m), value(counted))
            yield family
        pending = "nv_inference_pending_request_count"
        waiting = GaugeMetricFamily(pending, "Requests that wait", labels=["model", "version"])
        for m in models:
            waiting.add_metric(list(_labels(m).values()), self.service.queue.waiting(m))
        yield waiting
        rows = self.service.queue.rows
        yield GaugeMetricFamily("hepjax_queue_events", "Events that wait", value=rows)
        ready = float(self.service.ready)
        yield GaugeMetricFamily("hepjax_ready", "1 if requests are answered", value=ready)
        outcomes = CounterMetricFamily(
            "hepjax_requests", "Requests for inference", labels=["protocol", "outcome"]
        )
        for key, count in self.service.answered.items():
            outcomes.add_metric(list(key), count)
        yield outcomes


def _labels(served: Served) -> dict[str, str]:
    return {"model": served.name, "version": served.version.number}


def exposition(service: Service) -> bytes:
    """The page."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_OfService(service))
    return bytes(generate_latest(registry))
