"""Slow clients and many big ones at once, on the whole service: whoever else asks does not notice."""

import contextlib
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from storage import MAX_FILE
from tests.support import Service, descendants, wait_until
from tests.test_service import MB, PNG, TEXT, end_of, post

SILENCE, HEAD = 15, 5  # seconds: gunicorn.conf.py's


def post_until_taken(service: Service, content: bytes, user: str) -> requests.Response:
    """What a client does: a 503 of a local bucket that is out of breath is tried again."""
    answers: list[requests.Response] = []

    def taken() -> bool:
        answers.append(post(service, content, "big.pdf", user))
        return answers[-1].status_code != 503

    wait_until(taken, 90, "a bucket with breath")
    return answers[-1]


def memory_of_api(service: Service) -> int:
    """Bytes of resident memory that the API's processes have to themselves and share, added up."""
    total = 0
    for pid in descendants(service.process.pid):
        try:
            if b"api:create_app" in Path(f"/proc/{pid}/cmdline").read_bytes():
                total += int(Path(f"/proc/{pid}/smaps_rollup").read_text().partition("Pss:")[2].split()[0]) * 1024
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


@contextlib.contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Something done again and again in a thread, until the block is over."""
    over = threading.Event()

    def again() -> None:
        while not over.is_set():
            act()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def dial(service: Service, said: bytes) -> socket.socket:
    parts = urlsplit(service.url)
    line = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60)
    line.sendall(said)
    return line


UPLOAD = (
    b"POST /api/upload-document-async HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: 52428800\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n"
)


def test_a20_ten_uploads_of_50_mb_three_of_them_slow_leave_polls_quick_and_the_apis_memory_small(
    service: Service,
) -> None:
    content = PNG + b"\0" * (MAX_FILE - len(PNG))  # refused by the worker at its first byte, so that it costs no time
    job_id = post(service, TEXT, user="poller").json()["jobId"]
    end_of(service, job_id)
    for _ in range(2):  # every process has its modules and connections now
        post(service, TEXT)
    before = memory_of_api(service)
    peaks, polls = [before], []
    slow = [dial(service, UPLOAD) for _ in range(3)]
    session = requests.Session()

    def drip() -> None:
        for line in slow:
            line.sendall(b"x" * 10_000)
        time.sleep(0.1)  # 100 kB/s

    def poll() -> None:
        began = time.monotonic()
        assert session.get(f"{service.url}/api/job-status/{job_id}", timeout=30).status_code == 200
        polls.append(time.monotonic() - began)
        time.sleep(0.05)

    def weigh() -> None:
        peaks.append(memory_of_api(service))
        time.sleep(0.1)

    with meanwhile(drip), meanwhile(poll), meanwhile(weigh), ThreadPoolExecutor(7) as pool:
        answers = list(pool.map(lambda n: post_until_taken(service, content, f"user{n}"), range(7)))
        assert [answer.status_code for answer in answers] == [200] * 7
    for line in slow:
        line.close()
    session.close()
    median, grown = statistics.median(polls) * 1000, (max(peaks) - before) / MB
    print(f"\n{len(polls)} polls, {median:.0f} ms at the median; the API grew by {grown:.0f} MB", end="")
    assert len(polls) > 10
    assert median < 50
    assert before > 0
    assert grown < 100
    for answer in answers:
        assert end_of(service, answer.json()["jobId"])["status"] == "failed"


def test_a20_heads_without_an_end_hold_the_api_up_for_seconds_and_no_longer(service: Service) -> None:
    lines = [dial(service, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ") for _ in range(250)]  # threads: 192
    try:

        def answers() -> bool:
            with contextlib.suppress(requests.RequestException):
                return requests.get(f"{service.url}/healthz", timeout=2).status_code == 200
            return False

        wait_until(answers, 3 * SILENCE, "an answer to somebody else")
    finally:
        for line in lines:
            line.close()


@contextlib.contextmanager
def rude(service: Service, said: bytes, count: int, more: bytes) -> Iterator[None]:
    """So many clients that say this, and one byte after the other from then on, and never close."""
    lines = [dial(service, said) for _ in range(count)]

    def drip() -> None:
        for line in lines:
            with contextlib.suppress(OSError):  # it was cut
                line.sendall(more)
        time.sleep(1)

    try:
        with meanwhile(drip):
            yield
    finally:
        for line in lines:
            line.close()


def outage(service: Service, seconds: float) -> float:
    """The longest time without an answer to somebody else within the next seconds."""
    answered = began = time.monotonic()
    longest = 0.0
    while time.monotonic() - began < seconds:
        with contextlib.suppress(requests.RequestException):
            requests.get(f"{service.url}/healthz", timeout=1)
            longest, answered = max(longest, time.monotonic() - answered), time.monotonic()
        time.sleep(0.1)
    return max(longest, time.monotonic() - answered)


def test_a20_heads_that_drip_hold_the_api_up_for_seconds_and_no_longer(service: Service) -> None:
    with rude(service, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ", 384, b"y"):  # threads: 192, in turns
        assert outage(service, 5 * HEAD) < 4 * HEAD


def test_a20_bodies_that_drip_leave_threads_to_others_and_are_refused_when_they_are_too_many(service: Service) -> None:
    with rude(service, UPLOAD, 256, b"x"):  # places: 48, and 128 in line
        assert outage(service, 15) < 10
        answer = post(service, TEXT)
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert answer.headers["Retry-After"] == "5"
    wait_until(lambda: post(service, TEXT).status_code == 200, 30, "a place for another")


def test_a_hundred_uploads_at_once_are_all_taken(service: Service) -> None:
    head, _, part = UPLOAD.replace(b"52428800", b"%d").rpartition(b"\r\n\r\n--b\r\n")
    lines, rests = [], []
    for number in range(100):
        tail = b"\r\n--b\r\nContent-Disposition: form-data; name=\"userId\"\r\n\r\nuser%d\r\n--b--\r\n" % number
        body = b"--b\r\n" + part + PNG + tail
        lines.append(dial(service, head % len(body) + b"\r\n\r\n" + body[:-1]))
        rests.append(body[-1:])
    for line, rest in zip(lines, rests, strict=True):
        line.sendall(rest)
    answers = [line.recv(4096).split(b"\r\n")[0] for line in lines]
    for line in lines:
        line.close()
    assert answers == [b"HTTP/1.1 200 OK"] * 100


def test_a20_a_body_that_falls_silent_is_left(service: Service) -> None:
    with contextlib.closing(dial(service, UPLOAD)) as line:
        line.settimeout(2 * SILENCE)
        assert line.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_a20_who_reads_no_answer_is_left(service: Service) -> None:
    with contextlib.closing(socket.socket()) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        line.connect((urlsplit(service.url).hostname, urlsplit(service.url).port))
        line.sendall(b"GET /static/app.js HTTP/1.1\r\nHost: x\r\n\r\n" * 500)  # more than a connection can hold

        def cut() -> bool:
            with contextlib.suppress(ConnectionError):
                line.sendall(b"x")
                return False
            return True

        wait_until(cut, 4 * SILENCE, "the end of the connection")


def test_a20_clients_that_do_not_close_hold_up_nobody(service: Service) -> None:
    with rude(service, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 20, b""):
        assert outage(service, 5) < 1


@pytest.mark.parametrize("chunk", [b"-5", b"zz", b"5;\r"], ids=["negative", "no number", "a bare CR"])
def test_a4_chunks_that_are_none_are_400_in_json(service: Service, chunk: bytes) -> None:
    head = b"POST /api/uploads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    with contextlib.closing(dial(service, head + chunk + b"\r\n\r\n")) as line:
        answer = b""
        while not answer.endswith(b"}"):
            answer += line.recv(4096) or b"}"
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code": "bad_request"' in answer


def test_a4_a_form_without_parts_has_a_small_limit_even_if_it_says_no_length(service: Service) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = requests.post(service.url + "/api/uploads", iter([b"a=&" * 10_000] * 20), headers=form, timeout=60)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("head", "codes"),
    [
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", (b"400", b"431")),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", (b"400", b"431")),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n", (b"400", b"414")),
    ],
    ids=["200 fields", "a long field", "a long line"],
)
def test_a4_a_head_over_the_limits_is_refused_by_the_server(
    service: Service, head: bytes, codes: tuple[bytes, ...]
) -> None:
    with contextlib.closing(dial(service, b"")) as line:
        with contextlib.suppress(ConnectionError):  # it may be refused before its end
            line.sendall(head)
        assert line.recv(4096).split()[1] in codes
