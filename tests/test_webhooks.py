"""Webhooks: signed, tried for three days with one id, and never in a job's way. Receivers are real sockets."""

import base64
import contextlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Event, Thread
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

import webhooks
from queue_lib import NORMAL, Queue
from records import Records
from tests.queue_tools import make_queue, payload, take
from tests.support import patience, running_api, wait_until
from tests.worker_tools import SAMPLE, Start
from webhooks import Hooks, Notifier

SECRET = "canary-webhook-secret-" + "s" * 20
HOOKS = NORMAL + ":webhooks"


class Receiver:
    """Remembers what it was sent; answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[BaseHTTPRequestHandler], None] = lambda request: self.say(request, 200)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                receiver.answer(self)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?token=canary-hook-token"
        Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def say(request: BaseHTTPRequestHandler, code: int, **headers: str) -> None:
        request.send_response(code)
        for name, value in {"Content-Length": "0", **headers}.items():
            request.send_header(name, value)
        request.end_headers()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with contextlib.closing(Receiver()) as receiver:
        yield receiver


@pytest.fixture
def client(records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    with running_api() as app, app.test_client() as client:
        yield client


@pytest.fixture
def queue(redis_url: str) -> Queue:
    """A worker's, which tells receivers."""
    queue = make_queue(redis_url)
    queue.notifier = Notifier(queue, Hooks(SECRET, {"127.0.0.1"}))
    return queue


def upload(client: FlaskClient, url: str, content: bytes = SAMPLE.encode()) -> Any:
    form = {"file": (BytesIO(content), "water.txt"), "userId": "ann", "webhookUrl": url}
    return client.post("/api/upload-document-async", data=form)


def deliveries(db: "redis.Redis", job_id: str) -> list[dict[str, Any]]:
    return json.loads(str(db.hget(f"job:{job_id}", "deliveries") or "[]"))


def look_until(queue: Queue, condition: Callable[[], Any], what: str) -> Any:
    return wait_until(lambda: queue.look_after() and condition(), 10, what)


def make_due(db: "redis.Redis", job_id: str) -> None:
    db.zadd(HOOKS, {job_id: 1}, xx=True)


