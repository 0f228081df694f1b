"""The worker: takes a job, downloads its document, runs the pipeline, saves the cards, says so; and again.

    python worker.py

What a document does to the pipeline it does in a child of its own, under limits, with no connection and no secret in
its memory; the worker itself only moves bytes, keeps the lease and decides what an error means. SIGTERM ends it within
a second: a job in hand is finished if the grace allows, else given back. What belongs to the queue is in queue_lib,
what belongs to files and records in storage.
"""

import contextlib
import ctypes
import json
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import queue_lib
import storage
from monitoring import log
from queue_lib import Job, Queue
from storage import Storage

LOCAL_ENV = Path(__file__).with_name(".docdeck") / "env"
HEARTBEAT = 0.2  # seconds between two looks at the child and the signals while a document is processed
SCRATCH = "docdeck-worker-"
OURS = "Docdeck could not process this document because of an error of its own."


class Stop(Exception):
    """The worker was told to go, and what it is doing has to end now."""


class Lost(Exception):
    """The job belongs to somebody else by now: whatever this run made of it counts no more."""


class ChildFailed(Exception):
    """The pipeline's child ended without a result: it raised, was killed, or took too long."""


@dataclass(frozen=True)
class Limits:
    """What one document may use: seconds by the clock and of CPU, and megabytes of address space."""

    seconds: float
    megabytes: int


