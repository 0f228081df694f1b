"""How many loops there are: the decision as a table, and real fleets that grow, shrink and are killed.

Their loops' documents take as long as their names say, where it is the fleet that is tested; else the pipeline is real.
Each test ends with the ledger: every job is done once, and nothing is left in Redis or in the process table.
"""

import contextlib
import itertools
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import fleet
from fleet import LATE, LOOP_MB, QUIET, Size, decide, free_memory, memory_of, name_of, wanted
from queue_lib import LISTS, Queue, Stats
from records import Records
from servers import leashed
from tests.ledger import double_saves, left_over
from tests.redis_tools import OwnRedis, blocked_clients, watched
from tests.run_fleet import LEASE
from tests.support import ROOT, descendants, patience, wait_until
from tests.worker_tools import (
    SAMPLE,
    Start,
    long_document,
    nothing_left,
    running,
    submit,
)

MB = 1 << 20


# How many -------------------------------------------------------------------------------------------------------------


def seen(waiting: tuple[int, int, int] = (0, 0, 0), oldest: float = 0, paused: int = 0) -> Stats:
    counts = dict(zip(LISTS, waiting, strict=True))
    lines = {name: {"waiting": count, "oldest": oldest if count else 0} for name, count in counts.items()}
    return Stats(0, {}, {}, lines, {"paused": paused}, [], [], [], {})


@pytest.mark.parametrize(
    ("stats", "busy", "loops"),
    [
        (seen(), 0, 0),
        (seen(), 3, 3),
        (seen((0, 3, 0), oldest=LATE - 1), 1, 1),
        (seen((0, 1, 0), oldest=LATE), 1, 2),
        (seen((0, 1, 0), oldest=LATE), 0, 1),
        (seen((2, 1, 1)), 1, 2),
        (seen((0, 400, 0), oldest=3), 2, 102),
        (seen((0, 400, 0), oldest=300, paused=1), 2, 2),
    ],
    ids=[
        *("nothing to do", "all in hand", "soon taken", "one waits long", "one waits and nobody works"),
        *("four in all lines", "a burst", "a pause starts nothing"),
    ],
)
def test_what_the_work_is_worth(stats: Stats, busy: int, loops: int) -> None:
    assert wanted(stats, busy) == loops


@pytest.mark.parametrize(
    ("loops", "want", "quiet", "room", "leaving", "then"),
    [
        (1, 5, 30, math.inf, 0, 5),
        (1, 50, 30, math.inf, 0, 8),
        (3, 3, 999, math.inf, 0, 3),
        (3, 2, QUIET - 1, math.inf, 0, 3),
        (3, 0, QUIET, math.inf, 0, 2),
        (1, 0, 999, math.inf, 0, 1),
        (1, 8, 30, 4.9, 0, 4),
        (3, 8, 30, 4.05, 0, 3),
        (4, 8, 30, 4.0, 0, 4),
        (4, 4, 30, 3.9, 0, 3),
        (1, 0, 30, 0.4, 0, 1),
        (1, 8, 30, 0.4, 0, 1),
        (6, 8, 30, math.inf, 2, 6),
        (3, 8, 30, 6.9, 2, 4),
        (3, 3, 30, 3.9, 1, 3),
    ],
    ids=[
        *("up at once", "but to the most", "all needed, however long", "not quiet for long", "quiet: one goes"),
        *("but the least", "as many as memory allows", "not just so many", "just so many stay", "memory went"),
        *("the least has its word", "and no more", "who goes still counts", "in memory too", "but is not replaced"),
    ],
)
def test_how_many_loops_there_should_be(
    loops: int, want: int, quiet: float, room: float, leaving: int, then: int
) -> None:
    size = decide(5000, Size(loops, 5000 - quiet), want, room, least=1, most=8, leaving=leaving)
    assert size.loops == then
    assert (size.since == 5000) == (then != loops or want >= loops)


