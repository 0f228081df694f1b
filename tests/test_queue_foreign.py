"""Foreign hands in the queue: bare pushes, the specification's own worker, entries that are no jobs, strange keys.

What is pushed by somebody else is as safe and as fair as ours once seen; what nobody can read is kept with a reason;
and nothing of it stops the care for the others.
"""

import json
import time

import pytest
import redis

from queue_lib import NORMAL, Queue
from tests.queue_tools import at, drain, make_queue, nothing_left, payload, take, without_looks
from tests.support import wait_until


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


def test_a_bare_pushs_priority_counts_once_seen(queue: Queue, db: "redis.Redis") -> None:
    for job_id, priority in (("low", 0), ("normal", 1), ("odd", "2"), ("high", 2)):
        db.lpush(NORMAL, json.dumps({**payload(job_id, job_id), "priority": priority}))
        db.hset(f"job:{job_id}", "status", "queued")
    queue.look_after()
    assert drain(queue) == ["high", "normal", "odd", "low"], "anything else than 2, 1 or 0 is normal"
    nothing_left(db)


def test_a_bare_push_that_was_lost_before_we_saw_it_is_said_to_be_lost(queue: Queue, db: "redis.Redis") -> None:
    push_bare(db, "gone", age=61)
    db.brpop([NORMAL])
    assert (queue.status("gone") or {})["status"] == "queued", "its pointer may be on the way to a claim"
    wait_until(lambda: (queue.status("gone") or {})["status"] == "failed", 5, "the sentence")
    assert "upload the document again" in (queue.status("gone") or {})["error"]
    assert db.zrange(NORMAL + ":dead", 0, -1) == ["gone"]


def test_a_bare_push_whose_foreign_worker_died_at_it_is_said_to_be_lost_after_the_time_that_a_job_may_take(
    db: "redis.Redis", redis_url: str
) -> None:
    queue = make_queue(redis_url, timeout=0.5)
    push_bare(db, "gone", age=61)
    db.brpop([NORMAL])
    db.hset("job:gone", "status", "processing")
    asked = time.monotonic()
    assert (queue.status("gone") or {})["status"] == "processing", "somebody may be at it"
    wait_until(lambda: (queue.status("gone") or {})["status"] == "failed", 5, "the sentence")
    assert time.monotonic() - asked >= 0.5
    assert "upload the document again" in (queue.status("gone") or {})["error"]


def test_an_old_bare_push_that_still_stands_in_the_list_is_not_said_to_be_lost_and_keeps_its_place(
    queue: Queue, db: "redis.Redis"
) -> None:
    for name in ("old", "later"):
        push_bare(db, name, user=name, age=3600)
    asked = time.monotonic()
    while time.monotonic() < asked + 0.3:  # longer than its patience
        assert (queue.status("old") or {})["status"] == "queued"
    assert drain(queue) == ["old", "later"]
    nothing_left(db)


def test_a_bare_push_whose_producer_lets_it_fade_is_kept_once_seen(queue: Queue, db: "redis.Redis") -> None:
    for n in range(3):
        push_bare(db, f"j{n}")
        db.expire(f"job:j{n}", 100)
    queue.look_after()
    assert [db.ttl(f"job:j{n}") for n in range(3)] == [-1] * 3
    assert sorted(drain(queue)) == ["j0", "j1", "j2"]


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