class Worker:
    """One loop over one queue. grace: seconds for which a job in hand may go on after SIGTERM."""

    def __init__(self, queue: Queue, files: Storage, *, limits: Limits, grace: float = 0) -> None:
        self.queue = queue
        self.files = files
        self.limits = limits
        self.grace = grace
        self.deadline: float | None = None  # set by SIGTERM: when the job in hand has to end
        self.waiting = False
        self.outage_since: float | None = None
        self.scratch = _scratch_folder()

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        log("worker started", worker=self.queue.worker)
        while self.deadline is None:
            try:
                job = self.queue.take(self._interruptible)
                if job is not None:
                    self.handle(job)
                self._outage_ends()
            except queue_lib.WrongPassword as error:
                sys.exit(f"Redis refuses our password: {error}. Check UPSTASH_REDIS_URL.")
            except queue_lib.Unavailable as error:
                self._wait_out(error)
            except Stop:
                break
        shutil.rmtree(self.scratch, ignore_errors=True)
        with contextlib.suppress(*queue_lib.Unavailable):
            self.queue.leave()
        log("worker stopped", worker=self.queue.worker)

    def handle(self, job: Job) -> None:
        """One run of one job, up to one of the queue's ends: this is the only place that decides which."""
        started = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
                document = Path(folder) / "document"
                self._download(job, document)
                result = self._process(job, document)
            self._keep(job, 90, "saving")
            self.files.save_result(job.id, job.user, json.loads(result))
            self._say(job, "job done" if self.queue.finish(job, result) else "job lost", started)
        except storage.Refused as error:
            self.files.fail_job(job.id, job.user, str(error))
            self.queue.bury(job, str(error))
            self._say(job, "job failed", started, reason=str(error))
            self._drop_file(job)
        except storage.Unavailable as error:
            self._again(job, started, str(error))
        except Lost:
            self._say(job, "job lost", started)
        except Stop:
            self.queue.release(job)
            self._say(job, "job released", started)
            raise
        except queue_lib.Unavailable:
            raise  # nothing can be settled without Redis: the lease runs out, the job comes back
        except Exception as error:  # noqa: BLE001  a bug of ours: said with its traceback, and the job tried again
            trace = str(error) if isinstance(error, ChildFailed) else traceback.format_exc()
            self._again(job, started, trace)

    # A job's way ----------------------------------------------------------------------------------------------------

    def _download(self, job: Job, target: Path) -> None:
        url = job.payload.get("fileUrl")
        if not isinstance(url, str):
            raise storage.Refused("The job names no file.")
        self._tick(job, 0, "downloading")
        self.files.fetch(url, target, lambda: self._tick(job, 0, "downloading"))

    def _process(self, job: Job, document: Path) -> str:
        """Run the pipeline on the document in a child; its result as JSON."""
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe(duplex=False)
        title = str(job.payload.get("fileName") or "document")
        child = context.Process(
            target=run_pipeline, args=(theirs, str(document), job.id, title, job.options, self.limits), daemon=True
        )
        child.start()
        theirs.close()
        try:
            return self._listen(job, child.sentinel, ours)
        except EOFError:
            child.join()
            raise ChildFailed(_death(child.exitcode)) from None
        finally:
            child.kill()
            child.join()
            ours.close()

    def _listen(self, job: Job, sentinel: int, pipe: Connection) -> str:
        ends = time.monotonic() + self.limits.seconds
        stage, percent = "starting", 0
        while time.monotonic() < ends:
            self._tick(job, percent, stage)
            if not connection.wait([pipe, sentinel], HEARTBEAT):
                continue
            word, *rest = json.loads(pipe.recv_bytes())  # JSON, not pickle: a document may own its child
            match word:
                case "progress":
                    stage, percent = str(rest[0]), max(0, min(90, int(rest[1])))
                case "done":
                    return str(rest[0])
                case "refused":
                    raise storage.Refused(rest[0])
                case _:
                    raise ChildFailed(rest[0])
        raise ChildFailed(f"it took longer than {self.limits.seconds:.0f} seconds")

    def _tick(self, job: Job, percent: int, stage: str) -> None:
        """Called all the time while a document is in hand: obeys SIGTERM and keeps the job."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise Stop
        self._keep(job, percent, stage)

    def _keep(self, job: Job, percent: int, stage: str) -> None:
        """Renew the lease and write the progress, when it is time for it."""
        try:
            if not self.queue.beat(job, percent, stage):
                raise Lost
        except queue_lib.Unavailable as error:
            self._outage_begins(error)  # the document can be processed without Redis

    def _again(self, job: Job, started: float, cause: str) -> None:
        self.queue.retry(job, cause)
        self._say(job, "job will be retried", started, level="error", cause=cause, attempt=job.attempts)

    def _drop_file(self, job: Job) -> None:
        """A document that was refused will not be read again: its upload need not be paid for."""
        key = self.files.key_of(str(job.payload.get("fileUrl")))
        if key is not None:
            with contextlib.suppress(storage.Unavailable):
                self.files.delete(key)

    def _say(self, job: Job, message: str, started: float, level: str = "info", **fields: Any) -> None:
        seconds = round(time.monotonic() - started, 3)
        log(message, level, job_id=job.id, user_id=job.user, run=job.run, seconds=seconds, **fields)

    # Signals and outages --------------------------------------------------------------------------------------------

    def _told_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self.deadline is None:
            self.deadline = time.monotonic() + self.grace
        if self.waiting:
            self.waiting = False
            raise Stop

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        self.waiting = True
        try:
            if self.deadline is not None:  # the signal came just before
                raise Stop
            yield
        finally:
            self.waiting = False

    def _outage_begins(self, error: Exception) -> None:
        if self.outage_since is None:
            self.outage_since = time.monotonic()
            log("redis is away", "error", error=str(error))

    def _outage_ends(self) -> None:
        if self.outage_since is not None:
            log("redis is back", seconds=round(time.monotonic() - self.outage_since, 1))
            self.outage_since = None

    def _wait_out(self, error: Exception) -> None:
        self._outage_begins(error)
        away = time.monotonic() - (self.outage_since or 0)
        with contextlib.suppress(Stop), self._interruptible():
            time.sleep(min(5, 0.2 + away / 2))


# The child ------------------------------------------------------------------------------------------------------------


def run_pipeline(
    pipe: Connection, path: str, job_id: str, title: str, options: dict[str, str], limits: Limits
) -> None:
    """What runs in the child: one document, then the end. Answers through the pipe, in JSON."""
    from pipeline import BadDocument, CompletePipeline12Stages

    def say(*message: str | int) -> None:
        pipe.send_bytes(json.dumps(message).encode())

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # whether this document is given up is the worker's decision
    die_with_parent()
    resource.setrlimit(resource.RLIMIT_AS, (limits.megabytes << 20, limits.megabytes << 20))
    resource.setrlimit(resource.RLIMIT_CPU, (int(limits.seconds) + 1, int(limits.seconds) + 2))
    try:
        result = CompletePipeline12Stages().process_file(
            path, job_id, title, on_progress=lambda stage, percent: say("progress", stage, percent), **_wishes(options)
        )
        say("done", json.dumps(result, ensure_ascii=False))
    except BadDocument as error:
        say("refused", str(error))
    except MemoryError:
        say("failed", f"it needed more than {limits.megabytes} MB of memory")
    except Exception:  # noqa: BLE001  the worker logs it and decides
        say("failed", traceback.format_exc())


def _wishes(options: dict[str, str]) -> dict[str, Any]:
    """A job's options, as strings in its hash, as the pipeline's arguments."""
    wishes: dict[str, Any] = {}
    for name, argument in (("maxPhrases", "max_phrases"), ("maxWords", "max_words")):
        if options.get(name, "").isdecimal():
            wishes[argument] = int(options[name])
    if options.get("knownWords"):
        wishes["known_words"] = [word.strip() for word in options["knownWords"].split(",") if word.strip()]
    return wishes


def _death(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"its process was killed by {signal.Signals(-exitcode).name}"
    return f"its process ended with exit code {exitcode} and no result"


def die_with_parent() -> None:
    """Linux: no orphan goes on computing when the worker was killed with -9 (elsewhere its next message fails)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
        if os.getppid() == 1:
            os._exit(1)


