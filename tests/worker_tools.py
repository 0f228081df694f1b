"""What the tests of the worker share: a real worker process with short times, jobs for it, and its ledger check."""

import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import redis

from queue_lib import NORMAL, Queue
from records import Records
from servers import leashed
from tests.redis_tools import Monitor, OwnRedis, Proxy, blocked_clients, watched
from tests.support import ROOT, descendants, wait_until

SAMPLE = (ROOT / "samples" / "how-a-city-drinks.txt").read_text()
LEASE = 3.0

Start = Callable[..., subprocess.Popen[str]]


def worker_process(
    folder: Path,
    lease: float = LEASE,
    grace: float = 0,
    seconds: float = 60,
    megabytes: int = 1024,
    **variables: str,
) -> subprocess.Popen[str]:
    """A worker of this environment: its log is folder/worker-PID.log, its downloads are in folder/tmp."""
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), **variables}
    command = [sys.executable, "-m", "tests.run_worker", str(lease), str(grace), str(seconds), str(megabytes)]
    with (folder / "worker.log").open("a") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, text=True, start_new_session=True
        )


def worker_log(folder: Path) -> str:
    return (folder / "worker.log").read_text()


def submit(queue: Queue, records: Records, content: bytes | str, name: str = "water.txt", **options: str) -> str:
    """What the API does with an upload."""
    job_id = str(uuid.uuid4())
    body = content.encode() if isinstance(content, str) else content
    key = records.files.put(BytesIO(body), len(body), "ann", job_id)
    payload = {"jobId": job_id, "userId": "ann", "fileUrl": records.files.link(key), "fileName": name}
    records.create_job(payload, options, len(body))
    assert queue.enqueue(payload, options).new
    return job_id


def status(queue: Queue, job_id: str) -> dict[str, Any]:
    return queue.status(job_id) or {}


def ended(queue: Queue, job_id: str, seconds: float = 60) -> dict[str, Any]:
    wait_until(lambda: status(queue, job_id)["status"] in ("completed", "failed"), seconds, "the job's end")
    return status(queue, job_id)


def in_the_pipeline(queue: Queue, job_id: str) -> None:
    """Wait until the child is at work on the document."""
    wait_until(lambda: int(status(queue, job_id)["progress"]) >= 20, 30, "the pipeline's progress")


def long_document(words: int) -> str:
    return "\n\n".join([SAMPLE] * (words // len(SAMPLE.split()) + 1))


def running(pids: Iterable[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}/stat").exists() and not is_zombie(pid)]


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def the_child(worker: subprocess.Popen[str]) -> int:
    """The process in which the pipeline runs: the one below the forkserver."""

    def below_forkserver() -> list[int]:
        return [pid for server in descendants(worker.pid) for pid in descendants(server)]

    return wait_until(below_forkserver, 20, "the pipeline's child")[0]


def nothing_left(db: "redis.Redis", tmp_path: Path) -> None:
    for part in ("", ":open", ":owner", ":window", ":leases", ":delayed"):
        assert not db.exists(NORMAL + part), f"{NORMAL + part} is left over"
    left = [path for folder in (tmp_path / "tmp").glob("docdeck-worker-*") for path in folder.iterdir()]
    assert left == []


@dataclass
class IdleWorker:
    """A worker that waits: since when, on which connections, and all that its Redis was sent."""

    process: subprocess.Popen[bytes]
    redis: OwnRedis
    monitor: Monitor
    log: Path
    started: float
    beginning: int  # commands before its first wait
    waiting: list[str]


@contextlib.contextmanager
def watched_idle_worker(folder: Path) -> Iterator[IdleWorker]:
    """Start worker.py behind a slow network, up to its first wait."""
    folder.mkdir()
    server, log = OwnRedis(folder / "redis"), folder / "worker.log"
    with contextlib.closing(Proxy(server.url, delay=0.005)) as proxy, watched(server.url) as monitor:
        with log.open("w") as out:
            environment = {**os.environ, "UPSTASH_REDIS_URL": proxy.url}
            command = leashed([sys.executable, "worker.py"])
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
        try:
            wait_until(lambda: monitor.count("BRPOP") == 1, 30, "the first wait")
            beginning = len(monitor.sent) - 1
            waiting = wait_until(lambda: blocked_clients(server.client), 5, "the worker's wait")
            yield IdleWorker(process, server, monitor, log, time.monotonic(), beginning, waiting)
        finally:
            process.kill()
            process.wait()
    server.kill()
