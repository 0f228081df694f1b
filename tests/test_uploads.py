"""Direct uploads: a signed address for just this file, what is looked at before it is in line, and odd JSON."""

from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from forms import looks_like_a_document
from queue_lib import Queue
from records import Records
from storage import MAX_FILE, Storage
from tests.queue_tools import make_queue, take
from tests.support import running_api
from tests.worker_tools import SAMPLE, Start, ended

BODY = SAMPLE.encode()


def begin(client: FlaskClient, size: int = len(BODY), **fields: Any) -> Any:
    return client.post("/api/uploads", json={"userId": "ann", "fileName": "water.txt", "size": size, **fields})


def complete(client: FlaskClient, upload: str) -> Any:
    return client.post(f"/api/uploads/{upload}/complete", json={})


def test_a_file_that_was_put_to_its_address_becomes_a_job_with_its_options_and_its_cards(
    client: FlaskClient, start_worker: Start, records: Records, redis_url: str
) -> None:
    begun = begin(client, maxPhrases=5, fileName="../w.txt")
    assert begun.status_code == 201
    upload = begun.json["uploadId"]
    assert client.get(f"/api/job-status/{upload}").status_code == 404, "it is no job yet"
    assert (client.get("/api/jobs?userId=ann").json or {})["jobs"] == []
    assert requests.put(begun.json["url"], data=BODY, timeout=10).status_code == 200
    queue = make_queue(redis_url, lease=3)
    assert complete(client, upload).json == {
        "jobId": upload, "status": "queued", "message": "Document queued for processing",
    }  # fmt: skip
    assert complete(client, upload).status_code == 200, "and a second time changes nothing"
    assert (records.record(upload) or {})["fileName"] == "w.txt"
    start_worker()
    assert ended(queue, upload)["status"] == "completed"
    assert (records.record(upload) or {})["status"] == "completed"


def test_a_file_that_is_not_there_yet_is_409_and_can_be_completed_later(client: FlaskClient, redis_url: str) -> None:
    begun = begin(client).json
    assert complete(client, begun["uploadId"]).status_code == 409
    requests.put(begun["url"], data=BODY, timeout=10)
    assert complete(client, begun["uploadId"]).status_code == 200
    assert take(make_queue(redis_url)).id == begun["uploadId"]


def test_a_body_of_another_size_than_was_said_is_refused_by_the_bucket(client: FlaskClient) -> None:
    begun = begin(client, size=10).json
    assert requests.put(begun["url"], data=BODY, timeout=10).status_code == 403
    assert complete(client, begun["uploadId"]).status_code == 409


@pytest.mark.parametrize(
    "content",
    [b"MZ\x90\0\x03\0\0\0" + b"\0" * 200, b"\x7fELF\x02\x01\x01\0" + b"\0" * 200, b"\0\0\0\x20ftypisom" + b"\0" * 99],
    ids=["exe", "elf", "film"],
)
def test_a8_what_begins_like_no_document_is_refused_and_leaves_nothing(
    client: FlaskClient, files: Storage, records: Records, content: bytes, redis_url: str
) -> None:
    begun = begin(client, size=len(content), fileName="report.pdf").json
    assert requests.put(begun["url"], data=content, timeout=10).status_code == 200
    refused = complete(client, begun["uploadId"])
    assert (refused.status_code, refused.json["error"]) == (400, "This is no PDF, Word or text file, and no picture.")
    assert records.record(begun["uploadId"]) is None
    assert not files.has(files.upload_key("ann", begun["uploadId"]))
    assert Queue(redis_url).whereabouts([begun["uploadId"]]) == [""]


@pytest.mark.parametrize(
    "head",
    [b"%PDF-1.7\n\0", b"PK\x03\x04\0", b"II+\0\b\0", "A text\u2026".encode("utf-16-le"), "A text".encode("utf-16-be")],
    ids=["pdf", "docx", "BigTIFF", "UTF-16 without a mark", "the other UTF-16"],
)
def test_what_the_pipeline_reads_is_taken_however_it_comes(head: bytes) -> None:
    assert looks_like_a_document(head)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"size": MAX_FILE + 1}, "too large"),
        ({"size": 0}, "No size"),
        ({"size": "many"}, "No size"),
        ({"key": "documents/bob/x"}, "Unknown field"),
        ({"bucket": "another"}, "Unknown field"),
        ({"userId": ""}, "No userId"),
        ({"size": True}, "no JSON object"),
        ({"size": 1.5}, "no JSON object"),
        ({"userId": {"$ne": None}}, "no JSON object"),
        ({"fileName": ["a"]}, "no JSON object"),
    ],
)
def test_a13_a23_what_no_upload_has_is_400(client: FlaskClient, fields: dict[str, Any], words: str) -> None:
    refused = begin(client, **fields)
    assert refused.status_code == 400
    assert words in refused.json["error"]


ODD_JSON = {
    "no json": b"{",
    "nothing": b"",
    "no object": b"[]",
    "text": b'"x"',
    "nan": b'{"size": NaN}',
    "deep": b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "twice": b'{"size": 1, "size": 2}',
    "a long number": b'{"size": ' + b"9" * 5_000 + b"}",
    "a lone surrogate": b'{"userId": "\\ud800", "size": 1}',
    "a lone surrogate elsewhere": b'{"userId": "ann", "size": 1, "knownWords": "\\ud800"}',
    "nul": b'{"userId": "a\\u0000b", "size": 1}',
    "no utf-8": b'{"userId": "\xff", "size": 1}',
}


@pytest.mark.parametrize("body", ODD_JSON.values(), ids=ODD_JSON)
def test_a5_json_that_is_odd_is_400_and_never_500(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/api/uploads", data=body, content_type="application/json")
    assert answer.status_code == 400, answer.text
    assert (answer.json or {})["code"] == "bad_request"


def test_a4_a_json_body_has_a_limit_of_its_own(client: FlaskClient) -> None:
    answer = client.post("/api/uploads", data=b" " * 100_000, content_type="application/json")
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("variable", "limit", "name"),
    [("MAX_UPLOADS_PER_MINUTE", 2, "uploads"), ("MAX_BYTES_PER_DAY", 2 * len(BODY), "bytes")],
)
def test_a19_uploads_that_are_only_begun_count_and_completing_them_counts_no_more(
    records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch, variable: str, limit: int, name: str
) -> None:
    monkeypatch.setenv(variable, str(limit))
    with running_api() as app:
        client = app.test_client()
        begun = [begin(client) for _ in range(2)]
        assert [answer.status_code for answer in begun] == [201, 201]
        for _ in range(2):  # refused by Redis, then by the process
            refused = begin(client)
            assert (refused.status_code, refused.json["code"]) == (429, f"too_many_{name}")
        assert begin(client, userId="bob").status_code == 201
        requests.put(begun[0].json["url"], data=BODY, timeout=10)
        assert complete(client, begun[0].json["uploadId"]).status_code == 200
        assert records._database.jobs.count_documents({"userId": "ann"}) == 2
