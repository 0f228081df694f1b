"""What the tests that kill workers share: a worker without a child process, a log of saves, and what is left over.

The pipeline's child has its own tests in test_worker.py; here the loop around it is what dies, thousands of times.
"""

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis

import storage
from queue_lib import LISTS, NORMAL, Job
from records import Records
from storage import Storage
from worker import Worker

PARKED = [name + ":parked" for name in LISTS]
STANDS = {name + part for name in LISTS for part in ("", ":open", ":owner", ":window")}
STANDS |= {NORMAL + ":leases", NORMAL + ":delayed"}


class LoggedRecords(Records):
    """Appends each save that returned to a file: the job, the run that saved, and whether it was the one that counts.

    One short write to a file opened for appending is whole even if its process is killed.
    """

    saves: Path

    @classmethod
    def build(cls, saves: Path) -> "LoggedRecords":
        records = cls.from_env(Storage.from_env(pool=2), pool=2)
        assert isinstance(records, cls)
        records.saves = saves
        return records

    def save_result(self, job_id: str, user: str, result: Mapping[str, Any]) -> bool:
        new = super().save_result(job_id, user, result)
        append(self.saves, [job_id, result["run"], new])
        return new


class InlineWorker(Worker):
    """Its pipeline is a few ticks in its own process, after which the job meets the fate that its fileName names.

    good: a result. bug, transient: fails at the first attempt. cancel: its user cancels each run. stop: SIGTERM in the
    first run, if it is the victim's.
    """

    victim = False
    work = 0.0  # seconds that a document takes

    def _process(self, job: Job, document: Path) -> str:
        assert document.read_bytes()
        self._tick(job, 20, "phrases")
        threading.Event().wait(self.work)
        match job.payload["fileName"], job.attempts, job.run:
            case "bug", 1, _:
                raise ZeroDivisionError
            case "transient", 1, _:
                raise storage.Transient("the first attempt fails")
            case "cancel", _, _:
                self.queue.cancel(job.id)  # "cancelling", unless this worker was stalled and another has the job
            case "stop", _, 1 if self.victim:
                os.kill(os.getpid(), signal.SIGTERM)
        self.queue._next_look = 0.0
        self._tick(job, 80, "flashcards")
        return json.dumps({"run": job.run, "flashcards": []})


def append(path: Path, entry: list[Any]) -> None:
    """Add a line of JSON to a file, in one write."""
    with path.open("ab", buffering=0) as log:
        log.write(json.dumps(entry).encode() + b"\n")


def entries(path: Path) -> list[list[Any]]:
    """What `append` wrote."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def double_saves(saves: Path) -> list[str]:
    """The jobs of which more than one save counted."""
    counted = Counter(job_id for job_id, _, new in entries(saves) if new)
    return [job_id for job_id, count in counted.items() if count > 1]


def left_over(db: "redis.Redis") -> list[str]:
    """The keys in which a job or a pointer still stands, or a place that nobody gave back."""
    keys: list[str] = db.keys("*")  # type: ignore[assignment]
    left = [key for key in keys if key in STANDS or ":parked:" in key]
    return left + [key for key in PARKED if key in keys and db.get(key) != "0"]
