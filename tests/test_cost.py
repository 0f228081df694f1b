"""What the queue costs: commands as clients send them, since Upstash bills each, and Redis' own time.

Commands are counted by MONITOR; what a script calls inside Redis is not a client's command and is left out. Run with
-s to see the figures.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

from queue_lib import LISTS, NORMAL, Queue
from storage import Storage
from tests.queue_tools import payload
from tests.redis_tools import OwnRedis, Proxy, blocked_clients
from tests.support import ROOT, wait_until
from tests.worker_tools import SAMPLE, ended, submit

WAITING, USERS = 100_000, 1_000
MOST_PER_JOB, MOST_PER_HOUR, MOST_PER_LOOK = 8, 360, 1_000  # commands, commands, microseconds of Redis


class Sent(NamedTuple):
    """A command that a client sent: when, by Redis' clock in seconds, its name, and for a script its verb."""

    when: float
    name: str
    verb: str


class Monitor:
    """All that clients send to a Redis, as long as it is watched."""

    def __init__(self, url: str) -> None:
        self.sent: list[Sent] = []
        self._client = redis.Redis.from_url(url, socket_timeout=None)  # its default of 5 s ends a quiet MONITOR
        self._marker = redis.Redis.from_url(url)  # has a connection already, or that would be counted
        self._marker.ping()
        self._monitor = self._client.monitor()
        self._monitor.__enter__()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        for entry in self._monitor.listen():
            words = entry["command"].split()
            if words == ["ECHO", "enough"]:
                return
            if entry["client_type"] != "lua":
                verb = words[3] if words[0] == "EVALSHA" else ""
                self.sent.append(Sent(entry["time"], words[0], verb))

    def close(self) -> None:
        self._marker.echo("enough")
        self._thread.join(10)
        self._monitor.__exit__(None, None, None)
        self._client.close()
        self._marker.close()

    def count(self, name: str, verb: str = "") -> int:
        return sum((sent.name, sent.verb) == (name, verb) for sent in self.sent)


@contextmanager
def watched(url: str) -> Iterator[Monitor]:
    monitor = Monitor(url)
    try:
        yield monitor
    finally:
        monitor.close()


@pytest.fixture
def own_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path / "redis")
    monkeypatch.setenv("UPSTASH_REDIS_URL", server.url)
    yield server
    server.kill()


@pytest.fixture
def redis_url(own_redis: OwnRedis) -> str:
    return own_redis.url


@pytest.fixture
def db(own_redis: OwnRedis) -> "redis.Redis":
    return own_redis.client


