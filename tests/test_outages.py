"""Servers that go away while a worker is at it, and workers that hang: nobody exits for it, nothing is lost.

Redis' own outages are in test_network.py.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
import redis

import api
from queue_lib import Queue
from records import Records
from servers import leashed, mongodb_answers, mongodb_command, redis_answers, redis_command
from storage import Storage
from tests.redis_tools import OwnRedis
from tests.support import ROOT, descendants, find_free_port, make_collections, patience, running_api, wait_until
from tests.worker_tools import (
    LEASE,
    SAMPLE,
    Start,
    ended,
    in_the_pipeline,
    long_document,
    nothing_left,
    status,
    submit,
    the_child,
    worker_log,
    worker_process,
)


@pytest.fixture
def queue(redis_url: str) -> Queue:
    return Queue(redis_url, lease=LEASE)


class Mongo:
    """A MongoDB of our own, to be stopped and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.port = find_free_port()
        self.uri = f"mongodb://127.0.0.1:{self.port}/docdeck"
        self.start()

    def start(self) -> None:
        command = leashed(mongodb_command(self.folder, self.port))
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: mongodb_answers(self.port), 20, "MongoDB")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def mongo(tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mongo]:
    server = Mongo(tmp_path / "mongodb")
    monkeypatch.setenv("MONGODB_URI", server.uri)
    yield server
    server.stop()


@pytest.fixture
def own_records(mongo: Mongo, files: Storage) -> Iterator[Records]:
    with closing(Records.from_env(files, answer=2)) as records:
        make_collections(records)
        yield records


def test_a_result_outlives_a_mongodb_that_is_away_when_it_is_to_be_saved(
    start_worker: Start, mongo: Mongo, own_records: Records, queue: Queue, db: "redis.Redis", tmp_path: Path
) -> None:
    worker = start_worker(lease=6)  # longer than MongoDB has for an answer, as in real life
    job_id = submit(queue, own_records, long_document(400_000))  # MongoDB has to be away before its end
    in_the_pipeline(queue, job_id)
    mongo.stop()
    wait_until(lambda: "a server is away" in worker_log(tmp_path), 30, "the outage's line")
    mongo.start()
    assert ended(queue, job_id)["status"] == "completed"
    assert own_records.result(job_id) is not None
    assert db.hget(f"job:{job_id}", "attempts") == "1", "an outage is not the job's fault"
    assert worker.poll() is None
    wait_until(lambda: "a server is back" in worker_log(tmp_path), 10, "the outage's end")
    assert worker_log(tmp_path).count("a server is away") == 1
    nothing_left(db, tmp_path)


def test_a_bucket_that_is_away_is_waited_for_and_costs_no_attempt(
    records: Records, queue: Queue, db: "redis.Redis", tmp_path: Path
) -> None:
    job_id = submit(queue, records, SAMPLE)
    nowhere = f"http://127.0.0.1:{find_free_port()}"
    worker = worker_process(tmp_path, AWS_ENDPOINT_URL_S3=nowhere)
    try:
        wait_until(lambda: int(str(db.hget(f"job:{job_id}", "run") or 0)) >= 3, 30, "three tries")
        assert worker_log(tmp_path).count("a server is away") == 1
        assert int(db.hget(f"job:{job_id}", "attempts") or 0) <= 1
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(patience(10)) == 0
    good = worker_process(tmp_path)
    try:
        assert ended(queue, job_id)["status"] == "completed"
    finally:
        good.kill()
        good.wait()
    nothing_left(db, tmp_path)


def test_what_mongodb_holds_as_queued_and_redis_lost_runs_after_all(
    start_worker: Start, records: Records, queue: Queue, db: "redis.Redis", tmp_path: Path
) -> None:
    lost, young = submit(queue, records, SAMPLE, maxWords="1"), submit(queue, records, SAMPLE)
    db.flushall()  # what a failover to a stale copy does
    eleven_minutes_ago = int(time.time() * 1000) - 660_000
    records._database.jobs.update_one({"_id": lost}, {"$set": {"createdAt": eleven_minutes_ago}})
    start_worker()
    wait_until(lambda: queue.status(lost) is not None, 10, "the job's return")
    assert ended(queue, lost)["status"] == "completed"
    cards = json.loads(ended(queue, lost)["result"])["flashcards"]
    assert [card["word_type"] for card in cards].count("word") == 1, "its options came back as well"
    assert queue.status(young) is None, "it may be on its way from the API"


