"""What a worker mends once an hour: records in MongoDB of which Redis knows better."""

import json
from io import BytesIO
from typing import Any

import pytest
import redis

from queue_lib import Queue
from records import Records
from tests.ledger import InlineWorker
from tests.queue_tools import make_queue, payload, take
from worker import Limits


@pytest.fixture
def worker(redis_url: str, records: Records) -> InlineWorker:
    return InlineWorker(make_queue(redis_url, lease=6), records.files, records, limits=Limits(60, 1024))


def old_job(worker: InlineWorker, job_id: str) -> Queue:
    """One that waits since eleven minutes ago."""
    worker.files.put(BytesIO(b"text"), 4, "ann", job_id)
    worker.records.create_job(payload(job_id), {}, 4)
    worker.records._database.jobs.update_one({"_id": job_id}, {"$inc": {"createdAt": -660_000}})
    worker.queue.enqueue(payload(job_id))
    return worker.queue


def record(worker: InlineWorker, job_id: str) -> dict[str, Any]:
    return worker.records.record(job_id) or {}


def test_the_result_of_a_worker_that_knows_no_mongodb_is_saved(worker: InlineWorker, db: "redis.Redis") -> None:
    queue = old_job(worker, "a")
    queue.finish(take(queue), json.dumps({"flashcards": [{"word": "dam"}]}))
    assert record(worker, "a")["status"] == "queued"
    worker._reconcile()
    assert record(worker, "a")["status"] == "completed"
    db.flushdb()
    assert json.loads(worker.records.result("a", "ann") or "") == {"flashcards": [{"word": "dam"}]}


def test_a_deletion_that_was_broken_off_is_brought_to_its_end(worker: InlineWorker) -> None:
    old_job(worker, "a").forget(["a"])  # which is as far as the API got
    worker._reconcile()
    assert worker.records.record("a") is None
    assert not worker.files.has(worker.files.upload_key("ann", "a"))


def test_an_end_that_mongodb_did_not_hear_of_is_written_down(worker: InlineWorker) -> None:
    queue = old_job(worker, "a")
    queue.bury(take(queue), "It has no words.")
    worker._reconcile()
    assert (record(worker, "a")["status"], record(worker, "a")["error"]) == ("failed", "It has no words.")


def test_what_redis_does_not_know_is_enqueued_and_what_waits_is_left_alone(
    worker: InlineWorker, db: "redis.Redis"
) -> None:
    old_job(worker, "lost")
    db.flushdb()
    old_job(worker, "waiting")
    worker._reconcile()
    assert sorted(take(worker.queue).id for _ in range(2)) == ["lost", "waiting"]
    assert worker.queue.take() is None


def test_a_worker_that_is_told_to_go_ends_its_care_at_once_and_begins_it_anew_next_time(
    worker: InlineWorker, db: "redis.Redis"
) -> None:
    old_job(worker, "lost")
    db.flushdb()
    worker.going = True
    worker._reconcile()
    assert worker.queue.whereabouts(["lost"]) == [""]
    worker.going = False
    worker._reconcile()
    assert take(worker.queue).id == "lost"


def test_a_job_that_is_completed_after_all_has_no_error_any_more(worker: InlineWorker) -> None:
    old_job(worker, "a")
    worker.records.fail_job("a", "ann", "It took too long.")
    worker.records.save_result("a", "ann", {"flashcards": []})
    assert [job.get("error") for job in worker.records.jobs("ann", 5)] == [None]
