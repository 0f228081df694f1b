"""The next job in the same command as a job's end: whatever happens to it there, it is neither lost nor doubled."""

import time
from contextlib import closing
from io import BytesIO

import pytest
import redis

import queue_lib
from queue_lib import LISTS, NORMAL, PAUSED, Job, Queue
from records import Records
from tests.ledger import InlineWorker
from tests.queue_tools import LEASE, at, drain, make_queue, nothing_left, payload, take
from tests.redis_tools import Proxy, watched
from tests.support import wait_until
from worker import RECONCILE, Limits


@pytest.fixture
def queue(redis_url: str) -> Queue:
    return make_queue(redis_url, lease=6)


def test_a_job_that_waits_is_claimed_with_the_end_of_the_one_before_and_costs_two_commands_in_all(
    queue: Queue, db: "redis.Redis", redis_url: str
) -> None:
    names = [f"{number}" for number in range(10)]
    queue.enqueue(payload("first"))
    job = take(queue)
    queue.finish(job, "{}", more=True)  # sends the script by its hash, so that Redis has it
    for name in names:
        queue.enqueue(payload(name, user=name))
    job = take(queue)
    with watched(redis_url) as monitor:
        order = [job.id]
        for _ in names[1:]:
            assert queue.finish(job, "{}", more=True)
            assert (at(db, order[-1]), db.hget(f"job:{order[-1]}", "status")) == ("done", "completed")
            job = take(queue)
            assert (at(db, job.id), job.run, job.attempts) == ("run", 1, 1)
            order.append(job.id)
    assert order == names
    verbs = [sent.verb for sent in monitor.sent if sent.verb]
    assert verbs.count("finish") == len(names) - 1
    assert "claim" not in verbs
    assert "BRPOP" not in [sent.name for sent in monitor.sent]
    assert queue.finish(job, "{}", more=True)
    assert queue.take() is None
    nothing_left(db)


def test_lists_are_asked_in_the_order_of_their_priorities(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("now", "ann"))
    job = take(queue)
    for name, priority in (("low", 0), ("normal", 1), ("high", 2)):
        queue.enqueue({**payload(name, name), "priority": priority})
    order = []
    for _ in LISTS:
        queue.finish(job, "{}", more=True)
        job = take(queue)
        order.append(job.id)
    assert order == ["high", "normal", "low"]
    queue.finish(job, "{}")
    nothing_left(db)


def test_nothing_is_claimed_while_the_queue_is_paused_or_by_whoever_does_not_ask(
    queue: Queue, db: "redis.Redis"
) -> None:
    for name in "abc":
        queue.enqueue(payload(name, user=name))
    job = take(queue)
    queue.finish(job, "{}")
    assert (at(db, "b"), db.llen(NORMAL)) == (NORMAL, 2)
    job = take(queue)
    queue.pause()
    queue.finish(job, "{}", more=True)
    assert (at(db, "c"), db.llen(NORMAL)) == (NORMAL, 1)
    assert queue.take() is None
    db.delete(PAUSED)
    assert drain(queue) == ["c"]
    nothing_left(db)


def test_pointers_that_start_nothing_are_passed_over_and_what_is_no_job_is_left_to_its_own_way(
    queue: Queue, db: "redis.Redis"
) -> None:
    for name in "ab":
        queue.enqueue(payload(name, user=name))
    job = take(queue)
    db.rpush(NORMAL, "no job", db.hget("job:a", "payload") or "")  # what comes first: a copy, then what is no job
    queue.finish(job, "{}", more=True)
    assert (at(db, "b"), db.lindex(NORMAL, -1)) == (NORMAL, "no job")
    assert queue.take() is None
    assert [db.zcard(queue_lib.DEAD), *drain(queue)] == [1, "b"]
    nothing_left(db)


def test_a_bare_push_whose_hash_is_not_there_yet_is_waited_for_as_ever(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("a"))
    job = take(queue)
    db.lpush(NORMAL, '{"jobId": "bare", "userId": "ann", "fileUrl": "u", "fileName": "f"}')
    queue.finish(job, "{}", more=True)
    assert (db.llen(NORMAL), db.exists("job:bare")) == (1, 0)
    db.hset("job:bare", mapping={"status": "queued", "createdAt": int(time.time() * 1000)})
    assert drain(queue) == ["bare"]
    nothing_left(db)


