"""How a job's document comes from its server: what is the file's fault, what is the server's, and what is ours.

`Storage.fetch` on a small HTTP server of our own that behaves as badly as it is told, and the real bucket.
"""

import contextlib
import gzip
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
import redis

import outbound
import storage
from queue_lib import NORMAL, Queue
from records import Records
from storage import MAX_FILE, Refused, Storage, Transient, Unavailable
from tests.support import find_free_port, wait_until
from tests.worker_tools import LEASE, SAMPLE, Start, ended, nothing_left, status, submit, worker_log

DOCUMENT = b"Water is life."


class FileServer:
    """Answers every GET with what `answer` writes to the connection, and remembers which paths were asked for."""

    def __init__(self) -> None:
        self.answer: Callable[[BaseHTTPRequestHandler], None] = whole
        self.asked: list[str] = []
        files = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                files.asked.append(self.path)
                files.answer(self)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/water.txt"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with closing(FileServer()) as server:
        yield server


def head(request: BaseHTTPRequestHandler, code: int, **headers: str | int) -> None:
    request.send_response(code)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), str(value))
    request.end_headers()


def whole(request: BaseHTTPRequestHandler) -> None:
    head(request, 200, Content_Length=len(DOCUMENT))
    request.wfile.write(DOCUMENT)


