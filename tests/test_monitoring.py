"""Log lines and Sentry's events, of real processes: how many there are, what they say, and what they never say."""

import contextlib
import functools
import gzip
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import monitoring
from queue_lib import Queue
from records import Records
from tests.support import ROOT, running_api, wait_until
from tests.test_webhooks import Receiver
from tests.worker_tools import LEASE, SAMPLE, Start, ended, submit, worker_log

CANARY = "canary-of-a-documents-text"


def lines_of(text: str, job_id: str = "") -> list[dict[str, Any]]:
    """The events of a log, or those of one job."""
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [event for event in events if not job_id or event.get("job_id") == job_id]


def said_by(code: str, **variables: str) -> list[dict[str, Any]]:
    """What a process of its own logs."""
    environment = {**os.environ, **variables}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return lines_of(ran.stdout)


@pytest.fixture
def queue(redis_url: str) -> Queue:
    return Queue(redis_url, lease=LEASE)


# Lines ------------------------------------------------------------------------------------------------------------


def test_a_line_has_datadogs_reserved_attributes_and_no_field_can_take_their_place() -> None:
    code = "import monitoring; monitoring.log('x', 'warning', job_id='j', status=200, service='evil', message2='y')"
    (event,) = said_by(code, DD_SERVICE="cards", DD_ENV="staging", DD_VERSION="1.2")
    assert {name: event[name] for name in ("service", "env", "version", "status", "level", "message", "job_id")} == {
        "service": "cards", "env": "staging", "version": "1.2", "status": "warning", "level": "warning",
        "message": "x", "job_id": "j",
    }  # fmt: skip
    assert event["timestamp"].endswith("Z")


def test_a18_a_process_says_fewer_than_a_hundred_lines_a_second_and_how_many_it_left_out() -> None:
    code = """
import time, monitoring
ends, said = time.time() + 2.5, 0
while time.time() < ends:
    for _ in range(50):
        monitoring.log("a flood" + chr(10) + "{}", said=said)
        said += 1
    monitoring.log("an error", "error")
    time.sleep(0.005)
monitoring.log("the sum", said=said)
monitoring.stop()
"""
    events = said_by(code)
    per_second = Counter(event["timestamp"][:19] for event in events)
    assert max(per_second.values()) < 100
    floods = sum(event["message"].startswith("a flood") for event in events)
    left_out = sum(event["lines"] for event in events if event["message"] == "log lines were left out")
    assert floods > 100
    assert left_out > 5_000
    assert sum(event["message"] == "an error" for event in events) >= 40, "there is always room for errors"


def test_a_job_that_fails_is_retried_and_given_up_says_so_and_what_happens_next(
    start_worker: Start, queue: Queue, records: Records, tmp_path: Path
) -> None:
    job_id = submit(queue, records, SAMPLE, "raises")
    refused = submit(queue, records, b"\0\1\2" * 99, "no document.pdf")
    start_worker()
    assert ended(queue, job_id)["status"] == "failed"
    assert ended(queue, refused)["status"] == "failed"
    for end in ("job given up", "job failed"):
        wait_until(lambda end=end: end in worker_log(tmp_path), 10, f"{end!r} in the log")  # type: ignore[misc]
    events = lines_of(worker_log(tmp_path), job_id)
    assert [event["message"] for event in events] == ["job will be retried", "job given up"]
    assert [event["next"].split(" in ")[0] for event in events] == ["it is tried again", "it stands"]
    assert all("ZeroDivisionError" in event["cause"] for event in events)
    assert {event["user_id"] for event in events} == {"ann"}
    (event,) = lines_of(worker_log(tmp_path), refused)
    assert (event["message"], event["level"], event["next"].split(":")[0]) == ("job failed", "info", "nothing")


