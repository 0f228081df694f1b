"""The worker: takes a job, downloads its document, runs the pipeline, saves the cards, says so; and again.

    python worker.py [--min N] [--max N] [--workers N]

What a document does to the pipeline it does in a child of its own, under limits, with no connection and no secret in
its memory; the worker itself only moves bytes, keeps the lease and decides what an error means. SIGTERM ends it within
a second: a job in hand is finished if the grace allows, else given back. What belongs to the queue is in queue_lib,
what belongs to files in storage, and to records in records.
"""

import argparse
import contextlib
import ctypes
import itertools
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import fleet
import monitoring
import queue_lib
import storage
from fleet import die_with_parent
from monitoring import log
from queue_lib import Job, Queue
from records import WEEK, Records
from storage import Storage
from webhooks import Hooks, Notifier

LOCAL_ENV = Path(__file__).with_name(".docdeck") / "env"
HEARTBEAT = 0.2  # seconds between two looks at the child and the signals while a document is processed
RECONCILE = 3600  # seconds between two looks for jobs that Redis forgot
MAX_RESULT = 64 << 20  # bytes in one message of a child
SCRATCH = "docdeck-worker-"
# A job has five lines at most, whatever happens: its upload, that the first run was for nothing, its end, its webhook,
# and its end again when somebody had started it anew. A deletion is said in place of an end. Its hash has the history.
ENDS_SAID = 2
LOST = "nothing here: another run has it"


class Stop(Exception):
    """The worker was told to go, and what it is doing has to end now."""


class Lost(Exception):
    """The job belongs to somebody else by now: whatever this run made of it counts no more."""


class Cancelled(Exception):
    """The user wants the job in hand no more."""


class ChildFailed(Exception):
    """The pipeline's child ended without a result: it raised, was killed, or took too long."""


@dataclass(frozen=True)
class Limits:
    """What one document may use: seconds by the clock and of CPU, and megabytes of address space."""

    seconds: float
    megabytes: int

    @classmethod
    def from_env(cls) -> "Limits":
        """What the environment allows."""
        return cls(float(os.environ.get("JOB_TIMEOUT") or 1800), int(os.environ.get("JOB_MEMORY_MB") or 1024))


class Run:
    """What one run of a job took, for the log and for the figures that go with its end."""

    def __init__(self, job: Job) -> None:
        self.job, self.megabytes = job, 0
        self._started = self._turned = time.monotonic()
        self._stage, self._took = "", dict[str, float]()

    def turn(self, stage: str) -> None:
        """The run is at this stage now."""
        now = time.monotonic()
        if self._stage:
            self._took[self._stage] = self._took.get(self._stage, 0) + now - self._turned
        self._stage, self._turned = stage, now

    def figures(self) -> dict[str, int]:
        """ms of each stage so far, and the most memory that the child had, in MB."""
        self.turn(self._stage)
        took = {f"stage:{stage}": int(seconds * 1000) for stage, seconds in self._took.items()}
        return took | ({"memory": self.megabytes} if self.megabytes else {})

    def say(self, message: str, level: str = "info", *, then: str, **fields: Any) -> None:
        """A line about this run, and what happens next."""
        job, seconds = self.job, round(time.monotonic() - self._started, 3)
        is_end = message not in ("job lost", "job released", "job will be retried")
        if job.requeued >= ENDS_SAID or (job.run > 1 and not is_end):
            return
        log(message, level, job_id=job.id, user_id=job.user, run=job.run, seconds=seconds, next=then, **fields)


