"""The queue: every Redis key, every Redis command of Docdeck, and nothing else.

The promise: a job that `enqueue` accepted runs at least once and ends `done`, or is found in the dead list with a
reason. BRPOP by itself breaks that promise, since what it popped dies with its client. So an element of a list is
only a pointer here; where a job really is stands in its hash (`at`) and in one index, and `look_after`, which every
worker calls, puts a lost pointer back. The moves are Lua, in queue_lib.lua: each is one command and may be sent twice.

It knows nothing of documents, files or MongoDB. Times are seconds in Python and milliseconds of Redis' clock in Redis.
For the operator: python queue_lib.py pause | resume | dead

    key                          type    what it holds                             written by        ends
    document_queue, :high, :low  list    pointers: the payloads, BRPOPped          push, producers   popped
    L:open                       zset    id -> place in line of list L             push              leave
    L:owner                      hash    id -> user, same ids as L:open            push              leave
    L:window                     hash    user -> how many of his are in L:open     push              leave
    L:parked:{user}              list    ids that wait for room in his window      enter             promote
    document_queue:leases        zset    id -> when its worker counts as dead      claim             settle
    document_queue:delayed       zset    id -> when it is tried again              retry             look_after
    document_queue:dead          zset    id -> when it was given up                bury, cancel      next bury, requeue
    L:parked                     string  how many ids are parked for list L in all enter             promote
    document_queue:paused        string  there while nothing is to be started      pause             resume
    document_queue:webhooks      zset    id -> when its receiver is told               the job's end     told
    document_queue:cache:{sha}   string  the job that has a document's result          finish            JOB_TTL, forget
    document_queue:uploads:{u}   string  how many uploads of a user in this minute     ration            a minute
    document_queue:bytes:{u}     string  how many bytes of his in these 24 hours       ration            24 hours
    document_queue:same:{n}:..   string  the job of a user's Idempotency-Key       enqueue           24 hours
    job:{id}                     hash    the wire's fields and `at`, the truth     all               JOB_TTL past end
    worker:{id}                  hash    when it was seen last, and its job        look_after        three leases

    For operators, and nothing is decided by them:
    document_queue:stats         hash    counters since ever                       all moves         never
    document_queue:stats:{hour}  hash    the same of an hour since 1970            all moves         26 hours
    document_queue:workers       zset    worker -> when it was seen last           look_after        three leases
    document_queue:done          zset    the 10,000 jobs that were done last       finish            the next ones
    document_queue:dead:{group}  zset    the dead jobs of one error group          bury              JOB_TTL, requeue
    document_queue:groups        zset    error group -> when it was seen last      retry, bury       JOB_TTL
    document_queue:group:{group} hash    title, times, first, last, job            retry, bury       JOB_TTL
    document_queue:users:{day}   zset    user -> his jobs of a day since 1970      enqueue           two days
    document_queue:doctor        string  nothing: whether it can be written        examine           at once, a minute

    A counter that is a histogram is many: `wait|3` has what took 40 to 80 ms (|0: up to 10), `wait|sum` the sum.
"""

import hashlib
import json
import os
import random
import re
import secrets
import ssl
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.commands.core import Script
from redis.retry import Retry

NORMAL = "document_queue"
LISTS = (NORMAL + ":high", NORMAL, NORMAL + ":low")
PRIORITIES = {"high": 2, "normal": 1, "low": 0}  # the numbers are the specification's `priority?: number`
DEAD, PAUSED = NORMAL + ":dead", NORMAL + ":paused"
WIRE_FIELDS = ("status", "progress", "stage", "createdAt", "result", "error")
NO_JOB = "This entry of the queue names no job; it is kept here as it came."
MOST_RESULT = 8 << 20  # bytes: Upstash takes requests of up to 10 MB
GIVEN_UP = "Docdeck failed to process this document {attempts} times. Please try again later."

# Whatever Redis answers but what was asked for (gone, loading, read-only, out of memory, disk full, busy with a script)
# is an outage to wait out. A wrong password is one of these classes, and is a mistake of the configuration instead.
Unavailable = redis.RedisError
WrongPassword = redis.AuthenticationError