def test_a_job_has_five_lines_at_most_whatever_happens_to_it(
    start_worker: Start,
    queue: Queue,
    records: Records,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tried, given up, told to a receiver, started anew, all of it once more, and deleted in the end."""
    monkeypatch.setenv("WEBHOOK_SECRET", "s" * 32)
    monkeypatch.setenv("ALLOWED_FILE_HOSTS", "127.0.0.1")
    monkeypatch.setenv("MAX_ATTEMPTS", "2")
    start_worker()
    with running_api() as app, contextlib.closing(Receiver()) as receiver:
        client = app.test_client()
        form = {"file": (BytesIO(SAMPLE.encode()), "raises"), "userId": "ann", "webhookUrl": receiver.url}
        job_id = client.post("/api/upload-document-async", data=form).json["jobId"]  # type: ignore[index]
        for times in range(1, 4):
            wait_until(lambda times=times: len(receiver.got) == times, 60, "the receiver's call")  # type: ignore[misc]
            wait_until(lambda: queue.stats().places["webhooks"] == 0, 10, "its answer's being written down")
            if times < 3:
                assert queue.requeue(job_id)
        assert client.delete(f"/api/jobs/{job_id}?userId=ann").status_code == 204
    events = [*lines_of(capfd.readouterr().out, job_id), *lines_of(worker_log(tmp_path), job_id)]
    assert sorted(event["message"] for event in events) == [
        "job given up", "job given up", "job queued", "job will be retried", "webhook over"
    ]  # fmt: skip


def test_the_deletion_of_a_job_that_was_to_run_is_said(
    queue: Queue, records: Records, capfd: pytest.CaptureFixture[str]
) -> None:
    job_id = submit(queue, records, SAMPLE)
    with running_api() as app:
        assert app.test_client().delete(f"/api/jobs/{job_id}?userId=ann").status_code == 204
    (event,) = lines_of(capfd.readouterr().out, job_id)
    assert (event["message"], event["user_id"]) == ("job deleted", "ann")
    assert event["next"] == "nothing: its user wants it no more"


def test_a_job_that_is_given_back_again_and_again_has_no_more_lines_than_others(
    start_worker: Start, queue: Queue, records: Records, tmp_path: Path
) -> None:
    job_id = submit(queue, records, SAMPLE, "hangs")
    for run in range(1, 5):
        worker = start_worker()
        wait_until(functools.partial(is_at_run, queue, job_id, str(run)), 20, "the next run")
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
    queue.cancel(job_id)
    (event,) = lines_of(worker_log(tmp_path), job_id)
    assert event["message"] == "job released"
    assert "attempt not counted" in event["next"]


def is_at_run(queue: Queue, job_id: str, run: str) -> bool:
    stored = queue._fields(job_id)
    return (stored["at"], stored["run"]) == ("run", run)


# Sentry -----------------------------------------------------------------------------------------------------------


class Sentry:
    """A receiver of envelopes. events: what came so far; dsn: its address, with a key that must not be told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.raw = b""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                receiver.raw += body
                receiver.events += envelope(body)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.dsn = f"http://canarykey@127.0.0.1:{self.server.server_port}/7"
        Thread(target=self.server.serve_forever, daemon=True).start()


def envelope(body: bytes) -> list[dict[str, Any]]:
    """The events of an envelope: a head, then for each item its head and, by its length, its payload."""
    rest, events = body.split(b"\n", 1)[1], []
    while rest.strip():
        head_line, rest = rest.split(b"\n", 1)
        head = json.loads(head_line)
        length = head.get("length", len(rest))
        if head["type"] == "event":
            events.append(json.loads(rest[:length]))
        rest = rest[length:].lstrip(b"\n")
    return events


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    receiver = Sentry()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_a_bug_in_the_child_is_one_event_with_its_job_and_place_and_nothing_of_the_document(
    start_worker: Start, queue: Queue, records: Records, sentry: Sentry, tmp_path: Path
) -> None:
    refused = submit(queue, records, b"\0\1\2" * 99, "no document.pdf")
    job_id = submit(queue, records, CANARY + SAMPLE, "tells_the_text")
    start_worker(SENTRY_DSN=sentry.dsn, DD_VERSION="1.2")
    assert ended(queue, job_id)["status"] == "failed"
    assert ended(queue, refused)["status"] == "failed"
    (event,) = wait_until(lambda: sentry.events, 10, "the event")
    told = event["exception"]["values"][0]
    assert (told["type"], told["value"]) == ("ValueError", "job will be retried")
    assert told["stacktrace"]["frames"][-1]["function"] == "tells_the_text"
    assert (event["contexts"]["job"]["job_id"], event["tags"]["job_id"]) == (job_id, job_id)
    assert (event["user"]["id"], event["release"]) == ("ann", "docdeck@1.2")
    assert CANARY in worker_log(tmp_path), "the exception's message is in the log only"
    for secret in (CANARY, os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["UPSTASH_REDIS_URL"], "no document.pdf"):
        assert secret.encode() not in sentry.raw


def test_a_bug_in_the_api_is_an_event_and_what_a_client_does_wrong_is_none(
    records: Records, redis_url: str, sentry: Sentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_DSN", sentry.dsn)
    monkeypatch.setattr(monitoring, "_reported", {})
    with running_api() as app:
        client = app.test_client()
        assert client.get("/nowhere").status_code == 404
        form = {"file": (BytesIO(b""), "empty.txt"), "userId": "ann"}
        assert client.post("/api/upload-document-async", data=form).status_code == 400
        monkeypatch.setattr(app.extensions["queue"], "status", lambda *_: 1 / 0)
        answer = client.get("/api/job-status/abc", headers={"X-Request-Id": "r-1", "Authorization": f"Bearer {CANARY}"})
        assert answer.status_code == 500
    monitoring.stop()
    monkeypatch.delenv("SENTRY_DSN")
    import sentry_sdk

    sentry_sdk.init()  # or the next tests' errors would be sent
    (event,) = sentry.events
    assert event["exception"]["values"][0]["type"] == "ZeroDivisionError"
    assert event["tags"]["request_id"] == "r-1"
    assert CANARY.encode() not in sentry.raw
    assert b"canarykey" not in sentry.raw.split(b"\n", 1)[1]


def test_a_wrong_dsn_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTRY_DSN", "nonsense")
    with pytest.raises(SystemExit, match="SENTRY_DSN is no address"):
        monitoring.start_reporting()


def test_errors_of_one_cause_are_one_group_and_the_place_is_the_last_one_of_ours() -> None:
    def broken(value: Any) -> str:
        try:
            json.loads(value)
        except ValueError:
            import traceback

            return traceback.format_exc()
        return ""

    groups = {monitoring.group_of(broken(value)) for value in ("{", "[1,", "canary\nValue: of a document")}
    assert groups == {"json.decoder.JSONDecodeError in tests/test_monitoring.py, broken"}
    sentences = ("it took longer than 4 seconds", "it took longer than 1800 seconds")
    assert {monitoring.group_of(sentence) for sentence in sentences} == {"it took longer than # seconds"}