class Worker:
    """One loop over one queue.

    grace: seconds for which a job in hand may go on after SIGTERM. stall: seconds after which a loop that has not
    turned ends its process. vi_dictionary: a file of Vietnamese meanings for the cards.
    """

    def __init__(
        self,
        queue: Queue,
        files: Storage,
        records: Records,
        *,
        limits: Limits,
        grace: float = 0,
        stall: float = 72,
        vi_dictionary: str | None = None,
    ) -> None:
        self.queue = queue
        self.files = files
        self.records = records
        self.limits = limits
        self.grace = grace
        self.stall = stall
        self.vi_dictionary = vi_dictionary
        self.going = False  # no job is taken any more
        self.deadline: float | None = None  # set by SIGTERM: when the job in hand has to end
        self.waiting = False
        self.hand: Run | None = None  # the job in hand
        self.outages: dict[str, float] = {}  # since when which server is away
        self.turned = time.monotonic()
        self.reconciled: float | None = None
        self.scratch = _scratch_folder()
        hooks = Hooks.from_env()
        queue.notifier = Notifier(queue, hooks) if hooks else None

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; or until the fleet needs this loop no more, and its document is done."""
        for number in (signal.SIGTERM, signal.SIGINT, fleet.RETIRE):
            signal.signal(number, self._told_to_stop)
        threading.Thread(target=self._watch, daemon=True).start()
        log("worker started", worker=self.queue.worker)
        while not self.going:
            try:
                self._reconcile()
                job = self.queue.take(self._interruptible)
                self._outage_ends("redis")
                if job is not None:
                    self.handle(job)
            except queue_lib.WrongPassword as error:
                sys.exit(f"Redis refuses our password: {error}. Check UPSTASH_REDIS_URL.")
            except queue_lib.WrongCertificate as error:
                sys.exit(f"{error}. Check UPSTASH_REDIS_URL, or name its CA: README.md says how.")
            except (storage.Unavailable, queue_lib.Unavailable) as error:
                self._wait_out(error)
            except Stop:
                break
            except Exception:  # noqa: BLE001  a bug of ours between two jobs: a restart would not mend it
                log("a bug in the worker's loop", "error", cause=traceback.format_exc())
                self._pause()
        shutil.rmtree(self.scratch, ignore_errors=True)
        with contextlib.suppress(queue_lib.Unavailable):
            self.queue.leave()
        log("worker stopped", worker=self.queue.worker)
        monitoring.stop()

    def handle(self, job: Job) -> None:
        """One run of one job, up to one of the queue's ends: this is the only place that decides which."""
        run = self.hand = Run(job)
        try:
            with self._folder() as folder:
                document = Path(folder) / "document"
                self._download(job, document)
                result = self._process(job, document)
            if self._deliver(job, result):
                run.say("job done", then="its cards are there")
            else:
                run.say("job lost", then=LOST)
        except storage.Refused as error:
            if self.queue.bury(job, str(error), monitoring.group_of(str(error)), run.figures()):
                self._write_off(job, str(error))
                run.say("job failed", reason=str(error), then="nothing: it is the document's fault")
        except Cancelled:
            if self.queue.release(job):  # which a cancelled job does not survive
                self._write_off(job, "Cancelled")
                run.say("job cancelled", then="nothing: its user wants it no more")
        except Lost:
            run.say("job lost", then=LOST)
        except (Stop, storage.Unavailable):
            self.queue.release(job)  # neither is the job's fault
            run.say("job released", then="it runs again as the next one, the attempt not counted")
            raise
        except queue_lib.Unavailable:
            raise  # nothing can be settled without Redis: the lease runs out, the job comes back
        except storage.Transient as error:
            self._again(run, str(error), "warning")
        except ChildFailed as error:
            self._again(run, str(error))
        except Exception:  # noqa: BLE001  a bug of ours: said with its traceback, and the job tried again
            self._again(run, traceback.format_exc())
        finally:
            self.hand = None

    # A job's way ----------------------------------------------------------------------------------------------------

    def _folder(self) -> "tempfile.TemporaryDirectory[str]":
        try:
            self.scratch.mkdir(exist_ok=True)  # somebody may have swept /tmp
            return tempfile.TemporaryDirectory(dir=self.scratch)
        except OSError as error:
            raise storage.Unavailable(f"there is no folder for a download: {error.strerror}") from error

    def _download(self, job: Job, target: Path) -> None:
        """Fetch the document in a thread: a server may be silent for longer than the loop may."""
        url = job.payload.get("fileUrl")
        if not isinstance(url, str):
            raise storage.Refused("The job names no file.")
        ends = time.monotonic() + storage.FETCH_SECONDS
        ended: list[Exception | None] = []
        given_up = threading.Event()

        def fetch() -> None:
            try:
                self.files.fetch(url, target, given_up.is_set)
                ended.append(None)
            except Exception as error:  # noqa: BLE001  raised again below
                ended.append(error)

        thread = threading.Thread(target=fetch, daemon=True)
        thread.start()
        try:
            while not ended:
                self._tick(job, 0, "downloading")
                if time.monotonic() > ends:
                    raise storage.Transient(f"the download took longer than {storage.FETCH_SECONDS} seconds")
                thread.join(HEARTBEAT)
        finally:
            given_up.set()
        if ended[0]:
            raise ended[0]

    def _process(self, job: Job, document: Path) -> str:
        """Run the pipeline on the document in a child; its result as JSON."""
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe(duplex=False)
        title = str(job.payload.get("fileName") or "document").encode(errors="replace").decode()
        arguments = (theirs, str(document), job.id, title, job.options, self.limits, self.vi_dictionary)
        child = context.Process(target=run_pipeline, args=arguments, daemon=True)
        with without_secrets():  # a forkserver that died is started again by this
            child.start()
        theirs.close()
        try:
            return self._listen(job, child, ours)
        except EOFError:
            child.join()
            raise ChildFailed(_death(child.exitcode)) from None
        finally:
            child.kill()
            child.join()
            ours.close()

    def _listen(self, job: Job, child: BaseProcess, pipe: Connection) -> str:
        """What the child says, to its end. Read as it comes: a child that a document owns may stop in mid-message."""
        ends = time.monotonic() + self.limits.seconds
        stage, percent = "starting", 0
        said = b""
        while time.monotonic() < ends:
            self._weigh(child)
            self._tick(job, percent, stage)
            ready = connection.wait([pipe, child.sentinel], HEARTBEAT)
            if not ready:
                continue
            if pipe not in ready:  # dead, with its end of the pipe in the hands of an orphan
                raise EOFError
            said += hear(pipe)
            *lines, said = said.split(b"\n")
            for line in lines:
                match json.loads(line):  # JSON, not pickle, for the same reason
                    case ["progress", str(told), int(share)]:
                        stage, percent = told[:40], max(0, min(90, share))
                    case ["done", str(result)]:
                        return result
                    case ["refused", str(sentence)]:
                        raise storage.Refused(sentence)
                    case ["failed", str(cause)]:
                        raise ChildFailed(cause)
                    case _:
                        raise ChildFailed("it said what no child says")
            if len(said) > MAX_RESULT:
                raise ChildFailed("its result has no end")
        raise ChildFailed(f"it took longer than {self.limits.seconds:.0f} seconds")

    def _weigh(self, child: BaseProcess) -> None:
        """Linux: the most memory that the child has had, in MB."""
        with contextlib.suppress(OSError, ValueError):  # it may have just ended
            told = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{child.pid}/status").read_text(), re.MULTILINE)
            self.queue.memory = max(1, int(told[1]) >> 10) if told else 0
            if self.hand:
                self.hand.megabytes = max(self.hand.megabytes, self.queue.memory)

    def _tick(self, job: Job, percent: int, stage: str) -> None:
        """Called all the time while a document is in hand: obeys SIGTERM and keeps the job."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise Stop
        self._keep(job, percent, stage)

    def _keep(self, job: Job, percent: int, stage: str) -> None:
        """Renew the lease and write the progress, when it is time for it."""
        self.turned = time.monotonic()
        if self.hand:
            self.hand.turn(stage)
        try:
            match self.queue.beat(job, percent, stage):
                case "lost":
                    raise Lost
                case "cancel":
                    raise Cancelled
                case "mine":
                    self._outage_ends("redis")
        except queue_lib.Unavailable as error:
            self._outage_begins(error)  # the document can be processed without Redis

    def _deliver(self, job: Job, result: str) -> bool:
        """Save the result, then finish the job; a server that is away has as long as a lease to come back."""
        # No next job where something comes before it, which may have to wait for MongoDB. Once said, it stands: a try
        # whose answer was lost may have claimed one.
        more = not self.going and not self._care_is_due()
        patience, saved = time.monotonic() + self.queue.lease, False
        while True:
            if not saved:  # once it is, `finish` says whose the job is: a look would call one lost that it has ended
                self._keep(job, 90, "saving")
            try:
                if not saved and not self.records.save_result(job.id, job.user, json.loads(result)):
                    result = self.records.result(job.id, job.user) or ""  # an earlier run's: it stands
                saved = True
                self._outage_ends("storage")
                figures = self.hand.figures() if self.hand else None
                if self.queue.finish(job, result, figures, more=more):
                    return True
                if self.queue.whereabouts([job.id]) == ["deleted"]:  # while it was saved: nothing of it may stay
                    self.records.forget(job.user, [job.id])
                return False
            except (storage.Unavailable, queue_lib.Unavailable) as error:
                self._outage_begins(error)
                if time.monotonic() >= patience or self.deadline is not None:
                    raise
                time.sleep(self.queue.lease / 12)

    def _again(self, run: "Run", cause: str, level: str = "error") -> None:
        job, delay = run.job, queue_lib.backoff(run.job.attempts)
        said: dict[str, Any] = {"cause": cause, "attempt": job.attempts}
        kept = self.queue.retry(job, cause, delay, monitoring.group_of(cause), run.figures())
        if kept and job.attempts >= self.queue.max_attempts:
            # Its upload is kept: an operator may requeue it when the cause is mended.
            with contextlib.suppress(storage.Unavailable):  # the record is mended by _reconcile
                self.records.fail_job(job.id, job.user, self.queue.reason(job.id)[0])
            run.say("job given up", level, then="it stands in the dead list until somebody requeues it", **said)
        else:
            then = f"it is tried again in {delay:.0f} seconds" if kept else LOST
            run.say("job will be retried", level, then=then, **said)

    def _write_off(self, job: Job, reason: str) -> None:
        """The job is over without a result: its record says so, and its upload need not be paid for any longer."""
        key = self.files.upload_key(job.user, job.id)
        with contextlib.suppress(storage.Unavailable, storage.Transient):  # the record is mended by _reconcile
            self.records.fail_job(job.id, job.user, reason)
            if self.files.key_of(str(job.payload.get("fileUrl"))) == key:  # nobody else's file, whatever a job says
                self.files.delete(key)

    # Signals and outages --------------------------------------------------------------------------------------------

    def _told_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.going = True
        if self.deadline is None and number != fleet.RETIRE:
            self.deadline = time.monotonic() + self.grace
        if self.waiting:
            self.waiting = False
            raise Stop

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        self.waiting = True
        try:
            if self.going:  # the signal came just before
                raise Stop
            yield
        finally:
            self.waiting = False

    def _outage_begins(self, error: Exception) -> None:
        server = "redis" if isinstance(error, queue_lib.Unavailable) else "storage"
        if server not in self.outages:
            self.outages[server] = time.monotonic()
            log("a server is away", "error", server=server, error=f"{type(error).__name__}: {error}")

    def _outage_ends(self, server: str) -> None:
        if server in self.outages:
            seconds = round(time.monotonic() - self.outages.pop(server), 1)
            log("a server is back", server=server, seconds=seconds)

    def _wait_out(self, error: Exception) -> None:
        self._outage_begins(error)
        self._pause()

    def _pause(self) -> None:
        """Wait, the longer the longer a server is away, at most five seconds, no two workers in step."""
        self.turned = time.monotonic()
        away = self.turned - min(self.outages.values(), default=self.turned)
        with contextlib.suppress(Stop), self._interruptible():
            time.sleep(min(5, 0.2 + away / 2) * random.uniform(0.5, 1))  # noqa: S311  no secret

    # Care -----------------------------------------------------------------------------------------------------------

    def _reconcile(self) -> None:
        """At the start and hourly: what MongoDB holds as queued for ten minutes and Redis does not know runs again, and
        uploads of jobs that ended long ago are deleted.

        A failover of Redis to a stale copy forgets such jobs. Those older than a hash's life are left alone: of them
        Redis may have forgotten the end as well.
        """
        self.turned = time.monotonic()
        if not self._care_is_due():
            return
        self.records.prepare()
        lost = 0
        records = self.records.waiting_jobs(older_than=600, younger_than=self.queue.ttl - 600)
        while batch := list(itertools.islice(records, 500)):
            for record, place in zip(batch, self.queue.whereabouts([record["_id"] for record in batch]), strict=True):
                self.turned = time.monotonic()
                if self.going:
                    return
                try:
                    lost += self._mend(record, place)
                except (storage.Unavailable, queue_lib.Unavailable):
                    raise
                except Exception:  # noqa: BLE001  one odd record must not keep all others, and all jobs, from their turn
                    log("a record could not be mended", "error", job_id=record["_id"], cause=traceback.format_exc())
        if lost:
            log("jobs that redis had lost are queued again", "warning", jobs=lost)
        for _ in self.records.sweep(float(os.environ.get("FILE_TTL") or WEEK)):
            self.turned = time.monotonic()
            if self.going:
                return
        self.reconciled = self.turned

    def _care_is_due(self) -> bool:
        return self.reconciled is None or time.monotonic() - self.reconciled >= RECONCILE

    def _mend(self, record: dict[str, Any], place: str) -> bool:
        """One record whose job Redis has elsewhere, or not at all; whether it was put in line again."""
        job_id, user = record["_id"], record["userId"]
        if place == "dead":
            self.records.fail_job(job_id, user, self.queue.reason(job_id)[0])
        elif place == "done":  # by a worker of somebody else's, which knows nothing of MongoDB
            if result := (self.queue.status(job_id) or {}).get("result"):
                self.records.save_result(job_id, user, json.loads(result))
        elif place == "deleted":  # by an API that died in the middle of it
            self.records.forget(user, [job_id])
        elif not place:
            with contextlib.suppress(queue_lib.Full):  # then in an hour
                accepted = self.queue.enqueue(record["payload"], record["options"], record.get("key", ""))
                if accepted.job_id != job_id:  # another try of the same upload came through
                    self.files.delete(self.files.upload_key(user, job_id))
                    self.records.delete_job(job_id, user)
                return accepted.new
        return False

    def _watch(self) -> None:
        """In a thread: a loop that has not turned for so long will not turn again. Non-zero means: start me again."""
        while time.monotonic() - self.turned < self.stall:
            time.sleep(self.stall / 20)
        words = ("the worker hangs and is ended", "error")
        last_words = threading.Thread(target=log, args=words, kwargs={"worker": self.queue.worker}, daemon=True)
        last_words.start()
        last_words.join(1)  # it may be stdout that hangs
        os._exit(70)


# The child ------------------------------------------------------------------------------------------------------------


def run_pipeline(
    pipe: Connection,
    path: str,
    job_id: str,
    title: str,
    options: dict[str, str],
    limits: Limits,
    vi_dictionary: str | None = None,
) -> None:
    """What runs in the child: one document, then the end. Answers through the pipe, in JSON."""
    from pipeline import BadDocument, CompletePipeline12Stages

    def say(*message: str | int) -> None:
        left = memoryview(json.dumps(message).encode() + b"\n")
        while left:
            left = left[os.write(pipe.fileno(), left) :]

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # whether this document is given up is the worker's decision
    die_with_parent()
    # That parent, the forkserver, ends when nobody holds its pipe any more, which it hands on to each child: one that
    # hangs would keep the server, and so itself, alive when the worker was killed.
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    resource.setrlimit(resource.RLIMIT_AS, (limits.megabytes << 20, limits.megabytes << 20))
    resource.setrlimit(resource.RLIMIT_CPU, (int(limits.seconds) + 1, int(limits.seconds) + 2))
    try:
        result = CompletePipeline12Stages(vi_dictionary=vi_dictionary).process_file(
            path, job_id, title, on_progress=lambda stage, percent: say("progress", stage, percent), **_wishes(options)
        )
        say("done", json.dumps(result, ensure_ascii=False))
    except BadDocument as error:
        say("refused", str(error))
    except MemoryError:
        say("failed", f"it needed more than {limits.megabytes} MB of memory")
    except Exception:  # noqa: BLE001  the worker logs it and decides
        say("failed", traceback.format_exc())


def hear(pipe: Connection) -> bytes:
    """What there is of a child's words; raises EOFError when it has ended."""
    said = os.read(pipe.fileno(), 1 << 20)
    if not said:
        raise EOFError
    return said