def test_a15_a_receiver_is_told_of_a_jobs_end_in_a_signed_event_that_it_can_check(
    client: FlaskClient, start_worker: Start, receiver: Receiver, redis_url: str, db: "redis.Redis"
) -> None:
    secret = (client.get("/api/webhook-secret?userId=ann").json or {})["secret"]
    assert secret != (client.get("/api/webhook-secret?userId=bob").json or {})["secret"], "each user's own"
    start_worker()
    job_id = upload(client, receiver.url).json["jobId"]
    wait_until(lambda: receiver.got, 60, "the event")
    headers, body = receiver.got[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    event = json.loads(body)
    assert (event["type"], event["data"]["jobId"], event["data"]["status"]) == ("job.completed", job_id, "completed")
    assert len(event["data"]["result"]["flashcards"]) >= 20
    wait_until(lambda: deliveries(db, job_id), 5, "the delivery's record")
    assert [one["status"] for one in deliveries(db, job_id)] == [200]
    wait_until(lambda: not db.exists(HOOKS), 5, "the event's end")
    status: Any = client.get(f"/api/job-status/{job_id}").json
    assert sorted(status) == ["createdAt", "progress", "result", "stage", "status"], "and nothing of it on the wire"


def test_a_receiver_that_fails_is_called_ten_times_over_three_days_with_one_event_id(
    queue: Queue, receiver: Receiver, db: "redis.Redis"
) -> None:
    receiver.answer = lambda request: receiver.say(request, 500)
    queue.enqueue(payload("a"), {"webhookUrl": receiver.url})
    queue.bury(take(queue), "It broke.")
    waits = []
    for tries in range(1, 11):
        look_until(queue, lambda tries=tries: len(deliveries(db, "a")) == tries, f"try {tries}")  # type: ignore[misc]
        if tries < 10:
            waits.append((db.zscore(HOOKS, "a") or 0) / 1000 - time.time())
            make_due(db, "a")
    assert [round(wait, -1) for wait in waits] == [round(wait, -1) for wait in webhooks.WAITS]
    assert 71 * 3600 < sum(webhooks.WAITS) <= 72 * 3600
    wait_until(lambda: not db.exists(HOOKS), 5, "the end of it")
    assert len(receiver.got) == 10
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {"evt_a_1"}
    assert json.loads(receiver.got[0][1])["data"]["error"] == "It broke."


@pytest.mark.parametrize("code", [200, 204, 410])
def test_an_answer_that_is_enough_ends_it(queue: Queue, receiver: Receiver, db: "redis.Redis", code: int) -> None:
    receiver.answer = lambda request: receiver.say(request, code)
    queue.enqueue(payload("a"), {"webhookUrl": receiver.url})
    queue.finish(take(queue), "{}")
    look_until(queue, lambda: deliveries(db, "a"), "the call")
    wait_until(lambda: not db.exists(HOOKS), 5, "the end of it")
    assert len(receiver.got) == 1


def test_a_receiver_that_is_slow_endless_redirecting_or_gone_never_delays_a_job(
    queue: Queue, receiver: Receiver, db: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "SECONDS", 1)
    done = Event()

    def misbehave(request: BaseHTTPRequestHandler) -> None:
        kind = request.path[1:]
        if kind == "redirect":
            receiver.say(request, 302, Location=receiver.url)
            return
        if kind == "endless":
            request.send_response(200)
            request.end_headers()
        with contextlib.suppress(OSError):
            while not done.wait(0.02):
                if kind != "silent":
                    request.wfile.write(b"x" * (10_000 if kind == "endless" else 1))

    receiver.answer = misbehave
    base = receiver.url.partition("/hook")[0]
    kinds = ["redirect", "endless", "silent", "drip"]
    urls = {kind: f"{base}/{kind}" for kind in kinds} | {"gone": "http://127.0.0.1:9/"}
    began = time.monotonic()
    for kind, url in urls.items():
        queue.enqueue(payload(kind, kind), {"webhookUrl": url})
        queue.finish(take(queue), "{}")
        queue.look_after()
    assert time.monotonic() - began < patience(1), "all jobs are done before the slowest receiver's time is over"
    wait_until(lambda: all(deliveries(db, kind) for kind in urls), 10, "the calls' ends")
    found = [deliveries(db, kind) for kind in urls]
    done.set()
    told = {kind: one[0].get("status") or one[0]["error"] for kind, one in zip(urls, found, strict=True)}
    assert (told["redirect"], told["endless"]) == (302, 200), "a body is not read"
    for kind in ("silent", "drip"):
        assert told[kind] == "it took longer than 1 seconds"
    assert "could not be reached" in told["gone"]
    assert len(receiver.got) == 4, "no redirect was followed"
    for kind in urls:
        assert (queue.status(kind) or {})["status"] == "completed"


def test_an_event_that_its_worker_did_not_tell_is_told_by_another_a_minute_later(
    queue: Queue, receiver: Receiver, db: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = make_queue(redis_url, "w2")
    dying.notifier = Notifier(dying, Hooks(SECRET, {"127.0.0.1"}))
    monkeypatch.setattr(dying.notifier, "take", lambda _: None)
    queue.enqueue(payload("a"), {"webhookUrl": receiver.url})
    queue.notifier, notifier = None, queue.notifier
    queue.finish(take(queue), "{}")
    dying.look_after()
    queue.notifier = notifier
    assert 50 < (db.zscore(HOOKS, "a") or 0) / 1000 - time.time() <= 60
    make_due(db, "a")
    look_until(queue, lambda: receiver.got, "the event")


def test_a_worker_with_full_hands_takes_no_event_and_does_not_wake_for_it(
    queue: Queue, receiver: Receiver, db: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.enqueue(payload("a"), {"webhookUrl": receiver.url})
    monkeypatch.setattr(queue.notifier, "room", lambda: 0)
    queue.finish(take(queue), "{}")
    queue.look_after()
    assert queue._longest_block == queue.block
    assert (db.zscore(HOOKS, "a") or 0) / 1000 <= time.time()


@pytest.mark.parametrize("end", ["deleted", "requeued"])
def test_a_job_that_is_no_longer_over_has_no_event(
    queue: Queue, receiver: Receiver, db: "redis.Redis", end: str
) -> None:
    queue.enqueue(payload("a"), {"webhookUrl": receiver.url})
    queue.notifier, notifier = None, queue.notifier
    queue.bury(take(queue), "It broke.")
    if end == "deleted":
        queue.forget(["a"])
    else:
        assert queue.requeue("a")
    queue.notifier = notifier
    look_until(queue, lambda: not db.exists(HOOKS), "the event's end")
    assert receiver.got == []


@pytest.mark.parametrize("result", [json.dumps({"flashcards": ["x" * webhooks.MOST_RESULT]}), "no json"])
def test_a_long_result_or_one_that_is_none_is_named_by_its_path(
    queue: Queue, receiver: Receiver, result: str
) -> None:
    queue.enqueue(payload("a"), {"webhookUrl": receiver.url})
    queue.finish(take(queue), result)
    look_until(queue, lambda: receiver.got, "the event")
    data = json.loads(receiver.got[0][1])["data"]
    assert data["resultPath"] == "/api/jobs/a/result"
    assert "result" not in data


@pytest.mark.parametrize("url", ["https://169.254.169.254/", "https://redis.railway.internal/", "ftp://x/", "x" * 3000])
def test_a10_a_receiver_inside_is_400_and_leaves_nothing(client: FlaskClient, records: Records, url: str) -> None:
    refused = upload(client, url)
    assert (refused.status_code, refused.json["error"][:15]) == (400, "The webhookUrl ")
    assert records._database.jobs.count_documents({}) == 0


def test_without_a_secret_there_are_no_webhooks(records: Records, redis_url: str, receiver: Receiver) -> None:
    with running_api() as app:
        refused = upload(app.test_client(), receiver.url)
        assert (refused.status_code, "sends no webhooks" in refused.json["error"]) == (400, True)
        assert app.test_client().get("/api/webhook-secret?userId=ann").status_code == 404


def test_a_child_is_not_told_of_the_receiver(queue: Queue, receiver: Receiver) -> None:
    queue.enqueue(payload("a"), {"webhookUrl": receiver.url, "digest": "d", "maxPhrases": "3"})
    assert take(queue).options == {"maxPhrases": "3"}


def test_only_a_job_with_a_receiver_makes_its_worker_look_at_once(queue: Queue, receiver: Receiver) -> None:
    for job_id, options in (("a", {}), ("b", {"webhookUrl": receiver.url})):
        queue.enqueue(payload(job_id), options)
        job = take(queue)
        queue._next_look = later = time.monotonic() + 60
        queue.finish(job, "{}")
        assert (queue._next_look == later) == (job_id == "a")
