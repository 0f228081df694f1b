"""The same document twice: the result at once, per user, pipeline and options, from Redis or MongoDB."""

import hashlib
import json
from io import BytesIO
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

import uploads
from queue_lib import Queue
from records import Records
from tests.queue_tools import take
from tests.support import running_api

TEXT = b"Water is life. " * 40


def upload(client: FlaskClient, user: str = "ann", content: bytes = TEXT, **fields: str) -> Any:
    form = {"file": (BytesIO(content), "water.txt"), "userId": user, **fields}
    return client.post("/api/upload-document-async", data=form).json


def finish(queue: Queue, records: Records) -> str:
    job = take(queue)
    records.save_result(job.id, job.user, {"flashcards": []})
    assert queue.finish(job, json.dumps({"flashcards": []}))
    return job.id


@pytest.mark.parametrize("leg", ["redis", "mongodb"])
def test_a_document_that_is_done_is_answered_with_its_job_at_once_and_leaves_nothing_new(
    client: FlaskClient, queue: Queue, records: Records, db: "redis.Redis", leg: str
) -> None:
    first = upload(client)["jobId"]
    assert upload(client)["jobId"] != first, "what is not done yet is no result"
    assert {finish(queue, records), finish(queue, records)} > {first}
    if leg == "mongodb":
        db.flushall()
    keys, jobs = len(db.keys()), records._database.jobs.count_documents({})
    again = upload(client)
    assert again["status"] == "completed"
    status: Any = client.get(f"/api/job-status/{again['jobId']}").json
    assert (status["status"], json.loads(status["result"])) == ("completed", {"flashcards": []})
    assert (len(db.keys()), records._database.jobs.count_documents({})) == (keys, jobs)


def test_another_user_other_options_another_byte_or_another_pipeline_is_another_job(
    client: FlaskClient, queue: Queue, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(client)
    finish(queue, records)
    assert upload(client)["status"] == "completed"
    assert upload(client, "bob")["status"] == "queued"
    assert upload(client, maxPhrases="7")["status"] == "queued"
    assert upload(client, content=TEXT + b".")["status"] == "queued"
    monkeypatch.setattr(uploads, "pipeline_version", lambda: "another")
    with running_api() as app:
        assert upload(app.test_client())["status"] == "queued"


def test_a_failed_or_deleted_job_is_no_result(client: FlaskClient, queue: Queue, records: Records) -> None:
    upload(client)
    assert queue.bury(take(queue), "It broke.")
    assert upload(client)["status"] == "queued"
    done = finish(queue, records)
    assert upload(client)["jobId"] == done
    client.delete(f"/api/jobs/{done}")
    assert upload(client)["status"] == "queued"


def test_a_direct_upload_whose_sum_is_known_needs_no_upload(
    client: FlaskClient, queue: Queue, records: Records
) -> None:
    upload(client)
    done = finish(queue, records)
    told = {"userId": "ann", "fileName": "w.txt", "size": len(TEXT), "sha256": hashlib.sha256(TEXT).hexdigest()}
    answer = client.post("/api/uploads", json=told)
    assert (answer.status_code, (answer.json or {})["jobId"]) == (200, done)
    assert client.post("/api/uploads", json={**told, "userId": "bob"}).status_code == 201
    assert client.post("/api/uploads", json={**told, "sha256": "x"}).status_code == 400