def _wishes(options: dict[str, str]) -> dict[str, Any]:
    """A job's options, as strings in its hash, as the pipeline's arguments."""
    wishes: dict[str, Any] = {}
    for name, argument in (("maxPhrases", "max_phrases"), ("maxWords", "max_words")):
        if re.fullmatch("[0-9]{1,3}", options.get(name, "")):
            wishes[argument] = int(options[name])
    if options.get("knownWords"):
        wishes["known_words"] = [word.strip() for word in options["knownWords"].split(",") if word.strip()]
    if options.get("minCefr"):
        wishes["min_cefr"] = options["minCefr"]
    return wishes


def _death(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"its process was killed by {signal.Signals(-exitcode).name}"
    return f"its process ended with exit code {exitcode} and no result"


# Start ----------------------------------------------------------------------------------------------------------------


def start_forkserver() -> None:
    """The process that every child is forked from: it has all modules loaded, no connection, and no secret."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["pipeline.warm", "queue_lib", "storage", "records", "monitoring", "webhooks", "fleet"]
    )
    with without_secrets():
        forkserver.ensure_running()


def await_forkserver() -> None:
    """Wait until it has loaded all: where many loops start at once that may take longer than the lease of a job."""
    first = multiprocessing.get_context("forkserver").Process(target=int, daemon=True)
    with without_secrets(), contextlib.suppress(EOFError, OSError):  # it died: the next child starts another
        first.start()
        first.join()


@contextlib.contextmanager
def without_secrets() -> Iterator[None]:
    """An environment in which a process can be started that documents run in."""
    ours = dict(os.environ)
    kept = {name: value for name, value in ours.items() if name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")}
    kept["PYTHONPATH"] = str(Path(__file__).parent)
    kept["OPENBLAS_NUM_THREADS"] = "1"  # each of its threads would reserve address space against the limit
    os.environ.clear()
    os.environ.update(kept)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(ours)


def _scratch_folder() -> Path:
    """A folder for this worker's downloads; those that killed workers left behind are removed."""
    root = Path(tempfile.gettempdir())
    for left in root.glob(SCRATCH + "*"):
        pid = left.name.removeprefix(SCRATCH).partition("-")[0]
        try:
            if pid == str(os.getpid()):  # in a container that is started again, pids come again
                raise ProcessLookupError
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


def work() -> None:
    """One loop: read the environment, start the forkserver, then the clients, then work."""
    start_forkserver()
    monitoring.start_reporting()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE: no child reads our environment in /proc, unless all is root's
    queue = Queue.from_env(fleet.name_of(os.getpid()))
    with (
        contextlib.closing(Storage.from_env(pool=2, silence=5)) as files,
        contextlib.closing(Records.from_env(files, pool=2)) as records,
    ):
        dictionary = os.environ.get("VI_DICTIONARY")
        if dictionary and not Path(dictionary).is_file():
            sys.exit(f"VI_DICTIONARY names no file: {dictionary}")
        await_forkserver()
        limits, stall = Limits.from_env(), 3 * queue.lease
        Worker(queue, files, records, limits=limits, grace=grace(), stall=stall, vi_dictionary=dictionary).run()


def grace() -> float:
    """Seconds for which a job in hand may go on after SIGTERM: what Railway leaves, less five to go in."""
    return max(0, float(os.environ.get("RAILWAY_DEPLOYMENT_DRAINING_SECONDS") or 0) - 5)


def main() -> None:
    """Read the command line and the environment, then work."""
    parser = argparse.ArgumentParser(description="Take documents from the queue and make flashcards of them.")
    parser.add_argument("--min", type=int, default=1, metavar="N", help="loops that always run, a document in each (1)")
    parser.add_argument("--max", type=int, metavar="N", help="loops that run while there is work for them (as --min)")
    parser.add_argument("--workers", type=int, metavar="N", help="short for --min N --max N")
    given = parser.parse_args()
    if given.workers is not None:
        given.min = given.max = given.workers
    least, most = given.min, given.min if given.max is None else given.max
    if not 1 <= least <= most:
        parser.error("--min is at least 1, and --max at least --min")
    use_local_servers()
    if most == 1:
        work()
    else:
        queue = Queue.from_env(answer=1) if least < most else None
        loops = fleet.Fleet([sys.executable, __file__], least, most, queue, megabytes=Limits.from_env().megabytes)
        sys.exit(loops.run())


if __name__ == "__main__":
    main()
