"""The queue's promise on a real Redis: each test tells one way to lose or double a job, and that it is neither.

Leases and waits are tenths of a second here. Every test that runs jobs ends with `nothing_left`: no job may stand in
an index once all are done or dead.
"""

import json
import threading
import time

import pytest
import redis

from queue_lib import NORMAL, Queue
from tests.queue_tools import LEASE, at, drain, make_queue, nothing_left, payload, take, without_looks
from tests.support import wait_until


@pytest.fixture
def queue(redis_url: str) -> Queue:
    return make_queue(redis_url)


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
    assert LEASE * 0.8 < time.monotonic() - started < LEASE + 2
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
    assert 0.45 < time.monotonic() - failed < 3
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
    assert time.monotonic() - failed < 3.5


def test_a_second_pointer_to_what_a_foreign_worker_has_done_starts_nothing(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("a"))
    (raw,) = db.lrange(NORMAL, 0, -1)
    db.lpush(NORMAL, raw)
    db.brpop([NORMAL])
    db.hset("job:a", mapping={"status": "completed", "result": "{}"})
    assert drain(queue) == []
    assert (queue.status("a") or {})["status"] == "completed"
    nothing_left(db)


def test_a_foreign_hash_with_nonsense_for_numbers_still_has_a_status(queue: Queue, db: "redis.Redis") -> None:
    db.hset("job:odd", mapping={"status": "processing", "createdAt": "yesterday"})
    assert queue.status("odd") == {"status": "processing", "createdAt": 0, "progress": "0"}


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


def test_without_a_window_all_jobs_stand_in_the_list(db: "redis.Redis", redis_url: str) -> None:
    queue = make_queue(redis_url, window=0)
    for n in range(7):
        queue.enqueue(payload(f"j{n}"))
    assert db.llen(NORMAL) == 7
    assert drain(queue) == [f"j{n}" for n in range(7)]
    nothing_left(db)


# Foreign hands ------------------------------------------------------------------------------------------------------


def push_bare(db: "redis.Redis", job_id: str, user: str = "eve", age: float = 0) -> None:
    """What the specification's enqueueJob does."""
    db.lpush(NORMAL, json.dumps(payload(job_id, user)))
    db.hset(f"job:{job_id}", mapping={"status": "queued", "createdAt": str(int((time.time() - age) * 1000))})


def test_a_bare_push_runs_like_any_other_job(queue: Queue, db: "redis.Redis") -> None:
    push_bare(db, "bare")
    assert (queue.status("bare") or {})["status"] == "queued"
    job = take(queue)
    assert (job.id, job.user, job.payload["fileName"]) == ("bare", "eve", "bare.pdf")
    db.hset("job:bare", mapping={"status": "queued"})  # the producer's second command, late
    assert (queue.status("bare") or {})["status"] == "processing"
    assert queue.finish(job, "{}")
    db.hset("job:bare", mapping={"status": "queued"})
    assert (queue.status("bare") or {})["status"] == "completed"
    nothing_left(db)


def test_a_claim_waits_for_the_hash_of_a_bare_push_but_not_for_ever(queue: Queue, db: "redis.Redis") -> None:
    db.lpush(NORMAL, json.dumps(payload("bare")))
    without_looks(queue)  # which would have taken it in
    started = time.monotonic()
    job = take(queue)
    assert time.monotonic() - started >= 0.3
    assert (queue.status("bare") or {})["status"] == "processing"
    assert queue.finish(job, "{}")
    nothing_left(db)


def test_bare_pushes_are_as_fair_and_as_safe_as_ours_once_seen(queue: Queue, db: "redis.Redis") -> None:
    for n in range(60):
        push_bare(db, f"eve{n:02}")
    queue.look_after()
    assert db.llen(NORMAL) == 2
    db.brpop([NORMAL])  # popped by a worker that dies at once
    queue.enqueue(payload("bob", user="bob"))
    order = drain(queue) + drain(queue)
    assert order.index("bob") <= 2
    assert sorted(order) == sorted([f"eve{n:02}" for n in range(60)] + ["bob"])
    nothing_left(db)


def test_a_bare_push_that_was_lost_before_we_saw_it_is_said_to_be_lost(queue: Queue, db: "redis.Redis") -> None:
    push_bare(db, "gone", age=61)
    db.brpop([NORMAL])
    assert (queue.status("gone") or {})["status"] == "queued", "its pointer may be on the way to a claim"
    wait_until(lambda: (queue.status("gone") or {})["status"] == "failed", 5, "the sentence")
    assert "upload the document again" in (queue.status("gone") or {})["error"]
    assert db.zrange(NORMAL + ":dead", 0, -1) == ["gone"]


def test_an_old_bare_push_that_still_stands_in_the_list_is_taken_in_when_asked_for(
    queue: Queue, db: "redis.Redis"
) -> None:
    push_bare(db, "old", age=3600)
    assert (queue.status("old") or {})["status"] == "queued"
    assert at(db, "old") == NORMAL
    assert drain(queue) == ["old"]
    nothing_left(db)


