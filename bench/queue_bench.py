"""The queue beside others that keep their jobs: speed, commands, memory, and what an accident does to a job.

Measured from outside, by the lines that a job itself writes (queue_peers.py), on one Redis of this machine with an
append-only file. Speed is measured of one queue after the other, in rounds; what is only waiting runs at once, each
queue in a database of its own. Linux only.
"""

import atexit
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import redis

from servers import leashed, redis_answers, redis_command

NAMES = {
    "docdeck": "**Docdeck**",
    "specification": "the specification's loop",
    "rq": "RQ",
    "rq-simple": "RQ, SimpleWorker",
    "celery": "Celery",
    "dramatiq": "Dramatiq",
    "huey": "Huey",
    "arq": "arq",
    "taskiq": "taskiq",
}
WORKERS = {  # one process, one job at a time
    "docdeck": "python queue_peers.py worker",
    "specification": "python queue_peers.py worker",
    "rq": "rq worker --url {url} --quiet {short}",
    "rq-simple": "rq worker --url {url} --quiet --worker-class rq.worker.SimpleWorker {short}",
    "celery": "celery -A queue_peers worker --concurrency 1 --loglevel ERROR",
    "dramatiq": "dramatiq queue_peers --processes 1 --threads 1",
    "huey": "huey_consumer queue_peers.app --workers 1 --quiet",
    "arq": "arq queue_peers.app",
    "taskiq": "taskiq worker queue_peers:app --workers 1 --max-async-tasks 1 --log-level ERROR",
}
RQ_SHORT = "--maintenance-interval 5 --job-monitoring-interval 2 --worker-ttl 10"
SLOW = {"rq": 0.03, "rq-simple": 0.3, "celery": 0.2, "dramatiq": 0.3, "arq": 0.3}  # of the jobs that others are given
PEERS = Path(__file__).parent.parent / ".venv-bench" / "bin"
OUTAGE = 8  # seconds without Redis
LONG = 15  # seconds of a job that something happens to
PATIENCE = 30  # seconds for what should take one


@dataclass(frozen=True)
class Size:
    """How much is measured: rounds of so many jobs, then so many pick-ups, then so many seconds of idling.

    wait: seconds for a killed worker's job to come back. settle: for others that may never come. accidents: with whom.
    """

    rounds: int
    jobs: int
    pickups: int
    idle: float
    wait: float
    settle: float
    accidents: tuple[str, ...] = tuple(NAMES)


@dataclass
class Figures:
    """Of one queue. Rates are jobs per second, latencies milliseconds, memory MB."""

    drained: list[float] = field(default_factory=list)
    enqueued: list[float] = field(default_factory=list)
    pickups: list[float] = field(default_factory=list)
    per_job: float = 0
    per_hour: float = 0
    memory: float = 0
    killed: str = ""
    killed_short: str = ""
    sigterm: str = ""
    outage: str = ""

    @property
    def keeps(self) -> bool:
        """Whether a killed worker's job came back in the time there was, be it after a wait set shorter."""
        return "after" in self.killed + self.killed_short


class Server:
    """A Redis of its own, as dev.py starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Start it, or start it again on the same port and data."""
        with (self.folder / "log").open("ab") as out:
            command = leashed(redis_command(self.folder, self.port))
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        until(lambda: redis_answers(self.port), PATIENCE)

    def stop(self) -> None:
        """As an operator would."""
        self.process.terminate()
        self.process.wait()