def test_an_end_whose_reply_is_lost_hands_out_the_same_next_job(redis_url: str, db: "redis.Redis") -> None:
    with closing(Proxy(redis_url)) as proxy:
        queue = make_queue(proxy.url, lease=6)
        for name in "abc":
            queue.enqueue(payload(name, user=name))
        job = take(queue)
        proxy.lose_replies("finish", 2)  # this try and its repetition
        with pytest.raises(queue_lib.Unavailable):
            queue.finish(job, "{}", more=True)
        assert (at(db, "a"), at(db, "b"), at(db, "c")) == ("done", "run", NORMAL)
        assert queue.finish(job, "{}", more=True)
        again = take(queue)
        assert (again.id, again.run, again.attempts, at(db, "c")) == ("b", 1, 1, NORMAL)
        queue.finish(again, "{}")
        assert drain(queue) == ["c"]
    nothing_left(db)


def test_a_worker_that_goes_gives_back_what_was_claimed_ahead_and_it_has_cost_no_attempt(
    queue: Queue, db: "redis.Redis"
) -> None:
    for name in "ab":
        queue.enqueue(payload(name, user=name))
    queue.finish(take(queue), "{}", more=True)
    assert at(db, "b") == "run"
    queue.leave()
    assert (at(db, "b"), db.hget("job:b", "attempts")) == (NORMAL, "0")


def test_what_was_claimed_ahead_by_a_worker_that_died_or_stalled_runs_elsewhere_and_not_here(
    redis_url: str, db: "redis.Redis"
) -> None:
    queue, other = make_queue(redis_url), make_queue(redis_url, "w2")
    for name in "ab":
        queue.enqueue(payload(name, user=name))
    queue.finish(take(queue), "{}", more=True)
    assert at(db, "b") == "run"
    wait_until(lambda: other.look_after() and at(db, "b") == NORMAL, 10 * LEASE, "the end of its lease")
    job = take(other)
    assert (job.id, job.run) == ("b", 2)
    assert queue.take() is None, "the first worker wakes up, and its run is an old one"
    assert other.finish(job, "{}")
    nothing_left(db)


def test_a_look_that_fails_before_the_job_claimed_ahead_starts_does_not_forget_it(
    redis_url: str, db: "redis.Redis"
) -> None:
    with closing(Proxy(redis_url)) as proxy:
        queue = make_queue(proxy.url, lease=6)
        for name in "ab":
            queue.enqueue(payload(name, user=name))
        queue.finish(take(queue), "{}", more=True)
        queue._next_look = 0.0  # as after a job with a webhook
        proxy.lose_replies("look_after", 4)
        for _ in range(2):  # each look is repeated once
            with pytest.raises(queue_lib.Unavailable):
                queue.take()
        job = take(queue)
        assert (job.id, job.run, job.attempts) == ("b", 1, 1)
        assert queue.finish(job, "{}")
    nothing_left(db)


# The worker's part ----------------------------------------------------------------------------------------------------


def build_worker(queue: Queue, records: Records) -> InlineWorker:
    """One that has looked for lost jobs a moment ago, and whose document is there."""
    records.files.put(BytesIO(b"text"), 4, "ann", "shared")
    worker = InlineWorker(queue, records.files, records, limits=Limits(60, 1024))
    worker.reconciled = time.monotonic()
    return worker


def two_jobs(queue: Queue, records: Records) -> Job:
    """The first of two, taken."""
    link = records.files.link("documents/ann/shared")
    for name in "ab":
        queue.enqueue({**payload(name, name), "fileUrl": link, "fileName": "good"})
    return take(queue)


def test_a_worker_whose_end_of_a_job_gets_no_reply_ends_it_once_and_goes_on_with_the_next(
    redis_url: str, db: "redis.Redis", records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Proxy(redis_url)) as proxy:
        queue = make_queue(proxy.url, lease=6)
        worker = build_worker(queue, records)
        job = two_jobs(queue, records)
        proxy.lose_replies("finish", 2)
        worker.handle(job)
        assert (at(db, "a"), at(db, "b"), proxy.lost) == ("done", "run", 2)
        job = take(queue)
        assert (job.id, job.run, job.attempts) == ("b", 1, 1)
        worker.handle(job)
    said = capsys.readouterr().out
    assert (said.count('"job done"'), said.count('"job lost"')) == (2, 0)
    nothing_left(db)


def test_a_worker_that_is_to_look_for_lost_jobs_first_claims_none_ahead(
    queue: Queue, db: "redis.Redis", records: Records
) -> None:
    worker = build_worker(queue, records)
    worker.reconciled = time.monotonic() - RECONCILE
    worker.handle(two_jobs(queue, records))
    assert (at(db, "a"), at(db, "b")) == ("done", NORMAL)
    worker._reconcile()
    worker.handle(take(queue))
    assert at(db, "b") == "done"
    nothing_left(db)
