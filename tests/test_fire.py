"""The ledger under fire: workers are killed, told to go and stalled, connections cut, and Redis dies on its AOF.

300 jobs of 20 users in three lines, six workers, the faults in a seeded order, each while jobs are being done. At the
end every job that was accepted is over, no result was saved twice, and nothing stands anywhere.

A nursery (`python -m tests.test_fire`) forks the workers: it has imported everything, so a new one is up at once.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

import boto3
import pytest
import redis

import queue_lib
from queue_lib import Queue
from records import Records
from servers import leashed, redis_answers, redis_command
from storage import Storage
from tests.ledger import InlineWorker, LoggedRecords, double_saves, entries, left_over
from tests.support import ROOT, find_free_port, wait_until
from tests.worker_tools import running
from worker import Limits, die_with_parent

SEED = 7
JOBS, USERS, WORKERS = 300, 20, 6
LEASE, BLOCK = 0.8, 0.4
WORK = 0.02  # seconds that a document takes
DECK = {"kill": 12, "term": 8, "stop": 8, "cut": 6, "valkey": 3}
DOCUMENT = b"Water is life."
FATES = ["good"] * 14 + ["transient", "cancel"]


# The nursery ----------------------------------------------------------------------------------------------------------


def work(url: str, folder: Path) -> None:
    """A worker's life."""
    records = LoggedRecords.build(folder / "saves")
    queue = Queue(url, f"fire-{os.getpid()}", lease=LEASE, block=BLOCK, max_attempts=1000, answer=1)
    worker = InlineWorker(queue, records.files, records, limits=Limits(60, 1024))
    worker.work = WORK
    worker.run()


def nursery(url: str, folder: Path) -> None:
    """Fork a worker for each line of stdin, and say its pid."""
    boto3.client("s3", region_name="auto").close()  # its models are loaded now, once, and not by each child
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for _ in sys.stdin:
        pid = os.fork()
        if not pid:
            try:
                die_with_parent()
                os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
                work(url, folder)
            except BaseException:  # noqa: BLE001  a child must never return into its parent's code
                traceback.print_exc()
            os._exit(0)
        print(pid, flush=True)


# The field ------------------------------------------------------------------------------------------------------------


class Field:
    """Redis, its workers, and what is done to them. Workers that die are replaced."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.folder = folder
        self.port = find_free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start_redis()
        command = leashed([sys.executable, "-m", "tests.test_fire", self.url, str(folder)])
        with (folder / "log").open("wb") as log:
            self.nursery = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.done: Counter[str] = Counter()
        self.going: list[int] = []  # told to go
        self.stopped: dict[int, float] = {}  # pid → when it may go on
        self.workers = [self.start_worker() for _ in range(WORKERS)]

    def start_redis(self) -> None:
        self.redis = subprocess.Popen(
            leashed(redis_command(self.folder, self.port)), stdout=subprocess.DEVNULL
        )
        wait_until(lambda: redis_answers(self.port), 10, "Redis")

    def start_worker(self) -> int:
        assert self.nursery.stdin
        assert self.nursery.stdout
        print(file=self.nursery.stdin, flush=True)
        return int(self.nursery.stdout.readline())

    def kill(self) -> None:
        pid = self.workers.pop(self.chance.randrange(WORKERS))
        self.stopped.pop(pid, None)
        os.kill(pid, signal.SIGKILL)
        self.workers.append(self.start_worker())

    def term(self) -> None:
        pid = self.workers.pop(self.chance.randrange(WORKERS))
        os.kill(pid, signal.SIGTERM)
        self.going.append(pid)
        self.workers.append(self.start_worker())

    def stop(self) -> None:
        pid = self.chance.choice([pid for pid in self.workers if pid not in self.stopped])
        os.kill(pid, signal.SIGSTOP)
        self.stopped[pid] = time.monotonic() + LEASE * self.chance.uniform(1.2, 2.5)

    def wake(self, all_of_them: bool = False) -> None:
        for pid, until in list(self.stopped.items()):
            if all_of_them or time.monotonic() > until:
                os.kill(pid, signal.SIGCONT)
                del self.stopped[pid]

    def cut(self) -> None:
        with redis.Redis.from_url(self.url) as db:
            db.execute_command("CLIENT", "KILL", "TYPE", "normal")

    def valkey(self) -> None:
        self.redis.kill()
        self.redis.wait()
        self.start_redis()

    def dismiss(self) -> None:
        """All workers go when they are told to."""
        for pid in self.workers:
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not running([*self.workers, *self.going]), 10, "the end of the workers")

    def end(self) -> None:
        self.wake(all_of_them=True)
        for pid in running([*self.workers, *self.going]):
            os.kill(pid, signal.SIGKILL)
        self.nursery.kill()
        self.nursery.wait()
        self.redis.kill()
        self.redis.wait()
        for pipe in (self.nursery.stdin, self.nursery.stdout):
            assert pipe
            pipe.close()


@pytest.fixture
def field(tmp_path: Path, records: Records) -> Iterator[Field]:
    field = Field(tmp_path, random.Random(SEED))
    yield field
    field.end()


def insist(action: Callable[[], object]) -> None:
    """What the API's client does: an answer of 503 is tried again."""

    def done() -> bool:
        with contextlib.suppress(queue_lib.Unavailable):
            action()
            return True
        return False

    wait_until(done, 10, "an answer of Redis")


