"""What the queue costs: commands as clients send them, since Upstash bills each, and Redis' own time.

Commands are counted by MONITOR; what a script calls inside Redis is not a client's command and is left out. Run with
-s to see the figures.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from queue_lib import LISTS, NORMAL, Queue
from records import Records
from tests.queue_tools import payload
from tests.redis_tools import Monitor, OwnRedis, blocked_clients, watched
from tests.support import ROOT, wait_until
from tests.worker_tools import SAMPLE, IdleWorker, ended, submit, watched_idle_worker

WAITING, USERS = 100_000, 1_000
MOST_PER_JOB, MOST_PER_HOUR, MOST_PER_LOOK = 8, 360, 1_000  # commands, commands, microseconds of Redis


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
def idle_worker(servers: dict[str, str], tmp_path: Path) -> Iterator[IdleWorker]:
    """worker.py itself with its real times, in front of a Redis of its own that is five milliseconds away."""
    with watched_idle_worker(tmp_path / "idle") as idle:
        yield idle


@pytest.fixture
def start(records: Records, redis_url: str, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
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
    start: Callable[[], subprocess.Popen[bytes]], records: Records, redis_url: str
) -> None:
    queue = Queue(redis_url)
    start()
    warm = submit(queue, records, SAMPLE)  # the first one pays for connections and for sending the scripts
    ended(queue, warm)
    costs = []
    for _ in range(3):
        with watched(redis_url) as monitor:
            submit(queue, records, SAMPLE)

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
    idle_worker: IdleWorker, records: Records
) -> None:
    """By its real wait of 21 s, of which redis-py's own limit of 5 s for an answer would end the first.

    The hour is made of rounds like those between the starts of two waits.
    """
    worker, monitor = idle_worker.process, idle_worker.monitor
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.wait(max(0.1, idle_worker.started + 92 - time.monotonic()))
    assert worker.poll() is None, idle_worker.log.read_text()
    assert blocked_clients(idle_worker.redis.client) == idle_worker.waiting, "on the same connection"
    beginning, sent = idle_worker.beginning, [
        command for command in monitor.sent[idle_worker.beginning :] if command.name in ("BRPOP", "EVALSHA", "EVAL")
    ]
    rounds = [index for index, command in enumerate(sent) if command.name == "BRPOP"]
    seconds, commands = sent[rounds[-1]].when - sent[0].when, rounds[-1]
    hourly = commands / seconds * 3600
    print(f"\nidle: {commands} commands in {seconds:.1f} s, {hourly:.0f} an hour; the start: {beginning} commands")
    assert hourly <= MOST_PER_HOUR
    assert beginning <= 10
    assert len(rounds) >= 4
    queue = Queue(idle_worker.redis.url)
    assert ended(queue, submit(queue, records, SAMPLE))["status"] == "completed"
    assert "away" not in idle_worker.log.read_text()
    assert "Traceback" not in idle_worker.log.read_text()


def fill(db: "redis.Redis", queue: Queue) -> None:
    """WAITING jobs of USERS users; each enqueue is the queue's own script, only many of them go in one packet."""
    queue.enqueue(payload("first", "first"))
    sha = queue._enqueue_script.sha
    for start in range(1, WAITING, 5_000):
        with db.pipeline(transaction=False) as pipe:
            for n in range(start, min(start + 5_000, WAITING)):
                user = f"user{n % USERS}"
                entry = json.dumps(payload(f"j{n}", user))
                pipe.execute_command("EVALSHA", sha, 0, "enqueue", queue._settings, f"j{n}", NORMAL, user, entry, "", n)
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