def test_a_fleet_that_is_needed_now_and_then_stays_and_a_quiet_one_goes_one_by_one() -> None:
    size, sizes = Size(1, 0), []
    load = [5] + [2, 2, 2, 5] * 10 + [0] * 100  # every 15 seconds
    for look, want in enumerate(load):
        size = decide(look * 15, size, want, math.inf, least=1, most=8)
        sizes.append(size.loops)
    assert sizes[:48] == [5] * 48, "five are needed once a minute"
    falls = [look * 15 for look in range(1, len(sizes)) if sizes[look] < sizes[look - 1]]
    assert [later - earlier for earlier, later in itertools.pairwise(falls)] == [QUIET] * 3
    assert sizes[-1] == 1


# Memory ---------------------------------------------------------------------------------------------------------------


def machine(folder: Path, groups: str = "", **files: str) -> Path:
    """A tree like the /proc and /sys of a machine with 8,000 MB available. files: below /sys/fs/cgroup, __ for a /."""
    written = {"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable:    {8000 << 10} kB\n", "proc/self/cgroup": groups}
    written |= {f"sys/fs/cgroup/{name.replace('__', '/')}": text for name, text in files.items()}
    for name, text in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def group2(most: int | str, used: int, cache: int = 0, at: str = "") -> dict[str, str]:
    limit = str(most * MB) if isinstance(most, int) else most
    stat = f"anon 1\ninactive_file {cache * MB}\n"
    return {f"{at}memory.max": limit, f"{at}memory.current": str(used * MB), f"{at}memory.stat": stat}


def group1(most: int, used: int, cache: int = 0, at: str = "") -> dict[str, str]:
    told = {"limit_in_bytes": str(most * MB), "usage_in_bytes": str(used * MB)}
    told["stat"] = f"inactive_file 1\ntotal_inactive_file {cache * MB}\n"
    return {f"memory__{at}memory.{name}": text for name, text in told.items()}


HOST = "4:memory:/docker/7\n1:name=systemd:/docker/7\n"


