"""Kill -9 at every line: whatever line of ours a worker or the API dies at, every accepted job ends, and once.

A process writes down the lines that it executes, under sys.settrace: its way. Then for each of them another one kills
itself there, and clean workers drain. A second pass takes redis-py's lines as well and dies at every so manieth, which
is also between a command and its reply. Each point has a database of its own, in a Redis of its own: so all can die
first and be drained afterwards, when their leases are over, and a point costs a tenth of a second instead of a lease.
Redis, MongoDB and S3 are real; what is missing is the pipeline, see ledger.py.

A lane (`python -m tests.test_crash`) does the dying: it has imported everything and built no client, so it can fork.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any

import boto3
import pytest
import redis

import api
import storage
import uploads
from queue_lib import LISTS, NORMAL, Queue
from records import Records
from servers import leashed, redis_answers, redis_command
from storage import GONE, Storage
from tests.ledger import InlineWorker, LoggedRecords, append, double_saves, entries, left_over
from tests.support import ROOT, find_free_port, wait_until
from worker import Limits

LANES = 4
LANE = [sys.executable, "-m", "tests.test_crash"]
DATABASES = 4000
LEASE, BLOCK = 0.5, 0.2
VICTIM_SECONDS, DRAIN_SECONDS = 30, 240
Fates = dict[str, tuple[str, str, int]]
Trace = Callable[[FrameType, str, Any], Any]
DOCUMENT = b"Water is life."
OURS = {str(ROOT / f"{name}.py") for name in ("api", "forms", "uploads", "queue_lib", "storage", "records", "worker")}
REDIS_PY = str(Path(redis.__file__).parent)
FATES: Fates = {  # how it ends, its user, its priority; `stop` comes last
    "good": ("done", "ann", 2),
    "refused": ("dead", "ann", 1),
    "transient": ("done", "ann", 1),
    "stop": ("done", "bob", 0),
}
MORE_FATES: Fates = {  # what is new to redis-py: the scripts' other verbs and a bare push; two of ann's, one is parked
    "stop": FATES["stop"],
    "cancel": ("dead", "ann", 1),
    "bug": ("done", "ann", 1),
    "bare": ("done", "eve", 1),
}
WORKERS_WAY = {
    "run", "take", "_claim", "_interruptible", "look_after", "beat", "handle", "_download", "fetch", "_deliver",
    "save_result", "finish", "bury", "_write_off", "fail_job", "retry", "release", "_told_to_stop", "leave",
}  # fmt: skip
REASONS = {"refused": GONE, "cancel": "Cancelled"}


def fates_of(folder: Path) -> Fates:
    """The jobs of each point of this pass."""
    return MORE_FATES if folder.name == "worker50" else FATES


# In a lane ------------------------------------------------------------------------------------------------------------


def is_traced(name: str, in_redis_py: bool) -> bool:
    return name in OURS or (in_redis_py and name.startswith(REDIS_PY))


def write_down(way: Path, in_redis_py: bool) -> Trace:
    """A trace function that appends each line: its file, its number, and for the how manieth time it is executed."""
    times: Counter[tuple[str, int]] = Counter()

    def at_line(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            line = (frame.f_code.co_filename, frame.f_lineno)
            times[line] += 1
            append(way, [*line, times[line]])
        return at_line

    def at_call(frame: FrameType, event: str, argument: Any) -> Any:
        return at_line if is_traced(frame.f_code.co_filename, in_redis_py) else None

    return at_call


def die_at(file: str, number: int, times: int, fallen: Path) -> Trace:
    """A trace function that kills its process at a line, when it is executed so often, and writes that down."""
    left = times

    def at_line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if event == "line" and frame.f_lineno == number:
            left -= 1
            if not left:
                append(fallen, [int(os.environ["POINT"]), Path(file).name, frame.f_code.co_name, number, times])
                os.kill(os.getpid(), signal.SIGKILL)
        return at_line

    def at_call(frame: FrameType, event: str, argument: Any) -> Any:
        return at_line if frame.f_code.co_filename == file else None

    return at_call


def die_in_finish(frame: FrameType, event: str, argument: Any) -> None:
    """A trace function that kills its process between the save and the finish."""
    if frame.f_code.co_name == "finish":
        os.kill(os.getpid(), signal.SIGKILL)


def build_queue(url: str) -> Queue:
    return Queue(url, f"w{os.getpid()}", lease=LEASE, block=BLOCK, window=1, bare_wait=0.3)


def build_worker(url: str, records: Records) -> InlineWorker:
    return InlineWorker(build_queue(url), records.files, records, limits=Limits(60, 1024))


def a_worker_dies(url: str, point: str, folder: Path, trace: Trace) -> None:
    """Puts a job of each fate in line, and works until the last one's SIGTERM."""
    records = LoggedRecords.build(folder / "saves")
    worker = build_worker(url, records)
    worker.victim = True
    keys = {"refused": "documents/ann/missing"}
    if "cancel" in fates_of(folder):  # which deletes its document, so that it needs one of its own
        keys["cancel"] = records.files.put(BytesIO(DOCUMENT), len(DOCUMENT), "ann", point)
    written = []
    for fate, (_, user, priority) in fates_of(folder).items():
        job: dict[str, Any] = {"jobId": f"{point}-{fate}", "userId": user, "fileName": fate, "priority": priority}
        job["fileUrl"] = records.files.link(keys.get(fate, "documents/ann/shared"))
        if fate == "bare":
            worker.queue._redis.lpush(NORMAL, json.dumps(job))
            worker.queue._redis.hset(f"job:{job['jobId']}", "status", "queued")
        else:
            worker.queue.enqueue(job)
            written.append({"_id": job["jobId"], "userId": user, "status": "queued", "createdAt": time.time() * 1000})
    records._database.jobs.insert_many(written)
    worker.reconciled = time.monotonic()  # that starts no job, and asks MongoDB a lot
    threading.settrace(trace)  # the download has a thread of its own
    sys.settrace(trace)
    worker.run()
    sys.settrace(None)


