"""The network between us and Redis, and Redis' own bad days: replies that never come, restarts, refusals.

A small proxy stands in front of a real Redis: it can let the server do its work and keep the reply, or fall silent
without closing anything. What a worker does about it is seen on a real worker process and a Redis of its own.
"""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
import redis

import queue_lib
from queue_lib import NORMAL, Accepted, Job, Queue
from records import Records
from servers import exchange, redis_answers
from storage import Storage
from tests.queue_tools import LEASE, at, drain, make_queue, nothing_left, payload, take, without_looks
from tests.redis_tools import OwnRedis, Proxy, blocked_clients
from tests.support import find_free_port, patience, running_api, wait_until
from tests.worker_tools import SAMPLE, ended, in_the_pipeline, long_document, submit, worker_log, worker_process

# Lost replies ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path / "redis")
    yield server
    server.kill()


@pytest.fixture
def redis_url(own_redis: OwnRedis) -> str:
    return own_redis.url


@pytest.fixture
def db(own_redis: OwnRedis) -> "redis.Redis":
    return own_redis.client


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with closing(Proxy(redis_url)) as proxy:
        yield proxy


@pytest.fixture
def queue(proxy: Proxy) -> Queue:
    """A queue behind the proxy, whose scripts Redis knows already: their first use takes more than one command."""
    queue = make_queue(proxy.url, lease=5)
    queue.enqueue(payload("warm"))
    queue.finish(take(queue), "{}")
    without_looks(queue)
    return queue


def test_an_enqueue_whose_reply_is_lost_makes_one_job_that_runs_once(
    queue: Queue, proxy: Proxy, db: "redis.Redis"
) -> None:
    proxy.lose_replies("enqueue", 1)
    assert queue.enqueue(payload("a")).job_id == "a"
    assert proxy.lost == 1
    assert db.llen(NORMAL) == 1
    assert drain(queue) == ["a"]
    nothing_left(db)


def test_an_enqueue_that_gets_no_reply_at_all_raises_and_may_be_sent_again(
    queue: Queue, proxy: Proxy, db: "redis.Redis"
) -> None:
    proxy.lose_replies("enqueue", 2)
    with pytest.raises(queue_lib.Unavailable):
        queue.enqueue(payload("a"))
    assert queue.enqueue(payload("a")) == Accepted("a", False)
    assert drain(queue) == ["a"]
    nothing_left(db)


