"""Jobs as a resource: listed, read, cancelled, tried again, deleted, each on the real servers."""

import json
import uuid
from io import BytesIO
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from queue_lib import NORMAL, Queue
from records import Records
from storage import Storage
from tests.queue_tools import make_queue, nothing_left, payload, take
from tests.redis_tools import watched
from tests.support import running_api, wait_until
from tests.worker_tools import SAMPLE, Start, long_document
from tests.worker_tools import submit as enqueue
from worker import Limits, Worker

RESULT = {"flashcards": [{"id": "1", "word": "aquifer"}], "vocabulary_count": 1}


def upload(client: FlaskClient, user: str = "ann", name: str = "water.txt", **fields: str) -> str:
    content = f"{SAMPLE} {uuid.uuid4()}".encode()  # of its own, or it would be done already
    form = {"file": (BytesIO(content), name), "userId": user, **fields}
    answer: Any = client.post("/api/upload-document-async", data=form)
    return answer.json["jobId"]


def finished(client: FlaskClient, queue: Queue, records: Records) -> str:
    job_id = upload(client)
    job = take(queue)
    assert job.id == job_id
    records.save_result(job.id, job.user, RESULT)
    assert queue.finish(job, json.dumps(RESULT))
    return job_id


def failed(client: FlaskClient, queue: Queue, records: Records) -> str:
    job_id = upload(client)
    assert queue.bury(take(queue), "It broke.")
    records.fail_job(job_id, "ann", "It broke.")
    return job_id


def status(client: FlaskClient, job_id: str) -> Any:
    return client.get(f"/api/job-status/{job_id}").json


def test_a_users_jobs_are_listed_newest_first_page_by_page_and_nobody_elses(
    client: FlaskClient, queue: Queue, records: Records
) -> None:
    mine = [finished(client, queue, records), failed(client, queue, records), *(upload(client) for _ in range(4))]
    upload(client, "bob")
    running = take(queue)
    seen: list[dict[str, Any]] = []
    query: dict[str, Any] = {"userId": "ann", "limit": 2}
    while "cursor" not in query or query["cursor"]:
        page: Any = client.get("/api/jobs", query_string=query)
        assert len(page.json["jobs"]) == 2
        seen += page.json["jobs"]
        query["cursor"] = page.json["cursor"]
    assert sorted(job["jobId"] for job in seen) == sorted(mine)
    assert [job["createdAt"] for job in seen] == sorted((job["createdAt"] for job in seen), reverse=True)
    states = {job["jobId"]: job["status"] for job in seen}
    assert [states[job_id] for job_id in mine[:2]] == ["completed", "failed"]
    assert states[running.id] == "processing"
    assert not {"payload", "options", "key", "userId"} & {name for job in seen for name in job}


@pytest.mark.parametrize("query", ["cursor=x", "cursor=1.", "limit=0", "limit=101", "limit=x", "cursor[$gt]=1&userId="])
def test_a_list_that_cannot_be_is_400(client: FlaskClient, query: str) -> None:
    assert client.get(f"/api/jobs?{'' if 'userId' in query else 'userId=ann&'}{query}").status_code == 400


def test_a_result_is_a_download_and_409_before_it_is_there(client: FlaskClient, queue: Queue, records: Records) -> None:
    job_id = finished(client, queue, records)
    answer = client.get(f"/api/jobs/{job_id}/result")
    assert answer.json == RESULT
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    waiting = client.get(f"/api/jobs/{upload(client)}/result")
    assert (waiting.status_code, (waiting.json or {})["code"]) == (409, "no_result")


def test_a_status_that_has_not_changed_is_a_304_that_costs_one_redis_command(
    client: FlaskClient, queue: Queue, records: Records, redis_url: str
) -> None:
    job_id = finished(client, queue, records)
    first = client.get(f"/api/job-status/{job_id}")
    assert "Retry-After" not in first.headers
    with watched(redis_url) as monitor:
        again = client.get(f"/api/job-status/{job_id}", headers={"If-None-Match": first.headers["ETag"]})
        wait_until(lambda: monitor.sent, 5, "the command")
    assert (again.status_code, again.data) == (304, b"")
    assert [sent.name for sent in monitor.sent] == ["HGETALL"]
    assert client.get(f"/api/job-status/{upload(client)}").headers["Retry-After"] == "2"