_LUA = Path(__file__).with_name("queue_lib.lua").read_text()
# Which of these commands the user may not send. Nothing is run; a Redis that cannot say so says none.
_MAY_NOT = """local lacking = {}
for _, name in ipairs(ARGV) do
  if redis.acl_check_cmd and not redis.acl_check_cmd(name, 'document_queue', '0') then table.insert(lacking, name) end
end
return lacking"""
# What Redis says when a script of ours does what it must not: a bug, which no waiting mends.
_OUR_FAULT = re.compile(r"(?:ERR )?(?:user_script|Error (?:running|compiling) script)|WRONGTYPE")
# To more than ten arguments without a password Redis says this instead of NOAUTH.
_NOT_LOGGED_IN = "unauthenticated multibulk length"
_JOB_ID = re.compile(r"[!-~]{1,200}")


class Full(Exception):
    """The queue takes no more jobs now; the text is a sentence."""


class TooMany(Full):
    """The queue takes no more jobs of this user now.

    name: of the limit. most: how much it allows, in `window` seconds (0: at any time). seconds: when to try again.
    """

    def __init__(self, sentence: str, name: str, most: int, window: int, seconds: float) -> None:
        super().__init__(sentence)
        self.name, self.most, self.window, self.seconds = name, most, window, seconds


class WrongCertificate(redis.ConnectionError):
    """Nobody whom this machine trusts has signed Redis' certificate, or it is another server's, or too old."""


class Accepted(NamedTuple):
    """The job that stands for what was enqueued, and whether this call made it."""

    job_id: str
    new: bool


class Client(redis.Redis):
    """Counts the commands that it sends, since Upstash bills each, and sends what is no UTF-8 as it came."""

    sent = 0

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """One command more."""
        self.sent += 1
        raw = [part.encode(errors="surrogateescape") if isinstance(part, str) else part for part in arguments[1:]]
        try:
            return super().execute_command(arguments[0], *raw, **options)  # hiredis would refuse surrogates
        except redis.ConnectionError as error:
            if isinstance(error.__context__, ssl.SSLCertVerificationError):
                why = error.__context__.verify_message
                raise WrongCertificate(f"Redis' certificate is not trusted: {why.rstrip('.')}") from error
            raise


@dataclass(frozen=True)
class Job:
    """One run of one job: what the worker that claimed it needs to know."""

    id: str
    run: int  # the fence: grows with every claim, so that an old run can settle nothing
    attempts: int
    user: str
    payload: dict[str, Any]  # as pushed: jobId, userId, fileUrl, fileName
    notify: bool = False  # whether a receiver is to be told of its end
    options: dict[str, str] = field(default_factory=dict)  # the hash's other fields: maxPhrases, maxWords, ...
    requeued: int = 0  # how often somebody has started it anew


Figures = Mapping[str, int] | None


@dataclass(frozen=True)
class Stats:
    """What operators see of the queue. Times are seconds since 1970, or for so long."""

    now: float
    totals: dict[str, int]  # counters, as the table of keys says
    hours: dict[int, dict[str, int]]
    lines: dict[str, dict[str, float]]  # of each list: waiting, parked (which are among them), oldest
    places: dict[str, int]  # running, delayed, dead, webhooks; paused: 1 or 0
    workers: list[dict[str, str]]
    groups: list[dict[str, Any]]
    users: list[dict[str, Any]]
    limits: dict[str, int]


class Notifier(Protocol):
    """Who tells the receivers of webhooks."""

    def room(self) -> int:
        """For how many more jobs."""

    def take(self, job_ids: list[str]) -> None:
        """Tell the receivers of these."""


