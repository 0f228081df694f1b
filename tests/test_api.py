"""The API by itself, on the real servers: what it accepts, what it refuses, and what it leaves behind."""

import contextlib
import json
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import requests
from flask.testing import FlaskClient

import api
from forms import clean_name
from queue_lib import NORMAL
from records import Records
from servers import leashed, redis_answers, redis_command
from storage import MAX_FILE, Storage
from tests.support import running_api, wait_until

TEXT = b"The aquifer under the city is a layer of sand that holds water. " * 10


@contextlib.contextmanager
def new_client() -> Iterator[FlaskClient]:
    with running_api() as app, app.test_client() as client:
        yield client


@pytest.fixture
def client(records: Records, redis_url: str) -> Iterator[FlaskClient]:
    with new_client() as client:
        yield client


def upload(
    client: FlaskClient, content: bytes | None = TEXT, name: str = "water.txt", key: str = "", **fields: str
) -> Any:
    document = {} if content is None else {"file": (name, content)}
    form = requests.Request("POST", "http://docdeck.test", data={"userId": "ann", **fields}, files=document).prepare()
    return client.post(
        "/api/upload-document-async",
        data=form.body,
        content_type=form.headers["Content-Type"],
        headers={"Idempotency-Key": key} if key else {},
    )


def everything(records: Records, db: "redis.Redis") -> tuple[int, int, int]:
    """How many objects, records and Redis keys there are, but for what is counted for operators."""
    objects = records.files._s3.list_objects_v2(Bucket=records.files.bucket).get("KeyCount", 0)
    keys = [key for key in db.scan_iter() if not re.match(f"{NORMAL}:(stats|workers)|worker:", key)]
    return objects, records._database.jobs.count_documents({}), len(keys)


def test_an_upload_is_answered_at_once_and_is_durable_in_all_three_places(
    client: FlaskClient, files: Storage, records: Records, db: "redis.Redis"
) -> None:
    answer = upload(client)
    assert answer.status_code == 200
    job_id = answer.json["jobId"]
    assert answer.json == {"jobId": job_id, "status": "queued", "message": "Document queued for processing"}
    (entry,) = db.lrange(NORMAL, 0, -1)
    payload = json.loads(entry)
    assert sorted(payload) == ["fileName", "fileUrl", "jobId", "userId"]
    assert (payload["jobId"], payload["userId"], payload["fileName"]) == (job_id, "ann", "water.txt")
    record = records._database.jobs.find_one({"_id": job_id}) or {}
    assert (record["status"], record["payload"], record["size"]) == ("queued", payload, len(TEXT))
    assert requests.get(payload["fileUrl"], timeout=5).content == TEXT, "anybody can GET the link"
    assert files.key_of(payload["fileUrl"]) == f"documents/ann/{job_id}"


def test_the_status_of_a_waiting_job_has_the_contracts_fields_only(client: FlaskClient) -> None:
    job_id = upload(client).json["jobId"]
    status: Any = client.get(f"/api/job-status/{job_id}")
    assert status.status_code == 200
    assert sorted(status.json) == ["createdAt", "progress", "stage", "status"]
    assert (status.json["status"], status.json["progress"]) == ("queued", "0")
    assert isinstance(status.json["createdAt"], int)


def test_options_travel_in_the_hash_and_not_in_the_list(client: FlaskClient, db: "redis.Redis") -> None:
    job_id = upload(client, maxPhrases="5", maxWords="0", knownWords="water, city").json["jobId"]
    assert db.hmget(f"job:{job_id}", "maxPhrases", "maxWords", "knownWords") == ["5", "0", "water, city"]
    assert "maxPhrases" not in db.lrange(NORMAL, 0, -1)[0]