# Start ----------------------------------------------------------------------------------------------------------------


def start_forkserver() -> None:
    """The process that every child is forked from: it has all modules loaded, no connection, and no secret.

    So it is started before any client exists, with an environment of its own.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline", "queue_lib", "storage", "monitoring"])
    ours = dict(os.environ)
    kept = {name: value for name, value in ours.items() if name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")}
    kept["PYTHONPATH"] = str(Path(__file__).parent)
    kept["OPENBLAS_NUM_THREADS"] = "1"  # each of its threads would reserve address space against the limit
    os.environ.clear()
    os.environ.update(kept)
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(ours)


def _scratch_folder() -> Path:
    """A folder for this worker's downloads; those that killed workers left behind are removed."""
    root = Path(tempfile.gettempdir())
    for left in root.glob(SCRATCH + "*"):
        pid = left.name.removeprefix(SCRATCH).partition("-")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except (PermissionError, ValueError):
            continue
    return Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-"))


def use_local_servers() -> None:
    """With no variable set, the servers that `dev.py run` has up on this machine."""
    if any(os.environ.get(name) for name in ("UPSTASH_REDIS_URL", "REDIS_URL", "MONGODB_URI", "S3_BUCKET")):
        return
    if not LOCAL_ENV.exists():
        sys.exit("No server is named: run `python3 dev.py run` for local ones, or set the variables of .env.example.")
    for line in LOCAL_ENV.read_text().splitlines():
        name, _, value = line.partition("=")
        os.environ.setdefault(name, value)


def main() -> None:
    """Read the environment, start the forkserver, then the clients, then work."""
    use_local_servers()
    start_forkserver()
    seconds, megabytes = float(os.environ.get("JOB_TIMEOUT", "1800")), int(os.environ.get("JOB_MEMORY_MB", "1024"))
    draining = float(os.environ.get("RAILWAY_DEPLOYMENT_DRAINING_SECONDS") or 0)
    queue = Queue.from_env(f"{socket.gethostname()}-{os.getpid()}")
    files = Storage.from_env(pool=2)
    with contextlib.closing(files):
        Worker(queue, files, limits=Limits(seconds, megabytes), grace=max(0, draining - 5)).run()


if __name__ == "__main__":
    main()