class Queue:
    """The queue in one Redis. Safe to share between threads, except `take`, which belongs to one loop.

    lease: seconds after which a silent worker counts as dead. block: longest wait for a job in one command.
    window: how many jobs of a user stand in a list at once (0: all). timeout: seconds a worker of somebody else's may
    take for a job. ttl: seconds for which the hash of an ended job is kept. max_wait: seconds after which a job
    moves up from the head of a lower line. max_waiting, max_user_jobs: where `enqueue` refuses, as it does at
    max_uploads a minute and max_bytes in 24 hours of a user. bare_wait: how long a claim waits for the producer of a
    bare push to write its hash. answer: seconds that Redis has for an answer, twice.
    """

    def __init__(
        self,
        url: str,
        worker: str = "",
        *,
        lease: float = 24,
        block: float = 21,
        window: int = 2,
        max_attempts: int = 3,
        timeout: float = 1800,
        ttl: float = 7 * 86400,
        max_wait: float = 600,
        max_waiting: int = 100_000,
        max_user_jobs: int = 2_000,
        max_uploads: int = 1_200,
        max_bytes: int = 20 << 30,
        bare_wait: float = 1,
        patience: float = 5,
        answer: float = 5,
    ) -> None:
        self.worker = worker
        self.lease = lease
        self.look_interval = lease / 12
        self.block = block
        self.ttl = ttl
        self.max_attempts = max_attempts
        self._limits = {
            "open": (max_user_jobs, 0, "You have too many documents waiting. Please try again when some are done."),
            "uploads": (max_uploads, 60, f"You may upload {max_uploads} documents a minute. Please try again soon."),
            "bytes": (max_bytes, 86400, f"You may upload {max_bytes >> 20} MB in 24 hours. Please try again later."),
        }
        self._bare_wait = bare_wait
        self.notifier: Notifier | None = None
        self.memory = 0  # MB of the child in hand, told with each look
        self._told = 0  # commands that were counted in Redis
        self._next_look = 0.0
        self._longest_block = 0.0
        self._paused = False
        self._ahead: Job | None = None  # claimed for the next `take`
        self._settings = json.dumps(
            {
                "lease": int(lease * 1000),
                "window": window,
                "attempts": max_attempts,
                "timeout": int(timeout * 1000),
                "ttl": int(ttl * 1000),
                "delay": 300_000,
                "max_wait": int(max_wait * 1000),
                "max_waiting": max_waiting,
                "max_user_jobs": max_user_jobs,
                "max_uploads": max_uploads,
                "max_bytes": max_bytes,
                "same": 86_400_000,
                "patience": int(patience * 1000),
            }
        )
        # A retried BRPOP loses what its first try popped, so the connection that blocks never retries; the scripts'
        # own may, because each of them gives the same answer twice. The other options save four commands a connection
        # (Upstash bills each) and keep bytes that are no UTF-8 as they are.
        common: dict[str, Any] = {
            "decode_responses": True,
            "encoding_errors": "surrogateescape",
            "protocol": 2,
            "driver_info": None,
        }
        if url.startswith("rediss:") and urlsplit(url).password is None:
            # The tickets that TLS 1.3 sends behind its handshake look to redis-py like somebody's answer until a first
            # answer is read: that to AUTH, or, where there is no password, to this name's.
            common["client_name"] = "docdeck"
        never, once = Retry(ExponentialBackoff(), 0), Retry(ExponentialBackoff(cap=0.1), 1)
        common["socket_connect_timeout"] = min(answer, 2)
        self._waiting: Client = Client.from_url(url, socket_timeout=block + 5, retry=never, **common)  # type: ignore[assignment]
        self._redis: Client = Client.from_url(url, socket_timeout=answer, retry=once, **common)  # type: ignore[assignment]
        # Without room Redis must go on settling jobs, but take no new ones.
        self._script = self._redis.register_script("#!lua flags=allow-oom\n" + _LUA)
        self._enqueue_script = self._redis.register_script("#!lua\n" + _LUA)

    @classmethod
    def from_env(cls, worker: str = "", **settings: Any) -> "Queue":
        """The queue that the environment names; exits with a sentence where it names none that can work."""
        url = os.environ.get("UPSTASH_REDIS_URL") or os.environ.get("REDIS_URL") or ""
        if url.startswith(("http://", "https://")):
            raise SystemExit(
                "UPSTASH_REDIS_URL holds Upstash's REST address; Docdeck needs the TCP one: "
                f"rediss://default:PASSWORD@{urlsplit(url).hostname}:6379 (Upstash console, tab Connect, TCP)."
            )
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise SystemExit("Set UPSTASH_REDIS_URL (or REDIS_URL) to a redis:// or rediss:// address.")
        return cls(
            url,
            worker,
            window=int(os.environ.get("USER_WINDOW") or 2),
            max_attempts=int(os.environ.get("MAX_ATTEMPTS") or 3),
            timeout=float(os.environ.get("JOB_TIMEOUT") or 1800),
            ttl=float(os.environ.get("JOB_TTL") or 7 * 86400),
            max_wait=float(os.environ.get("LOW_MAX_WAIT") or 600),
            max_waiting=int(os.environ.get("MAX_QUEUE_LENGTH") or 100000),
            max_user_jobs=int(os.environ.get("MAX_USER_JOBS") or 2000),
            max_uploads=int(os.environ.get("MAX_UPLOADS_PER_MINUTE") or 1200),
            max_bytes=int(os.environ.get("MAX_BYTES_PER_DAY") or 20 << 30),
            **settings,
        )

    # For the API ----------------------------------------------------------------------------------------------------

    def enqueue(
        self,
        payload: Mapping[str, Any],
        options: Mapping[str, str] | None = None,
        key: str = "",
        size: int | None = None,
    ) -> Accepted:
        """Put a job in line. A known jobId, or a key that this user has used within 24 hours, changes nothing.

        payload: jobId, userId, fileUrl, fileName and perhaps priority (2, 1 or 0); it is pushed as JSON. options
        become fields of the job's hash. size: bytes of an upload, which are rationed; None for what is none, or
        was rationed before.
        Raises `Full`, `TooMany` and `Unavailable`; calling it twice is safe.
        """
        entry = json.dumps(payload, ensure_ascii=False)
        fields = [part for name, value in (options or {}).items() for part in (name, value)]
        place = LISTS[2 - payload.get("priority", PRIORITIES["normal"])]
        arguments = ["enqueue", self._settings, payload["jobId"], place, payload["userId"], entry, key]
        arguments += ["" if size is None else size, *fields]
        word, job_id = self._run(self._enqueue_script, arguments)
        if word == "full":
            raise Full("Too many documents are waiting at the moment. Please try again in a few minutes.")
        self._refuse(word, job_id)
        return Accepted(job_id, word == "queued")

    def ration(self, user: str, size: int) -> None:
        """Count an upload of so many bytes that may come past us, or a job that runs again. Raises `TooMany`."""
        self._refuse(*self._run(self._enqueue_script, ["ration", self._settings, user, size]))

    def _refuse(self, word: str, wait: str) -> None:
        if word in self._limits:
            most, window, sentence = self._limits[word]
            raise TooMany(sentence, word, most, window, int(wait) / 1000)

    def status(self, job_id: str, user: str | None = None) -> dict[str, Any] | None:
        """The job as the wire shows it: status, progress "0".."100", stage, createdAt (ms), result or error.

        None for an unknown id, and for a job of anybody else than `user`, if one is given. Where the job is (`at`)
        wins over the field `status`, which a foreign producer may write after the job was claimed or even done.
        """
        stored = self._fields(job_id)
        if not stored or stored.get("at") == "deleted":
            return None
        told = stored.get("createdAt", "")
        created = int(told) if told.isdecimal() and len(told) < 16 else 0
        unseen = "at" not in stored and stored.get("status") in ("queued", "processing")
        forgotten = unseen and created < (time.time() - 60) * 1000
        if forgotten and self._call("seek", job_id, "") == "known":
            stored = self._fields(job_id)
        if user is not None and stored.get("user") != user:
            return None
        answer: dict[str, Any] = {name: stored[name] for name in WIRE_FIELDS if name in stored}
        answer["status"] = _status(stored)
        answer["createdAt"] = created
        answer.setdefault("progress", "0")
        if answer["status"] != "failed":
            answer.pop("error", None)
        return answer

    def cancel(self, job_id: str) -> str:
        """Says "cancelled" if it waited, "cancelling" if it runs and will end in seconds, else "over" or "unknown"."""
        answer = self._call("cancel", job_id)
        if answer == "unknown" and self._fields(job_id) and self._call("seek", job_id, "adopt") == "known":
            answer = self._call("cancel", job_id)  # a bare push that nobody had looked at yet
        return answer

    def whereabouts(self, job_ids: Sequence[str]) -> list[str]:
        """Where each job is (`at`), "" for one that Redis knows nothing of; one command for up to 1,000."""
        return self._call("whereabouts", *job_ids) if job_ids else []

    def forget(self, job_ids: Sequence[str]) -> None:
        """Delete jobs, wherever they are, but for a mark until the time of ended jobs is over: copies start nothing."""
        if job_ids:
            self._call("forget", *job_ids)

    def reason(self, job_id: str) -> list[str]:
        """Why a job is in the dead list: the sentence for its user, and, if it is another, what happened."""
        stored = self._fields(job_id)
        told = [stored[name].strip().splitlines()[-1] for name in ("error", "cause") if stored.get(name, "").strip()]
        return told or ["It failed without a reason."]

    # For the operator -----------------------------------------------------------------------------------------------

    def requeue(self, *job_ids: str) -> int:
        """Jobs from the dead list start anew, their attempts forgotten; how many: not what is not there, or no job."""
        return self._call("requeue", *job_ids)

    def dead(self) -> list[str]:
        """The ids in the dead list, the latest first; cancelled jobs are among them."""
        return self._redis.zrevrange(DEAD, 0, -1)  # type: ignore[return-value]

    def pause(self) -> None:
        """No worker starts a job from now on, not even after a restart; jobs that run go on."""
        self._redis.set(PAUSED, "1")

    def resume(self) -> None:
        """Jobs are started again; a waiting worker notices within five seconds."""
        self._redis.delete(PAUSED)

    def stats(self, hours: int = 0, most: int = 0) -> "Stats":
        """What operators see, in one command: counters since ever and of the last hours, lines, workers; and the most
        recent error groups and today's greatest users, so many of each."""
        sent = self._sent()
        answer = self._call("stats", hours, most, sent - self._told)
        self._told = sent
        totals, by_hour, lines, places, workers, groups, users, now = answer
        return Stats(
            now=now / 1000,
            totals=_numbers(totals),
            hours={hour * 3600: _numbers(told) for hour, told in by_hour},
            lines={
                name: {"waiting": open_ + parked, "parked": parked, "oldest": oldest / 1000}
                for name, (open_, parked, oldest) in zip(LISTS, lines, strict=True)
            },
            places=dict(zip(("running", "delayed", "dead", "webhooks", "paused"), places, strict=True)),
            workers=[{"id": worker, **_pairs(told)} for worker, told in workers],
            groups=[{"id": group, "dead": dead, **_pairs(told)} for group, told, dead in groups],
            users=[dict(zip(("user", "jobs", "waiting", "bytes"), told, strict=True)) for told in users],
            limits={name: limit[0] for name, limit in self._limits.items()},
        )

    def jobs(
        self,
        place: str,
        user: str = "",
        group: str = "",
        between: tuple[int, int] = (0, 1 << 52),
        skip: int = 0,
        most: int = 50,
    ) -> tuple[list[dict[str, Any]], int]:
        """Jobs that are waiting (in their order), running, delayed, dead or done (the latest first), in one command.

        And how many to skip for the next ones, -1 if there are none. between: two times in ms, of the jobs' end, or
        of their beginning if they are not over.
        """
        rows, more = self._call("jobs", place, user, group, *between, skip, most)
        jobs = [
            {"jobId": job_id, "when": int(float(when)), **dict(zip(_SHOWN, told, strict=True))}
            for job_id, when, told in rows
        ]
        for job in jobs:
            job["fileName"] = (_parse(job.pop("payload") or "") or {}).get("fileName")
        return jobs, more

    def details(self, job_id: str) -> dict[str, Any] | None:
        """All that there is of a job but its result, with `history` as (ms, what, why)."""
        stored: dict[str, Any] = dict(self._fields(job_id))
        if not stored:
            return None
        lines = [line.split(" ", 2) for line in stored.pop("history", "").splitlines()]
        stored["result"] = len(stored.get("result", ""))
        return {**stored, "history": [(int(line[0]), *line[1:]) for line in lines if len(line) == 3]}

    def ping(self) -> None:
        """Raises `Unavailable` unless Redis answers."""
        self._redis.ping()

    def examine(self) -> dict[str, Any]:
        """What doctor.py wants to know of Redis, which is left as it was. Raises `Unavailable` if it does not answer.

        seconds: the quickest of five answers. ahead: seconds by which this machine's clock is before its own. info:
        what INFO says, {} where that is not allowed. lacking: commands that this user may not use. trouble: what it
        says to a script and to a write of ours, "" if it did them.
        """
        took = []
        for _ in range(5):
            began = time.monotonic()
            second, micro = self._redis.time()
            took.append(time.monotonic() - began)
        facts: dict[str, Any] = {"seconds": min(took), "ahead": time.time() - second - micro / 1e6}
        facts |= {"info": {}, "lacking": [], "trouble": ""}
        with suppress(redis.ResponseError):
            facts["info"] = self._redis.info()
        commands = {*re.findall(r"redis\.p?call\('(\w+)'", _LUA), "BRPOP"}
        try:
            facts["lacking"] = self._redis.register_script(_MAY_NOT)(args=sorted(commands))
            self._call("whereabouts", "doctor")
            self._redis.set(f"{NORMAL}:doctor", "", ex=60)
        except redis.ResponseError as error:
            facts["trouble"] = str(error)
        finally:
            with suppress(redis.ResponseError):
                self._redis.delete(f"{NORMAL}:doctor")
        return facts

    # For the worker's loop ------------------------------------------------------------------------------------------

    def take(self, may_interrupt: Callable[[], AbstractContextManager[None]] = nullcontext) -> Job | None:
        """Wait for a job and claim it; None after an empty wait or a pointer that starts nothing.

        may_interrupt: a context manager inside which an exception may be raised by a signal handler: only the wait
        itself stands in it. What the interrupted wait had popped comes back by `leave`.
        """
        if job := self._ahead:
            # Something may have kept this loop since it was claimed, for longer than its lease.
            try:
                stale = time.monotonic() >= self._next_look and self.look_after(job, 0, "starting") == "lost"
            except Unavailable:
                self._next_look = 0.0  # it is still ours, and asked for again
                raise
            self._ahead = None
            return None if stale else job
        if time.monotonic() >= self._next_look:
            self.look_after()
        block = max(0.05, self._longest_block)
        if self._paused:
            self._next_look = 0.0
            with may_interrupt():
                time.sleep(min(block, 5))
            return None
        next_look, self._next_look = self._next_look, 0.0  # whatever ends the wait but a job asks for a look
        with may_interrupt():
            popped = self._waiting.brpop(list(LISTS), timeout=block)
        if popped is None:
            return None
        self._next_look = next_look
        return self._claim(*popped)

    def _claim(self, source: str, raw: str) -> Job | None:
        payload = _parse(raw)
        if payload is None:
            self._reject(raw)
            return None
        nonce = f"{self.worker or 'a worker'} ({secrets.token_hex(8)})"
        deadline = time.monotonic() + self._bare_wait
        while True:
            patient = "yes" if time.monotonic() < deadline else ""
            word, *rest = self._call("claim", payload["jobId"], source, raw, nonce, patient)
            if word != "wait":
                break
            time.sleep(0.05)  # the producer's own HSET is on its way: there is no event to wait for
        self._paused = word == "paused"
        if word == "strange":
            self._reject(raw)
            return None
        return self._claimed(payload, rest[0]) if word == "run" else None

    def _claimed(self, payload: dict[str, Any], flat: list[str]) -> Job:
        # The first progress comes soon, so that whoever waits sees the job move.
        self._next_look = min(self._next_look, time.monotonic() + self.look_interval / 4)
        stored = _pairs(flat)
        options = {name: value for name, value in stored.items() if name not in _INTERNAL}
        user = stored["user"].encode(errors="replace").decode()  # a stranger's may be no UTF-8, which MongoDB refuses
        payload = _parse(stored["payload"]) or payload  # what was enqueued, whatever a second pointer says
        notify = "webhookUrl" in stored
        run, attempts, requeued = (int(stored.get(name, 0)) for name in ("run", "attempts", "requeued"))
        return Job(payload["jobId"], run, attempts, user, payload, notify, options, requeued)

    def _reject(self, raw: str) -> None:
        digest = hashlib.sha256(raw.encode(errors="surrogateescape")).hexdigest()[:16]
        self._call("reject", "malformed-" + digest, raw, NO_JOB)

    def look_after(self, job: Job | None = None, progress: int = 0, stage: str = "") -> str:
        """Renew the lease of the caller's job and repair what died elsewhere.

        Says of that job: "mine", "cancel" (mine, but its user wants it no more) or "lost" (somebody else's by now).
        """
        mine = (job.id, job.run, progress, stage) if job else ("", 0, 0, "")
        self._next_look = time.monotonic() + self.look_interval  # also after one that failed, which takes its time
        room = self.notifier.room() if self.notifier else 0
        sent = self._sent()
        told = (sent - self._told, self.memory if job else 0)
        own, soonest, paused, events = self._call("look_after", self.worker, *mine, room, *told)
        self._told = sent
        if self.notifier:
            self.notifier.take(events)
        self._longest_block = self.block if soonest < 0 else min(self.block, soonest / 1000)
        self._paused = paused == 1
        return own

    def _sent(self) -> int:
        """How many commands this client has sent, with the one that will tell."""
        return self._waiting.sent + self._redis.sent + 1

    def beat(self, job: Job, progress: int, stage: str) -> str:
        """`look_after`, when it is time for it, else "": a busy worker calls this as often as it likes."""
        return "" if time.monotonic() < self._next_look else self.look_after(job, progress, stage)

    def leave(self) -> None:
        """On the way out: the wait's connection is closed first, so that it pops nothing more, then one last look."""
        if self._ahead:
            self.release(self._ahead)
        self._waiting.connection_pool.disconnect()
        self.look_after()

    # For webhooks ---------------------------------------------------------------------------------------------------

    def event(self, job_id: str) -> dict[str, Any] | None:
        """What a receiver is told: url, user, run, fileName, status, error, result; deliveries: what came of it so far;
        requeued: how often it was started anew.

        None, and no event any more, for a job that has not ended, or is there no longer.
        """
        stored = self._fields(job_id)
        if stored.get("at") not in ("done", "dead") or "webhookUrl" not in stored:
            self._call("told", job_id, -1, "[]", "")
            return None
        payload = _parse(stored.get("payload", "")) or {}
        return {
            "url": stored["webhookUrl"],
            "user": stored.get("user", ""),
            "run": int(stored.get("run", 0)),
            "requeued": int(stored.get("requeued", 0)),
            "fileName": str(payload.get("fileName", "")),
            "status": _status(stored),
            "error": stored.get("error", ""),
            "result": stored.get("result", ""),
            "deliveries": json.loads(stored.get("deliveries", "[]")),
        }

    def told(self, job_id: str, job: Mapping[str, Any], delivery: Mapping[str, Any], delay: float | None) -> None:
        """Keep what came of a call with its job; delay: seconds until the next one, None for none."""
        deliveries = json.dumps([*job["deliveries"], delivery][-30:])
        self._call("told", job_id, job["run"], deliveries, "" if delay is None else int(delay * 1000))

    def recall(self, digest: str) -> str | None:
        """The job that has the result of a document; None if it is not known here."""
        return self._redis.get(f"{NORMAL}:cache:{digest}")  # type: ignore[return-value]

    # Ends of a run: True if it counted, False if the job was no longer this run's -----------------------------------

    def finish(self, job: Job, result: str, figures: Figures = None, more: bool = False) -> bool:
        """Done: the result, JSON, becomes a field of the hash; one that is longer than MOST_RESULT does not.

        Counts for the newest run wherever the job is by now.
        more: `take` follows; what it will say is claimed in the same command, if a job waits. `leave` gives it back.
        """
        short = len(result.encode(errors="surrogateescape")) <= MOST_RESULT
        digest = hashlib.sha256(f"{job.id} {job.run}".encode()).hexdigest()[:16]  # the same if this is tried again
        nonce = f"{self.worker or 'a worker'} ({digest})" if more else ""
        told = json.dumps(figures or {})
        word, *ahead = self._settle(job, "finish", result if short else "", told, nonce)
        if ahead:
            self._ahead = self._claimed(_parse(ahead[0]) or {}, ahead[1])
        return bool(word == "ok")

    def retry(
        self, job: Job, cause: str, delay: float | None = None, group: str = "", figures: Figures = None
    ) -> bool:
        """Not the document's fault: try again after a while, or give it up when its attempts are used up.

        group: what errors like this one are called. figures: ms of each stage, MB of memory, for operators.
        """
        if delay is None:
            delay = backoff(job.attempts)
        self._longest_block = min(self._longest_block, delay)  # so that this loop itself is awake when it is due
        last_words = GIVEN_UP.format(attempts=job.attempts)
        told = (group or cause.strip()[-200:], json.dumps(figures or {}))
        return self._settle(job, "retry", cause, int(delay * 1000), last_words, *told) == "ok"

    def bury(self, job: Job, reason: str, group: str = "", figures: Figures = None) -> bool:
        """Never again: the reason is the sentence that the uploader reads."""
        return self._settle(job, "bury", reason, group or reason[:200], json.dumps(figures or {})) == "ok"

    def release(self, job: Job) -> bool:
        """Back to the head of the line, the attempt not counted: the worker is going, not the job."""
        return self._settle(job, "release") == "ok"

    def _settle(self, job: Job, verb: str, *arguments: str | int) -> Any:
        if job.notify and self.notifier:
            self._next_look = 0.0  # its receiver is told at once
        return self._call(verb, job.id, job.run, *arguments)

    def _call(self, verb: str, *arguments: str | int) -> Any:
        return self._run(self._script, [verb, self._settings, *arguments])

    @staticmethod
    def _run(script: Script, arguments: list[Any]) -> Any:
        try:
            return script(args=arguments)
        except redis.ResponseError as error:
            if _OUR_FAULT.match(str(error)):
                raise RuntimeError(f"the queue's script failed: {error}") from error
            if _NOT_LOGGED_IN in str(error):
                raise WrongPassword("Authentication required.") from error
            raise

    def _fields(self, job_id: str) -> dict[str, str]:
        try:
            return self._redis.hgetall(f"job:{job_id}")  # type: ignore[return-value]
        except redis.ResponseError as error:
            if str(error).startswith("WRONGTYPE"):  # a stranger's key under our name: no job
                return {}
            raise


