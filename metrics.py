"""The queue's figures for people and for Prometheus: percentiles, and the text of /metrics.

It asks Redis nothing: the figures come as queue_lib.Stats.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from fleet import wanted

BUCKETS = 24  # the queue's histograms: up to 10, 20, 40 ... ms or MB, and one for all above


def histogram(counters: Mapping[str, int], name: str) -> list[int]:
    """How many fell into each bucket of a histogram."""
    return [counters.get(f"{name}|{bucket}", 0) for bucket in range(BUCKETS + 1)]


def quantile(counts: list[int], share: float) -> float | None:
    """The value that a share of all stay below, in ms or MB, as if they lay evenly in their bucket."""
    wanted, below = sum(counts) * share, 0
    for bucket, count in enumerate(counts):
        if count and below + count >= wanted:
            low, high = (5 << bucket) if bucket else 0, 10 << bucket
            return low + (high - low) * (wanted - below) / count
        below += count
    return None


def stages_of(counters: Mapping[str, int]) -> list[str]:
    """The stages that were measured, the longest first."""
    found = {match[1]: total for name, total in counters.items() if (match := re.fullmatch(r"stage:(.+)\|sum", name))}
    return sorted(found, key=lambda stage: -found[stage])


class Figures:
    """One scrape. stats: the queue's own figures, as queue_lib.Stats."""

    def __init__(self, stats: Any) -> None:
        self._stats, self._totals = stats, stats.totals

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks for."""
        lines = self._stats.lines
        for name, key, text in (
            ("docdeck_queue_depth", "waiting", "Jobs that wait for a list"),
            ("docdeck_queue_oldest_seconds", "oldest", "For how long the first in line has waited"),
        ):
            family = GaugeMetricFamily(name, text, labels=["list"])
            for label, line_of_it in lines.items():
                family.add_metric([label], line_of_it[key])
            yield family
        for place, count in self._stats.places.items():
            yield GaugeMetricFamily(f"docdeck_{place}", PLACES[place], count)
        workers = len(self._stats.workers)
        yield GaugeMetricFamily("docdeck_workers", "Workers that were seen within three leases", workers)
        worth = wanted(self._stats, self._stats.places["running"])
        yield GaugeMetricFamily("docdeck_loops_wanted", "Worker loops that the work is worth, on all machines", worth)
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"docdeck_{name}", text, self._totals.get(name, 0))
        ended = CounterMetricFamily("docdeck_ended", "Jobs that are over, by how", labels=["outcome"])
        for outcome in OUTCOMES:
            ended.add_metric([outcome], self._totals.get(f"ended:{outcome}", 0))
        yield ended
        yield self._histogram("docdeck_wait_seconds", "From a line's end to a worker", {"": "wait"}, 0.001)
        stages = {stage: f"stage:{stage}" for stage in stages_of(self._totals)}
        yield self._histogram("docdeck_stage_seconds", "What a stage of a job took", stages, 0.001)
        yield self._histogram("docdeck_child_memory_bytes", "The most that a child had", {"": "memory"}, 1 << 20)

    def _histogram(self, name: str, text: str, parts: Mapping[str, str], unit: float) -> Metric:
        family = HistogramMetricFamily(name, text, labels=["stage"] if "" not in parts else [])
        for label, part in parts.items():
            sums = list(itertools.accumulate(histogram(self._totals, part)))
            bounds = [*(f"{(10 << bucket) * unit:g}" for bucket in range(BUCKETS)), "+Inf"]
            total = self._totals.get(f"{part}|sum", 0) * unit
            family.add_metric([label] if label else [], list(zip(bounds, sums, strict=True)), total)
        return family


PLACES = {
    "running": "Jobs that a worker has",
    "delayed": "Jobs that wait to be tried again",
    "dead": "Jobs in the dead list",
    "webhooks": "Receivers that are still to be told",
    "paused": "1 while nothing is started",
}
COUNTERS = {
    "queued": "Jobs that came",
    "started": "Attempts",
    "retried": "Attempts that failed and are followed by another",
    "released": "Jobs that were given back",
    "worker_died": "Leases that ended with their worker, and the job runs again",
    "commands": "Redis commands of the API and the workers",
}
OUTCOMES = ("completed", "refused", "given_up", "worker_died", "cancelled", "no_job", "lost", "foreign")


def exposition(stats: Any) -> bytes:
    """All metrics, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(Figures(stats))
    return generate_latest(registry)
