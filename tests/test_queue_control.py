"""What users and operators may ask of the queue: priority, cancel, pause, requeue, idempotency, limits."""

import json
import time

import pytest
import redis

import queue_lib
from queue_lib import DEAD, NORMAL, Full, Queue, TooMany
from tests.queue_tools import at, drain, make_queue, nothing_left, payload, take
from tests.support import wait_until


def job(job_id: str, priority: int, user: str = "") -> dict[str, object]:
    return {**payload(job_id, user or job_id), "priority": priority}


# Priorities -----------------------------------------------------------------------------------------------------------


def test_high_goes_before_normal_and_normal_before_low(queue: Queue, db: "redis.Redis") -> None:
    for name, priority in (("l", 0), ("n", 1), ("h", 2)):
        queue.enqueue(job(name, priority))
    queue.enqueue(payload("n2", "n2"))
    assert drain(queue) == ["h", "n", "n2", "l"]
    nothing_left(db)


def test_the_head_of_a_lower_line_moves_up_when_it_has_waited_long(db: "redis.Redis", redis_url: str) -> None:
    queue = make_queue(redis_url, max_wait=0.3)
    queue.enqueue(job("low", 0))
    time.sleep(0.35)  # the wait is what is tested
    for n in range(5):
        queue.enqueue(job(f"n{n}", 1))
    queue.look_after()
    assert drain(queue)[0] == "low"
    nothing_left(db)


def test_a_users_low_jobs_do_not_fill_the_window_of_his_high_ones(queue: Queue, db: "redis.Redis") -> None:
    for n in range(9):
        queue.enqueue(job(f"low{n}", 0, "ann"))
    queue.enqueue(job("high", 2, "ann"))
    assert drain(queue)[0] == "high"
    nothing_left(db)


# Cancel ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [NORMAL, "parked", "delayed"])
def test_a_waiting_job_that_is_cancelled_never_runs(queue: Queue, db: "redis.Redis", place: str) -> None:
    if place == "delayed":
        queue.enqueue(payload("it"))
        queue.retry(take(queue), "it broke", delay=0.3)
    if place == "parked":
        queue.enqueue(payload("a"))
        queue.enqueue(payload("b"))
    queue.enqueue(payload("it"))
    assert at(db, "it") == place
    assert queue.cancel("it") == "cancelled"
    status = queue.status("it") or {}
    assert (status["status"], status["error"]) == ("failed", "Cancelled")
    assert "it" not in drain(queue) + drain(queue)
    nothing_left(db)


def test_cancelling_frees_the_place_for_the_users_next_job(queue: Queue, db: "redis.Redis") -> None:
    for name in "abc":
        queue.enqueue(payload(name))
    queue.cancel("a")
    assert at(db, "c") == NORMAL
    assert drain(queue) == ["b", "c"]
    nothing_left(db)


def test_a_running_job_hears_of_its_cancel_and_ends_as_cancelled(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("a"))
    running = take(queue)
    assert queue.cancel("a") == "cancelling"
    assert queue.look_after(running, 30, "phrases") == "cancel"
    assert queue.release(running)
    assert (queue.status("a") or {})["error"] == "Cancelled"
    assert queue.take() is None
    nothing_left(db)


@pytest.mark.parametrize("end", ["retry", "lease over"])
def test_a_cancelled_job_does_not_come_back_from_a_failure(queue: Queue, db: "redis.Redis", end: str) -> None:
    queue.enqueue(payload("a"))
    running = take(queue)
    queue.cancel("a")
    if end == "retry":
        queue.retry(running, "it broke", delay=0)
    wait_until(lambda: queue.look_after() and at(db, "a") == "dead", 5, "the cancelled job's end")
    assert (queue.status("a") or {})["error"] == "Cancelled"
    nothing_left(db)


def test_a_result_that_is_there_before_the_cancel_is_heard_counts(queue: Queue) -> None:
    queue.enqueue(payload("a"))
    running = take(queue)
    queue.cancel("a")
    assert queue.finish(running, "{}")
    assert (queue.status("a") or {})["status"] == "completed"


def test_cancelling_what_is_over_or_unknown_is_answered_as_such(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("a"))
    queue.finish(take(queue), "{}")
    assert queue.cancel("a") == "over"
    assert queue.cancel("nobody") == "unknown"
    assert (queue.status("a") or {})["status"] == "completed"


def test_a_bare_push_can_be_cancelled_before_anybody_looked_at_it(queue: Queue, db: "redis.Redis") -> None:
    db.lpush(NORMAL, json.dumps(payload("bare")))
    db.hset("job:bare", mapping={"status": "queued", "createdAt": str(int(time.time() * 1000))})
    assert queue.cancel("bare") == "cancelled"
    assert drain(queue) == []
    nothing_left(db)


# Requeue, pause -------------------------------------------------------------------------------------------------------


def test_a_dead_job_starts_anew_when_it_is_requeued(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("a"))
    queue.bury(take(queue), "a bad day")
    assert queue.requeue("a")
    assert not queue.requeue("a"), "it is not dead any more"
    again = take(queue)
    assert (again.run, again.attempts) == (2, 1)
    assert "error" not in (queue.status("a") or {})
    queue.finish(again, "{}")
    assert db.zcard(DEAD) == 0
    nothing_left(db)