def status_only(code: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        head(request, code, Content_Length=0, **headers)

    return answer


def cut_off(request: BaseHTTPRequestHandler) -> None:
    head(request, 200, Content_Length=len(DOCUMENT) + 100)
    request.wfile.write(DOCUMENT)


def says_that_it_is_huge(request: BaseHTTPRequestHandler) -> None:
    head(request, 200, Content_Length=MAX_FILE + 1)


def never_ends(request: BaseHTTPRequestHandler) -> None:
    """Not before six times what is allowed, at least: the test must be able to fail on a disk that has an end."""
    head(request, 200)
    with contextlib.suppress(OSError):
        for _ in range(6 * MAX_FILE // 1_000_000):
            request.wfile.write(b"x" * 1_000_000)


def a_small_answer_that_becomes_a_big_one(request: BaseHTTPRequestHandler) -> None:
    body = gzip.compress(b"\0" * 10_000_000)
    head(request, 200, Content_Encoding="gzip", Content_Length=len(body))
    request.wfile.write(body)


def fetch(files: Storage, url: str, folder: Path) -> bytes:
    files.fetch(url, folder / "document", lambda: False)
    return (folder / "document").read_bytes()


def test_a_document_is_downloaded_from_anybodys_server(files: Storage, server: FileServer, tmp_path: Path) -> None:
    assert fetch(files, server.url, tmp_path) == DOCUMENT


@pytest.mark.parametrize("code", [404, 410])
def test_a_file_that_is_gone_is_refused_at_once(
    files: Storage, server: FileServer, tmp_path: Path, code: int
) -> None:
    server.answer = status_only(code)
    with pytest.raises(Refused, match="no longer there"):
        fetch(files, server.url, tmp_path)


@pytest.mark.parametrize("code", [401, 403, 400, 206])
def test_a_file_that_its_server_will_not_give_is_refused_and_the_answer_is_named(
    files: Storage, server: FileServer, tmp_path: Path, code: int
) -> None:
    server.answer = status_only(code)
    with pytest.raises(Refused, match=f"answered {code}"):
        fetch(files, server.url, tmp_path)


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_server_that_is_ill_may_be_well_later(files: Storage, server: FileServer, tmp_path: Path, code: int) -> None:
    server.answer = status_only(code)
    with pytest.raises(Transient, match=f"answered {code}"):
        fetch(files, server.url, tmp_path)


def test_a_redirect_is_not_followed(files: Storage, server: FileServer, tmp_path: Path) -> None:
    server.answer = status_only(302, Location=server.url + "?elsewhere")
    with pytest.raises(Refused, match="answered 302"):
        fetch(files, server.url, tmp_path)
    assert server.asked == ["/water.txt"]


def test_a_download_that_is_cut_off_is_no_document(files: Storage, server: FileServer, tmp_path: Path) -> None:
    server.answer = cut_off
    with pytest.raises(Transient):
        fetch(files, server.url, tmp_path)


@pytest.mark.parametrize("answer", [says_that_it_is_huge, never_ends])
def test_a_file_over_the_limit_is_refused_whether_its_server_says_so_or_not(
    files: Storage, server: FileServer, tmp_path: Path, answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    server.answer = answer
    with pytest.raises(Refused, match="too large"):
        fetch(files, server.url, tmp_path)
    assert (tmp_path / "document").stat().st_size <= MAX_FILE + outbound.CHUNK


def test_what_is_compressed_on_its_way_is_not_unpacked(files: Storage, server: FileServer, tmp_path: Path) -> None:
    server.answer = a_small_answer_that_becomes_a_big_one
    assert len(fetch(files, server.url, tmp_path)) < 100_000


def test_nobody_there_may_be_there_later(files: Storage, tmp_path: Path) -> None:
    with pytest.raises(Transient):
        fetch(files, f"http://127.0.0.1:{find_free_port()}/a.txt", tmp_path)


@pytest.mark.parametrize("caller", ["waits for the deadline", "gives up"])
def test_a_server_that_drips_is_left_at_the_deadline_or_when_the_caller_gives_up(
    files: Storage, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: str
) -> None:
    drop, gone = threading.Event(), threading.Event()

    def drips(request: BaseHTTPRequestHandler) -> None:
        head(request, 200, Content_Length=1000)
        try:
            while not drop.wait(0.05):
                request.wfile.write(b"x")
        except OSError:
            gone.set()

    server.answer = drips
    monkeypatch.setattr(storage, "FETCH_SECONDS", 1)
    began = time.monotonic()
    try:
        if caller == "gives up":
            files.fetch(server.url, tmp_path / "document", lambda: time.monotonic() > began + 0.3)
        else:
            with pytest.raises(Transient, match="longer than 1 seconds"):
                fetch(files, server.url, tmp_path)
        assert gone.wait(5), "and the connection is closed"
    finally:
        drop.set()


@pytest.mark.parametrize("silent", ["before its head", "in its head"])
def test_a_server_that_is_silent_holds_up_neither_the_lease_nor_sigterm(
    start_worker: Start, queue: Queue, server: FileServer, db: "redis.Redis", tmp_path: Path, silent: str
) -> None:
    drop = threading.Event()

    def says_nothing(request: BaseHTTPRequestHandler) -> None:
        while not drop.wait(0.05):
            if silent == "in its head":
                request.wfile.write(b"H")

    server.answer = says_nothing
    worker = start_worker(lease=1)
    try:
        queue.enqueue({"jobId": "theirs", "userId": "ann", "fileUrl": server.url, "fileName": "water.txt"})
        wait_until(lambda: server.asked, 10, "the download")
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            queue.look_after()
            assert db.hmget("job:theirs", "at", "run") == ["run", "1"], "the lease is renewed"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(6) == 0  # a silent server has ten
        assert db.hmget("job:theirs", "at", "attempts") == [NORMAL, "0"]
    finally:
        drop.set()


def test_our_own_file_is_read_whatever_became_of_the_jobs_link(
    files: Storage, servers: dict[str, str], tmp_path: Path
) -> None:
    key = files.put(BytesIO(DOCUMENT), len(DOCUMENT), "ann", "some-job")
    expired = files.link(key).replace("Expires=604800", "Expires=1")
    bare = f"{servers['AWS_ENDPOINT_URL_S3']}/{files.bucket}/{key}"
    for url in (expired, bare):
        assert fetch(files, url, tmp_path) == DOCUMENT


def test_our_own_keys_refused_are_an_outage_and_not_the_documents_fault(
    files: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = files.put(BytesIO(DOCUMENT), len(DOCUMENT), "ann", "some-job")
    url = files.link(key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # which remembers the right one
    with closing(Storage.from_env()) as stranger, pytest.raises(Unavailable, match="cannot be used"):
        fetch(stranger, url, tmp_path)


def test_one_address_that_our_own_bucket_refuses_is_a_failed_attempt_and_no_outage(
    files: Storage, servers: dict[str, str], tmp_path: Path
) -> None:
    twisted = f"{servers['AWS_ENDPOINT_URL_S3']}/{files.bucket}/documents/../x"
    with pytest.raises((Transient, Refused)):
        fetch(files, twisted, tmp_path)


def test_our_own_file_that_is_gone_is_refused(files: Storage, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no longer there"):
        fetch(files, files.link("documents/ann/nothing"), tmp_path)


def test_a_bucket_that_is_away_is_an_outage(
    files: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{find_free_port()}")
    with closing(Storage.from_env()) as away, pytest.raises(Unavailable):
        fetch(away, away.link("documents/ann/it"), tmp_path)


@pytest.fixture
def queue(redis_url: str) -> Queue:
    return Queue(redis_url, lease=LEASE)


def test_a_full_disk_costs_no_attempt_and_leaves_nothing_behind(
    start_worker: Start, records: Records, queue: Queue, db: "redis.Redis", tmp_path: Path
) -> None:
    worker = start_worker()
    unlimited = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    job_id = submit(queue, records, SAMPLE + " " * 1_000_000)
    wait_until(lambda: "could not be written to disk" in worker_log(tmp_path), 20, "the outage's line")
    wait_until(lambda: int(db.hget(f"job:{job_id}", "run") or 0) >= 2, 20, "a second try")
    assert status(queue, job_id)["status"] in ("queued", "processing")
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, unlimited)
    assert ended(queue, job_id)["status"] == "completed"
    assert db.hget(f"job:{job_id}", "attempts") == "1"
    assert worker_log(tmp_path).count("a server is away") == 1
    assert not db.exists(NORMAL + ":delayed")
    nothing_left(db, tmp_path)


def test_a_folder_for_downloads_that_was_swept_away_is_made_again(
    start_worker: Start, records: Records, queue: Queue, db: "redis.Redis", tmp_path: Path
) -> None:
    start_worker()
    for folder in (tmp_path / "tmp").glob("docdeck-worker-*"):
        folder.rmdir()
    job_id = submit(queue, records, SAMPLE)
    assert ended(queue, job_id)["status"] == "completed"
    assert db.hget(f"job:{job_id}", "attempts") == "1"
    nothing_left(db, tmp_path)


def test_somebody_elses_server_that_is_ill_costs_an_attempt_and_the_document_is_done_when_it_is_well(
    start_worker: Start, records: Records, queue: Queue, server: FileServer, db: "redis.Redis", tmp_path: Path
) -> None:
    def ill_at_first(request: BaseHTTPRequestHandler) -> None:
        if len(server.asked) == 1:
            head(request, 503)
        else:
            head(request, 200, Content_Length=len(SAMPLE.encode()))
            request.wfile.write(SAMPLE.encode())

    server.answer = ill_at_first
    start_worker()
    queue.enqueue({"jobId": "theirs", "userId": "ann", "fileUrl": server.url, "fileName": "water.txt"})
    assert ended(queue, "theirs")["status"] == "completed"
    assert db.hmget("job:theirs", "attempts", "cause") == ["2", "the file's server answered 503"]
    nothing_left(db, tmp_path)