@pytest.mark.parametrize(
    ("groups", "files", "free"),
    [
        ("", {}, 8000),
        ("0::/\n", group2("max", 5000), 8000),
        ("0::/\n", group2(1000, 700, cache=100), 400),
        ("0::/\n", group2(10_000, 700), 8000),
        ("0::/pod/worker\n", group2("max", 1, at="pod__worker__") | group2(2000, 1500, at="pod__"), 500),
        ("4:cpu,memory:/\n", group1(1000, 700, cache=100), 400),
        ("4:memory:/\n", group1((1 << 63) // MB - 1, 700), 8000),
        (HOST, group1(3000, 1000), 2000),
        (HOST, group1(4000, 1000, at="docker__7__") | group1((1 << 63) // MB - 1, 700), 3000),
        ("4:cpu:/x\n0::/\n", group1(3000, 1000, at="x__"), 8000),
    ],
    ids=[
        *("no group", "no limit", "version 2", "a limit that is far", "the limit of the group above"),
        *("version 1", "no limit, version 1", "as a container sees itself", "as its host does", "not our group"),
    ],
)
def test_the_memory_that_is_free_is_the_machines_or_what_the_containers_limit_leaves(
    tmp_path: Path, groups: str, files: dict[str, str], free: float
) -> None:
    assert free_memory(machine(tmp_path, groups, **files)) == free


def test_where_nobody_tells_memory_there_is_no_bound_and_on_this_machine_it_is_told(tmp_path: Path) -> None:
    assert free_memory(tmp_path) == math.inf
    assert 10 < free_memory() < 1 << 24


def test_a_loop_that_starts_has_its_forkserver_loaded_and_takes_what_the_fleet_counts_with(
    records: Records, redis_url: str, tmp_path: Path
) -> None:
    with (tmp_path / "log").open("w") as log:
        loop = subprocess.Popen([sys.executable, "worker.py"], cwd=ROOT, stdout=log, stderr=log)
    try:
        wait_until(lambda: "worker started" in (tmp_path / "log").read_text(), 60, "its start")
        took = memory_of(loop.pid)
    finally:
        loop.kill()
        loop.wait()
    print(f"\na loop without a document: {took:.0f} MB")
    assert LOOP_MB * 0.8 < took < LOOP_MB * 1.1


# A fleet --------------------------------------------------------------------------------------------------------------


class Field:
    """A fleet of tests/run_fleet.py, its log, and the ledger of its jobs."""

    def __init__(self, folder: Path, arguments: tuple[Any, ...], queue: Queue, records: Records, **env: str) -> None:
        self.folder, self.queue, self.records, self.jobs = folder, queue, records, list[str]()
        self.saves, self.log_file = folder / "saves", folder / "fleet.log"
        environment = {**os.environ, "SAVES": str(self.saves), "TMPDIR": str(folder / "tmp"), **env}
        (folder / "tmp").mkdir()
        command = leashed([sys.executable, "-m", "tests.run_fleet", *map(str, arguments)])
        with self.log_file.open("w") as log:
            self.parent = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def submit(self, count: int, name: str, content: str = SAMPLE) -> list[str]:
        """Jobs of several users, in all lines."""
        new = [submit(self.queue, self.records, content, name) for _ in range(count)]
        self.jobs += new
        return new

    def log(self) -> list[dict[str, Any]]:
        """What was said so far."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{")]

    def sizes(self) -> list[int]:
        return [line["loops"] for line in self.log() if line["message"] == "the fleet changes its size"]

    def loops(self) -> list[int]:
        """Their processes."""
        below = descendants(self.parent.pid)
        return [pid for pid, command in below.items() if re.search("tests.run_(worker|fleet timed)", command)]

    def busy(self, jobs: list[str]) -> list[int]:
        """The processes of the loops that have these."""
        told = [self.queue.details(job_id) or {} for job_id in jobs]
        names = {job["nonce"].partition(" ")[0] for job in told if job["at"] == "run"}
        return [pid for pid in self.loops() if name_of(pid) in names]

    def started(self) -> int:
        return sum(line["message"] == "worker started" for line in self.log())

    def wait_loops(self, count: int, seconds: float = 60) -> None:
        wait_until(lambda: len(self.loops()) == count, seconds, f"a fleet of {count}")

    def wait_done(self, seconds: float = 90) -> None:
        wait_until(lambda: set(self.queue.whereabouts(self.jobs)) == {"done"}, seconds, "the end of all jobs")

    def ledger(self, db: "redis.Redis", killed: int = 0) -> None:
        """Every job is done and its result is there once; nobody but the killed cost a run."""
        self.wait_done()
        wait_until(lambda: not left_over(db), 10, "the settled leases")
        assert double_saves(self.saves) == []
        assert sorted(each["_id"] for each in self.records._database.results.find()) == sorted(self.jobs)
        more = [job_id for job_id in self.jobs if db.hmget(f"job:{job_id}", "run", "attempts") != ["1", "1"]]
        assert len(more) <= killed
        assert killed or "Traceback" not in self.log_file.read_text()

    def end(self) -> None:
        """SIGTERM: all of it goes."""
        family = {self.parent.pid, *descendants(self.parent.pid)}
        self.parent.send_signal(signal.SIGTERM)
        assert self.parent.wait(patience(10)) == 0
        wait_until(lambda: not running(family), 10, "the end of all processes")


Start_fleet = Callable[..., Field]


@pytest.fixture
def start_fleet(records: Records, redis_url: str, tmp_path: Path) -> Iterator[Start_fleet]:
    with contextlib.ExitStack() as ends:

        def start(least: int, most: int, kind: str = "timed", url: str = redis_url, **env: str) -> Field:
            queue = Queue(url, lease=LEASE)
            field = Field(tmp_path, (least, most, kind), queue, records, UPSTASH_REDIS_URL=url, **env)
            ends.callback(field.parent.wait)
            ends.callback(field.parent.kill)
            return field

        yield start


def test_a_fleet_grows_under_a_burst_shrinks_to_its_least_and_leaves_no_process_behind(
    start_fleet: Start_fleet, db: "redis.Redis"
) -> None:
    field = start_fleet(1, 3, "real")
    field.wait_loops(1)
    field.submit(20, "water.txt")
    wait_until(lambda: field.started() == 3, 60, "three loops")
    field.wait_done()
    field.wait_loops(1)
    assert field.sizes()[-3:] == [3, 2, 1]
    wait_until(lambda: len(descendants(field.parent.pid)) == 3, 20, "a loop, its forkserver and its resource tracker")
    children = Path(f"/proc/{field.parent.pid}/task/{field.parent.pid}/children")
    wait_until(lambda: len(children.read_text().split()) == 1, 5, "an end of all zombies, orphans too")
    field.ledger(db)
    nothing_left(db, field.folder)
    field.end()


def test_a_third_of_the_loops_killed_while_the_fleet_shrinks_costs_no_job_and_doubles_none(
    start_fleet: Start_fleet, db: "redis.Redis"
) -> None:
    field, chance = start_fleet(1, 9), random.Random(7)
    field.submit(60, "0.2")
    wait_until(lambda: field.started() == 9, 60, "nine loops")
    long = field.submit(4, "3")  # in hand while the others have nothing to do
    wait_until(lambda: field.sizes()[-1] < 9, 60, "a fleet that shrinks")
    wait_until(lambda: len(field.busy(long)) >= 3, 5, "loops with a document")
    loops, busy = field.loops(), field.busy(long)
    third = [*chance.sample(busy, 2), chance.choice([pid for pid in loops if pid not in busy])]
    assert len(third) >= len(loops) / 3
    for pid in third:
        os.kill(pid, signal.SIGKILL)
    field.submit(30, "0.1")  # and it is needed again
    field.ledger(db, killed=len(third))
    field.wait_loops(1)
    again = [job_id for job_id in long if db.hget(f"job:{job_id}", "run") == "2"]
    print(f"\n{field.sizes()} loops, {len(again)} of {len(field.jobs)} jobs ran again")
    assert len(again) == 2, "those whose loops were killed"
    assert min(field.sizes()) == 1
    field.end()


def test_a_parent_killed_with_9_takes_its_loops_with_it_and_their_jobs_come_back(
    start_fleet: Start_fleet, start_worker: Start, db: "redis.Redis"
) -> None:
    field = start_fleet(2, 3, "real")
    jobs = field.submit(3, "water.txt", long_document(200_000))

    def at_work() -> int:
        return sum(int((field.queue.status(job_id) or {})["progress"]) >= 20 for job_id in jobs)

    wait_until(lambda: at_work() >= 2, 60, "two children at work")
    family = descendants(field.parent.pid)
    field.parent.kill()
    wait_until(lambda: not running(family), 20, "the end of its loops, their forkservers and children")
    start_worker()
    field.ledger(db, killed=3)


def test_a_fleet_grows_no_further_than_its_memory(start_fleet: Start_fleet, db: "redis.Redis") -> None:
    megabytes = int((free_memory() + LOOP_MB) / 2.6 - LOOP_MB)  # room for two, and a bit
    field = start_fleet(1, 6, JOB_MEMORY_MB=str(megabytes))
    field.submit(40, "0.2")
    field.wait_done()
    assert max(field.sizes()) == 2
    assert field.started() == 2
    told = next(line for line in field.log() if line["message"] == "the fleet changes its size")
    assert told["wanted"] > 2 < told["room"] < 3
    field.ledger(db)
    field.end()


def test_a_fleet_stays_as_it_is_while_redis_is_away_and_says_so_once(
    start_fleet: Start_fleet, records: Records, tmp_path: Path
) -> None:
    server = OwnRedis(tmp_path / "redis")
    try:
        field = start_fleet(1, 3, url=server.url)
        field.submit(12, "0.3")
        wait_until(lambda: field.sizes() == [3] and field.started() == 3, 60, "three loops")
        loops = field.loops()
        server.kill()
        wait_until(lambda: "cannot be seen" in field.log_file.read_text(), 20, "what the fleet says of it")
        wait_until(lambda: field.log_file.read_text().count("a server is away") == 3, 20, "what its loops say")
        with pytest.raises(subprocess.TimeoutExpired):
            field.parent.wait(2)
        assert sorted(field.loops()) == sorted(loops), "after ten looks at nothing"
        server.start()
        wait_until(lambda: "sees the queue again" in field.log_file.read_text(), 20, "the end of the outage")
        assert field.sizes() == [3]
        field.wait_done()
        field.wait_loops(1)
        field.ledger(server.client, killed=3)
        assert field.log_file.read_text().count("cannot be seen") == 1
        field.end()
    finally:
        server.kill()


@pytest.mark.parametrize(("most", "looks"), [(2, 10), (1, 0)], ids=["one command a look", "of a fixed size: none"])
def test_what_a_fleet_asks_of_redis(
    start_fleet: Start_fleet, records: Records, tmp_path: Path, most: int, looks: int
) -> None:
    server = OwnRedis(tmp_path / "redis")
    try:
        field = start_fleet(1, most, url=server.url)
        wait_until(lambda: blocked_clients(server.client), 30, "the wait of its loop")
        with watched(server.url) as monitor:
            wait_until(lambda: monitor.count("BRPOP") >= 3, 30, "some rounds of its loop")
            wait_until(lambda: monitor.count("EVALSHA", "stats") >= looks, 30, "its looks")
            field.end()
        assert {(sent.name, sent.verb) for sent in monitor.sent} <= {
            ("BRPOP", ""), ("EVALSHA", "look_after"), ("EVALSHA", "stats"),
        }  # fmt: skip
        times = [sent.when for sent in monitor.sent if sent.verb == "stats"]
        assert len(times) >= looks
        assert not looks or len(times) <= (times[-1] - times[0]) / 0.2 + 2
        counted = field.queue.stats().totals["commands"]
        assert counted >= len(monitor.sent) - 3, "and its own are counted"
    finally:
        server.kill()
    assert 3600 / fleet.LOOK == 240


@pytest.mark.parametrize(
    "options", [["--min", "0"], ["--min", "3", "--max", "2"], ["--workers", "0"], ["--max", "-1"]]
)
def test_a_number_of_loops_that_cannot_be_is_refused(options: list[str]) -> None:
    told = subprocess.run([sys.executable, "worker.py", *options], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 2
    assert "--min is at least 1, and --max at least --min" in told.stderr


# A loop that is sent away ---------------------------------------------------------------------------------------------


def test_an_idle_loop_that_is_sent_away_goes_at_once(start_worker: Start, db: "redis.Redis") -> None:
    loop = start_worker(lease=24)
    wait_until(lambda: blocked_clients(db), 20, "the wait for a job")
    loop.send_signal(fleet.RETIRE)
    assert loop.wait(timeout=patience(6)) == 0  # its wait lasts 21.6


def test_a_busy_loop_that_is_sent_away_finishes_its_document_and_takes_no_other(
    records: Records, redis_url: str, db: "redis.Redis", tmp_path: Path
) -> None:
    queue = Queue(redis_url, lease=LEASE)
    first, second = (submit(queue, records, SAMPLE, seconds) for seconds in ("3", "0"))
    environment = {**os.environ, "SAVES": str(tmp_path / "saves")}
    loop = subprocess.Popen([sys.executable, "-m", "tests.run_fleet", "timed"], cwd=ROOT, env=environment)
    try:
        wait_until(lambda: queue.whereabouts([first]) == ["run"], 30, "the start of the first")
        loop.send_signal(fleet.RETIRE)
        assert loop.wait(timeout=30) == 0
    finally:
        loop.kill()
        loop.wait()
    assert db.hmget(f"job:{first}", "at", "run") == ["done", "1"]
    assert db.hget(f"job:{second}", "run") == "0"
    queue.cancel(second)
