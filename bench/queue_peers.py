"""One queue at a time, as its own documentation sets it up so that jobs are kept, with the same job for all.

    BENCH_QUEUE=celery BENCH_REDIS=redis://... BENCH_LOG=FILE celery -A queue_peers worker ...
    BENCH_QUEUE=celery BENCH_REDIS=redis://... BENCH_LOG=FILE python queue_peers.py COUNT SECONDS GAP

The second line enqueues: so many jobs, each lasting so long, so many seconds apart, and prints the seconds that it
took. queue_bench.py starts both. A job writes a line to the log when it begins and, if it lasts, when it ends; its
name is the time at which it was enqueued. BENCH_SHORT=1 sets what a killed worker's job waits for to a few seconds,
where it can be set. Docdeck and the specification's loop run here as well, by the same rules.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

URL = os.environ["BENCH_REDIS"]
SHORT = "BENCH_SHORT" in os.environ
LOG = os.open(os.environ["BENCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
Put = Callable[[str, float], Awaitable[object]]


def say(word: str, name: str) -> None:
    """A line of the log, whole even among those of other processes."""
    os.write(LOG, f"{word} {name} {time.time_ns()}\n".encode())


def run(name: str, seconds: float = 0) -> None:
    """The job."""
    say("begin", name)
    if seconds:
        time.sleep(seconds)
        say("end", name)


async def run_async(name: str, seconds: float = 0) -> None:
    """The job, where jobs are coroutines."""
    say("begin", name)
    if seconds:
        await asyncio.sleep(seconds)
        say("end", name)


async def run_in_arq(_: Any, name: str, seconds: float = 0) -> None:
    """The job, where jobs are handed a context first."""
    await run_async(name, seconds)


# In the process that enqueues this file is __main__, and jobs would be named so.
sys.modules["queue_peers"] = sys.modules[__name__]
run.__module__ = run_async.__module__ = "queue_peers"


def plain(put: Callable[[str, float], object]) -> Put:
    """A queue whose enqueueing is no coroutine, as one."""

    async def awaitable(name: str, seconds: float) -> None:
        put(name, seconds)

    return awaitable


# Queues: what its worker's command loads, and how a job is enqueued --------------------------------------------------


def docdeck() -> tuple[Any, Put]:
    """queue_lib as worker.py uses it: a job in hand keeps its lease, and is given back at SIGTERM."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from queue_lib import Queue, Unavailable

    queue = Queue(URL, "bench", lease=3 if SHORT else 24)
    stop: list[int] = []

    @contextlib.contextmanager
    def may_interrupt() -> Iterator[None]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            if stop:
                sys.exit(0)
            yield
        finally:
            signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))

    def turn() -> None:
        job = queue.take(may_interrupt)
        if job is None:
            return
        name, seconds = job.payload["fileName"], float(job.options.get("seconds", "0"))
        say("begin", name)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(0.2, left))
            if stop:
                queue.release(job)
                return
            with contextlib.suppress(Unavailable):
                queue.beat(job, 50, "")
        if seconds:
            say("end", name)
        while True:
            try:
                queue.finish(job, "{}", more=not stop)
                return
            except Unavailable:
                time.sleep(1)

    def loop() -> None:
        with may_interrupt():
            pass
        while not stop:
            try:
                turn()
            except Unavailable:
                time.sleep(1)
        queue.leave()

    def put(name: str, seconds: float) -> object:
        payload = {"jobId": f"bench-{name}", "userId": f"user{int(name) % 97}", "fileUrl": "", "fileName": name}
        return queue.enqueue(payload, {"seconds": str(seconds)} if seconds else None)

    return loop, plain(put)