def backoff(attempts: int) -> float:
    """Seconds until a job that failed so often is tried again: full jitter, 2 in the mean at first, never over 300."""
    return random.uniform(0, min(300, 4.0**attempts))  # noqa: S311  no secret


_INTERNAL = {*WIRE_FIELDS, "at", "list", "user", "payload", "run", "attempts", "nonce", "settled"}
_INTERNAL |= {"cancel", "since", "cause", "missedAt", "webhookUrl", "deliveries", "digest", "queuedAt", "group"}
_INTERNAL |= {"history", "figures", "requeued", "next"}

_SHOWN = (  # the script's own, in its order
    *("at", "user", "list", "status", "stage", "progress", "createdAt", "attempts", "error", "group", "payload"),
    *("nonce", "cancel"),
)


def _parse(raw: str) -> dict[str, Any] | None:
    try:
        text = raw.encode(errors="surrogateescape").decode(errors="replace")
        payload = json.loads(text, strict=False, parse_int=str)  # no stricter than the Lua that may have taken it in
    except (ValueError, RecursionError):
        return None
    if not isinstance(payload, dict) or not isinstance(payload.get("jobId"), str):
        return None
    return payload if _JOB_ID.fullmatch(payload["jobId"]) else None


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _numbers(flat: list[str]) -> dict[str, int]:
    return {name: int(value) for name, value in _pairs(flat).items()}


def _status(stored: Mapping[str, str]) -> str:
    at, told = stored.get("at"), stored.get("status", "queued")
    if at in ("done", "dead"):
        return "completed" if at == "done" else "failed"
    if at == "run" and told == "queued":
        return "processing"
    return told


def main(arguments: list[str]) -> None:
    """What an operator asks of the queue that the environment names."""
    match arguments:
        case ["pause"]:
            Queue.from_env().pause()
        case ["resume"]:
            Queue.from_env().resume()
        case ["dead"]:
            queue = Queue.from_env()
            for job_id in queue.dead():
                print(job_id, *queue.reason(job_id), sep="  ")
        case _:
            raise SystemExit("python queue_lib.py pause | resume | dead")


if __name__ == "__main__":
    main(sys.argv[1:])