def test_a_done_job_that_a_stale_copy_of_redis_brings_back_is_saved_no_second_time(
    start_worker: Start, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = OwnRedis(tmp_path / "redis")
    monkeypatch.setenv("UPSTASH_REDIS_URL", server.url)
    queue = Queue(server.url, lease=LEASE)
    try:
        job_id = submit(queue, records, SAMPLE)
        server.kill()
        shutil.copytree(server.folder, tmp_path / "stale")  # the replica that heard nothing more
        server.start()
        start_worker()
        first = ended(queue, job_id)
        saved = records._database.results.find_one({"_id": job_id})
        server.kill()
        shutil.rmtree(server.folder)
        (tmp_path / "stale").rename(server.folder)
        server.start()
        assert status(queue, job_id)["status"] in ("queued", "processing"), "the failover has forgotten its end"
        assert ended(queue, job_id)["status"] == first["status"] == "completed"
        assert records._database.results.find_one({"_id": job_id}) == saved
        nothing_left(server.client, tmp_path)
    finally:
        server.kill()


@pytest.mark.parametrize("what", ["mongodb away", "a name that no DNS knows"])
def test_a_mongodb_that_is_not_there_when_the_worker_starts_is_waited_for(
    records: Records, mongo: Mongo, queue: Queue, db: "redis.Redis", tmp_path: Path, what: str
) -> None:
    job_id = submit(queue, records, SAMPLE)
    if what == "mongodb away":
        mongo.stop()
        uri = mongo.uri
    else:
        uri = "mongodb+srv://user:secret@cluster.invalid/docdeck"
    worker = worker_process(tmp_path, MONGODB_URI=uri)
    try:
        wait_until(lambda: "a server is away" in worker_log(tmp_path), 30, "the outage's line")
        if what == "mongodb away":
            mongo.start()
            assert ended(queue, job_id)["status"] == "completed"
        assert worker.poll() is None
        assert worker_log(tmp_path).count("a server is away") == 1
        assert "secret" not in worker_log(tmp_path)
    finally:
        worker.kill()
        worker.wait()


def test_the_api_says_an_outage_of_redis_once_and_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = OwnRedis(tmp_path / "redis")
    said: list[tuple[int, str]] = []  # by which thread, and what: other tests' APIs still look after their queues
    monkeypatch.setattr(api, "LOOK_AFTER", 0.1)
    monkeypatch.setattr(api, "log", lambda message, *_, **__: said.append((threading.get_ident(), message)))
    ended, looks = threading.Event(), list[float]()
    queue = Queue(server.url, answer=0.5)
    look_after = queue.look_after

    def look() -> str:
        looks.append(time.monotonic())
        return look_after()

    monkeypatch.setattr(queue, "look_after", look)
    thread = threading.Thread(target=api.look_after, args=(queue, ended))
    thread.start()

    def more(count: int) -> None:
        enough = len(looks) + count
        wait_until(lambda: len(looks) >= enough, 10, "more looks")

    try:
        more(2)
        server.kill()
        more(4)
        server.start()
        more(3)
    finally:
        ended.set()
        thread.join(5)
        server.kill()
    assert [message for ident, message in said if ident == thread.ident] == ["redis is away", "redis is back"]


def eleven_minutes_old(records: Records, *job_ids: str) -> None:
    then = int(time.time() * 1000) - 660_000
    records._database.jobs.update_many({"_id": {"$in": job_ids}}, {"$set": {"createdAt": then}})


def test_odd_records_keep_no_worker_from_its_work(
    start_worker: Start, records: Records, queue: Queue, db: "redis.Redis", tmp_path: Path
) -> None:
    old, foreign, blank = (submit(queue, records, SAMPLE) for _ in range(3))
    records._database.jobs.update_one({"_id": old}, {"$unset": {"payload": 1, "options": 1}})
    db.flushall()
    db.set(f"job:{foreign}", "not a hash")
    db.hset(f"job:{blank}", mapping={"at": "dead", "status": "failed", "error": ""})
    eleven_minutes_old(records, old, foreign, blank)
    start_worker()
    good = submit(queue, records, SAMPLE)
    assert ended(queue, good)["status"] == "completed"
    assert worker_log(tmp_path).count("a record could not be mended") == 2
    assert (records._database.jobs.find_one({"_id": blank}) or {})["error"] == "It failed without a reason."


def test_tries_of_one_upload_that_an_outage_of_redis_kept_apart_are_one_job_by_their_key(
    start_worker: Start, files: Storage, records: Records, queue: Queue, tmp_path: Path
) -> None:
    tries = []
    for number in range(3):
        job_id = f"try-{number}"
        key = files.put(BytesIO(SAMPLE.encode()), len(SAMPLE.encode()), "ann", job_id)
        payload = {"jobId": job_id, "userId": "ann", "fileUrl": files.link(key), "fileName": "water.txt"}
        records.create_job(payload, {}, len(SAMPLE), key="once")  # and Redis did not take it
        tries.append(job_id)
    eleven_minutes_old(records, *tries)
    start_worker()
    wait_until(lambda: records._database.results.count_documents({}), 20, "the result")
    wait_until(lambda: records._database.jobs.count_documents({}) == 1, 5, "the end of the other records")
    assert records._database.results.count_documents({}) == 1
    kept = files._s3.list_objects_v2(Bucket=files.bucket, Prefix="documents/ann/try-")
    assert [entry["Key"] for entry in kept["Contents"]] == ["documents/ann/" + record["_id"] for record in
                                                           records._database.jobs.find()]  # fmt: skip


def test_a_result_that_cannot_be_saved_for_longer_than_a_lease_is_given_back_and_costs_no_attempt(
    start_worker: Start, mongo: Mongo, own_records: Records, queue: Queue, db: "redis.Redis", tmp_path: Path
) -> None:
    start_worker(lease=3)
    job_id = submit(queue, own_records, long_document(400_000))
    in_the_pipeline(queue, job_id)
    mongo.stop()
    wait_until(lambda: "job released" in worker_log(tmp_path), 30, "the release")
    mongo.start()
    assert ended(queue, job_id)["status"] == "completed"
    assert db.hget(f"job:{job_id}", "attempts") == "1"
    assert own_records._database.results.count_documents({}) == 1


def test_a_bucket_that_accepts_and_says_nothing_costs_no_attempt_and_no_lease(
    records: Records, queue: Queue, db: "redis.Redis", tmp_path: Path
) -> None:
    job_id = submit(queue, records, SAMPLE)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        worker = worker_process(
            tmp_path, lease=1, AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        try:
            wait_until(lambda: "job released" in worker_log(tmp_path), 40, "the release")
            assert db.hmget(f"job:{job_id}", "run", "attempts") == ["1", "0"], "the lease was renewed all the time"
        finally:
            worker.kill()
            worker.wait()


def test_the_watchdog_ends_a_worker_whose_stdout_hangs_as_well(
    records: Records, redis_url: str, tmp_path: Path
) -> None:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    os.write(write, b" " * 4096)  # full: whoever writes waits for ever
    command = [sys.executable, "-m", "tests.run_worker", "1", "0", "-1", "1024"]
    worker = subprocess.Popen(command, cwd=ROOT, stdout=write, stderr=subprocess.DEVNULL)
    try:
        assert worker.wait(30) == 70
    finally:
        worker.kill()
        worker.wait()
        os.close(read)
        os.close(write)


def test_a_record_of_a_job_that_died_learns_of_its_end(
    start_worker: Start, records: Records, queue: Queue, db: "redis.Redis"
) -> None:
    job_id = submit(queue, records, SAMPLE)
    eleven_minutes_ago = int(time.time() * 1000) - 660_000
    records._database.jobs.update_one({"_id": job_id}, {"$set": {"createdAt": eleven_minutes_ago}})
    assert queue.cancel(job_id) == "cancelled"
    start_worker()

    def record() -> dict[str, object]:
        return records._database.jobs.find_one({"_id": job_id}) or {}

    wait_until(lambda: record()["status"] == "failed", 10, "the record's end")
    assert record()["error"] == "Cancelled"


def test_cancelling_a_running_job_ends_its_child_within_three_seconds(
    start_worker: Start, records: Records, queue: Queue, db: "redis.Redis", tmp_path: Path
) -> None:
    worker = start_worker(lease=24)
    job_id = submit(queue, records, long_document(400_000))
    child = the_child(worker)
    assert queue.cancel(job_id) == "cancelling"
    asked = time.monotonic()
    wait_until(lambda: child not in descendants(worker.pid), 10, "the child's end")
    assert time.monotonic() - asked < patience(3)
    wait_until(lambda: status(queue, job_id)["status"] == "failed", 5, "the cancelled job's end")
    assert status(queue, job_id)["error"] == "Cancelled"
    good = submit(queue, records, SAMPLE)
    assert ended(queue, good)["status"] == "completed"
    nothing_left(db, tmp_path)


def test_a_worker_whose_loop_hangs_ends_itself_and_its_job_goes_to_another(
    start_worker: Start, records: Records, queue: Queue, db: "redis.Redis", tmp_path: Path
) -> None:
    hanging = start_worker(seconds=-1)  # tests/run_worker.py makes such a worker's loop hang in its first job
    job_id = submit(queue, records, SAMPLE)
    assert hanging.wait(20) == 70
    assert "the worker hangs and is ended" in worker_log(tmp_path)
    start_worker()
    assert ended(queue, job_id)["status"] == "completed"
    nothing_left(db, tmp_path)


def test_several_loops_share_a_parent_that_starts_again_what_dies_and_passes_sigterm_on(
    records: Records, redis_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "loops.log"
    with log.open("w") as out:
        command = [sys.executable, "worker.py", "--workers", "2"]
        parent = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, start_new_session=True)

    def loops() -> list[int]:
        return [pid for pid, command in descendants(parent.pid).items() if command.endswith("worker.py")]

    try:
        wait_until(lambda: log.read_text().count("worker started") == 2, 30, "both loops")
        os.kill(loops()[0], signal.SIGKILL)
        wait_until(lambda: log.read_text().count("worker started") == 3, 30, "the third loop")
        assert len(loops()) == 2
        family = descendants(parent.pid)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(patience(5)) == 0
        wait_until(lambda: not [pid for pid in family if Path(f"/proc/{pid}").exists()], 5, "the end of all")
    finally:
        parent.kill()
        parent.wait()




@pytest.mark.parametrize("what", ["redis frozen", "redis away", "mongodb away", "bucket away"])
def test_the_api_answers_503_with_retry_after_within_two_seconds_and_claims_nothing(
    records: Records, mongo: Mongo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    (tmp_path / "redis").mkdir()
    port = find_free_port()
    server = subprocess.Popen(redis_command(tmp_path / "redis", port), stdout=subprocess.DEVNULL)
    monkeypatch.setenv("UPSTASH_REDIS_URL", f"redis://127.0.0.1:{port}/0")
    if what == "bucket away":
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{find_free_port()}")
    try:
        wait_until(lambda: redis_answers(port), 10, "Redis")
        with running_api() as app, app.test_client() as client:
            if what == "redis frozen":
                server.send_signal(signal.SIGSTOP)
            if what == "redis away":
                server.kill()
                server.wait()
            if what == "mongodb away":
                mongo.stop()
            asked = time.monotonic()
            form = {"userId": "ann", "file": (BytesIO(SAMPLE.encode()), "water.txt")}
            answer = client.post("/api/upload-document-async", data=form)
            assert time.monotonic() - asked < patience(2.5), "two seconds, and half a one for a busy machine"
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            assert (answer.json or {})["error"] == api.AWAY
            ready = client.get("/readyz")
            assert (ready.status_code, list((ready.json or {}).values()).count("ok")) == (503, 2)
    finally:
        server.kill()
        server.wait()
