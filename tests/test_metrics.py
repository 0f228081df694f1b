"""What is counted: by the queue's scripts, at /metrics, and in the alert rules."""

import json
import re
import time
from typing import Any

import pytest
import redis
import yaml
from prometheus_client.parser import text_string_to_metric_families

import metrics
from queue_lib import NORMAL, Queue
from records import Records
from tests.queue_tools import make_queue, payload, take
from tests.support import ROOT, running_api
from tests.worker_tools import SAMPLE, Start, ended, submit

TOKEN = "canary-admin-token"


def samples(text: str) -> dict[str, float]:
    """Each sample of an exposition, by its name and labels as they are written."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


# Counters ---------------------------------------------------------------------------------------------------------


def test_each_way_of_a_job_is_counted_once_though_its_command_is_sent_twice(queue: Queue, redis_url: str) -> None:
    for name in ("a", "b", "c", "d"):
        queue.enqueue(payload(name))
        queue.enqueue(payload(name))
    done = take(queue)
    for _ in range(2):
        assert queue.finish(done, "{}", {"stage:saving": 30, "memory": 100})
    failed = take(queue)
    for _ in range(2):
        assert queue.retry(failed, "it broke", delay=60, group="it broke")
    refused = take(queue)
    for _ in range(2):
        assert queue.bury(refused, "It is empty.")
    queue.cancel("d")
    queue.cancel("d")
    stats = queue.stats(hours=1, most=5)
    counted = {name: number for name, number in stats.totals.items() if "|" not in name and name != "commands"}
    assert counted == {
        "queued": 4, "started": 3, "ended:completed": 1, "retried": 1, "ended:refused": 1, "ended:cancelled": 1
    }  # fmt: skip
    assert metrics.histogram(stats.totals, "stage:saving")[2] == 1, "30 ms are up to 40"
    assert metrics.histogram(stats.totals, "memory")[4] == 1, "100 MB are up to 160"
    assert list(stats.hours.values()) == [stats.totals]
    assert stats.places == {"running": 0, "delayed": 1, "dead": 2, "webhooks": 0, "paused": 0}
    assert stats.users == [{"user": "ann", "jobs": 4, "waiting": 0, "bytes": 0}]


def test_a_child_that_makes_up_stages_does_not_fill_redis_and_known_ones_go_on(queue: Queue) -> None:
    for n in range(3):
        queue.enqueue(payload(f"j{n}"))
        made_up = {f"stage:{n}-{m}": 30 for m in range(1000 if n else 0)}
        assert queue.finish(take(queue), "{}", {"stage:saving": 30, **made_up})
    totals = queue.stats().totals
    assert len(totals) < 1100
    assert metrics.histogram(totals, "stage:saving")[2] == 3


def test_a_group_has_its_failures_and_its_dead_jobs_until_they_are_requeued(queue: Queue) -> None:
    for name in ("a", "b"):
        queue.enqueue(payload(name))
        queue.bury(take(queue), "It is empty.")
    queue.enqueue(payload("c"))
    queue.bury(take(queue), "It is locked.")
    groups = {group["title"]: group for group in queue.stats(most=5).groups}
    assert {title: (group["times"], group["dead"]) for title, group in groups.items()} == {
        "It is empty.": ("2", 2), "It is locked.": ("1", 1)
    }  # fmt: skip
    empty = groups["It is empty."]["id"]
    assert [job["jobId"] for job in queue.jobs("dead", group=empty)[0]] == ["b", "a"]
    assert queue.requeue("a", "b", "never there") == 2
    assert queue.jobs("dead", group=empty) == ([], -1)
    assert {group["title"]: group["dead"] for group in queue.stats(most=5).groups} == {
        "It is empty.": 0, "It is locked.": 1
    }  # fmt: skip


def test_a_jobs_history_tells_its_whole_way(queue: Queue) -> None:
    queue.enqueue(payload("a"))
    queue.release(take(queue))
    queue.retry(take(queue), "Traceback\nit broke", delay=0, group="it\nbroke")
    queue.retry(take(queue), "x", delay=0)
    queue.retry(take(queue), "x", delay=0)
    queue.requeue("a")
    queue.finish(take(queue), "{}")
    details = queue.details("a") or {}
    assert [what for _, what, _ in details["history"]] == [
        "queued", "started", "released", "started", "failed", "started", "failed", "started", "failed", "dead",
        "requeued", "started", "done",
    ]  # fmt: skip
    assert details["history"][4][2] == "it broke", "a line each, whatever the reason"
    assert re.match(r"attempt 1 by w1 \([0-9a-f]{16}\)", details["history"][1][2])
    times = [when for when, _, _ in details["history"]]
    assert times == sorted(times)


def test_a_history_and_the_list_of_done_jobs_have_an_end(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("a"))
    for _ in range(60):
        queue.release(take(queue))
    assert len(str(db.hget("job:a", "history"))) <= 4000
    assert (queue.details("a") or {})["history"][-1][1] == "released"
    db.zadd(NORMAL + ":done", {f"old{n}": n for n in range(10_500)})
    queue.finish(take(queue), "{}")
    assert db.zcard(NORMAL + ":done") == 10_000


def test_waiting_jobs_are_listed_in_their_order_and_those_of_a_user_with_what_is_parked(queue: Queue) -> None:
    for n in range(4):
        queue.enqueue(payload(f"a{n}"))
    queue.enqueue(payload("b0", "bob"))
    assert [job["jobId"] for job in queue.jobs("waiting")[0]] == ["a0", "a1", "b0"]
    assert [job["jobId"] for job in queue.jobs("waiting", user="ann")[0]] == ["a0", "a1", "a2", "a3"]
    assert queue.jobs("waiting", user="ann")[0][3]["fileName"] == "a3.pdf"
    assert queue.stats().lines[NORMAL]["waiting"] == 5
    now = int(time.time() * 1000)
    assert queue.jobs("waiting", between=(now + 60_000, now + 90_000)) == ([], -1)
    page, more = queue.jobs("waiting", user="ann", most=3)
    assert [job["jobId"] for job in page] == ["a0", "a1", "a2"]
    assert [job["jobId"] for job in queue.jobs("waiting", user="ann", skip=more)[0]] == ["a3"]


def test_the_commands_of_all_clients_are_counted(queue: Queue, redis_url: str) -> None:
    other = make_queue(redis_url, "w2")
    queue.enqueue(payload("a"))
    for client in (queue, other, queue, other):
        client.look_after()
    sent = queue._redis.sent + other._redis.sent
    assert queue.stats().totals["commands"] >= sent - 2, "but for the last ones, which come with the next look"


def test_a_fleet_of_any_size_is_seen(queue: Queue) -> None:
    names = {f"w{number}" for number in range(120)}
    for name in names:
        queue.worker = name
        queue.look_after()
    assert {worker["id"] for worker in queue.stats().workers} == names


# /metrics ---------------------------------------------------------------------------------------------------------


def test_metrics_tell_what_a_real_job_took_and_every_name_in_the_alert_rules_is_there(
    start_worker: Start, records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(redis_url, lease=3)
    start_worker()
    assert ended(queue, submit(queue, records, SAMPLE))["status"] == "completed"
    assert ended(queue, submit(queue, records, b"\0\1\2" * 99))["status"] == "failed"
    monkeypatch.setenv("ADMIN_TOKEN", TOKEN)
    with running_api() as app:
        answer = app.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    told = samples(answer.text)
    assert told['docdeck_ended_total{outcome="completed"}'] == 1
    assert told['docdeck_ended_total{outcome="refused"}'] == 1
    assert told["docdeck_started_total"] == told["docdeck_wait_seconds_count"] == 2
    assert told["docdeck_workers"] == 1
    assert told["docdeck_loops_wanted"] == 0
    assert told["docdeck_commands_total"] > 4
    assert 1 <= told['docdeck_stage_seconds_count{stage="downloading"}'] <= 2
    assert told['docdeck_stage_seconds_count{stage="saving"}'] == 1
    assert 30e6 < told["docdeck_child_memory_bytes_sum"] / told["docdeck_child_memory_bytes_count"] < 1e9
    names = {name.partition("{")[0] for name in told}
    rules = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"][0]["rules"]
    for rule in rules:
        used = set(re.findall(r"docdeck_\w+", rule["expr"]))
        assert used, rule
        assert used <= names, rule["alert"]
        assert rule["annotations"]["summary"]
    scaled = yaml.safe_load((ROOT / "deploy" / "keda.yml").read_text())["spec"]["triggers"][0]["metadata"]
    assert re.findall(r"docdeck_\w+", scaled["query"]) == ["docdeck_loops_wanted"]
    assert int(scaled["threshold"]) == 1
    outcomes = re.findall(r'outcome=~"([^"]+)"', json.dumps([rule["expr"].replace('"', "'") for rule in rules]))
    assert {word for words in outcomes for word in words.split("|")} <= set(metrics.OUTCOMES)


def test_metrics_tell_how_many_loops_the_work_is_worth(queue: Queue) -> None:
    for n in range(9):
        queue.enqueue(payload(f"j{n}", f"user{n}"))
    take(queue)

    def told() -> float:
        return samples(metrics.exposition(queue.stats()).decode())["docdeck_loops_wanted"]

    assert told() == 3, "one for the job in hand, and two for eight that wait"
    queue.pause()
    assert told() == 1


@pytest.mark.parametrize(("counts", "half"), [([0, 0, 4], 30), ([1, 0, 0, 1], 10), ([0] * 5, None)])
def test_a_percentile_lies_where_its_share_of_a_bucket_ends(counts: list[int], half: Any) -> None:
    assert metrics.quantile(counts, 0.5) == half
