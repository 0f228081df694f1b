"""The queue's promise on a real Redis: each test tells one way to lose or double a job, and that it is neither.

Leases and waits are tenths of a second here. Every test that runs jobs ends with `nothing_left`: no job may stand in
an index once all are done or dead.
"""

import threading
import time

import pytest
import redis

from queue_lib import NORMAL, Queue, backoff
from tests.queue_tools import LEASE, at, drain, make_queue, nothing_left, payload, take, without_looks
from tests.support import patience, wait_until

# The common way -----------------------------------------------------------------------------------------------------


def test_a_job_is_taken_with_its_payload_and_options_and_ends_completed(queue: Queue, db: "redis.Redis") -> None:
    assert queue.enqueue(payload("a"), {"maxWords": "3"}) == ("a", True)
    assert queue.status("a") == {
        "status": "queued", "progress": "0", "stage": "queued", "createdAt": int(db.hget("job:a", "createdAt") or 0)
    }  # fmt: skip
    job = take(queue)
    assert (job.id, job.run, job.attempts, job.user) == ("a", 1, 1, "ann")
    assert (job.payload, job.options) == (payload("a"), {"maxWords": "3"})
    assert queue.look_after(job, 30, "phrases") == "mine"
    status = queue.status("a") or {}
    assert (status["status"], status["progress"], status["stage"]) == ("processing", "30", "phrases")
    assert queue.finish(job, '{"flashcards": [1]}')
    status = queue.status("a") or {}
    assert (status["status"], status["progress"], status["result"]) == ("completed", "100", '{"flashcards": [1]}')
    assert 0 < db.ttl("job:a") <= 7 * 86400
    nothing_left(db)


def test_enqueueing_a_known_id_again_changes_nothing_at_any_time_of_its_life(queue: Queue, db: "redis.Redis") -> None:
    assert queue.enqueue(payload("a")).new
    assert queue.enqueue(payload("a")) == ("a", False)
    assert db.llen(NORMAL) == 1
    job = take(queue)
    assert queue.enqueue(payload("a")) == ("a", False)
    queue.finish(job, "{}")
    assert queue.enqueue(payload("a")) == ("a", False)
    assert queue.take() is None
    nothing_left(db)


def test_an_unknown_id_has_no_status_and_a_strangers_key_is_no_job(queue: Queue, db: "redis.Redis") -> None:
    db.set("job:text", "not a hash")
    assert queue.status("nobody") is None
    assert queue.status("text") is None


def test_a_job_without_long_work_costs_four_commands(queue: Queue, db: "redis.Redis", redis_url: str) -> None:
    queue.enqueue(payload("warm"))
    queue.finish(take(queue), "{}")
    without_looks(queue)  # the one every two seconds is not the job's
    with redis.Redis.from_url(redis_url) as marker, db.monitor() as monitor:
        marker.ping()
        queue.enqueue(payload("a"))
        queue.finish(take(queue), "{}")
        marker.echo("the end")
        sent = []
        for entry in monitor.listen():
            if "the end" in entry["command"]:
                break
            if entry["client_type"] != "lua":
                sent.append(entry["command"].split()[0])
    assert sent[sent.index("PING") + 1 :] == ["EVALSHA", "BRPOP", "EVALSHA", "EVALSHA"]


# Workers that die ---------------------------------------------------------------------------------------------------


def test_a_job_that_was_popped_by_a_worker_that_died_before_its_claim_comes_back(
    queue: Queue, db: "redis.Redis"
) -> None:
    for name in "abc":
        queue.enqueue(payload(name, user=name))
    assert db.brpop([NORMAL]) is not None
    assert db.brpop([NORMAL]) is not None
    assert sorted(drain(queue) + drain(queue)) == ["a", "b", "c"]
    assert [at(db, name) for name in "abc"] == ["done"] * 3
    nothing_left(db)