def an_api_dies(url: str, point: str, folder: Path, trace: Trace) -> None:
    """Uploads a document; if an answer comes, its jobId is written down."""
    os.environ["UPSTASH_REDIS_URL"] = url
    app = api.create_app()
    app.extensions["ended"].set()
    for thread in threading.enumerate():  # the look that it has begun with must not take lines from this one's way
        if "look_after" in thread.name:
            thread.join()
    client = app.test_client()
    form = {"userId": point, "file": (BytesIO(DOCUMENT), "water.txt"), "maxWords": "3", "priority": "high"}
    sys.settrace(trace)
    answer = client.post("/api/upload-document-async", data=form, headers={"Idempotency-Key": "k"})
    sys.settrace(None)
    assert answer.status_code == 200, answer.json
    append(folder / "told", [point, (answer.json or {})["jobId"]])


def know_scripts(server: str) -> None:
    """Redis learns the queue's scripts, or the first victim's way would be another than the next one's."""
    queue = build_queue(f"{server}/0")
    queue.enqueue({"jobId": "first", "userId": "ann"})
    queue.cancel("first")


def drain(urls: list[str], folder: Path) -> None:
    """A clean worker, at one database after the other, until nothing is left in any or the time is over."""
    worker = build_worker(urls[0], LoggedRecords.build(folder / "saves"))
    queues = {url: build_queue(url) for url in urls}
    deadline = time.monotonic() + DRAIN_SECONDS
    while queues and time.monotonic() < deadline:
        for url, worker.queue in list(queues.items()):
            if not work_off(worker):
                del queues[url]


def work_off(worker: InlineWorker) -> bool:
    """Handle what can be had now, without waiting for what cannot; whether anything is left."""
    queue = worker.queue
    while left := left_over(queue._redis):
        if not queue._redis.exists(*LISTS):
            queue.look_after()
            if not queue._redis.exists(*LISTS):
                break
        if job := queue.take():
            with contextlib.suppress(storage.Unavailable):
                worker.handle(job)
    return bool(left)


def in_a_fork(task: Callable[[], None], seconds: int) -> int:
    """Run it in a child; its exit code, negative for a signal. One that hangs is ended by SIGALRM."""
    pid = os.fork()
    if not pid:
        try:
            signal.alarm(seconds)
            task()
            os._exit(0)
        except BaseException:  # noqa: BLE001  a child must never return into its parent's code
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