def test_a_worker_of_the_specification_can_drain_all_jobs_of_a_user(queue: Queue, db: "redis.Redis") -> None:
    for n in range(10):
        queue.enqueue(payload(f"j{n}"))
    served = []
    while (popped := db.brpop([NORMAL], timeout=0.1)) is not None:
        job_id = json.loads(popped[1])["jobId"]
        db.hset(f"job:{job_id}", "status", "processing")
        queue.look_after()  # the API's, every 20 seconds
        assert (queue.status(job_id) or {})["status"] == "processing"
        db.hset(f"job:{job_id}", mapping={"status": "completed", "progress": "100", "result": "{}"})
        assert (queue.status(job_id) or {})["status"] == "completed"
        served.append(job_id)
        queue.look_after()
    assert served == [f"j{n}" for n in range(10)]
    assert db.llen(NORMAL) == 0


def test_the_end_of_a_foreign_workers_job_is_noticed_at_the_next_look(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("a"))
    db.brpop([NORMAL])
    db.hset("job:a", "status", "processing")
    queue.look_after()
    assert at(db, "a") == "run"
    db.hset("job:a", mapping={"status": "completed", "result": "{}"})
    queue.look_after()
    assert at(db, "a") == "done"
    nothing_left(db)


def test_a_foreign_worker_that_died_gives_its_job_back_after_the_timeout(db: "redis.Redis", redis_url: str) -> None:
    queue = make_queue(redis_url, timeout=0.8)
    queue.enqueue(payload("a"))
    db.brpop([NORMAL])
    db.hset("job:a", "status", "processing")
    queue.look_after()
    assert at(db, "a") == "run"
    job = take(queue)
    assert (job.id, job.run) == ("a", 2)
    queue.finish(job, "{}")
    nothing_left(db)


@pytest.mark.parametrize(
    "entry", ["no json", "[]", '{"jobId": 7}', '{"jobId": ""}', '{"jobId": "a b"}', "[" * 100_000, b"\xff\xfe\x00"]
)
def test_an_entry_that_is_no_job_is_kept_in_the_dead_list_and_the_next_one_runs(
    queue: Queue, db: "redis.Redis", redis_url: str, entry: str | bytes
) -> None:
    db.lpush(NORMAL, entry)
    queue.enqueue(payload("good"))
    assert queue.take() is None
    assert take(queue).id == "good"
    (dead,) = db.zrange(NORMAL + ":dead", 0, -1)
    with redis.Redis.from_url(redis_url) as plain:
        kept = plain.hget(f"job:{dead!s}", "payload")
    assert kept == (entry if isinstance(entry, bytes) else entry.encode())


def test_a_push_that_lua_can_read_and_python_cannot_ends_dead_under_its_own_id(queue: Queue, db: "redis.Redis") -> None:
    deep = '{"jobId": "deep", "userId": "eve", "x": ' + "[" * 998 + "]" * 998 + "}"
    db.lpush(NORMAL, deep, '{"jobId": "tab", "userId": "eve", "fileName": "a\tb", "n": ' + "1" * 5000 + "}")
    queue.look_after()
    queue.enqueue(payload("good", "eve"))
    ran = drain(queue)
    assert "good" in ran
    assert {"deep", "tab"} == {*ran, *queue.dead()} - {"good"}
    nothing_left(db)


def test_a_pointer_that_says_something_else_than_what_was_enqueued_does_not_change_the_job(
    queue: Queue, db: "redis.Redis"
) -> None:
    queue.enqueue(payload("a"))
    db.rpush(NORMAL, json.dumps({**payload("a", "eve"), "fileUrl": "http://evil.test/"}))
    job = take(queue)
    assert (job.user, job.payload) == ("ann", payload("a"))
    assert queue.finish(job, "{}")


def test_a_push_whose_job_key_is_no_hash_is_kept_in_the_dead_list_as_well(queue: Queue, db: "redis.Redis") -> None:
    db.set("job:text", "not a hash")
    db.lpush(NORMAL, json.dumps(payload("text")))
    assert drain(queue) == []
    (dead,) = queue.dead()
    assert json.loads(db.hget(f"job:{dead}", "payload") or "")["jobId"] == "text"
    assert db.get("job:text") == "not a hash"


def test_strange_keys_and_ids_do_not_stop_the_care_for_others(queue: Queue, db: "redis.Redis") -> None:
    db.set("job:text", "not a hash")
    db.zadd(NORMAL + ":open", {"text": -5, "nowhere": -4})
    db.zadd(NORMAL + ":leases", {"text": 1, "nowhere": 1})
    db.zadd(NORMAL + ":delayed", {"text": 1, "nowhere": 1})
    db.lpush(NORMAL, json.dumps(payload("text")))
    db.hset("job:half", mapping={"at": NORMAL, "status": "queued"})
    db.zadd(NORMAL + ":open", {"half": -6})
    queue.enqueue(payload("good"))
    db.rpop(NORMAL)  # the stranger's, and then the good one's pointer is lost as well
    db.rpop(NORMAL)
    queue.look_after()
    assert drain(queue) == ["good"]
    nothing_left(db)


def test_a_job_whose_hash_vanished_frees_its_place_in_the_window(queue: Queue, db: "redis.Redis") -> None:
    for name in "abc":
        queue.enqueue(payload(name))
    db.delete("job:a", "job:b")
    queue.look_after()
    assert at(db, "c") == NORMAL
    assert "c" in drain(queue)
    assert at(db, "c") == "done"