def specification() -> tuple[Any, Put]:
    """The loop of Docdeck's own specification, as it is written there, around the same job.

    But for one thing: redis-py's newer default, five seconds for an answer, would end it at its first empty wait.
    """
    import redis

    redis_client = redis.from_url(URL, socket_timeout=None)

    def process_job(job_data: dict[str, Any]) -> None:
        job_id = job_data["jobId"]
        try:
            redis_client.hset(f"job:{job_id}", "status", "processing")
            redis_client.hset(f"job:{job_id}", "progress", "0")
            redis_client.hset(f"job:{job_id}", "progress", "20")
            run(job_data["fileName"], job_data["seconds"])
            redis_client.hset(f"job:{job_id}", "progress", "90")
            redis_client.hset(f"job:{job_id}", "status", "completed")
            redis_client.hset(f"job:{job_id}", "progress", "100")
            redis_client.hset(f"job:{job_id}", "result", json.dumps({}))
        except Exception as e:  # noqa: BLE001  as it is written
            redis_client.hset(f"job:{job_id}", "status", "failed")
            redis_client.hset(f"job:{job_id}", "error", str(e))

    def loop() -> None:
        while True:
            job = redis_client.brpop("document_queue", timeout=5)
            if job:
                process_job(json.loads(job[1]))

    def put(name: str, seconds: float) -> None:
        job = {"jobId": name, "userId": "user123", "fileUrl": "", "fileName": name, "seconds": seconds}
        redis_client.lpush("document_queue", json.dumps(job))
        redis_client.hset(f"job:{name}", mapping={"status": "queued", "createdAt": int(time.time() * 1000)})

    return loop, plain(put)


def rq() -> tuple[Any, Put]:
    """RQ. Without Retry a job whose worker died is failed and stays so; a worker looks for them every ten minutes."""
    from redis import Redis
    from rq import Queue, Retry

    queue = Queue(connection=Redis.from_url(URL))
    return None, plain(lambda name, seconds: queue.enqueue("queue_peers.run", name, seconds, retry=Retry(max=3)))


def celery() -> tuple[Any, Put]:
    """Celery with late acknowledgement and no prefetching, as its manual says for jobs that must not be lost."""
    from celery import Celery

    app = Celery("bench", broker=URL)
    app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)
    app.conf.broker_connection_retry_on_startup = True
    if SHORT:
        app.conf.broker_transport_options = {"visibility_timeout": 5}
    task = app.task(run, name="run")
    return app, plain(lambda name, seconds: task.delay(name, seconds))


def dramatiq() -> tuple[Any, Put]:
    """Dramatiq's RedisBroker as it is."""
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    sooner = {"heartbeat_timeout": 5000, "maintenance_chance": 1_000_000} if SHORT else {}
    dramatiq.set_broker(RedisBroker(url=URL, **sooner))
    actor = dramatiq.actor(run)
    return None, plain(actor.send)


def huey() -> tuple[Any, Put]:
    """Huey's RedisHuey as it is."""
    from huey import RedisHuey

    app = RedisHuey("bench", url=URL)
    task = app.task()(run)
    return app, plain(task)


def arq() -> tuple[Any, Put]:
    """arq as it is, but for one job at a time."""
    from arq.connections import RedisSettings, create_pool

    settings = RedisSettings.from_dsn(URL)
    wanted = {"functions": [run_in_arq], "redis_settings": settings, "max_jobs": 1}
    app = type("WorkerSettings", (), wanted | ({"job_timeout": 20} if SHORT else {}))
    pools: list[Any] = []

    async def put(name: str, seconds: float) -> None:
        if not pools:
            pools.append(await create_pool(settings))
        await pools[0].enqueue_job("run_in_arq", name, seconds)

    return app, put


def taskiq() -> tuple[Any, Put]:
    """taskiq with the one of its Redis brokers that has acknowledgements."""
    from taskiq_redis import RedisStreamBroker

    # Without the lock's timeout a worker killed at the wrong moment holds it for ever, as the broker's manual says.
    app = RedisStreamBroker(URL, unacknowledged_lock_timeout=10, **({"idle_timeout": 5000} if SHORT else {}))
    task = app.task(task_name="run")(run_async)
    started: list[bool] = []

    async def put(name: str, seconds: float) -> None:
        if not started:
            await app.startup()
            started.append(True)
        await task.kiq(name, seconds)

    return app, put


# What is run ----------------------------------------------------------------------------------------------------------

QUEUES = (docdeck, specification, rq, celery, dramatiq, huey, arq, taskiq)
app, put = {each.__name__: each for each in QUEUES}[os.environ["BENCH_QUEUE"].removesuffix("-simple")]()
broker = app  # as Dramatiq would have it


async def produce(count: int, seconds: float, gap: float) -> float:
    """Enqueue jobs; the seconds from the second one on, since the first pays for the connection."""
    await put(str(time.time_ns()), seconds)
    begun = time.perf_counter()
    for _ in range(count - 1):
        if gap:
            await asyncio.sleep(gap)
        await put(str(time.time_ns()), seconds)
    return time.perf_counter() - begun


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        app()
    else:
        print(asyncio.run(produce(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))))