@pytest.fixture
def start(files: Storage, redis_url: str, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts worker.py itself, with the times that it has in production."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "worker.log").open("w") as out:
            command = [sys.executable, "worker.py"]
            started.append(subprocess.Popen(command, cwd=ROOT, env=os.environ.copy(), stdout=out, stderr=out))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_job_of_under_a_second_costs_at_most_eight_commands_from_enqueue_to_finish(
    start: Callable[[], subprocess.Popen[bytes]], files: Storage, redis_url: str
) -> None:
    queue = Queue(redis_url)
    start()
    warm = submit(queue, files, SAMPLE)  # the first one pays for connections and for sending the scripts
    ended(queue, warm)
    costs = []
    for _ in range(3):
        with watched(redis_url) as monitor:
            submit(queue, files, SAMPLE)

            def waits_again(monitor: Monitor = monitor) -> bool:
                """The worker has finished and waits for the next job, which belongs to the price."""
                names = [sent.verb or sent.name for sent in monitor.sent]
                return "finish" in names and "BRPOP" in names[names.index("finish") :]

            wait_until(waits_again, 30, "the job's end")
        seconds = monitor.sent[-1].when - monitor.sent[0].when
        costs.append((len(monitor.sent), seconds, [sent.verb or sent.name for sent in monitor.sent]))
    for count, seconds, names in costs:
        print(f"\na job of {seconds:.2f} s: {count} commands: {', '.join(names)}", end="")
    assert all(count <= MOST_PER_JOB + seconds // 2 for count, seconds, _ in costs), "and one more per two seconds"


def test_an_idle_worker_lives_ninety_seconds_with_a_redis_five_milliseconds_away_at_360_commands_an_hour_at_most(
    start: Callable[[], subprocess.Popen[bytes]],
    files: Storage,
    redis_url: str,
    db: "redis.Redis",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its real wait of 21 s, of which redis-py's own limit of 5 s for an answer would end the first.

    The hour is made of rounds like those between the starts of two waits.
    """
    with closing(Proxy(redis_url, delay=0.005)) as proxy:
        monkeypatch.setenv("UPSTASH_REDIS_URL", proxy.url)
        with watched(redis_url) as monitor:
            worker = start()
            wait_until(lambda: monitor.count("BRPOP") == 1, 30, "the first wait")
            beginning = len(monitor.sent) - 1
            waiting = wait_until(lambda: blocked_clients(db), 5, "the worker's wait")
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(90)
            log = (tmp_path / "worker.log").read_text()
            assert worker.poll() is None, log
            assert blocked_clients(db) == waiting, "it waits on the connection that it had at first"
        assert ended(Queue(redis_url), submit(Queue(redis_url), files, SAMPLE))["status"] == "completed"
        log = (tmp_path / "worker.log").read_text()
        assert "away" not in log
        assert "Traceback" not in log
    sent = [command for command in monitor.sent[beginning:] if command.name in ("BRPOP", "EVALSHA", "EVAL")]
    rounds = [index for index, command in enumerate(sent) if command.name == "BRPOP"]
    seconds, commands = sent[rounds[-1]].when - sent[0].when, rounds[-1]
    hourly = commands / seconds * 3600
    print(f"\nidle: {commands} commands in {seconds:.1f} s, {hourly:.0f} an hour; the start: {beginning} commands")
    assert hourly <= MOST_PER_HOUR
    assert beginning <= 10
    assert len(rounds) >= 4


def fill(db: "redis.Redis", queue: Queue) -> None:
    """WAITING jobs of USERS users; each enqueue is the queue's own script, only many of them go in one packet."""
    queue.enqueue(payload("first", "first"))
    sha = queue._enqueue_script.sha
    for start in range(1, WAITING, 5_000):
        with db.pipeline(transaction=False) as pipe:
            for n in range(start, min(start + 5_000, WAITING)):
                user = f"user{n % USERS}"
                entry = json.dumps(payload(f"j{n}", user))
                pipe.execute_command("EVALSHA", sha, 0, "enqueue", queue._settings, f"j{n}", NORMAL, user, entry, "")
            assert {answer[0] for answer in pipe.execute()} == {"queued"}


def script_microseconds(db: "redis.Redis", calls: Callable[[], object], times: int) -> float:
    """What one call costs Redis, by its own statistics."""
    db.config_resetstat()
    for _ in range(times):
        calls()
    stats = db.info("commandstats")["cmdstat_evalsha"]
    assert stats["calls"] == times
    return float(stats["usec_per_call"])


@pytest.mark.parametrize("window", [2, 0], ids=["parked", "all in one list"])
def test_a_look_at_a_hundred_thousand_waiting_jobs_costs_redis_less_than_a_millisecond(
    db: "redis.Redis", redis_url: str, window: int
) -> None:
    queue = Queue(redis_url, "w1", window=window)
    began = time.monotonic()
    fill(db, queue)
    filled = time.monotonic() - began
    assert db.llen(NORMAL) == (2 * USERS + 1 if window else WAITING)
    assert sum(db.zcard(name + ":open") for name in LISTS) + int(db.get(NORMAL + ":parked") or 0) == WAITING
    queue.look_after()  # the first use of a script is one command more
    microseconds = script_microseconds(db, queue.look_after, 50)
    raw = [db.rpop(NORMAL) for _ in range(3)]
    repair = script_microseconds(db, queue.look_after, 1)
    assert len(raw) == 3
    assert db.llen(NORMAL) == (2 * USERS + 1 if window else WAITING), "and what was lost is back"
    figures = f"{microseconds:.0f} us of Redis, {repair:.0f} us with three to repair"
    print(f"\nlook_after at {WAITING} waiting jobs: {figures} (filled in {filled:.0f} s)")
    assert microseconds < MOST_PER_LOOK
