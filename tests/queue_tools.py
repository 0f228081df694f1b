"""What the tests of the queue share: a queue with short times, jobs, and the ledger check that ends every test."""

import time
from typing import Any

import redis

from queue_lib import LISTS, NORMAL, Job, Queue

LEASE = 0.6


def make_queue(url: str, worker: str = "w1", **settings: Any) -> Queue:
    return Queue(url, worker, **{"lease": LEASE, "block": 0.2, "bare_wait": 0.3, "patience": 0.1, **settings})


def payload(job_id: str, user: str = "ann") -> dict[str, str]:
    return {"jobId": job_id, "userId": user, "fileUrl": f"http://files.test/{job_id}", "fileName": f"{job_id}.pdf"}


def take(queue: Queue, seconds: float = 5) -> Job:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = queue.take()
        if job is not None:
            return job
    raise AssertionError(f"no job came within {seconds} seconds")


def drain(queue: Queue) -> list[str]:
    """Finish what is there, in the order in which it comes, until nothing comes and no list holds a pointer."""
    order: list[str] = []
    while (job := queue.take()) is not None or queue._redis.exists(*LISTS):
        if job is not None:
            assert queue.finish(job, '{"flashcards": []}')
            order.append(job.id)
    return order


def without_looks(queue: Queue) -> None:
    queue._next_look = time.monotonic() + 60


def nothing_left(db: "redis.Redis") -> None:
    kinds = ("", ":high", ":low")
    for name in [NORMAL + kind + part for kind in kinds for part in ("", ":open", ":owner", ":window")]:
        assert not db.exists(name), f"{name} is left over"
    for name in (":leases", ":delayed"):
        assert not db.exists(NORMAL + name), f"{name} is left over"
    assert db.keys("*:parked:*") == []


def at(db: "redis.Redis", job_id: str) -> str | None:
    return db.hget(f"job:{job_id}", "at")  # type: ignore[return-value]