def test_mongodb_answers_when_redis_has_forgotten_a_job(
    client: FlaskClient, queue: Queue, records: Records, db: "redis.Redis"
) -> None:
    done, broken, waiting = finished(client, queue, records), failed(client, queue, records), upload(client)
    before = status(client, done)
    db.flushall()
    after = status(client, done)
    assert json.loads(after.pop("result")) == json.loads(before.pop("result")) == RESULT
    assert set(after) == set(before)
    assert (after["status"], after["progress"]) == ("completed", "100")
    assert (status(client, broken)["status"], status(client, broken)["error"]) == ("failed", "It broke.")
    assert status(client, waiting)["status"] == "queued"


def test_a_waiting_job_that_is_cancelled_is_over_everywhere_and_its_upload_is_gone(
    client: FlaskClient, queue: Queue, files: Storage, records: Records, db: "redis.Redis"
) -> None:
    job_id = upload(client)
    assert client.post(f"/api/jobs/{job_id}/cancel").json == {"jobId": job_id, "status": "cancelled"}
    assert (status(client, job_id)["status"], status(client, job_id)["error"]) == ("failed", "Cancelled")
    assert not files.has(files.upload_key("ann", job_id))
    assert (records._database.jobs.find_one({"_id": job_id}) or {})["status"] == "failed"
    again = client.post(f"/api/jobs/{job_id}/cancel")
    assert (again.status_code, (again.json or {})["code"]) == (409, "job_over")
    assert client.post(f"/api/jobs/{job_id}/retry").status_code == 410
    assert queue.take() is None
    nothing_left(db)


def test_a_job_that_redis_forgot_can_be_cancelled_and_is_not_brought_back(
    client: FlaskClient, files: Storage, records: Records, db: "redis.Redis"
) -> None:
    job_id = upload(client)
    db.flushall()
    assert client.post(f"/api/jobs/{job_id}/cancel").json == {"jobId": job_id, "status": "cancelled"}
    assert status(client, job_id)["error"] == "Cancelled"
    assert list(records.waiting_jobs(-60, 600)) == []
    assert not files.has(files.upload_key("ann", job_id))


def test_a_failed_job_can_be_tried_again_and_no_other(
    client: FlaskClient, queue: Queue, records: Records, db: "redis.Redis"
) -> None:
    job_id = failed(client, queue, records)
    assert client.post(f"/api/jobs/{job_id}/retry").status_code == 200
    assert status(client, job_id)["status"] == "queued"
    assert (records._database.jobs.find_one({"_id": job_id}) or {})["status"] == "queued"
    assert client.post(f"/api/jobs/{job_id}/retry").status_code == 409
    assert queue.finish(take(queue), "{}")
    assert client.post(f"/api/jobs/{job_id}/retry").status_code == 409
    nothing_left(db)


def test_a_job_that_a_foreign_worker_completed_without_a_result_has_none(
    client: FlaskClient, queue: Queue, db: "redis.Redis"
) -> None:
    queue.enqueue(payload("bare"))
    db.hset("job:bare", mapping={"status": "completed"})
    answer = client.get("/api/jobs/bare/result")
    assert (answer.status_code, (answer.json or {})["code"]) == (409, "no_result")


