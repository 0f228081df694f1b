"""How costs grow: with a document's words, with waiting jobs, users and finished jobs. Tables, and a picture of each.

The queue's costs are milliseconds by the clock of enqueueing a job, and of taking and finishing one, through
queue_lib on a Redis of this machine, medians of some. Pictures are SVG, both axes logarithmic, so that what grows by
a power is a straight line, with a dashed one for what grows in proportion.
"""

import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import redis
from queue_bench import Server

from queue_lib import NORMAL, Queue

TIMES = 60  # of each measurement
BATCH = 2_000  # commands in one packet
COLOURS = ("#1f6feb", "#d1701f", "#2da44e")


@dataclass(frozen=True)
class Curve:
    """What some costs, named with their units, are at each size of `what`."""

    what: str
    sizes: list[int]
    costs: dict[str, list[float]]

    def power(self, cost: str) -> float:
        """The exponent of the straight line through both ends: 0 does not grow, 1 grows in proportion."""
        first, last = self.costs[cost][0], self.costs[cost][-1]
        return math.log(last / first) / math.log(self.sizes[-1] / self.sizes[0])


def measure(sizes: Sequence[int]) -> list[Curve]:
    """The queue's three curves."""
    made: dict[str, Callable[[Queue, redis.Redis, int], None]] = {
        "waiting jobs": lambda queue, db, size: fill(queue, db, size, 1_000),
        "users with waiting jobs": lambda queue, db, size: fill(queue, db, max(sizes), size),
        "finished jobs": finished,
    }
    return [at_sizes(what, sizes, make) for what, make in made.items()]


def at_sizes(what: str, sizes: Sequence[int], make: Callable[[Queue, redis.Redis, int], None]) -> Curve:
    """One curve: each size on a fresh Redis."""
    costs: dict[str, list[float]] = {"enqueue, ms": [], "take and finish, ms": [], "Redis' memory, MB": []}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="dd-") as folder:
            server = Server(Path(folder) / "redis")
            try:
                url = f"redis://127.0.0.1:{server.port}/0"
                queue, db = Queue(url, "bench"), redis.Redis.from_url(url)
                queue.look_after()
                make(queue, db, size)
                costs["Redis' memory, MB"].append(db.info("memory")["used_memory"] / 2**20)
                for cost, milliseconds in zip(costs, times(queue), strict=False):
                    costs[cost].append(milliseconds)
            finally:
                server.stop()
    return Curve(what, list(sizes), costs)


def times(queue: Queue) -> tuple[float, float]:
    """Medians of enqueueing, and of taking and finishing, in ms."""
    enqueued, worked = [], []
    for number in range(TIMES):
        begun = time.perf_counter()
        queue.enqueue(payload(f"timed-{number}", f"timed-{number}"))
        enqueued.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        job = None
        while job is None:
            job = queue.take()
        queue.finish(job, "{}")
        worked.append(time.perf_counter() - begun)
    return 1000 * statistics.median(enqueued), 1000 * statistics.median(worked)


def payload(job_id: str, user: str) -> dict[str, str]:
    """A job of the queue."""
    return {"jobId": job_id, "userId": user, "fileUrl": "s3://bench/" + job_id, "fileName": "document.pdf"}


def fill(queue: Queue, db: redis.Redis, jobs: int, users: int) -> None:
    """So many waiting jobs of so many users: the queue's own script, many calls in one packet."""
    queue.enqueue(payload("first", "first"))  # which sends the script
    sha, settings = queue._enqueue_script.sha, queue._settings
    for start in range(1, jobs, BATCH):
        with db.pipeline(transaction=False) as pipe:
            for number in range(start, min(start + BATCH, jobs)):
                job = payload(f"j{number}", f"user{number % users}")
                told = ("enqueue", settings, job["jobId"], NORMAL, job["userId"], json.dumps(job), "", "")
                pipe.execute_command("EVALSHA", sha, 0, *told)
            assert {answer[0] for answer in pipe.execute()} == {b"queued"}


def finished(queue: Queue, db: redis.Redis, jobs: int) -> None:
    """So many jobs that have gone the whole way."""
    fill(queue, db, jobs, jobs)
    while raws := db.rpop(NORMAL, BATCH):
        with db.pipeline(transaction=False) as pipe:
            for raw in raws:
                job_id = json.loads(raw)["jobId"]
                for told in (("claim", job_id, NORMAL, raw, "bench", ""), ("finish", job_id, 1, "{}", "{}", "")):
                    pipe.execute_command("EVALSHA", queue._script.sha, 0, told[0], queue._settings, *told[1:])
            pipe.execute()


# Pictures -------------------------------------------------------------------------------------------------------------


def picture(curve: Curve) -> str:
    """An SVG of one curve, each cost a line, relative to what it is at the least size."""
    width, height, left, top = 560, 330, 60, 70
    decades_x = math.log10(curve.sizes[-1] / curve.sizes[0])
    ratios = {cost: [value / values[0] for value in values] for cost, values in curve.costs.items()}
    lows, highs = min(map(min, ratios.values())), max(map(max, ratios.values()))
    floor, ceiling = math.floor(math.log10(lows)), max(1, math.ceil(math.log10(highs)))

    def place(size: float, ratio: float) -> str:
        x = left + (width - left - 20) * math.log10(size / curve.sizes[0]) / decades_x
        y = top + (height - top - 40) * (ceiling - math.log10(ratio)) / (ceiling - floor)
        return f"{x:.0f},{y:.0f}"

    def line(points: Sequence[str], style: str) -> str:
        return f'<polyline points="{" ".join(points)}" fill="none" {style}/>'

    def text(at: str, words: str, style: str = "") -> str:
        x, y = at.split(",")
        return f'<text x="{x}" y="{y}" {style}>{words}</text>'

    first, last = curve.sizes[0], curve.sizes[-1]
    parts = []
    for power in range(floor, ceiling + 1):
        parts.append(line([place(first, 10**power), place(last, 10**power)], 'stroke="#ccc"'))
        parts.append(
            text(f"{left - 6},{place(first, 10**power).split(',')[1]}", f"×{10.0**power:g}", 'text-anchor="end"')
        )
    for size in curve.sizes:
        x = place(size, 1).split(",")[0]
        parts.append(text(f"{x},{height - 22}", f"{size:,}", 'text-anchor="middle"'))
    for number, (cost, values) in enumerate(ratios.items()):
        points = [place(size, ratio) for size, ratio in zip(curve.sizes, values, strict=True)]
        parts.append(line(points, f'stroke="{COLOURS[number]}" stroke-width="2"'))
        began = f"{cost}: {curve.costs[cost][0]:.3g} to {curve.costs[cost][-1]:.3g}"
        parts.append(text(f"{left},{18 + number * 16}", began, f'fill="{COLOURS[number]}"'))
    most = min(last / first, 10**ceiling)
    parts.append(line([place(first, 1), place(first * most, most)], 'stroke="#999" stroke-dasharray="4"'))
    parts.append(text(f"{left + 300},18", "- - - in proportion", 'fill="#666"'))
    parts.append(text(f"{width / 2:.0f},{height - 5}", curve.what, 'text-anchor="middle"'))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
    return "\n".join(
        [head, 'font-size="11">', f'<rect width="{width}" height="{height}" fill="white"/>', *parts, "</svg>\n"]
    )
