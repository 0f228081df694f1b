"""Results that are too long for a record of MongoDB or for a request to Redis, from the worker to whoever asks."""

import json
from contextlib import closing
from typing import Any

import bson
import pytest
import redis
from flask.testing import FlaskClient

import storage
from queue_lib import MOST_RESULT, Queue
from records import MAX_RECORD, Records
from storage import Storage
from tests.queue_tools import make_queue, payload, take
from tests.support import find_free_port
from tests.worker_tools import SAMPLE, submit
from worker import Limits, Worker

CARD = {"id": "1", "word": "aquifer", "meaning": "water in rock"}
LONG: dict[str, dict[str, Any]] = {
    "text": {"document_title": "wäter.txt", "flashcards": [CARD], "notes": ["x" * 1_000_000] * 13},
    # As JSON it would do: BSON has a type and a place beside each number.
    "numbers": {"document_title": "wäter.txt", "flashcards": [CARD], "pages": [7] * 1_100_000},
}


@pytest.fixture
def queue(redis_url: str) -> Queue:
    return make_queue(redis_url, lease=20)


def deliver(queue: Queue, records: Records, result: dict[str, Any], **options: str) -> str:
    """A job whose pipeline has just ended with a result, as the worker saves it."""
    job_id = submit(queue, records, SAMPLE, **options)
    worker = Worker(queue, records.files, records, limits=Limits(10, 512))
    assert worker._deliver(take(queue), json.dumps(result, ensure_ascii=False))
    return job_id


@pytest.mark.parametrize("kind", LONG)
def test_a_result_over_12_mb_is_a_file_and_everybody_who_asks_gets_it_whole(
    client: FlaskClient, queue: Queue, files: Storage, records: Records, db: "redis.Redis", kind: str
) -> None:
    result = LONG[kind]
    assert len(bson.encode(result)) > MAX_RECORD
    job_id = deliver(queue, records, result, webhookUrl="http://127.0.0.1/")
    key = files.result_key("ann", job_id)
    assert (records._database.results.find_one({"_id": job_id}) or {})["file"] == key
    assert files.has(key)
    short = len(json.dumps(result).encode()) <= MOST_RESULT
    assert db.hexists(f"job:{job_id}", "result") == short == (kind == "numbers")
    assert bool((queue.event(job_id) or {})["result"]) == short, "or a receiver is told where it is"
    for _ in range(2):
        status: Any = client.get(f"/api/job-status/{job_id}").json
        assert (status["status"], status["progress"]) == ("completed", "100")
        assert json.loads(status["result"]) == result
        assert client.get(f"/api/jobs/{job_id}/result").json == result
        assert "aquifer" in client.get(f"/api/jobs/{job_id}/deck.csv").text
        db.flushall()  # and when Redis has forgotten it
    assert client.delete(f"/api/jobs/{job_id}").status_code == 204
    assert not files.has(key)
    assert client.get(f"/api/job-status/{job_id}").status_code == 404


def test_a_result_that_redis_is_not_given_is_there_whatever_mongodb_makes_of_it(
    client: FlaskClient, queue: Queue, records: Records, db: "redis.Redis"
) -> None:
    result = {"flashcards": [CARD], "notes": "ü" * (MOST_RESULT // 2)}
    job_id = deliver(queue, records, result)
    assert "file" not in (records._database.results.find_one({"_id": job_id}) or {})
    assert not db.hexists(f"job:{job_id}", "result")
    assert json.loads((client.get(f"/api/job-status/{job_id}").json or {})["result"]) == result


def test_of_two_runs_with_a_long_result_the_first_ones_stands(records: Records) -> None:
    first, second = LONG["text"], {**LONG["text"], "document_title": "another"}
    records.create_job(payload("first_ones_stands"), {}, 1)
    assert records.save_result("first_ones_stands", "ann", first)
    assert not records.save_result("first_ones_stands", "ann", second)
    assert json.loads(records.result("first_ones_stands", "ann") or "") == first


def test_a_worker_that_dies_between_the_file_and_its_record_leaves_a_result_that_the_next_one_finds(
    files: Storage,
    records: Records,
) -> None:
    nowhere = f"mongodb://127.0.0.1:{find_free_port()}/docdeck"
    dying = Records(nowhere, files, answer=0.5)
    with closing(dying), pytest.raises(storage.Unavailable):
        dying.save_result("next_one_finds", "ann", LONG["text"])
    assert files.has(files.result_key("ann", "next_one_finds")), "the file comes first"
    records.create_job(payload("next_one_finds"), {}, 1)
    assert not records.save_result("next_one_finds", "ann", {**LONG["text"], "document_title": "another"})
    assert json.loads(records.result("next_one_finds", "ann") or "") == LONG["text"]
    assert (records.record("next_one_finds") or {})["status"] == "completed"


def test_a_file_that_never_got_its_record_goes_with_its_job(
    client: FlaskClient, queue: Queue, files: Storage, records: Records
) -> None:
    job_id = submit(queue, records, SAMPLE)
    key = files.result_key("ann", job_id)
    assert files.put_once(key, b"{}")
    assert client.delete("/api/users/ann").status_code == 204
    assert not files.has(key)


def test_a_bucket_that_is_away_leaves_no_record_without_its_file(
    files: Storage, records: Records, mongo_uri: str
) -> None:
    nowhere = f"http://127.0.0.1:{find_free_port()}"
    dying = Records(mongo_uri, Storage(files.bucket, endpoint=nowhere))
    with closing(dying.files), closing(dying), pytest.raises(storage.Unavailable):
        dying.save_result("without_its_file", "ann", LONG["text"])
    assert records.result("without_its_file") is None
    assert records.save_result("without_its_file", "ann", LONG["text"])


def test_a_job_whose_file_is_just_being_deleted_has_no_result(
    client: FlaskClient, queue: Queue, files: Storage, records: Records
) -> None:
    job_id = deliver(queue, records, LONG["text"])
    files.delete(files.result_key("ann", job_id))
    answer = client.get(f"/api/jobs/{job_id}/result")
    assert (answer.status_code, (answer.json or {})["code"]) == (409, "no_result")


def test_a_long_result_is_deleted_with_its_file_when_it_is_to_be_kept_no_longer(
    files: Storage, records: Records, mongo_uri: str
) -> None:
    with closing(Records(mongo_uri, files, keep=3600)) as keeping:
        for job_id in ("old", "young"):
            keeping.create_job(payload(job_id), {}, 1)
            keeping.save_result(job_id, "ann", LONG["text"])
        assert "keptSince" not in (records._database.results.find_one({"_id": "old"}) or {}), "MongoDB leaves it alone"
        records._database.results.update_one({"_id": "old"}, {"$set": {"savedAt": 1}})
        assert list(keeping.sweep(3600)) == ["old"]
    assert [files.has(files.result_key("ann", job_id)) for job_id in ("old", "young")] == [False, True]
    assert [records.owner(job_id) for job_id in ("old", "young")] == [None, "ann"]