@pytest.mark.parametrize(
    ("content", "fields", "sentence"),
    [
        (None, {}, 'No file: send the document as the form field "file".'),
        (b"", {}, "The file is empty."),
        (b"x" * (MAX_FILE + 1), {}, "File too large (max 50MB)"),
        (TEXT, {"userId": ""}, 'No userId: send it as the field "userId".'),
        (TEXT, {"userId": "a" * 201}, "The userId must be at most 200 printable characters, and neither . nor .."),
        (TEXT, {"userId": "a\nb"}, "The userId must be at most 200 printable characters, and neither . nor .."),
        (TEXT, {"userId": "漢" * 101}, "The userId must be at most 200 printable characters, and neither . nor .."),
        (TEXT, {"userId": ".."}, "The userId must be at most 200 printable characters, and neither . nor .."),
        (TEXT, {"maxPhrases": "many"}, "maxPhrases must be a number from 0 to 200."),
        (TEXT, {"maxWords": "201"}, "maxWords must be a number from 0 to 200."),
        (TEXT, {"priority": "urgent"}, "priority must be high, normal or low (or 2, 1 or 0)."),
        (TEXT, {"key": "k" * 256}, "The Idempotency-Key must be at most 255 printable characters."),
    ],
    ids=[
        "no file",
        "0 bytes",
        "over 50 MB",
        "no user",
        "long user",
        "unprintable user",
        "long user in bytes",
        "folder user",
        "no number",
        "too many",
        "priority",
        "long key",
    ],
)
def test_bad_input_gets_its_sentence_and_leaves_nothing_behind(
    client: FlaskClient,
    records: Records,
    db: "redis.Redis",
    content: bytes | None,
    fields: dict[str, str],
    sentence: str,
) -> None:
    before = everything(records, db)
    answer = upload(client, content, **fields)
    assert (answer.status_code, answer.json["error"]) == (400, sentence)
    assert everything(records, db) == before


def test_a_file_of_exactly_fifty_megabytes_is_accepted(client: FlaskClient, files: Storage) -> None:
    answer = upload(client, b"x" * MAX_FILE)
    assert answer.status_code == 200
    files.delete(f"documents/ann/{answer.json['jobId']}")


def test_a_body_over_the_hard_cap_is_413_with_the_same_sentence(client: FlaskClient) -> None:
    answer = upload(client, b"x" * (api.MAX_BODY + 1))
    assert (answer.status_code, answer.json["error"]) == (413, "File too large (max 50MB)")


@pytest.mark.parametrize("job_id", ["unknown", "a:b", "*", "job:*", "..%2Fx", "a/b", "x" * 65, "%00", "é"])
def test_an_unknown_or_impossible_job_id_is_404_in_json(client: FlaskClient, db: "redis.Redis", job_id: str) -> None:
    db.hset("job:a:b", "status", "queued")
    answer = client.get(f"/api/job-status/{job_id}")
    assert (answer.status_code, (answer.json or {})["error"]) == (404, "Job not found")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ann\\essay.pdf", "essay.pdf"),
        ("giáo trình.pdf", "giáo trình.pdf"),
        ("审计.pdf", "审计.pdf"),
        ("a\u202ecod.exe", "acod.exe"),
        ("x" * 300 + ".pdf", "x" * 255),
        ("..", ".."),
        ("/", "document"),
    ],
)
def test_a_file_name_is_kept_as_a_name_and_never_becomes_a_path(name: str, kept: str) -> None:
    assert clean_name(name) == kept


def test_a_user_id_cannot_leave_its_folder_in_the_bucket(client: FlaskClient, db: "redis.Redis") -> None:
    job_id = upload(client, userId="../bob").json["jobId"]
    url = json.loads(db.lrange(NORMAL, 0, -1)[0])["fileUrl"]
    assert urlsplit(url).path.endswith(f"/documents/..%252Fbob/{job_id}")
    assert requests.get(url, timeout=5).content == TEXT


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("get", "/nowhere", 404),
        ("get", "/api/job-status/a%0Ab", 404),
        ("get", "/api/upload-document-async", 405),
        ("post", "/api/job-status/x", 405),
    ],
)
def test_every_error_is_json_with_a_sentence(client: FlaskClient, method: str, path: str, code: int) -> None:
    answer = getattr(client, method)(path)
    assert answer.status_code == code
    assert answer.is_json
    assert answer.json["error"].endswith(".")


@pytest.mark.parametrize(
    ("said", "line"), [("high", ":high"), ("2", ":high"), ("Normal", ""), ("1", ""), ("low", ":low"), ("0", ":low")]
)
def test_a_priority_chooses_the_line(client: FlaskClient, db: "redis.Redis", said: str, line: str) -> None:
    job_id = upload(client, priority=said).json["jobId"]
    (entry,) = db.lrange(NORMAL + line, 0, -1)
    assert json.loads(entry)["jobId"] == job_id


