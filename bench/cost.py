"""What 10,000 users with ten documents a month cost, by the specification's own prices and measured figures.

    pip install -r requirements-local.txt -r requirements-dev.txt
    python bench/cost.py                          four minutes

Starts the whole service with two workers and watches, by MONITOR, what its Redis is sent: first while nothing happens,
then while documents of 5 MB, as the specification reckons with, come in one by one as the page sends them and are asked
for every two seconds. Upstash bills what clients send; what a script does inside Redis is none. Linux only.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import redis
import requests

from bench import documents
from bench.parts import running, taken
from servers import Trouble
from tests.redis_tools import watched

# The specification: its users, their documents, its prices in dollars a month, and what it comes to.
DOCUMENTS, SIZE = 10_000 * 10, 5e6  # bytes
PER_100K_COMMANDS, PER_GB, WORKER, MONGODB = 0.2, 0.015, 5, 57
THEIRS = {"Redis": 20.0, "storage": 7.5, "workers": 10.0, "MongoDB": 57.0, "API": 0.0}
WORKERS, MONTH, FILE_DAYS = 2, 730, 7  # of ours; hours; days for which an upload is kept
POLL = 2  # seconds


@dataclass(frozen=True)
class Measured:
    """idle: commands an hour. Of a document: commands, polls; CPU seconds; bytes of its result, bytes kept in Redis."""

    idle: float
    commands: float
    polls: float
    cpu: float
    result: float
    kept: float


def main() -> None:
    """Measure, then reckon."""
    parser = argparse.ArgumentParser(description="Measure what a month costs.")
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--idle", type=float, default=126, help="seconds to watch it idle (126: six waits)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dd-") as folder:
        found = measure(Path(folder), options.documents, options.idle)
    print(f"idle, {WORKERS} workers and the API: {found.idle:.0f} commands an hour")
    print(f"a document of 5 MB: {found.commands:.1f} commands, {found.polls:.1f} of them polls;", end=" ")
    print(f"{found.cpu:.2f} s of CPU; result {found.result / 1000:.0f} kB; in Redis {found.kept / 1000:.0f} kB\n")
    reckon(found)


def measure(folder: Path, count: int, idle: float) -> Measured:
    """The service idle, then with documents."""
    with running(folder, WORKERS) as (stack, url, parts):
        address = stack.env["UPSTASH_REDIS_URL"]
        db = redis.Redis.from_url(address)
        for number in range(2 * WORKERS):  # connections, scripts, modules
            follow(url, number)
        with watched(address) as monitor:
            began = time.monotonic()
            stack.pause(idle)
            hourly = len(monitor.sent) / (time.monotonic() - began) * 3600
        before, memory, began = taken(parts), db.info("memory")["used_memory"], time.monotonic()
        with watched(address) as monitor:
            polls, sizes = zip(*(follow(url, 10 + number) for number in range(count)), strict=True)
            stack.pause(1)  # the worker waits again
            seconds = time.monotonic() - began
        after = taken(parts)
        kept = (db.info("memory")["used_memory"] - memory) / count
        cpu = sum(after[name][1] - before[name][1] for name in parts if name.startswith("worker"))
        busy = len(monitor.sent) - hourly * seconds / 3600
        return Measured(hourly, busy / count, sum(polls) / count, cpu / count, sum(sizes) / count, kept)


def follow(url: str, number: int) -> tuple[int, int]:
    """Send a document as the page does and wait for its cards: how many polls that took, and bytes of the result."""
    content, polls, etag = documents.usual(number).content(), 0, ""
    told = {"fileName": "report.pdf", "size": len(content), "userId": f"reader-{number}", "sha256": f"{number:064}"}
    with requests.Session() as session:
        session.trust_env = False  # no proxy on the way to this machine
        begun = session.post(f"{url}/api/uploads", json=told).json()
        session.put(begun["url"], data=content).raise_for_status()
        session.post(f"{url}/api/uploads/{begun['uploadId']}/complete", json={}).raise_for_status()
        while True:
            time.sleep(POLL)
            polls += 1
            answer = session.get(f"{url}/api/job-status/{begun['uploadId']}", headers={"If-None-Match": etag})
            etag = answer.headers.get("ETag", etag)
            if answer.status_code == 200 and (job := answer.json())["status"] == "completed":
                return polls, len(job["result"].encode())
            if answer.status_code == 200 and job["status"] == "failed":
                raise Trouble(job["error"])


def reckon(found: Measured) -> None:
    """A line for each part: what it is made of, ours, theirs."""
    commands = DOCUMENTS * found.commands + MONTH * found.idle
    gigabytes = DOCUMENTS * SIZE * FILE_DAYS / 30 / 1e9
    hours = DOCUMENTS * found.cpu / 3600
    made_of = {
        "Redis": f"{DOCUMENTS:,} x {found.commands:.1f} + {MONTH} h x {found.idle:.0f} = {commands:,.0f} commands",
        "storage": f"{DOCUMENTS:,} x 5 MB, kept for {FILE_DAYS} of 30 days = {gigabytes:.0f} GB",
        "workers": f"{DOCUMENTS:,} x {found.cpu:.2f} s of CPU = {hours:.0f} of {WORKERS * MONTH} hours",
        "MongoDB": f"M10; {DOCUMENTS:,} results, {DOCUMENTS * found.result / 1e9:.1f} GB a month uncompressed",
        "API": "one more instance at a worker's price; the specification has it at Vercel",
    }
    ours = {
        "Redis": commands / 100_000 * PER_100K_COMMANDS,
        "storage": gigabytes * PER_GB,
        "workers": WORKERS * WORKER,
        "MongoDB": MONGODB,
        "API": WORKER,
    }
    print(f"{'a month':10}{'':80}{'ours $':>8}{'theirs $':>10}")
    for name, what in made_of.items():
        print(f"{name:10}{what:80}{ours[name]:8.2f}{THEIRS[name]:10.2f}")
    print(f"{'in all':10}{'':80}{sum(ours.values()):8.2f}{sum(THEIRS.values()):10.2f}")
    held = DOCUMENTS * found.kept * 7 / 30 / 1e9
    print(f"\nFinished jobs hold {held:.1f} GB of Redis with JOB_TTL at 7 days, {held / 7:.1f} GB at one day.")
    print("The specification has no price for that.")


if __name__ == "__main__":
    main()