@pytest.mark.parametrize(
    ("variable", "name"), [("MAX_UPLOADS_PER_MINUTE", "uploads"), ("MAX_USER_JOBS", "open")]
)
def test_a19_a_job_that_is_tried_again_counts_like_an_upload(
    queue: Queue, records: Records, db: "redis.Redis", monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with running_api() as app, app.test_client() as client:
        job_id = failed(client, queue, records)
        queue.enqueue(payload("another"))  # open, and no upload
        refused = client.post(f"/api/jobs/{job_id}/retry")
    assert (refused.status_code, (refused.json or {})["code"]) == (429, f"too_many_{name}")
    assert (records.record(job_id) or {})["status"] == "failed"


@pytest.mark.parametrize("place", ["waiting", "parked", "running", "completed", "failed"])
def test_a_deleted_job_is_gone_everywhere_and_a_copy_of_its_pointer_starts_nothing(
    client: FlaskClient, queue: Queue, files: Storage, records: Records, db: "redis.Redis", place: str
) -> None:
    if place == "parked":
        others = [upload(client), upload(client)]
    job_id = {"completed": finished, "failed": failed}.get(place, lambda *_: upload(client))(client, queue, records)
    raw = str(db.hget(f"job:{job_id}", "payload"))
    running = take(queue) if place == "running" else None
    assert client.delete(f"/api/jobs/{job_id}").status_code == 204
    for path in (f"/api/job-status/{job_id}", f"/api/jobs/{job_id}/result"):
        assert client.get(path).status_code == 404
    assert client.delete(f"/api/jobs/{job_id}").status_code == 404
    assert records.owner(job_id) is None
    assert not files.has(files.upload_key("ann", job_id))
    assert db.hgetall(f"job:{job_id}") == {"at": "deleted"}
    assert db.pttl(f"job:{job_id}") > 0
    db.lpush(NORMAL, raw)
    db.hset(f"job:{job_id}", "status", "queued")
    if running:
        assert queue.look_after(running, 50, "phrases") == "lost"
        assert not queue.finish(running, "{}")
    if place == "parked":
        assert {take(queue).id, take(queue).id} == set(others)
        return
    assert [queue.take() for _ in range(3)] == [None] * 3
    assert not queue.enqueue(json.loads(raw)).new, "a producer that sends it again"
    nothing_left(db)


def test_an_idempotency_key_of_a_deleted_job_makes_a_new_one(client: FlaskClient) -> None:
    def send() -> str:
        form = {"file": (BytesIO(SAMPLE.encode()), "a.txt"), "userId": "ann"}
        answer: Any = client.post("/api/upload-document-async", data=form, headers={"Idempotency-Key": "k"})
        return answer.json["jobId"]

    first = send()
    client.delete(f"/api/jobs/{first}")
    second = send()
    assert second != first
    assert status(client, second)["status"] == "queued"


def test_a_user_who_is_deleted_leaves_nothing_and_takes_nothing_of_others(
    client: FlaskClient, queue: Queue, files: Storage, records: Records, db: "redis.Redis"
) -> None:
    mine = [finished(client, queue, records), failed(client, queue, records), upload(client), upload(client)]
    others = upload(client, "bob")
    assert client.delete("/api/users/ann").status_code == 204
    for job_id in mine:
        assert client.get(f"/api/job-status/{job_id}").status_code == 404
        assert not files.has(files.upload_key("ann", job_id))
    for kind in (records._database.jobs, records._database.results):
        assert kind.count_documents({"userId": "ann"}) == 0
    assert status(client, others)["status"] == "queued"
    assert take(queue).id == others
    assert queue.take() is None


def test_a_result_that_was_saved_just_before_its_job_was_deleted_is_taken_back(
    records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue(redis_url)
    job_id = enqueue(queue, records, SAMPLE)
    worker = Worker(queue, records.files, records, limits=Limits(10, 512))
    save = records.save_result

    def save_and_delete(*arguments: Any) -> bool:
        saved = save(*arguments)
        queue.forget([job_id])
        return saved

    monkeypatch.setattr(records, "save_result", save_and_delete)
    assert not worker._deliver(take(queue), "{}")
    assert records.owner(job_id) is None


def test_a_job_that_is_deleted_while_its_worker_saves_leaves_no_result(
    client: FlaskClient, start_worker: Start, records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(redis_url, lease=3)
    start_worker()
    job_id = enqueue(queue, records, long_document(30_000))
    wait_until(lambda: (status(client, job_id) or {}).get("progress", "0") >= "20", 30, "the pipeline")
    assert client.delete(f"/api/jobs/{job_id}").status_code == 204
    after = enqueue(queue, records, SAMPLE)
    wait_until(lambda: status(client, after)["status"] == "completed", 60, "the next job's end")
    assert records.owner(job_id) is None
    assert client.get(f"/api/job-status/{job_id}").status_code == 404