def test_a_second_upload_with_the_same_idempotency_key_is_the_first_job(
    client: FlaskClient, records: Records, db: "redis.Redis"
) -> None:
    first = upload(client, key="essay-7").json
    before = everything(records, db)
    assert upload(client, key="essay-7").json == first
    assert everything(records, db) == before
    assert upload(client, key="essay-7", userId="bob").json["jobId"] != first["jobId"]


def test_too_many_jobs_of_a_user_are_429_and_a_full_queue_is_503(
    records: Records, db: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_USER_JOBS", "1")
    monkeypatch.setenv("MAX_QUEUE_LENGTH", "2")
    with new_client() as client:
        assert upload(client).status_code == 200
        before = everything(records, db)
        refused = upload(client)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
        assert refused.json["error"].startswith("You have too many documents waiting.")
        assert everything(records, db) == before
        assert upload(client, userId="bob").status_code == 200
        refused = upload(client, userId="cid")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")
        assert refused.json["error"].startswith("Too many documents are waiting")


def test_health_and_readiness_name_the_parts(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "ok", "service": "docdeck"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json) == (
        200,
        {"status": "ok", "redis": "ok", "mongodb": "ok", "storage": "ok"},
    )


def test_readiness_says_within_seconds_which_part_is_away(
    records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_URL", f"redis://127.0.0.1:{free_port}/0")
    with new_client() as client:
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert (answer.json["mongodb"], answer.json["storage"]) == ("ok", "ok")
    assert answer.json["redis"] != "ok"


@pytest.fixture
def own_redis(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[bytes]"]:
    """A Redis of our own, to be frozen; the environment names it."""
    server = subprocess.Popen(leashed(redis_command(tmp_path, free_port)), stdout=subprocess.DEVNULL)
    wait_until(lambda: redis_answers(free_port), 10, "Redis")
    monkeypatch.setenv("UPSTASH_REDIS_URL", f"redis://127.0.0.1:{free_port}/0")
    yield server
    server.kill()
    server.wait()


def when_stored(monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
    """Something happens between the file's arrival in the bucket and the job's in the line."""
    put = Storage.put

    def stored(*arguments: Any) -> str:
        key = put(*arguments)
        then()
        return key

    monkeypatch.setattr(Storage, "put", stored)


@pytest.mark.parametrize(("stall", "code"), [(1.4, 200), (4, 503)], ids=["the second try answers", "no try answers"])
def test_a_job_whose_enqueueing_was_not_answered_in_time_keeps_its_file_and_its_record(
    records: Records, own_redis: "subprocess.Popen[bytes]", free_port: int, stall: float, code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    timer = threading.Timer(stall, own_redis.send_signal, [signal.SIGCONT])

    def freeze() -> None:
        own_redis.send_signal(signal.SIGSTOP)
        timer.start()

    with new_client() as client, redis.Redis.from_url(f"redis://127.0.0.1:{free_port}", decode_responses=True) as db:
        upload(client, userId="warm")
        when_stored(monkeypatch, freeze)
        assert upload(client).status_code == code
        timer.join()
        (entry,) = wait_until(lambda: [e for e in db.lrange(NORMAL, 0, -1) if '"ann"' in e], 5, "the job in line")
    payload = json.loads(entry)
    assert requests.get(payload["fileUrl"], timeout=5).content == TEXT
    assert records._database.jobs.count_documents({"_id": payload["jobId"], "status": "queued"}) == 1


def test_an_upload_that_redis_does_not_take_is_503_and_its_record_lets_a_worker_enqueue_it(
    records: Records, own_redis: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    when_stored(monkeypatch, own_redis.kill)
    with new_client() as client:
        answer = upload(client)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json["error"].endswith("try again in a few seconds.")
    (record,) = records.waiting_jobs(older_than=-60, younger_than=60)
    assert requests.get(record["payload"]["fileUrl"], timeout=5).content == TEXT


def test_an_upload_that_mongodb_does_not_take_is_503_and_leaves_no_file(
    records: Records, db: "redis.Redis", monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    before = everything(records, db)
    monkeypatch.setenv("MONGODB_URI", f"mongodb://127.0.0.1:{free_port}/docdeck")
    with new_client() as client:
        assert upload(client).status_code == 503
    assert everything(records, db) == before


def test_a_rest_address_of_upstash_is_answered_with_the_address_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_URL", "https://apt-crane-12345.upstash.io")
    with pytest.raises(SystemExit, match=r"rediss://default:PASSWORD@apt-crane-12345\.upstash\.io:6379"):
        api.create_app()