def test_requeueing_leaves_out_what_was_never_a_job(queue: Queue, db: "redis.Redis") -> None:
    queue.enqueue(payload("bad"))
    queue.bury(take(queue), "a bad day")
    db.lpush(NORMAL, "no json")
    assert drain(queue) == []
    assert len(queue.dead()) == 2
    assert queue.requeue(*queue.dead()) == 1
    assert drain(queue) == ["bad"]
    assert len(queue.dead()) == 1


def test_a_paused_queue_starts_nothing_until_it_is_resumed(queue: Queue, db: "redis.Redis", redis_url: str) -> None:
    queue.enqueue(payload("running"))
    running = take(queue)
    queue.enqueue(payload("waiting"))
    make_queue(redis_url).pause()
    assert queue.take() is None
    assert make_queue(redis_url, "started later").take() is None
    assert at(db, "waiting") == NORMAL
    assert queue.finish(running, "{}"), "what runs goes on"
    make_queue(redis_url).resume()
    assert take(queue).id == "waiting"


def test_a_job_popped_just_before_a_pause_keeps_its_place(queue: Queue, db: "redis.Redis") -> None:
    for name in "ab":
        queue.enqueue(payload(name, name))
    queue.look_after()
    queue.pause()
    assert queue.take() is None, "the pop went through, the claim did not"
    queue.resume()
    wait_until(lambda: queue.look_after() and not queue._paused, 5, "the resume")
    assert drain(queue) == ["a", "b"]
    nothing_left(db)


def test_a_pause_is_no_busy_loop(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = make_queue(redis_url, block=0.5)
    queue.pause()
    started = time.monotonic()
    for _ in range(4):
        assert queue.take() is None
    assert time.monotonic() - started >= 1.9


def test_the_environment_sets_what_readme_says_it_does(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_URL", redis_url)
    names = {
        "USER_WINDOW": ("5", "window", 5),
        "MAX_ATTEMPTS": ("7", "attempts", 7),
        "JOB_TIMEOUT": ("60", "timeout", 60_000),
        "JOB_TTL": ("100", "ttl", 100_000),
        "LOW_MAX_WAIT": ("30", "max_wait", 30_000),
        "MAX_QUEUE_LENGTH": ("11", "max_waiting", 11),
        "MAX_USER_JOBS": ("3", "max_user_jobs", 3),
    }
    for name, (value, _, _) in names.items():
        monkeypatch.setenv(name, value)
    told = json.loads(Queue.from_env()._settings)
    assert {setting: told[setting] for _, setting, _ in names.values()} == {
        setting: value for _, setting, value in names.values()
    }


def test_an_operator_can_pause_resume_and_see_the_dead_list_from_a_shell(
    queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    queue.enqueue(payload("bad"))
    queue.bury(take(queue), "a bad day")
    queue.enqueue(payload("next"))
    queue_lib.main(["dead"])
    queue_lib.main(["pause"])
    assert queue.take() is None
    queue_lib.main(["resume"])
    assert capsys.readouterr().out == "bad  a bad day\n"
    assert drain(queue) == ["next"]


# Idempotency and limits -----------------------------------------------------------------------------------------------


def test_the_same_idempotency_key_of_the_same_user_stands_for_the_first_job(queue: Queue, db: "redis.Redis") -> None:
    assert queue.enqueue(payload("a"), key="k1") == ("a", True)
    assert queue.enqueue(payload("b"), key="k1") == ("a", False)
    assert queue.enqueue(payload("c", "bob"), key="k1") == ("c", True)
    assert queue.enqueue(payload("d"), key="k2") == ("d", True)
    assert not db.exists("job:b")
    queue.enqueue(payload("e", "a:b"), key="c")
    assert queue.enqueue(payload("f", "a"), key="b:c").new, "two users' keys never meet"
    assert 86_000 < db.ttl(NORMAL + ":same:3:ann:k1") <= 86_400


def test_a_full_queue_and_a_user_with_too_many_jobs_are_refused(redis_url: str, db: "redis.Redis") -> None:
    queue = make_queue(redis_url, max_waiting=7, max_user_jobs=4)
    for n in range(4):
        queue.enqueue(payload(f"a{n}"))
    with pytest.raises(TooMany):
        queue.enqueue(payload("a4"))
    for n in range(3):
        queue.enqueue(payload(f"b{n}", "bob"))
    with pytest.raises(Full):
        queue.enqueue(payload("c", "cid"))
    assert not db.exists("job:c")
    assert len(drain(queue)) == 7
    queue.enqueue(payload("a4"))
    assert drain(queue) == ["a4"]
    nothing_left(db)


def test_running_and_delayed_jobs_of_a_user_count_as_open(redis_url: str) -> None:
    queue = make_queue(redis_url, max_user_jobs=2, lease=5)
    queue.enqueue(payload("a"))
    queue.retry(take(queue), "it broke", delay=60)
    queue.enqueue(payload("b"))
    take(queue)
    with pytest.raises(TooMany):
        queue.enqueue(payload("c"))
    assert queue.enqueue(payload("d", "bob")).new
