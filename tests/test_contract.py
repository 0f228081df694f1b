"""The specification's own parts against ours: its producer, its worker and its page's polling, rewritten from its text
in Python (its calls and their order stay), have to work unchanged."""

import functools
import http.server
import json
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from pipeline import CompletePipeline12Stages
from tests.support import Service, running_api

SAMPLES = Path(__file__).parent.parent / "samples"
PDF, TXT = SAMPLES / "how-a-city-drinks.pdf", SAMPLES / "how-a-city-drinks.txt"


@pytest.fixture
def service_db(service: Service) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(service.env["UPSTASH_REDIS_URL"], decode_responses=True) as connection:
        yield connection


@pytest.fixture
def file_server() -> Iterator[str]:
    """The address of a web server of somebody else's that has the samples."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SAMPLES))) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def handle_upload(url: str, file: Path) -> str:
    """The page's handleUpload, up to its jobId."""
    with file.open("rb") as stream:
        answer = requests.post(
            url + "/api/upload-document-async", files={"file": stream}, data={"userId": "user123"}, timeout=30
        )
    return answer.json()["jobId"]


def poll(url: str, job_id: str, seconds: float = 90) -> dict[str, Any]:
    """The page's interval: every two seconds until completed or failed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = requests.get(f"{url}/api/job-status/{job_id}", timeout=10).json()
        if status["status"] in ("completed", "failed"):
            return status
        time.sleep(2)  # what the page does
    raise AssertionError("the job did not end")


def enqueue_job(db: "redis.Redis", job: dict[str, str]) -> None:
    """The specification's enqueueJob: a bare LPUSH, then a HSET."""
    db.lpush("document_queue", json.dumps(job, separators=(",", ":")))
    db.hset(f"job:{job['jobId']}", mapping={"status": "queued", "createdAt": str(int(time.time() * 1000))})


def process_job(db: "redis.Redis", job_data: dict[str, Any]) -> None:
    """The specification's process_job; its text extraction is a decode here, as the file is plain text."""
    job_id, file_url = job_data["jobId"], job_data["fileUrl"]
    db.hset(f"job:{job_id}", "status", "processing")
    db.hset(f"job:{job_id}", "progress", "0")
    text = requests.get(file_url, timeout=10).content.decode()
    db.hset(f"job:{job_id}", "progress", "20")
    result = CompletePipeline12Stages().process_document(
        text=text,
        document_id=job_id,
        document_title=job_data["fileName"],
        max_phrases=40,
        generate_flashcards=True,
    )
    db.hset(f"job:{job_id}", "progress", "90")
    db.hset(f"job:{job_id}", "status", "completed")
    db.hset(f"job:{job_id}", "progress", "100")
    db.hset(f"job:{job_id}", "result", json.dumps(result))


def test_the_pages_polling_code_reads_the_flashcards_of_an_upload(service: Service) -> None:
    status = poll(service.url, handle_upload(service.url, PDF))
    assert (status["status"], status["progress"]) == ("completed", "100")
    cards = json.loads(status["result"])["flashcards"]
    assert len(cards) >= 20
    assert all(card["id"] and card["word"] for card in cards)
    assert len({card["id"] for card in cards}) == len(cards), "the page uses them as keys"


def test_a_bare_lpush_and_hset_feed_our_worker(
    service: Service, service_db: "redis.Redis", file_server: str
) -> None:
    job_id = str(uuid.uuid4())
    url = f"{file_server}/{PDF.name}"
    enqueue_job(service_db, {"jobId": job_id, "userId": "user123", "fileUrl": url, "fileName": "city.pdf"})
    assert poll(service.url, job_id)["status"] == "completed"
    stored = service_db.hgetall(f"job:{job_id}")
    assert stored["status"] == "completed", "the specification's getJobStatus reads the hash itself"
    assert len(json.loads(stored["result"])["flashcards"]) >= 20


def test_the_address_that_the_specifications_upload_makes_is_read_from_our_private_bucket(
    service: Service, service_db: "redis.Redis"
) -> None:
    uploaded = handle_upload(service.url, TXT)
    job_id = str(uuid.uuid4())
    url = f"https://{service.env['S3_BUCKET']}.s3.amazonaws.com/documents/user123/{uploaded}"
    enqueue_job(service_db, {"jobId": job_id, "userId": "user123", "fileUrl": url, "fileName": "city.txt"})
    assert poll(service.url, job_id)["status"] == "completed"


def test_the_specifications_worker_drains_a_queue_that_our_api_filled(
    servers: dict[str, str], redis_url: str, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGODB_URI", mongo_uri)
    with (
        running_api() as app,
        app.test_client() as client,
        redis.Redis.from_url(redis_url, decode_responses=True) as db,
    ):
        with TXT.open("rb") as stream:
            answer = client.post("/api/upload-document-async", data={"file": stream, "userId": "user123"})
        assert answer.json is not None
        job_id = answer.json["jobId"]
        job = db.brpop("document_queue", timeout=5)
        assert job is not None
        job_data = json.loads(job[1])
        assert job_data["jobId"] == job_id
        process_job(db, job_data)
        status = client.get(f"/api/job-status/{job_id}").json
        assert status is not None
        assert (status["status"], status["progress"]) == ("completed", "100")
        assert len(json.loads(status["result"])["flashcards"]) >= 20
        app.extensions["queue"].look_after()
        assert db.hget(f"job:{job_id}", "at") == "done", "ours knows that it is over"
        assert not db.exists("document_queue:open")
