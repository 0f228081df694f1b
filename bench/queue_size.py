"""How much one Redis carries: commands, its time and its memory for a job, hence documents a day.

    pip install -r requirements-local.txt
    python bench/queue_size.py                    two minutes, 500 MB of memory

On a Redis of its own, with append-only file, 10,000 jobs of 1,000 users are enqueued, asked for, taken and finished
through queue_lib as API and worker do it, with the payload of a real upload and the cards of a real document. Redis'
time is the CPU time of its main thread. Not measured: the network, which clients wait for and Redis does not.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

import redis

from bench import documents
from queue_lib import Queue
from servers import leashed, listen, redis_answers, redis_command

DAY = 86_400
LINK = "https://" + "a" * 32 + ".r2.cloudflarestorage.com/docdeck/documents/reader/" + "j" * 36 + "?" + "s" * 330
POLL = 2  # seconds, the page's
BUSY = 0.5  # of one core: above that a queue's answers begin to wait for each other
SIZES = (0.03, 0.25, 1, 4, 16, 64)  # GB; 30 MB is the free plan of Redis Cloud that the specification names


class Cost(NamedTuple):
    """Of one action: commands as clients send them, microseconds of Redis' CPU, bytes that stay in its memory."""

    commands: float
    microseconds: float
    bytes: float


def main() -> None:
    """Measure, and do the sums."""
    parser = argparse.ArgumentParser(description="Measure what one Redis carries.")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--finished", type=int, default=4_000, help="of them; each has some 80 kB (4000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as url:
        costs = measure(url, options.jobs, options.finished)
    print(f"{'a job':34}{'commands':>10}{'us of Redis':>13}{'bytes kept':>12}")
    for name, cost in costs.items():
        print(f"{name:34}{cost.commands:10.2f}{cost.microseconds:13.0f}{cost.bytes:12.0f}")
    sums(costs)


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The address of a Redis that nobody else uses."""
    with contextlib.closing(listen(0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(leashed(redis_command(folder, port)), stdout=subprocess.DEVNULL) as process:
        while not redis_answers(port):
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
        process.kill()


def measure(url: str, jobs: int, finished: int) -> dict[str, Cost]:
    """What each step of a job costs; in the end all of them are as they would be in production."""
    api, worker = Queue(url), Queue(url, "bench")
    db = redis.Redis.from_url(url)
    result = json.dumps(real_result(), ensure_ascii=False)
    print(f"{jobs} jobs of 1,000 users; a result of {len(result.encode()) / 1000:.0f} kB\n")
    payloads = [payload(number) for number in range(jobs)]
    api.enqueue(payload(-1), {}, "", 1)  # the scripts are there, the connections, and the users' own keys' table
    taken: list[Any] = []

    def cost(what: Callable[[], None], times: int) -> Cost:
        before = state(db, api, worker)
        what()
        after = state(db, api, worker)
        sent, seconds, kept = ((late - early) / times for early, late in zip(before, after, strict=True))
        return Cost(sent, seconds * 1e6, kept)

    def enqueue() -> None:
        for each in payloads:
            api.enqueue(each, {"digest": "d" * 64}, "", 5 << 20)

    def poll() -> None:
        for each in payloads:
            api.status(each["jobId"])

    def take() -> None:
        while len(taken) < finished:
            taken.append(worker.take())

    def look() -> None:
        for _ in range(1_000):
            worker.look_after(taken[0], 50, "phrases")

    def finish() -> None:
        for job in taken:
            worker.finish(job, result, {"stage:phrases": 300, "memory": 240})

    def last_poll() -> None:
        for job in taken:
            api.status(job.id)

    worker.take()  # looks after the queue first
    return {
        "enqueued, and waiting": cost(enqueue, jobs),
        "asked for": cost(poll, jobs),
        "taken (BRPOP and claim)": cost(take, finished),
        "each two seconds of work": cost(look, 1_000),
        "finished, with its cards": cost(finish, finished),
        "asked for, with its cards": cost(last_poll, finished),
    }


def state(db: "redis.Redis", *queues: Queue) -> tuple[int, float, int]:
    """Commands that the queues' clients have sent so far, seconds of Redis' CPU, bytes of its memory."""
    told = db.info("everything")
    cpu = told["used_cpu_user_main_thread"] + told["used_cpu_sys_main_thread"]
    return sum(queue._redis.sent + queue._waiting.sent for queue in queues), cpu, told["used_memory"]


def payload(number: int) -> dict[str, Any]:
    """What the API puts in line for an upload to R2."""
    job_id = str(uuid.uuid4())
    return {"jobId": job_id, "userId": f"reader-{number % 1000}", "fileUrl": LINK, "fileName": f"report-{number}.pdf"}


def real_result() -> dict[str, Any]:
    """What the pipeline makes of a document of 10,000 words."""
    from pipeline import CompletePipeline12Stages

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.pdf"
        path.write_bytes(documents.small(0).content())
        return CompletePipeline12Stages().process_file(path, str(uuid.uuid4()), "report.pdf")


def sums(costs: dict[str, Cost]) -> None:
    """From the costs to documents a day."""
    enqueued, poll, took, look, finished, last = costs.values()
    polls = 3  # of a document that waits for nobody: it takes some three seconds
    commands = sum(each.commands for each in (enqueued, took, look, finished, last)) + (polls - 1) * poll.commands
    spent = sum(each.microseconds for each in (enqueued, took, look, finished, last)) + (polls - 1) * poll.microseconds
    kept = enqueued.bytes + finished.bytes
    rate = 1e6 * BUSY / spent  # jobs a second
    by_time = rate * DAY
    print(f"\nA job with {polls} polls and one look: {commands:.1f} commands, {spent / 1000:.2f} ms of Redis.")
    print(f"One core, {BUSY:.0%} busy: {rate:.0f} jobs/s, {commands * rate:,.0f} commands/s, {by_time:,.0f} a day.")
    print(f"A waiting job has {enqueued.bytes / 1000:.1f} kB; a finished one, with its cards, {kept / 1000:.0f} kB")
    print("for as long as JOB_TTL says. So memory decides:\n")
    print(f"{'memory':>10}{'documents a day, JOB_TTL 7 days':>34}{'1 day':>12}{'1 hour':>12}{'or waiting':>14}")
    for size in SIZES:
        room = size * 1e9 * 0.8  # the rest is for what is not counted here
        days = [min(by_time, room / kept / ttl) for ttl in (7, 1, 1 / 24)]
        waiting = room / enqueued.bytes
        print(f"{size:7g} GB{days[0]:34,.0f}{days[1]:12,.0f}{days[2]:12,.0f}{waiting:14,.0f}")
    print("""
After JOB_TTL the cards come from MongoDB. Move up to the next size when the documents of a day pass the column of your
JOB_TTL, or set JOB_TTL lower.""")


if __name__ == "__main__":
    main()
