"""A real worker process on real servers, and what becomes of its job when it, its child or its document goes bad.

Its lease is about a second here. Every test ends with the ledger: the job is over, its result is there once, and
nothing stands in an index, on disk or in the process table.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from queue_lib import NORMAL, Queue
from records import Records
from servers import redis_command
from storage import Storage
from tests.redis_tools import blocked_clients
from tests.support import descendants, patience, wait_until
from tests.worker_tools import (
    LEASE,
    SAMPLE,
    Start,
    ended,
    in_the_pipeline,
    long_document,
    nothing_left,
    running,
    status,
    submit,
    the_child,
    worker_log,
    worker_process,
)


@pytest.fixture
def queue(redis_url: str) -> Queue:
    return Queue(redis_url, lease=LEASE)


def test_a_document_becomes_cards_with_its_result_in_redis_and_in_mongodb(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    start_worker()
    job_id = submit(queue, records, SAMPLE, maxPhrases="7", maxWords="2", knownWords="aquifer", minCefr="B2")
    end = ended(queue, job_id)
    assert (end["status"], end["progress"]) == ("completed", "100"), end
    result = json.loads(end["result"])
    kinds = [card["word_type"] for card in result["flashcards"]]
    assert (kinds.count("phrase"), kinds.count("word")) == (7, 2)
    assert "aquifer" not in [card["word"].lower() for card in result["flashcards"]]
    assert result["stages"]["stage8"]["easy"] > 10
    assert json.loads(records.result(job_id) or "") == result
    record = records._database.jobs.find_one({"_id": job_id}) or {}
    assert record["status"] == "completed"
    nothing_left(db, tmp_path)


def test_a_worker_killed_in_the_middle_of_a_document_leaves_its_job_to_another_and_the_result_is_there_once(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    first = start_worker()
    job_id = submit(queue, records, long_document(200_000))
    in_the_pipeline(queue, job_id)
    family = descendants(first.pid)
    first.kill()
    first.wait()
    wait_until(lambda: not running(family), 5, "the end of the killed worker's children")
    start_worker()
    assert ended(queue, job_id)["status"] == "completed"
    assert db.hmget(f"job:{job_id}", "run", "attempts") == ["2", "2"]
    assert records._database.results.count_documents({"_id": job_id}) == 1
    wait_until(lambda: not db.exists(NORMAL + ":leases"), 5, "the settled lease")
    nothing_left(db, tmp_path)


def test_sigterm_ends_an_idle_worker_in_the_middle_of_its_wait(start_worker: Start, db: "redis.Redis") -> None:
    worker = start_worker(lease=24)
    family = descendants(worker.pid)
    wait_until(lambda: blocked_clients(db), 20, "the wait for a job")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=6) == 0  # its wait lasts 21.6
    wait_until(lambda: not running(family), 10, "the end of the forkserver")


def test_sigterm_gives_a_job_back_at_once_and_the_attempt_is_not_counted(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    worker = start_worker(lease=24)
    job_id = submit(queue, records, long_document(200_000))
    the_child(worker)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=patience(3)) == 0
    assert db.hmget(f"job:{job_id}", "at", "run", "attempts", "status") == [NORMAL, "1", "0", "queued"]
    start_worker()
    assert ended(queue, job_id)["status"] == "completed"
    nothing_left(db, tmp_path)


def test_sigterm_with_a_grace_lets_the_job_in_hand_be_finished(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    worker = start_worker(lease=24, grace=60)
    job_id = submit(queue, records, long_document(30_000))
    the_child(worker)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    assert status(queue, job_id)["status"] == "completed"
    nothing_left(db, tmp_path)


def test_a_job_that_does_not_fit_in_the_grace_is_given_back_when_it_is_over_and_a_second_sigterm_changes_nothing(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    worker = start_worker(lease=24, grace=1.5)
    job_id = submit(queue, records, SAMPLE, "hangs")
    child = the_child(worker)
    told = time.monotonic()
    for _ in range(2):
        worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=patience(5)) == 0
    assert time.monotonic() - told > 1.4
    assert not running([child])
    assert db.hmget(f"job:{job_id}", "at", "run", "attempts", "status") == [NORMAL, "1", "0", "queued"]
    queue.cancel(job_id)


def test_sigterm_and_at_once_sigkill_as_a_deploy_without_draining_sends_them_cost_an_attempt_and_no_job(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    worker = start_worker(lease=1)
    job_id = submit(queue, records, long_document(200_000))
    in_the_pipeline(queue, job_id)
    worker.send_signal(signal.SIGTERM)
    worker.kill()
    worker.wait()
    start_worker(lease=1)
    assert ended(queue, job_id)["status"] == "completed"
    assert db.hmget(f"job:{job_id}", "run", "attempts") == ["2", "2"]
    assert records._database.results.count_documents({"_id": job_id}) == 1
    nothing_left(db, tmp_path)


def test_a_worker_that_was_stalled_past_its_lease_saves_nothing_over_the_one_that_took_its_job(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    stalled = start_worker(lease=1)
    job_id = submit(queue, records, long_document(100_000))
    in_the_pipeline(queue, job_id)
    stalled.send_signal(signal.SIGSTOP)
    start_worker(lease=1)
    assert ended(queue, job_id)["status"] == "completed"
    saved = records._database.results.find_one({"_id": job_id})
    stalled.send_signal(signal.SIGCONT)
    wait_until(lambda: "job lost" in worker_log(tmp_path), 20, "what the stalled one says when it wakes")
    assert records._database.results.find_one({"_id": job_id}) == saved
    assert db.hmget(f"job:{job_id}", "at", "run") == ["done", "2"]
    assert stalled.poll() is None
    nothing_left(db, tmp_path)


def test_when_four_of_five_workers_are_told_to_go_the_fifth_does_all_that_is_left(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    workers = [start_worker(lease=24) for _ in range(5)]
    jobs = [submit(queue, records, long_document(20_000)) for _ in range(12)]
    wait_until(lambda: db.zcard(NORMAL + ":leases") >= 3, 20, "some work under way")
    for worker in workers[:4]:
        worker.send_signal(signal.SIGTERM)
    for worker in workers[:4]:
        assert worker.wait(patience(5)) == 0
    for job_id in jobs:
        assert ended(queue, job_id)["status"] == "completed"
        assert db.hget(f"job:{job_id}", "attempts") == "1"
    assert records._database.results.count_documents({}) == 12
    nothing_left(db, tmp_path)


def test_a_bug_between_two_jobs_is_said_with_its_traceback_and_does_not_end_the_worker(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    worker = start_worker(BUG="once")
    wait_until(lambda: "a bug in the worker's loop" in worker_log(tmp_path), 20, "the bug's line")
    assert "ZeroDivisionError" in worker_log(tmp_path)
    assert ended(queue, submit(queue, records, SAMPLE))["status"] == "completed"
    assert worker.poll() is None
    nothing_left(db, tmp_path)


def test_a_child_that_is_killed_costs_an_attempt_and_not_the_worker(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    worker = start_worker()
    job_id = submit(queue, records, long_document(200_000))
    os.kill(the_child(worker), signal.SIGKILL)
    wait_until(lambda: db.hget(f"job:{job_id}", "cause") is not None, 10, "the failed attempt")
    assert db.hget(f"job:{job_id}", "cause") == "its process was killed by SIGKILL"
    assert ended(queue, job_id)["status"] == "completed"
    assert worker.poll() is None
    nothing_left(db, tmp_path)


def test_a_document_that_takes_too_long_is_given_up_after_three_attempts_with_a_sentence(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    start_worker(seconds=0.05)
    job_id = submit(queue, records, long_document(200_000))
    end = ended(queue, job_id, seconds=60)
    assert end["status"] == "failed"
    assert "3 times" in end["error"]
    assert "took longer than" in str(db.hget(f"job:{job_id}", "cause"))
    assert db.zrange(NORMAL + ":dead", 0, -1) == [job_id]
    nothing_left(db, tmp_path)


def test_a_file_that_is_gone_fails_at_once_with_a_sentence(
    start_worker: Start, queue: Queue, files: Storage, records: Records, db: "redis.Redis", tmp_path: Path
) -> None:
    job_id = submit(queue, records, SAMPLE)
    files.delete(f"documents/ann/{job_id}")
    start_worker()
    end = ended(queue, job_id)
    assert (end["status"], end["error"]) == (
        "failed",
        "The uploaded file is no longer there. Please upload it again.",
    )
    assert db.hget(f"job:{job_id}", "attempts") == "1"
    nothing_left(db, tmp_path)


@pytest.mark.parametrize(
    "url", [None, 7, "no address", "ftp://files.test/a.pdf", "http://[", "https://", "file:///etc/passwd"]
)
def test_a_job_without_a_usable_address_fails_with_a_sentence(
    start_worker: Start, queue: Queue, db: "redis.Redis", tmp_path: Path, url: Any
) -> None:
    start_worker()
    db.lpush(NORMAL, json.dumps({"jobId": "foreign", "userId": "eve", "fileUrl": url, "fileName": "a.pdf"}))
    db.hset("job:foreign", mapping={"status": "queued", "createdAt": "1"})
    end = ended(queue, "foreign", seconds=10)
    assert end["status"] == "failed"
    assert end["error"] in ("The job names no file.", "The job's fileUrl is no http or https address.")
    nothing_left(db, tmp_path)


def test_a_job_that_names_somebody_elses_file_does_not_delete_it(
    start_worker: Start, files: Storage, records: Records, queue: Queue, db: "redis.Redis", tmp_path: Path
) -> None:
    anns = submit(queue, records, b"no words")
    queue.cancel(anns)
    url = files.link(files.upload_key("ann", anns))
    db.lpush(NORMAL, json.dumps({"jobId": "eves", "userId": "eve", "fileUrl": url, "fileName": "a.txt"}))
    db.hset("job:eves", mapping={"status": "queued", "createdAt": "1"})
    start_worker()
    assert ended(queue, "eves")["status"] == "failed"
    wait_until(lambda: "job failed" in worker_log(tmp_path), 5, "the end of its run")
    assert requests.get(url, timeout=5).content == b"no words"


def test_a_redis_that_is_not_there_is_waited_for_and_said_once(
    records: Records, tmp_path: Path, free_port: int
) -> None:
    worker = worker_process(tmp_path, lease=1, UPSTASH_REDIS_URL=f"redis://127.0.0.1:{free_port}/0")
    try:
        wait_until(lambda: "a server is away" in worker_log(tmp_path), 20, "the outage's line")
        (tmp_path / "redis").mkdir()
        server = subprocess.Popen(redis_command(tmp_path / "redis", free_port), stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: "a server is back" in worker_log(tmp_path), 20, "the outage's end")
            assert worker.poll() is None
        finally:
            server.kill()
            server.wait()
        assert worker_log(tmp_path).count("a server is back") == 1
    finally:
        worker.kill()
        worker.wait()


def test_downloads_that_a_killed_worker_left_behind_are_removed_at_the_next_start(
    start_worker: Start, tmp_path: Path
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / "tmp" / f"docdeck-worker-{dead.pid}-x"
    left.mkdir(parents=True)
    (left / "document").write_text("half")
    start_worker()
    assert not left.exists()


def test_the_child_sees_no_secret_and_no_connection(
    start_worker: Start, queue: Queue, records: Records, db: "redis.Redis"
) -> None:
    worker = start_worker(lease=24)
    job_id = submit(queue, records, long_document(400_000))
    in_the_pipeline(queue, job_id)  # before that it still has what the forkserver spoke with it by
    child = the_child(worker)
    environment = Path(f"/proc/{child}/environ").read_text()
    assert "AWS_SECRET" not in environment
    assert "MONGODB_URI" not in environment
    sockets = [os.readlink(fd) for fd in Path(f"/proc/{child}/fd").iterdir() if fd.exists()]
    assert not [link for link in sockets if link.startswith("socket:")]