def test_under_fire_no_job_is_lost_and_no_result_is_saved_twice(
    field: Field, files: Storage, records: Records, tmp_path: Path
) -> None:
    started, saves, chance = time.monotonic(), tmp_path / "saves", field.chance
    shared = files.link(files.put(BytesIO(DOCUMENT), len(DOCUMENT), "fire", "shared"))
    queue = Queue(field.url, lease=LEASE, answer=1)
    fates = {f"fire-{number}": chance.choice(FATES) for number in range(JOBS)}
    waiting = list(fates)
    deck = [fault for fault, count in DECK.items() for _ in range(count)]
    chance.shuffle(deck)

    def saved() -> int:
        field.wake()
        return len(entries(saves))

    for turn, fault in enumerate(deck, 1):
        while len(fates) - len(waiting) < JOBS * turn // len(deck):
            job_id = waiting.pop()
            job = {"jobId": job_id, "userId": f"user-{chance.randrange(USERS)}", "fileName": fates[job_id]}
            own = fates[job_id] == "cancel"  # its file is deleted when it is written off
            link = files.link(files.put(BytesIO(DOCUMENT), len(DOCUMENT), "fire", job_id)) if own else shared
            insist(partial(queue.enqueue, {**job, "fileUrl": link, "priority": chance.randrange(3)}))
        enough = saved() + chance.randrange(5)
        wait_until(lambda enough=enough: saved() >= enough, 15, "the next results")  # type: ignore[misc]
        getattr(field, fault)()
        field.done[fault] += 1
    with redis.Redis.from_url(field.url, decode_responses=True) as db:

        def all_over() -> bool:
            field.wake()
            return set(queue.whereabouts(list(fates))) <= {"done", "dead"} and not left_over(db)

        wait_until(all_over, 30, "the end of all jobs")
        ends = dict(zip(fates, queue.whereabouts(list(fates)), strict=True))
        runs = sum(int(db.hget(f"job:{job_id}", "run") or 0) for job_id in fates)
    field.dismiss()

    done = [job_id for job_id, fate in fates.items() if fate != "cancel"]
    refused = sum(not new for _, _, new in entries(saves))
    seconds = time.monotonic() - started
    print(f"\nfaults {dict(field.done)}, {runs} runs of {JOBS} jobs, {refused} saves refused, {seconds:.0f} s")
    assert ends == {job_id: "dead" if fate == "cancel" else "done" for job_id, fate in fates.items()}
    assert double_saves(saves) == []
    assert sorted(record["_id"] for record in records._database.results.find()) == sorted(done)
    assert field.done == DECK
    assert "Traceback" not in (tmp_path / "log").read_text()


if __name__ == "__main__":
    nursery(sys.argv[1], Path(sys.argv[2]))
