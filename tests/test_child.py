"""What a document can do to the child that it is processed in, and what the worker makes of it.

The fates are bad_documents.py's; limits and processes are real. Each failure costs the job one attempt, with a cause
that names what happened, and costs the worker nothing.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from queue_lib import NORMAL, Queue
from records import Records
from servers import leashed
from tests.bad_documents import FATES
from tests.support import ROOT, descendants, wait_until
from tests.worker_tools import (
    LEASE,
    SAMPLE,
    Start,
    ended,
    in_the_pipeline,
    is_zombie,
    long_document,
    nothing_left,
    running,
    submit,
    the_child,
)

CAUSES = {
    "raises": "ZeroDivisionError: a bug of ours",
    "tells_the_text": "ValueError: canary-of-a-documents-text",
    "ends_without_a_word": "its process ended with exit code 0 and no result",
    "leaves": "its process ended with exit code 3 and no result",
    "reads_at_null": "its process was killed by SIGSEGV",
    "is_killed": "its process was killed by SIGKILL",
    "hangs": "it took longer than 4 seconds",
    "spins": "it took longer than 4 seconds",
    "eats_memory": "it needed more than 700 MB of memory",
    "says_half": "it took longer than 4 seconds",
    "says_nonsense": "it said what no child says",
}


@pytest.fixture
def queue(redis_url: str) -> Queue:
    return Queue(redis_url, lease=LEASE)


def cause(db: "redis.Redis", job_id: str) -> str:
    return db.hget(f"job:{job_id}", "cause") or ""  # type: ignore[return-value]


def test_each_way_for_a_child_to_end_is_one_failed_attempt_with_a_reason_that_names_it(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    assert set(CAUSES) > set(FATES) - {"kills_its_worker"}
    worker = start_worker(seconds=4, megabytes=700)
    jobs = {fate: submit(queue, records, SAMPLE, fate) for fate in CAUSES}
    good = submit(queue, records, SAMPLE)
    for fate, job_id in jobs.items():
        wait_until(lambda job_id=job_id: cause(db, job_id), 60, f"the end of what {fate}")  # type: ignore[misc]
        assert cause(db, job_id).strip().splitlines()[-1] == CAUSES[fate]
        queue.cancel(job_id)  # three attempts each are for the tests of the queue
    assert ended(queue, good)["status"] == "completed"
    assert worker.poll() is None
    for job_id in jobs.values():
        assert ended(queue, job_id)["error"] == "Cancelled"
    nothing_left(db, tmp_path)


def test_a_child_whose_worker_was_killed_ends_even_if_it_hangs(
    start_worker: Start, queue: Queue, records: Records
) -> None:
    worker = start_worker()
    submit(queue, records, SAMPLE, "hangs")
    family = [the_child(worker), *descendants(worker.pid)]
    worker.kill()
    worker.wait()
    wait_until(lambda: not running(family), 5, "the end of the child")


def test_a_child_that_spins_ends_by_its_own_cpu_limit_when_its_worker_is_not_there_to_end_it(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis"
) -> None:
    worker = start_worker(lease=24, seconds=2)
    job_id = submit(queue, records, SAMPLE, "spins")
    child = the_child(worker)
    worker.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: is_zombie(child), 30, "the end of the child")  # the forkserver's parent cannot be told
    finally:
        worker.send_signal(signal.SIGCONT)
    wait_until(lambda: cause(db, job_id), 10, "the failed attempt")
    assert worker.poll() is None


def test_a_document_that_kills_its_worker_is_dead_after_three_and_the_others_go_on(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    poison = submit(queue, records, SAMPLE, "kills_its_worker")
    others = [submit(queue, records, SAMPLE) for _ in range(3)]
    workers = [start_worker(lease=1) for _ in range(2)]
    deadline = time.monotonic() + 60
    while db.hget(f"job:{poison}", "at") != "dead" and time.monotonic() < deadline:
        dead = [worker for worker in workers if worker.poll() is not None]
        for worker in dead:
            workers.remove(worker)
            workers.append(start_worker(lease=1))  # what Railway does
        queue.look_after()
    assert ended(queue, poison)["error"] == "the worker died while processing it"
    assert db.hmget(f"job:{poison}", "run", "attempts") == ["3", "3"]
    assert db.zrange(NORMAL + ":dead", 0, -1) == [poison]
    for job_id in others:
        assert ended(queue, job_id)["status"] == "completed"
    assert records._database.results.count_documents({}) == 3
    for worker in workers:
        worker.poll()  # or the last one that was killed would still count as a process
    start_worker()  # which sweeps up what the killed ones left on disk
    nothing_left(db, tmp_path)


def test_the_limits_of_a_child_are_those_of_the_environment(
    records: Records, redis_url: str, db: "redis.Redis", tmp_path: Path
) -> None:
    queue = Queue(redis_url)
    environment = {**os.environ, "JOB_MEMORY_MB": "700", "JOB_TIMEOUT": "90"}
    with (tmp_path / "worker.log").open("w") as out:
        command = leashed([sys.executable, "worker.py"])
        worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out, text=True)
    try:
        job_id = submit(queue, records, long_document(200_000))
        in_the_pipeline(queue, job_id)  # the forkserver's first child has no document
        limits = Path(f"/proc/{the_child(worker)}/limits")
        wait_until(lambda: re.search(r"Max address space +734003200 +734003200 ", limits.read_text()), 5, "its memory")
        assert re.search(r"Max cpu time +91 +92 ", limits.read_text())
        queue.cancel(job_id)
    finally:
        worker.kill()
        worker.wait()