class Runner:
    """One queue with one worker, in one database."""

    def __init__(self, name: str, server: Server, short: bool = False) -> None:
        self.name, self.short = name, short
        self.log = server.folder / f"{name}.jobs"
        self.said = server.folder / f"{name}.log"
        number = list(NAMES).index(name)
        self.url = f"redis://127.0.0.1:{server.port}/{number}"
        own = Path(sys.executable).parent
        self.bin = own if name == "docdeck" else PEERS
        self.env = os.environ | {"BENCH_QUEUE": name, "BENCH_REDIS": self.url, "BENCH_LOG": str(self.log)}
        self.env |= {"PYTHONPATH": str(Path(__file__).parent), "PYTHONWARNINGS": "ignore"}
        self.env |= {"BENCH_SHORT": "1"} if short else {}
        self.worker: subprocess.Popen[bytes] | None = None
        with contextlib.closing(redis.Redis.from_url(self.url)) as client:
            client.flushdb()
        self.log.unlink(missing_ok=True)
        atexit.register(self.kill)  # if the bench is stopped; what the worker has started would live on

    def start(self) -> None:
        """Its worker, in a session of its own."""
        program, *arguments = WORKERS[self.name].format(url=self.url, short=RQ_SHORT if self.short else "").split()
        with self.said.open("ab") as out:
            self.worker = subprocess.Popen(
                leashed([str(self.bin / program), *arguments]), cwd=Path(__file__).parent, env=self.env,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def enqueue(self, count: int, seconds: float = 0, gap: float = 0) -> float:
        """Jobs that last so long, so far apart; the seconds that it took."""
        command = [str(self.bin / "python"), "queue_peers.py", str(count), str(seconds), str(gap)]
        done = subprocess.run(
            leashed(command), cwd=Path(__file__).parent, env=self.env, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr[-2000:]}")
        return float(done.stdout)

    def lines(self, word: str) -> list[tuple[int, int]]:
        """When jobs were enqueued, which is their names, and when they began or ended; both in ns."""
        text = self.log.read_text() if self.log.exists() else ""
        told = [line.split() for line in text.splitlines()]
        return [(int(name), int(when)) for said, name, when in told if said == word]

    def wait_for(self, count: int, word: str = "begin", seconds: float = 120) -> bool:
        """Whether so many jobs have begun, or ended, in time."""
        return until(lambda: len({name for name, _ in self.lines(word)}) >= count, seconds)

    def kill(self) -> None:
        """-9 for the worker and all that it started, as when a container goes."""
        if self.worker:
            for pid in session(self.worker.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.worker.wait()
            self.worker = None

    def memory(self) -> float:
        """MB of the worker and all that it started; what several share counts once."""
        assert self.worker
        return sum(map(pss, session(self.worker.pid))) / 1024


def session(leader: int) -> list[int]:
    """The processes of a session, its leader's own launcher among them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(int(path.parent.name))
    return found


def pss(pid: int) -> int:
    """kB of one process, shared pages divided among those that share them."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextlib.contextmanager
def counted(server: Server) -> Iterator[Counter[int]]:
    """The commands that clients send meanwhile, by database; what a script does inside Redis is none."""
    sent: Counter[int] = Counter()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"MONITOR\r\n")

        def listen() -> None:
            for line in connection.makefile("rb"):
                head = line.partition(b"[")[2].partition(b"]")[0].split()
                if len(head) == 2 and head[1] != b"lua":
                    sent[int(head[0])] += 1

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        time.sleep(0.2)
        yield sent
        time.sleep(0.2)
        connection.shutdown(socket.SHUT_RDWR)
        thread.join()


# What is measured -----------------------------------------------------------------------------------------------------


def measure(size: Size, names: list[str]) -> dict[str, Figures]:
    """All of it, of all queues."""
    figures = {name: Figures() for name in names}
    with tempfile.TemporaryDirectory(prefix="dd-") as folder:
        home = Path(folder)
        server = Server(home / "speed")
        try:
            for _ in range(size.rounds):
                for name in random.sample(names, len(names)):
                    drain(Runner(name, server), max(20, int(size.jobs * SLOW.get(name, 1))), figures[name])
            for name in names:
                figures[name].pickups = pick_up(Runner(name, server), size.pickups)
        finally:
            server.stop()
        wait_out(home, size, figures)
    return figures


def drain(runner: Runner, count: int, figures: Figures) -> None:
    """A line of jobs that do nothing, from the first to the last."""
    figures.enqueued.append((count - 1) / runner.enqueue(count))
    runner.start()
    if not runner.wait_for(count):
        raise RuntimeError(f"{runner.name}: {runner.said.read_text()[-2000:]}")
    runner.kill()
    begun = [when for _, when in runner.lines("begin")]
    figures.drained.append((count - 1) / (max(begun) - min(begun)) * 1e9)


def pick_up(runner: Runner, count: int) -> list[float]:
    """ms from before a job is enqueued until it begins, when nothing else waits."""
    runner.start()
    runner.enqueue(1)
    runner.wait_for(1)
    runner.enqueue(count + 1, gap=0.35 if runner.name == "rq" else 0.1)
    runner.wait_for(count + 2)
    runner.kill()
    return [(when - name) / 1e6 for name, when in runner.lines("begin")[2:]]


def wait_out(home: Path, size: Size, figures: dict[str, Figures]) -> None:
    """Everything in which most of the time nothing happens, at once."""
    idle, faults, short = (Server(home / name) for name in ("idle", "faults", "short"))
    terms, away = Server(home / "terms"), Server(home / "away")
    harmed = {name: figures[name] for name in figures if name in size.accidents}
    with ThreadPoolExecutor(3 * len(harmed)) as pool:

        def each(work: Callable[..., Any], server: Server, *arguments: Any, short: bool = False) -> dict[str, Any]:
            runners = {name: Runner(name, server, short) for name in harmed}
            return {name: pool.submit(work, runner, *arguments) for name, runner in runners.items()}

        told = {
            "killed": each(killed, faults, size.wait),
            "killed_short": each(killed, short, size.wait, short=True),
            "sigterm": each(told_to_go, terms, size.settle),
        }
        rest(idle, size.idle, figures)
        without(away, size.settle, harmed)
        for field_name, answers in told.items():
            for name, answer in answers.items():
                setattr(figures[name], field_name, answer.result())
    for server in (idle, faults, short, terms, away):
        server.stop()


def rest(server: Server, seconds: float, figures: dict[str, Figures]) -> None:
    """Commands of a job and of an idle hour, and the idle worker's memory: after one job, so that it is warm."""
    runners = {name: Runner(name, server) for name in figures}
    for runner in runners.values():
        runner.start()
        runner.enqueue(1)
        runner.wait_for(1)
    time.sleep(1)
    jobs = 20
    for name, runner in runners.items():
        with counted(server) as sent:
            runner.enqueue(jobs)
            runner.wait_for(jobs + 1)
            time.sleep(0.3)
        figures[name].per_job = sent[list(NAMES).index(name)] / jobs
    with counted(server) as sent:
        begun = time.monotonic()
        time.sleep(seconds)
        hours = (time.monotonic() - begun) / 3600
    for name, runner in runners.items():
        figures[name].per_hour = sent[list(NAMES).index(name)] / hours
        figures[name].memory = runner.memory()
        runner.kill()


def killed(runner: Runner, seconds: float) -> str:
    """What becomes of a job whose worker is killed with -9 while another one is there to take it.

    A job that does nothing comes every ten seconds, since taskiq looks for what others left only after one.
    """
    runner.start()
    runner.enqueue(1, seconds=LONG)
    runner.wait_for(1)
    runner.kill()
    gone = time.time_ns()
    runner.start()
    name = runner.lines("begin")[0][0]

    def again() -> list[int]:
        return [when for job, when in runner.lines("begin") if job == name and when > gone]

    deadline = time.monotonic() + seconds
    while not until(lambda: bool(again()), min(10, seconds)) and time.monotonic() < deadline:
        runner.enqueue(1)
    runner.kill()
    return f"after {(again()[0] - gone) / 1e9:.0f} s" if again() else f"not within {seconds:.0f} s"


def told_to_go(runner: Runner, seconds: float) -> str:
    """What becomes of a job of LONG seconds whose worker is told to go."""
    runner.start()
    runner.enqueue(1, seconds=LONG)
    runner.wait_for(1)
    assert runner.worker
    runner.worker.terminate()
    went = time.monotonic()
    while runner.worker.poll() is None and time.monotonic() < went + PATIENCE:
        time.sleep(0.02)
    took = time.monotonic() - went
    runner.kill()
    if runner.lines("end"):
        return f"finished, gone in {took:.1f} s"
    runner.start()
    again = runner.wait_for(1, "end", seconds)
    runner.kill()
    return f"gone in {took:.1f} s, the job " + ("runs again" if again else f"not within {seconds:.0f} s")


def without(server: Server, seconds: float, figures: dict[str, Figures]) -> None:
    """Redis goes for a while, in the middle of a job and with ten waiting; a worker that ends is started again."""
    runners = {name: Runner(name, server) for name in figures}
    for runner in runners.values():
        runner.start()
        runner.enqueue(1, seconds=LONG)
        runner.enqueue(10)
        runner.wait_for(1)
    server.stop()
    time.sleep(OUTAGE)
    server.start()
    died = {name for name, runner in runners.items() if runner.worker and runner.worker.poll() is not None}
    deadline = time.monotonic() + LONG + seconds
    while time.monotonic() < deadline and any(
        len({job for job, _ in runner.lines("begin")}) < 11 for runner in runners.values()
    ):
        for name, runner in runners.items():
            if runner.worker and runner.worker.poll() is not None:
                died.add(name)
                runner.start()
        time.sleep(0.5)
    for name, runner in runners.items():
        runner.kill()
        begun = Counter(job for job, _ in runner.lines("begin"))
        lost = 11 - len(begun)
        told = [f"{lost} of 11 not run" if lost else "all run"]
        told += [f"{len([job for job in begun.values() if job > 1])} twice"] if max(begun.values()) > 1 else []
        figures[name].outage = ", ".join(told + (["the worker ends"] if name in died else []))