DIES = {"worker": a_worker_dies, "api": an_api_dies}


def lane(first: int, step: int, victim: str, every: int, server: str, folder: Path) -> None:
    """Die at each step-th point of the way, then drain all; every 0: once, where `finish` is called.

    Each point has the database of its number; the way itself has number 1. A victim may miss its point, as the number
    of turns that a wait takes is another in each run; then it ends by itself.
    """
    boto3.client("s3", region_name="auto").close()  # its models are loaded now, once, and not by each child
    urls = []
    if first == 0:
        assert in_a_fork(partial(know_scripts, server), VICTIM_SECONDS) == 0
    uploads.pipeline_version()  # or each victim would read the whole of it
    for point, trace in points(first, step, every, folder):
        os.environ["POINT"] = str(point)
        urls.append(f"{server}/{point}")
        dies = partial(DIES[victim], urls[-1], f"{folder.name}-{point}", folder, trace)
        code = in_a_fork(dies, VICTIM_SECONDS)
        assert code in (0, -signal.SIGKILL), f"the victim at point {point} ended with {code}"
    assert in_a_fork(partial(drain, urls, folder), DRAIN_SECONDS + 60) == 0


def points(first: int, step: int, every: int, folder: Path) -> Iterator[tuple[int, Trace]]:
    """The points of one lane, each with what its victim is traced by."""
    way, whole_way, fallen = folder / "way", folder / "whole way", folder / "fallen"
    if not every:
        yield 1, die_in_finish
        return
    if first == 0:
        yield 1, write_down(way, in_redis_py=every > 1)
        way.rename(whole_way)
    wait_until(whole_way.exists, VICTIM_SECONDS, "the way")
    for point, (file, number, times) in list(enumerate(entries(whole_way)[every - 1 :: every], 2))[first::step]:
        yield point, die_at(file, number, times, fallen)


# The tests ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A Redis with many databases; its URL up to the database's number."""
    port = find_free_port()
    command = [*redis_command(tmp_path, port), "--databases", str(DATABASES)]
    process = subprocess.Popen(leashed(command), stdout=subprocess.DEVNULL)
    wait_until(lambda: redis_answers(port), 10, "Redis")
    yield f"redis://127.0.0.1:{port}"
    process.kill()
    process.wait()


def run_lanes(victim: str, every: int, server: str, folder: Path, lanes: int) -> list[list[Any]]:
    """Lanes side by side, each to its end. Where a victim fell: [point, file, function, line, the how manieth time]."""
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        running = [
            subprocess.Popen(
                leashed([*LANE, f"{number}", f"{lanes}", victim, f"{every}", server, str(folder)]),
                cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)}, stdout=log, stderr=subprocess.STDOUT,
            )
            for number in range(lanes)
        ]  # fmt: skip
        codes = [process.wait() for process in running]
    assert codes == [0] * lanes, (folder / "log").read_text()[-3000:]
    return sorted(entries(folder / "fallen"))


def kept(records: Records, prefix: str) -> tuple[dict[str, str], Counter[str]]:
    """Of the jobs whose ids begin so: what their records say, and how many results each has; in two questions."""
    mine = {"_id": {"$regex": f"^{prefix}-"}}
    said = {record["_id"]: record["status"] for record in records._database.jobs.find(mine, {"status": 1})}
    return said, Counter(result["_id"] for result in records._database.results.find(mine, {"_id": 1}))


def wrong_with(
    db: "redis.Redis", point: str, fates: Fates, records: dict[str, str], results: Counter[str]
) -> list[str]:
    """What the ledger of one worker's point has to complain of: one line for each job that is not where it belongs."""
    wrong = [f"left in {key}" for key in left_over(db)]
    for fate, (place, _, _) in fates.items():
        job_id = f"{point}-{fate}"
        job: dict[str, str] = db.hgetall(f"job:{job_id}")  # type: ignore[assignment]
        saved, record = results[job_id], records.get(job_id, "completed")
        if job.get("at") != place or saved != (place == "done"):
            wrong.append(f"{fate}: {job}, {saved} results")
        if place == "done" and record != "completed":
            wrong.append(f"{fate}: its record says {record}")
        if place == "dead" and job.get("error") != REASONS[fate]:
            wrong.append(f"{fate}: dead because {job.get('error')}")
    return wrong