def test_an_upload_whose_enqueue_reply_is_lost_keeps_its_file_and_its_record(
    proxy: Proxy, queue: Queue, files: Storage, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_URL", proxy.url)
    with running_api() as app, app.test_client() as client:
        proxy.lose_replies("enqueue", 1)
        form = {"userId": "ann", "file": (BytesIO(SAMPLE.encode()), "water.txt")}
        answer = client.post("/api/upload-document-async", data=form)
    assert (answer.status_code, proxy.lost) == (200, 1)
    job_id = (answer.json or {})["jobId"]
    record = records._database.jobs.find_one({"_id": job_id})
    assert record is not None, "the API answered with a jobId and then dropped its record"
    assert files._s3.head_object(Bucket=files.bucket, Key=f"documents/ann/{job_id}")["ContentLength"]
    assert take(queue).id == job_id


@pytest.mark.parametrize("front", [False, True], ids=["on its way", "of a job pushed meanwhile"])
def test_a_job_whose_brpop_reply_is_lost_comes_back_and_has_cost_no_attempt(
    queue: Queue, proxy: Proxy, db: "redis.Redis", front: bool
) -> None:
    queue.enqueue(payload("a"))
    proxy.lose_replies("BRPOP", 1)
    with pytest.raises(queue_lib.Unavailable):
        queue.take()
    assert (proxy.lost, db.llen(NORMAL)) == (1, 0), "Redis has handed the pointer to nobody"
    if front:
        queue.enqueue(payload("b", "bob"))
    queue.look_after()
    job = take(queue)
    assert (job.id, job.run, job.attempts) == ("a", 1, 1)
    queue.finish(job, "{}")
    assert drain(queue) == (["b"] if front else [])
    nothing_left(db)


def test_a_claim_whose_reply_is_lost_is_the_same_run_with_the_same_answer(
    queue: Queue, proxy: Proxy, db: "redis.Redis"
) -> None:
    queue.enqueue(payload("a"), {"maxWords": "3"})
    proxy.lose_replies("claim", 1)
    job = take(queue)
    assert (job.id, job.run, job.attempts, job.options) == ("a", 1, 1, {"maxWords": "3"})
    assert (proxy.lost, db.hget("job:a", "run")) == (1, "1")
    assert queue.finish(job, "{}")
    nothing_left(db)


def test_a_job_whose_claim_gets_no_reply_at_all_comes_back_when_the_lease_is_over(
    proxy: Proxy, queue: Queue, db: "redis.Redis"
) -> None:
    worker = make_queue(proxy.url, lease=LEASE)
    worker.enqueue(payload("a"))
    worker.look_after()
    without_looks(worker)
    proxy.lose_replies("claim", 2)
    with pytest.raises(queue_lib.Unavailable):
        worker.take()
    assert at(db, "a") == "run"
    worker.look_after()
    job = take(worker)
    assert (job.run, job.attempts) == (2, 2)
    assert worker.finish(job, "{}")
    nothing_left(db)


@pytest.mark.parametrize("verb", ["finish", "retry", "bury", "release", "look_after"])
def test_an_end_or_a_look_whose_reply_is_lost_has_one_effect_and_the_same_answer(
    queue: Queue, proxy: Proxy, db: "redis.Redis", verb: str
) -> None:
    queue.enqueue(payload("a"))
    job = take(queue)
    calls: dict[str, tuple[Callable[[Job], object], object, dict[str, str]]] = {
        "finish": (lambda job: queue.finish(job, '{"flashcards": []}'), True, {"at": "done", "attempts": "1"}),
        "retry": (lambda job: queue.retry(job, "it broke", delay=0), True, {"at": "delayed", "attempts": "1"}),
        "bury": (lambda job: queue.bury(job, "a sentence"), True, {"at": "dead", "error": "a sentence"}),
        "release": (lambda job: queue.release(job), True, {"at": NORMAL, "attempts": "0"}),
        "look_after": (lambda job: queue.look_after(job, 30, "phrases"), "mine", {"at": "run", "progress": "30"}),
    }
    call, answer, left = calls[verb]
    proxy.lose_replies(verb, 1)
    assert call(job) == answer
    assert proxy.lost == 1
    assert {name: db.hget("job:a", name) for name in left} == left
    assert db.llen(NORMAL) == (1 if verb == "release" else 0)
    if verb == "look_after":
        queue.release(job)
    queue.look_after()
    assert drain(queue) == ([] if verb in ("finish", "bury") else ["a"])
    nothing_left(db)


# Connections that die, or only seem to live ---------------------------------------------------------------------------


def test_a_connection_that_falls_silent_is_given_up_in_time_and_the_job_it_was_handed_comes_back(
    queue: Queue, proxy: Proxy, db: "redis.Redis", redis_url: str
) -> None:
    worker = make_queue(proxy.url, block=1)
    worker.look_after()
    failed: list[Exception] = []
    started = time.monotonic()

    def wait() -> None:
        try:
            worker.take()
        except queue_lib.Unavailable as error:
            failed.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: blocked_clients(db), 5, "the wait")
    proxy.silent.set()
    other = make_queue(redis_url, "w2")
    other.enqueue(payload("a"))
    wait_until(lambda: db.llen(NORMAL) == 0, 2, "the handing of the job to a socket that nobody reads")
    other.look_after()
    job = take(other)
    assert (job.id, job.attempts) == ("a", 1), "the other worker need not wait for the silent one"
    assert other.finish(job, "{}")
    thread.join(10)
    assert len(failed) == 1
    assert time.monotonic() - started < 1 + 5 + patience(1.5), "the block, five seconds, and some for a busy machine"
    proxy.silent.clear()
    assert drain(worker) == []
    nothing_left(db)


def test_a_wait_whose_connection_is_killed_ends_at_once_and_the_next_one_gets_the_job(
    db: "redis.Redis", redis_url: str
) -> None:
    queue = make_queue(redis_url, block=20)
    queue.look_after()
    failed: list[float] = []

    def wait() -> None:
        try:
            queue.take()
        except queue_lib.Unavailable:
            failed.append(time.monotonic())

    thread = threading.Thread(target=wait)
    thread.start()
    (client,) = wait_until(lambda: blocked_clients(db), 5, "the wait")
    killed = time.monotonic()
    db.client_kill_filter(_id=client)
    thread.join(5)
    assert failed
    assert failed[0] - killed < 1
    queue.enqueue(payload("a"))
    assert take(queue).id == "a"


# Redis' bad days, on a Redis of our own -------------------------------------------------------------------------------


@pytest.fixture
def own_queue(own_redis: OwnRedis) -> Queue:
    return Queue(own_redis.url, lease=1.2)