def test_lost_pointers_come_back_in_the_order_they_had(queue: Queue, db: "redis.Redis") -> None:
    for name in "abcd":
        queue.enqueue(payload(name, user=name))
    for _ in range(3):
        db.brpop([NORMAL])
    queue.look_after()
    assert drain(queue) == ["a", "b", "c", "d"]
    nothing_left(db)


def test_a_job_whose_worker_died_runs_again_when_its_lease_is_over(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("a"))
    first = take(queue)
    started = time.monotonic()
    second = take(queue)
    assert LEASE * 0.8 < time.monotonic() - started < LEASE + patience(2)
    assert (second.id, second.run, second.attempts) == ("a", 2, 2)
    assert queue.look_after(first, 50, "phrases") == "lost"
    assert queue.finish(second, "{}")
    nothing_left(db)


def test_a_lease_that_is_renewed_keeps_the_job_past_its_first_end(queue: Queue, redis_url: str) -> None:
    other = make_queue(redis_url, "w2")
    queue.enqueue(payload("a"))
    job = take(queue)
    ends = time.monotonic() + 2 * LEASE
    while time.monotonic() < ends:
        assert queue.look_after(job, 10, "context") == "mine"
        assert other.take() is None
    assert queue.finish(job, "{}")


def test_a_job_that_kills_every_worker_is_dead_after_three_with_the_reason(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("poison"))
    for attempt in (1, 2, 3):
        assert take(queue).attempts == attempt
    wait_until(lambda: queue.look_after() and at(db, "poison") == "dead", 5, "the poison's end")
    status = queue.status("poison") or {}
    assert (status["status"], status["error"]) == ("failed", "the worker died while processing it")
    assert db.zrange(NORMAL + ":dead", 0, -1) == ["poison"]
    nothing_left(db)


def test_a_wait_interrupted_by_a_signal_loses_nothing(queue: Queue, db: "redis.Redis", redis_url: str) -> None:
    class Signal(Exception):
        pass

    class Interrupted:
        def __enter__(self) -> None:
            pass

        def __exit__(self, *error: object) -> None:
            raise Signal  # after the reply, before anybody could look at it: the worst moment

    queue.enqueue(payload("a"))
    with pytest.raises(Signal):
        queue.take(Interrupted)
    assert db.llen(NORMAL) == 0
    queue.leave()
    assert drain(make_queue(redis_url, "w2")) == ["a"]
    nothing_left(db)


def test_a_worker_that_goes_puts_back_what_its_last_wait_had_popped(db: "redis.Redis", redis_url: str) -> None:
    queue = make_queue(redis_url)
    queue.enqueue(payload("a"))
    assert db.brpop([NORMAL]) is not None
    queue.leave()
    assert db.llen(NORMAL) == 1, "the others may be in the middle of a wait of 21 seconds"


# Ends that count once -----------------------------------------------------------------------------------------------


def test_an_older_run_can_settle_nothing(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("a"))
    zombie = take(queue)
    newest = take(queue)
    assert not queue.finish(zombie, '{"by": "zombie"}')
    assert not queue.bury(zombie, "no")
    assert not queue.retry(zombie, "no")
    assert not queue.release(zombie)
    assert queue.finish(newest, '{"by": "newest"}')
    assert (queue.status("a") or {})["result"] == '{"by": "newest"}'
    nothing_left(db)


def test_a_stalled_worker_may_finish_what_nobody_has_claimed_since(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("a"))
    job = take(queue)
    wait_until(lambda: queue.look_after() and at(db, "a") == NORMAL, 5, "the lease's end")
    assert queue.finish(job, "{}")
    assert queue.take() is None, "the pointer that stands there must start nothing"
    nothing_left(db)


@pytest.mark.parametrize("verb", ["finish", "bury", "retry", "release"])
def test_an_end_that_is_sent_twice_has_one_effect_and_the_same_answer(
    queue: Queue, db: "redis.Redis", verb: str
) -> None:
    queue.enqueue(payload("a"))
    job = take(queue)
    end = {
        "finish": lambda: queue.finish(job, "{}"),
        "bury": lambda: queue.bury(job, "a sentence"),
        "retry": lambda: queue.retry(job, "it broke", delay=60),
        "release": lambda: queue.release(job),
    }[verb]
    assert end()
    before = db.hgetall("job:a")
    assert end()
    assert db.hgetall("job:a") == before
    assert db.llen(NORMAL) == (1 if verb == "release" else 0)
    assert db.zcard(NORMAL + ":delayed") == (1 if verb == "retry" else 0)


