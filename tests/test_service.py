"""The whole service as it is deployed: gunicorn, a worker, the three servers, over HTTP."""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pypdfium2
import pytest
import redis
import requests
from pypdf import PdfReader, PdfWriter

from storage import MAX_FILE
from tests.support import ROOT, Service, wait_until

MB = 1024 * 1024
TEXT = (ROOT / "samples" / "how-a-city-drinks.txt").read_bytes()
PDF = (ROOT / "samples" / "how-a-city-drinks.pdf").read_bytes()


def post(service: Service, content: Any, name: str = "a.txt", user: str = "ann") -> requests.Response:
    return requests.post(
        service.url + "/api/upload-document-async", files={"file": (name, content)}, data={"userId": user}, timeout=60
    )


def end_of(service: Service, job_id: str, seconds: float = 60) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        status = requests.get(f"{service.url}/api/job-status/{job_id}", timeout=10).json()
        return status if status["status"] in ("completed", "failed") else None

    return wait_until(ended, seconds, "the job's end") or {}


def image_pdf() -> bytes:
    """A PDF of one page without any text, as a scanner makes it."""
    document = pypdfium2.PdfDocument.new()
    document.new_page(200, 200)
    out = BytesIO()
    document.save(out)
    document.close()
    return out.getvalue()


def locked_pdf() -> bytes:
    """The sample, encrypted with a password that nobody knows here."""
    writer = PdfWriter(clone_from=PdfReader(BytesIO(PDF)))
    writer.encrypt("a password", algorithm="RC4-128")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000049454e44ae426082")


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (PNG, "scan.pdf", ["picture"]),
        (locked_pdf(), "locked.pdf", ["password"]),
        (image_pdf(), "scan.pdf", ["text"]),
        (PDF[: len(PDF) // 3], "cut.pdf", ["damaged"]),
        (b"%PDF-1.7\n" + bytes(range(256)) * 8, "noise.pdf", ["damaged"]),
        (b"Hello.", "short.txt", ["at least 5"]),
    ],
    ids=["png named pdf", "encrypted", "no text", "truncated", "noise", "too short"],
)
def test_a_document_that_cannot_be_used_fails_with_a_sentence_and_leaves_nothing_behind(
    service: Service, content: bytes, name: str, words: list[str]
) -> None:
    job_id = post(service, content, name).json()["jobId"]
    end = end_of(service, job_id)
    assert end["status"] == "failed"
    assert "result" not in end
    for word in words:
        assert word in end["error"]
    assert end["error"].endswith(".")
    with redis.Redis.from_url(service.env["UPSTASH_REDIS_URL"], decode_responses=True) as db:
        url = json.loads(db.hget(f"job:{job_id}", "payload") or "{}")["fileUrl"]
        wait_until(lambda: requests.get(url, timeout=5).status_code == 404, 5, "the upload's removal")
        for part in ("", ":open", ":leases", ":delayed"):
            assert not db.exists("document_queue" + part)


def test_a_good_document_goes_through_after_a_bad_one(service: Service) -> None:
    post(service, PNG, "scan.pdf")
    end = end_of(service, post(service, TEXT, user="good").json()["jobId"])
    assert end["status"] == "completed"
    assert len(json.loads(end["result"])["flashcards"]) >= 20


def test_a_file_over_the_limit_is_read_to_its_end_so_that_the_client_sees_the_sentence(service: Service) -> None:
    answer = post(service, b"x" * (MAX_FILE + 8 * MB))
    assert (answer.status_code, answer.json()["error"]) == (400, "File too large (max 50MB)")


def test_a_body_without_a_length_is_accepted_and_limited_as_well(service: Service) -> None:
    boundary = "a-boundary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="userId"\r\n\r\nann\r\n--{boundary}\r\n'
    head += 'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'

    def body(content: bytes) -> Iterator[bytes]:
        yield head.encode()
        yield content
        yield f"\r\n--{boundary}--\r\n".encode()

    def send(content: bytes) -> requests.Response:
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return requests.post(
            service.url + "/api/upload-document-async", data=body(content), headers=headers, timeout=60
        )

    assert end_of(service, send(TEXT).json()["jobId"])["status"] == "completed"
    answer = send(b"x" * (MAX_FILE + 1))
    assert (answer.status_code, answer.json()["error"]) == (400, "File too large (max 50MB)")
    with contextlib.suppress(requests.ConnectionError):  # what is not read to its end may be cut off
        assert send(b"x" * (70 * MB)).status_code == 413


def test_the_same_document_gives_the_same_cards_twice(service: Service) -> None:
    ends = [end_of(service, post(service, TEXT, user=user).json()["jobId"]) for user in ("one", "two")]
    cards = [json.dumps(json.loads(end["result"])["flashcards"]) for end in ends]
    digests = {hashlib.sha256(text.encode()).hexdigest() for text in cards}
    assert len(digests) == 1


def test_progress_is_seen_moving_while_a_long_document_is_processed(service: Service) -> None:
    job_id = post(service, TEXT * 80).json()["jobId"]
    seen: list[tuple[int, str]] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = requests.get(f"{service.url}/api/job-status/{job_id}", timeout=10).json()
        if (int(status["progress"]), status["stage"]) not in seen:
            seen.append((int(status["progress"]), status["stage"]))
        if status["status"] == "completed":
            break
    percents = [percent for percent, _ in seen]
    assert percents[-1] == 100
    assert percents == sorted(percents)
    assert any(0 < percent < 100 for percent in percents), seen