@pytest.mark.parametrize("every", [1, 50], ids=["every line of ours", "every 50th line of ours and redis-py's"])
def test_a_worker_that_dies_at_any_line_loses_no_job_and_saves_none_twice(
    server: str, files: Storage, records: Records, tmp_path: Path, every: int
) -> None:
    files.put(BytesIO(DOCUMENT), len(DOCUMENT), "ann", "shared")
    started, folder = time.monotonic(), tmp_path / f"worker{every}"
    fallen = run_lanes("worker", every, server, folder, LANES)
    wrong, runs, ledger = [], 0, kept(records, folder.name)
    for point, *place in fallen:
        with redis.Redis.from_url(f"{server}/{point}", decode_responses=True) as db:
            wrong += [(place, line) for line in wrong_with(db, f"{folder.name}-{point}", fates_of(folder), *ledger)]
            runs += sum(int(db.hget(key, "run") or 0) for key in db.scan_iter("job:*"))
    refused = sum(not new for _, _, new in entries(folder / "saves"))
    seconds, whole = time.monotonic() - started, len(entries(folder / "whole way")) // every
    print(
        f"\n{len(fallen)} deaths at {whole} points, {len(wrong)} wrong, {runs} runs, {refused} saves refused, "
        f"{seconds:.0f} s"
    )
    assert wrong == []
    assert double_saves(folder / "saves") == []
    assert len(fallen) > (0.9 if every == 1 else 0.75) * whole  # redis-py's waits take more or fewer turns
    assert every > 1 or {function for _, _, function, *_ in fallen} >= WORKERS_WAY


@pytest.mark.parametrize("every", [1, 10], ids=["every line of ours", "every 10th line of ours and redis-py's"])
def test_an_upload_whose_api_dies_at_any_line_is_in_line_or_nobody_was_told_its_id(
    server: str, records: Records, tmp_path: Path, every: int
) -> None:
    folder = tmp_path / f"api{every}"
    fallen = run_lanes("api", every, server, folder, LANES)
    told, ran = dict(entries(folder / "told")), 0
    deaths = {f"{folder.name}-{point}": place for point, *place in fallen}
    for user, place in {**{user: ["nowhere"] for user in told}, **deaths}.items():
        point = user.rpartition("-")[2]
        with redis.Redis.from_url(f"{server}/{point}", decode_responses=True) as db:
            assert left_over(db) == [], place
            known = {key.removeprefix("job:"): db.hget(key, "at") for key in db.scan_iter("job:*")}
        recorded = [record["_id"] for record in records._database.jobs.find({"userId": user})]
        assert set(known) <= set(recorded), f"a job without a record, after a death at {place}"
        assert set(known.values()) <= {"done"}, place
        assert records._database.results.count_documents({"userId": user}) == len(known), place
        if user in told:
            assert list(known) == [told[user]]
        ran += len(known)
    print(f"\n{len(fallen)} deaths, {ran} in line, {len(told)} told")
    assert told
    assert len(fallen) > 0.7 * len(entries(folder / "whole way")) // every
    if every == 1:
        assert ran > len(told), "no point lay between the enqueue and the answer"
        assert {function for _, _, function, *_ in fallen} >= {"submit", "put", "create_job", "enqueue"}


def test_a_result_that_was_saved_before_its_worker_died_stands(
    server: str, files: Storage, records: Records, tmp_path: Path
) -> None:
    files.put(BytesIO(DOCUMENT), len(DOCUMENT), "ann", "shared")
    folder = tmp_path / "finish"
    run_lanes("worker", 0, server, folder, 1)
    saved = [(run, new) for job_id, run, new in entries(folder / "saves") if job_id == "finish-1-good"]
    assert saved == [(1, True), (2, False)]
    result = records._database.results.find_one({"_id": "finish-1-good"}) or {}
    assert result["run"] == 1
    with redis.Redis.from_url(f"{server}/1", decode_responses=True) as db:
        assert wrong_with(db, "finish-1", FATES, *kept(records, "finish")) == []


if __name__ == "__main__":
    lane(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5], Path(sys.argv[6]))