def test_a_released_job_is_next_in_line_and_the_attempt_is_not_counted(queue: Queue, db: "redis.Redis") -> None:
    for name in "abc":
        queue.enqueue(payload(name, user=name))
    job = take(queue)
    assert queue.release(job)
    again = take(queue)
    assert (again.id, again.run, again.attempts) == ("a", 2, 1)
    queue.finish(again, "{}")
    assert drain(queue) == ["b", "c"]
    nothing_left(db)


def test_a_retried_job_waits_its_delay_and_is_given_up_after_three_attempts(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("a"))
    job = take(queue)
    failed = time.monotonic()
    assert queue.retry(job, "the bucket is away", delay=0.5)
    assert (queue.status("a") or {})["status"] == "queued"
    job = take(queue)
    assert 0.45 < time.monotonic() - failed < patience(3)
    assert queue.retry(job, "still away", delay=0)
    assert queue.retry(take(queue), "still away", delay=0)
    status = queue.status("a") or {}
    assert (status["status"], at(db, "a")) == ("failed", "dead")
    assert "3 times" in status["error"]
    assert db.hget("job:a", "cause") == "still away"
    nothing_left(db)


def test_a_retry_is_at_most_two_seconds_late_while_the_worker_that_failed_it_lives(redis_url: str) -> None:
    queue = make_queue(redis_url, lease=24, block=21)
    queue.enqueue(payload("a"))
    job = take(queue)
    queue.retry(job, "it broke", delay=1.5)
    failed = time.monotonic()
    assert take(queue, seconds=10).id == "a"
    assert time.monotonic() - failed < patience(3.5)


def test_two_workers_share_a_line_without_running_a_job_twice(queue: Queue, db: "redis.Redis", redis_url: str) -> None:
    ids = [f"j{n}" for n in range(60)]
    for name in ids:
        queue.enqueue(payload(name, user=name))
    ran: list[str] = []
    workers = [make_queue(redis_url, f"w{n}", lease=5) for n in range(3)]
    threads = [threading.Thread(target=lambda q=q: ran.extend(drain(q))) for q in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(ran) == sorted(ids)
    nothing_left(db)


def test_a_job_delivered_to_two_workers_at_once_runs_once(queue: Queue, db: "redis.Redis", redis_url: str) -> None:
    queue.enqueue(payload("a"))
    db.lpush(NORMAL, *db.lrange(NORMAL, 0, -1))
    first, second = (db.brpop([NORMAL]) for _ in range(2))
    assert first
    assert first == second
    job = queue._claim(*first)
    assert job is not None
    assert make_queue(redis_url, "w2")._claim(*second) is None
    assert queue.finish(job, "{}")
    assert make_queue(redis_url, "w3")._claim(*second) is None, "not even when it is done"
    nothing_left(db)


def test_the_waits_between_attempts_grow_are_spread_and_never_pass_five_minutes() -> None:
    waits = {attempts: [backoff(attempts) for _ in range(2000)] for attempts in (1, 2, 9)}
    assert 1.8 < sum(waits[1]) / 2000 < 2.2
    assert max(waits[1]) <= 4 < max(waits[2]) <= 16
    assert 290 < max(waits[9]) <= 300
    for drawn in waits.values():
        assert min(drawn) < 0.05 * max(drawn), "jitter over the whole of it: no two workers in step"


# Clocks, versions -----------------------------------------------------------------------------------------------------


def test_a_clock_that_stood_ahead_once_holds_no_job_and_no_retry_for_as_long(
    queue: Queue, db: "redis.Redis", redis_url: str
) -> None:
    far = (time.time() + 3600) * 1000
    queue.enqueue(payload("run"))
    take(queue)
    queue.enqueue(payload("late"))
    queue.retry(take(queue), "it broke", delay=0)
    db.zadd(NORMAL + ":leases", {"run": far})
    db.zadd(NORMAL + ":delayed", {"late": far})
    queue.look_after()
    now = time.time() * 1000
    assert db.zscore(NORMAL + ":leases", "run") < now + (LEASE + 1) * 1000  # type: ignore[operator]
    assert db.zscore(NORMAL + ":delayed", "late") < now + 301_000  # type: ignore[operator]
    assert take(queue).run == 2


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_a_worker_whose_clock_is_an_hour_off_takes_nothing_early_and_says_nothing_wrong(
    queue: Queue, db: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch, skew: int
) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + skew)
    off = make_queue(redis_url, "off", lease=5)
    queue.enqueue(payload("a"))
    job = take(off)
    queue.look_after()
    assert at(db, "a") == "run"
    off.retry(job, "it broke", delay=60)
    off.look_after()
    assert at(db, "a") == "delayed"
    assert abs(int((off.status("a") or {})["createdAt"]) / 1000 - right()) < 60, "the times are Redis' own"