@pytest.fixture
def worker(own_redis: OwnRedis, records: Records, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker of that Redis, idle; at the end it must be alive and have said nothing that nobody planned."""
    process = worker_process(tmp_path, UPSTASH_REDIS_URL=own_redis.url)
    wait_until(lambda: "worker started" in worker_log(tmp_path), 20, "the worker's start")
    yield process
    process.kill()
    process.wait()


def outage_is_said_once(worker: subprocess.Popen[str], tmp_path: Path) -> None:
    wait_until(lambda: "a server is back" in worker_log(tmp_path), 20, "the outage's end")
    assert worker.poll() is None, worker_log(tmp_path)
    words = worker_log(tmp_path)
    assert (words.count("a server is away"), words.count("a server is back")) == (1, 1), words
    assert "Traceback" not in words, words


def outage_has_begun(worker: subprocess.Popen[str], tmp_path: Path) -> None:
    def said_or_ended() -> bool:
        return "a server is away" in worker_log(tmp_path) or worker.poll() is not None

    wait_until(said_or_ended, 20, "the outage's line")
    assert worker.poll() is None, worker_log(tmp_path)


def test_an_idle_worker_outlives_a_redis_that_is_killed_and_starts_again_on_its_file(
    own_redis: OwnRedis, own_queue: Queue, worker: subprocess.Popen[str], records: Records, tmp_path: Path
) -> None:
    done = submit(own_queue, records, SAMPLE)
    assert ended(own_queue, done)["status"] == "completed"
    own_redis.kill()
    outage_has_begun(worker, tmp_path)
    own_redis.start()
    assert (own_queue.status(done) or {})["status"] == "completed"
    job_id = submit(own_queue, records, SAMPLE)
    assert ended(own_queue, job_id)["status"] == "completed"
    outage_is_said_once(worker, tmp_path)
    nothing_left(own_redis.client)


def test_a_document_goes_on_while_redis_is_killed_and_started_again_and_its_result_is_there_once(
    own_redis: OwnRedis, own_queue: Queue, worker: subprocess.Popen[str], records: Records, tmp_path: Path
) -> None:
    job_id = submit(own_queue, records, long_document(60_000))
    waiting = submit(own_queue, records, SAMPLE)
    in_the_pipeline(own_queue, job_id)
    own_redis.kill()
    outage_has_begun(worker, tmp_path)
    own_redis.start()
    assert ended(own_queue, job_id)["status"] == "completed"
    assert ended(own_queue, waiting)["status"] == "completed"
    assert own_redis.client.hget(f"job:{waiting}", "attempts") == "1"
    assert records._database.results.count_documents({}) == 2
    outage_is_said_once(worker, tmp_path)
    nothing_left(own_redis.client)


def become_replica(server: OwnRedis) -> None:
    server.client.replicaof("127.0.0.1", str(find_free_port()))


def become_primary(server: OwnRedis) -> None:
    server.client.replicaof("NO", "ONE")


def fail_to_save(server: OwnRedis) -> None:
    """MISCONF: its last snapshot could not be written, here because a folder has the file's name."""
    (server.folder / "dump.rdb").unlink(missing_ok=True)
    (server.folder / "dump.rdb").mkdir()
    server.client.config_set("save", "3600 1")
    server.client.bgsave()
    wait_until(lambda: server.client.info("persistence")["rdb_last_bgsave_status"] == "err", 10, "the failed snapshot")


def save_again(server: OwnRedis) -> None:
    (server.folder / "dump.rdb").rmdir()
    server.client.bgsave()
    wait_until(lambda: server.client.info("persistence")["rdb_last_bgsave_status"] == "ok", 10, "the snapshot")


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize(
    ("begin", "end"), [(become_replica, become_primary), (fail_to_save, save_again)], ids=["READONLY", "MISCONF"]
)
def test_a_redis_that_refuses_to_write_is_waited_for(
    own_redis: OwnRedis,
    own_queue: Queue,
    worker: subprocess.Popen[str],
    records: Records,
    tmp_path: Path,
    begin: Callable[[OwnRedis], None],
    end: Callable[[OwnRedis], None],
    busy: bool,
) -> None:
    first = submit(own_queue, records, long_document(60_000) if busy else SAMPLE)
    if busy:
        in_the_pipeline(own_queue, first)
    else:
        ended(own_queue, first)
    begin(own_redis)
    outage_has_begun(worker, tmp_path)
    with pytest.raises(queue_lib.Unavailable):
        own_queue.enqueue(payload("refused"))
    end(own_redis)
    assert ended(own_queue, first)["status"] == "completed"
    assert ended(own_queue, submit(own_queue, records, SAMPLE))["status"] == "completed"
    outage_is_said_once(worker, tmp_path)
    assert records._database.results.count_documents({}) == 2
    nothing_left(own_redis.client)


def test_a_redis_that_is_loading_its_data_is_waited_for(
    own_redis: OwnRedis, own_queue: Queue, worker: subprocess.Popen[str], records: Records, tmp_path: Path
) -> None:
    with own_redis.client.pipeline(transaction=False) as pipe:
        for n in range(3000):
            pipe.set(f"ballast:{n}", "x" * 1000)
        pipe.execute()
    own_redis.client.bgrewriteaof()
    wait_until(lambda: not own_redis.client.info("persistence")["aof_rewrite_in_progress"], 10, "the compact file")
    own_redis.kill()
    # A millisecond for each key, and a look at the clients after each kilobyte.
    own_redis.start("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024", wait=False)
    wait_until(lambda: b"LOADING" in exchange(own_redis.port, b"PING\r\n"), 10, "the loading")
    with pytest.raises(queue_lib.Unavailable):
        own_queue.enqueue(payload("refused"))
    wait_until(lambda: redis_answers(own_redis.port), 20, "the loaded data")
    assert ended(own_queue, submit(own_queue, records, SAMPLE))["status"] == "completed"
    outage_is_said_once(worker, tmp_path)


def test_without_memory_redis_takes_no_new_job_and_what_is_there_is_processed_to_its_end(
    own_redis: OwnRedis, own_queue: Queue, worker: subprocess.Popen[str], records: Records, tmp_path: Path
) -> None:
    own_queue.pause()
    jobs = [submit(own_queue, records, SAMPLE) for _ in range(2)]
    own_redis.client.config_set("maxmemory", "1")
    with pytest.raises(queue_lib.Unavailable):
        own_queue.enqueue(payload("refused"))
    own_queue.resume()
    for job_id in jobs:
        assert ended(own_queue, job_id)["status"] == "completed"
    nothing_left(own_redis.client)
    assert worker.poll() is None
    assert "away" not in worker_log(tmp_path), "the consumer's side has not noticed"
    own_redis.client.config_set("maxmemory", "0")
    assert own_queue.enqueue(payload("refused")).new


def test_all_ends_of_a_run_are_settled_without_memory(own_redis: OwnRedis) -> None:
    queue = make_queue(own_redis.url, lease=5)
    for name in ("done", "bad", "again", "back"):
        queue.enqueue(payload(name, name))
    own_redis.client.config_set("maxmemory", "1")
    assert queue.finish(take(queue), "{}")
    assert queue.bury(take(queue), "a sentence")
    assert queue.retry(take(queue), "it broke", delay=0)
    assert queue.release(take(queue))
    assert queue.cancel("back") == "cancelled"
    assert queue.requeue("bad")
    assert sorted(drain(queue) + drain(queue)) == ["again", "bad"]
    nothing_left(own_redis.client)


def test_a_password_that_is_missing_is_told_from_an_outage_whatever_is_asked_first(own_redis: OwnRedis) -> None:
    queue = make_queue(own_redis.url)
    own_redis.client.config_set("requirepass", "secret")
    for ask in (queue.look_after, queue.ping, lambda: queue.status("job"), lambda: queue.enqueue(payload("job"))):
        with pytest.raises(queue_lib.WrongPassword):
            ask()


@pytest.mark.parametrize("when", ["at its start", "while it waits"])
def test_a_wrong_password_ends_the_worker_with_one_clear_line(
    own_redis: OwnRedis, records: Records, tmp_path: Path, when: str
) -> None:
    url = own_redis.url
    if when == "at its start":
        own_redis.client.config_set("requirepass", "secret")
        url = url.replace("redis://", "redis://:wrong@")  # WRONGPASS; the other case is NOAUTH
    worker = worker_process(tmp_path, UPSTASH_REDIS_URL=url)
    try:
        if when == "while it waits":
            wait_until(lambda: blocked_clients(own_redis.client), 20, "the worker's wait")
            own_redis.client.config_set("requirepass", "secret")
            own_redis.client.client_kill_filter(_type="normal", skipme=True)
        assert worker.wait(patience(20)) == 1
        *others, last = worker_log(tmp_path).strip().splitlines()
        assert last.startswith("Redis refuses our password: ")
        assert "UPSTASH_REDIS_URL" in last
        for line in others:
            assert json.loads(line)["message"] in ("worker started", "a server is away")
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