def test_what_only_a_newer_version_knows_is_left_to_it(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue({**payload("a"), "newField": ["x"]}, {"newOption": "7"})
    queue.enqueue(payload("b", "bob"))
    db.hset("job:b", mapping={"at": "a place of the next version"})
    job = take(queue)
    assert (job.id, job.payload["newField"], job.options) == ("a", ["x"], {"newOption": "7"})
    assert queue.finish(job, "{}")
    assert drain(queue) == []
    assert at(db, "b") == "a place of the next version"
    assert queue.dead() == []


# Fairness -----------------------------------------------------------------------------------------------------------


def test_one_users_many_jobs_do_not_hold_up_anothers_one(queue: Queue, db: "redis.Redis") -> None:
    for n in range(50):
        queue.enqueue(payload(f"ann{n:02}", user="ann"))
    queue.enqueue(payload("bob", user="bob"))
    assert db.llen(NORMAL) == 3, "two of ann's and bob's one; the others are parked"
    order = drain(queue)
    assert order.index("bob") == 2
    assert [name for name in order if name != "bob"] == [f"ann{n:02}" for n in range(50)]
    nothing_left(db)


def test_with_twenty_heavy_users_a_newcomer_waits_for_two_jobs_of_each_at_most(
    queue: Queue, db: "redis.Redis"
) -> None:
    for n in range(10):
        for user in range(20):
            queue.enqueue(payload(f"heavy{user}-{n}", user=f"user{user}"))
    for _ in range(7):
        queue.finish(take(queue), "{}")
    queue.enqueue(payload("new", user="newcomer"))
    order = drain(queue)
    assert order.index("new") <= 2 * 20
    assert len(order) == 200 - 7 + 1
    nothing_left(db)


def test_without_a_window_all_jobs_stand_in_the_list(db: "redis.Redis", redis_url: str) -> None:
    queue = make_queue(redis_url, window=0)
    for n in range(7):
        queue.enqueue(payload(f"j{n}"))
    assert db.llen(NORMAL) == 7
    assert drain(queue) == [f"j{n}" for n in range(7)]
    nothing_left(db)


def test_retries_due_together_stand_in_nobodys_way(db: "redis.Redis", redis_url: str) -> None:
    queue = make_queue(redis_url, lease=5)
    for number in range(12):
        queue.enqueue(payload(f"ann{number}", "ann"))
    for _ in range(12):
        queue.retry(take(queue), "an outage", delay=1)
    wait_until(lambda: queue.look_after() and not db.exists(NORMAL + ":delayed"), 5, "the retries")
    queue.enqueue(payload("bob", "bob"))
    assert drain(queue).index("bob") == 2, "two of ann's stand in line, the others are parked"
    nothing_left(db)
