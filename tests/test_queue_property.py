"""The queue's invariants after every step of any interleaving, on a real Redis, and a drain that loses nothing.

Hypothesis plays all parties at once: producers of ours and of somebody else's, workers that die between two commands,
stalled ones that come back, an operator, and strangers who write into our keys. Time does not pass here: where a step
needs it, it moves a lease, a retry or a waiting job into the past. After each step the whole of Redis is read and held
against design.md section 4; each answer of the queue is held against what was read before.

DOCDECK_EXAMPLES=500 looks for new interleavings, at random; without it the same hundred are tried at every run.
"""

import json
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import redis
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from queue_lib import DEAD, LISTS, NORMAL, PAUSED, Job
from tests.queue_tools import make_queue, nothing_left, payload
from tests.redis_tools import OwnRedis

LEASES, DELAYED = NORMAL + ":leases", NORMAL + ":delayed"
WINDOW = 2
ENOUGH = 10  # a look at a line ends after so many pointers: what stands behind them has to wait for the next looks
PAST, FUTURE = 1, 10**13
USERS = st.sampled_from(["ann", "ann", "bob", "cid"])  # some of them have more than their window holds
VERB = st.sampled_from(["finish", "retry", "bury", "release"])
PRIORITY = st.sampled_from([1, 1, 2, 0])

EXAMPLES = os.environ.get("DOCDECK_EXAMPLES")
SETTINGS = settings(
    max_examples=int(EXAMPLES or 100),
    stateful_step_count=40,
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Pointer:
    """What BRPOP gave to a worker that has not claimed it yet."""

    source: str
    raw: str

    @property
    def id(self) -> str:
        return str(json.loads(self.raw)["jobId"])


class Picture:
    """The whole of Redis at one moment: jobs[id] its hash, and the indexes by the names of their keys."""

    def __init__(self, db: "redis.Redis") -> None:
        names: list[str] = sorted(db.keys("*"))  # type: ignore[arg-type]
        with db.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.type(name)
            kinds = pipe.execute()
            for name, kind in zip(names, kinds, strict=True):
                match kind:
                    case "hash":
                        pipe.hgetall(name)
                    case "list":
                        pipe.lrange(name, 0, -1)
                    case "zset":
                        pipe.zrange(name, 0, -1, withscores=True)
                    case _:
                        pipe.get(name)
            self.keys: dict[str, Any] = dict(zip(names, pipe.execute(), strict=True))
        self.jobs: dict[str, dict[str, str]] = {
            name[4:]: value
            for name, value in self.keys.items()
            if name.startswith("job:") and isinstance(value, dict)
        }

    def ids(self, index: str) -> list[str]:
        """The members of a sorted set, the lowest score first."""
        return [member for member, _ in self.keys.get(index, [])]

    def parked(self, name: str) -> list[tuple[str, list[str]]]:
        """The parked lists of one line: the user, and his ids."""
        prefix = f"{name}:parked:"
        return [(key.removeprefix(prefix), ids) for key, ids in self.keys.items() if key.startswith(prefix)]

    def at(self, job_id: str) -> str | None:
        return self.jobs.get(job_id, {}).get("at")

    def holds(self, job: Job) -> bool:
        """Whether this run is the one that has the job."""
        return self.at(job.id) == "run" and self.jobs[job.id]["run"] == str(job.run)


class QueueMachine(RuleBasedStateMachine):
    """A queue whose leases and waits are so long that nothing happens by itself."""

    ids, pointers, runs = Bundle("ids"), Bundle("pointers"), Bundle("runs")

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.db = redis.Redis.from_url(self.url, decode_responses=True)
        self.queue = make_queue(self.url, lease=60, block=0.05, bare_wait=0, patience=0, max_wait=600, window=WINDOW)
        self.accepted: set[str] = set()
        self.late_hashes: set[str] = set()  # pushed bare, and the producer's HSET is still to come
        self.touched: set[str] = set()  # a worker of somebody else's has written their status
        self.vanished: set[str] = set()  # their hash was deleted: what stood in an index may stand there for a while
        self.planted: set[tuple[str, str]] = set()  # (index, id) of a stranger's making, until a look took it out
        self.forgotten: set[str] = set()  # deleted by their user: tombstones
        self.unseen: set[str] = set()  # vanished since the last look
        self.results: dict[str, str] = {}
        self.fences: Counter[str] = Counter()
        self.before = Picture(self.db)

    @initialize(target=ids, line=st.lists(st.tuples(USERS, PRIORITY), max_size=10))
    def start(self, line: list[tuple[str, int]]) -> Any:
        self.db.flushall()
        return multiple(*(self._enqueue(user, priority) for user, priority in line))

    def _changes_nothing(self, what: str) -> None:
        """For a command sent twice: what is there now is what was there after the first."""
        assert self.after_first == Picture(self.db).keys, f"the second {what} changed something"

    def _once(self) -> None:
        self.after_first = Picture(self.db).keys

    # Producers ------------------------------------------------------------------------------------------------------

    @rule(target=ids, user=USERS, priority=PRIORITY)
    def enqueue(self, user: str, priority: int) -> str:
        return self._enqueue(user, priority)

    def _enqueue(self, user: str, priority: int) -> str:
        job_id = f"j{len(self.accepted)}"
        entry = {**payload(job_id, user), "priority": priority}
        assert self.queue.enqueue(entry) == (job_id, True)
        self.accepted.add(job_id)
        self._once()
        assert self.queue.enqueue(entry) == (job_id, False)
        self._changes_nothing("enqueue")
        return job_id

    @rule(job_id=ids, user=USERS)
    def enqueue_again(self, job_id: str, user: str) -> None:
        accepted = self.queue.enqueue(payload(job_id, user))
        assert accepted == (job_id, self.before.at(job_id) is None), "only what Redis knows nothing of is new"

    @rule(target=ids, user=USERS, name=st.sampled_from(LISTS), late=st.booleans(), times=st.integers(1, 2))
    def push_bare(self, user: str, name: str, late: bool, times: int) -> str:
        job_id = f"j{len(self.accepted)}"
        self.db.lpush(name, *[json.dumps(payload(job_id, user))] * times)
        self.accepted.add(job_id)
        self.late_hashes.add(job_id)
        if not late:
            self.write_late_hash(job_id)
        return job_id

    @rule(job_id=ids)
    def write_late_hash(self, job_id: str) -> None:
        if job_id in self.late_hashes:
            self.late_hashes.remove(job_id)
            self.db.hset(f"job:{job_id}", mapping={"status": "queued", "createdAt": int(time.time() * 1000)})

    @rule(job_id=ids, name=st.sampled_from(LISTS), left=st.booleans())
    def double_the_pointer(self, job_id: str, name: str, left: bool) -> None:
        raw = self.before.jobs.get(job_id, {}).get("payload") or json.dumps(payload(job_id, "eve"))
        (self.db.lpush if left else self.db.rpush)(name, raw)

    # Workers --------------------------------------------------------------------------------------------------------

    def _pop(self) -> Pointer | None:
        popped = self.db.brpop(list(LISTS), timeout=0.01) if self.db.exists(*LISTS) else None
        return Pointer(*popped) if popped else None

    @rule(target=pointers)
    def pop(self) -> Any:
        pointer = self._pop()
        return multiple(pointer) if pointer else multiple()

    @rule(times=st.integers(1, 3))
    def pop_and_die(self, times: int) -> None:
        for _ in range(times):
            self._pop()

    @rule(target=runs)
    def pop_and_claim(self) -> Any:
        pointer = self._pop()
        return self._claim(pointer) if pointer else multiple()

    @rule(target=runs, pointer=pointers)
    def claim(self, pointer: Pointer) -> Any:
        return self._claim(pointer)

    def _claim(self, pointer: Pointer) -> Any:
        paused = self.db.exists(PAUSED)
        job = self.queue._claim(pointer.source, pointer.raw)
        place = self.before.at(pointer.id)
        over = self.before.jobs.get(pointer.id, {}).get("status") in ("completed", "failed")  # in a foreign worker
        startable = (place is None or place in LISTS) and not paused and not over
        assert (job is not None) == startable, f"a pointer of a job at {place}"
        if job is None:
            if paused and (place is None or place in LISTS):
                assert self.db.lindex(pointer.source, -1) == pointer.raw, "a pause puts the pointer back"
            return multiple()
        nonce = self.db.hget(f"job:{job.id}", "nonce")
        self._once()
        word, flat = self.queue._call("claim", job.id, pointer.source, pointer.raw, str(nonce), "")
        stored = dict(zip(flat[::2], flat[1::2], strict=True))
        assert (word, stored["run"]) == ("run", str(job.run)), "the same nonce gets the same answer"
        self._changes_nothing("claim by the same worker")
        assert self.queue._claim(pointer.source, pointer.raw) is None, "another worker gets nothing"
        self._changes_nothing("claim by another worker")
        return multiple(job)

    @rule(target=runs)
    def take(self) -> Any:
        self.look_after()
        if self.db.exists(PAUSED) or not self.db.exists(*LISTS):
            return multiple()
        job = self.queue.take()
        return multiple(job) if job else multiple()

    @rule(job=runs)
    def beat(self, job: Job) -> None:
        cancelled = "cancel" in self.before.jobs.get(job.id, {})
        expected = ("cancel" if cancelled else "mine") if self.before.holds(job) else "lost"
        assert self.queue.look_after(job, 42, "phrases") == expected
        self._looked()

    # Old runs stay in the bundle, so each of these is also what a stalled worker does when it wakes.

    @rule(job=runs, verb=VERB)
    def settle(self, job: Job, verb: str) -> None:
        self._settle(job, verb)

    def _settle(self, job: Job, verb: str) -> None:
        ends = {
            "finish": lambda: self.queue.finish(job, json.dumps({"run": job.run})),
            "retry": lambda: self.queue.retry(job, "it broke", delay=60),
            "bury": lambda: self.queue.bury(job, "a sentence"),
            "release": lambda: self.queue.release(job),
        }
        known = self.before.jobs.get(job.id, {})
        if verb == "finish":
            counts = "at" in known and known.get("run") == str(job.run)
        else:
            counts = known.get("settled") == f"{verb} {job.run}" or self.before.holds(job)
        assert ends[verb]() == counts
        self._once()
        assert ends[verb]() == counts
        self._changes_nothing(verb)

    @rule(target=runs, verb=VERB, again=VERB)
    def stall_and_be_overtaken(self, verb: str, again: str) -> Any:
        """A lease ends, another worker takes the job, and then the first one wakes."""
        if not (running := [i for i in self.before.ids(LEASES) if self.before.at(i) == "run"]):
            return multiple()
        stored = self.before.jobs[running[0]]
        zombie = Job(running[0], int(stored["run"]), 1, stored["user"], {})
        self._pass(LEASES, zombie.id)
        self.look_after()
        self.before = Picture(self.db)
        pointer = self._pop()
        successor = self._claim(pointer) if pointer else multiple()
        for woken in (verb, again):
            self.before = Picture(self.db)
            self._settle(zombie, woken)
        return successor

    @rule(end=st.sampled_from(["processing", "completed", "failed"]))
    def foreign_worker(self, end: str) -> None:
        """The specification's worker.py, which may die at any line."""
        pointer = self._pop()
        if pointer:
            self.touched.add(pointer.id)
            self.db.hset(f"job:{pointer.id}", "status", "processing")
            if end == "completed":
                self.db.hset(f"job:{pointer.id}", mapping={"status": end, "progress": "100", "result": "{}"})
            if end == "failed":
                self.db.hset(f"job:{pointer.id}", mapping={"status": end, "error": "KeyError"})

    # Time, care, and the operator -----------------------------------------------------------------------------------

    def _pass(self, index: str, job_id: str) -> None:
        self.db.zadd(index, {job_id: PAST}, xx=True)

    @rule(index=st.sampled_from([LEASES, DELAYED]), one=st.booleans(), look=st.booleans())
    def leases_end_or_retries_are_due(self, index: str, one: bool, look: bool) -> None:
        for job_id in self.before.ids(index)[: 1 if one else None]:
            self._pass(index, job_id)
        if look:
            self.look_after()

    @rule(long=st.booleans())
    def look(self, long: bool) -> None:
        """A look, perhaps after the heads of the lower lines have waited for long."""
        for name in LISTS[1:] if long else ():
            for job_id in self.before.ids(name + ":open")[:1]:
                if self.before.at(job_id) == name:
                    self.db.hset(f"job:{job_id}", "since", PAST)
        self.look_after()

    def look_after(self) -> None:
        assert self.queue.look_after() == "idle"
        self._looked()

    def _looked(self) -> None:
        """What a look has to have taken out: ids without a hash or a right to be there, unless far behind in line."""
        now = Picture(self.db)
        deep = {job_id for name in LISTS for job_id in now.ids(name + ":open")[ENOUGH:]}
        self.unseen &= deep
        due = {(LEASES, i) for i in now.ids(LEASES)} | {(DELAYED, i) for i in now.ids(DELAYED)}
        self.planted &= due | {(f"{name}:open", i) for name in LISTS for i in deep}

    @rule(job_id=ids)
    def cancel(self, job_id: str) -> None:
        self._cancel(job_id)

    @rule(job_id=ids)
    def forget(self, job_id: str) -> None:
        self.queue.forget([job_id])
        self.forgotten.add(job_id)
        self.results.pop(job_id, None)
        self.fences.pop(job_id, None)
        assert self.queue.status(job_id) is None
        self._once()
        self.queue.forget([job_id])
        self._changes_nothing("forget")

    @rule()
    def cancel_a_parked_one(self) -> None:
        for _, parked in [line for name in LISTS for line in self.before.parked(name)][:1]:
            self._cancel(parked[-1])

    def _cancel(self, job_id: str) -> None:
        place = self.before.at(job_id)
        answer = self.queue.cancel(job_id)
        if place is None:
            assert answer in ("unknown", "cancelled", "over"), "a bare push is looked for first"
        else:
            words = {"run": "cancelling", "done": "over", "dead": "over", "deleted": "unknown"}
            assert answer == words.get(place, "cancelled")
        self._once()
        self.queue.cancel(job_id)
        self._changes_nothing("cancel")

    @rule(job_id=ids)
    def requeue(self, job_id: str) -> None:
        assert self.queue.requeue(job_id) == (
            self.before.at(job_id) == "dead" and "list" in self.before.jobs[job_id]
        )
        self._once()
        assert not self.queue.requeue(job_id)
        self._changes_nothing("requeue")

    @rule()
    def pause_or_resume(self) -> None:
        if self.db.exists(PAUSED):
            self.queue.resume()
        else:
            self.queue.pause()

    # Strangers ------------------------------------------------------------------------------------------------------

    @rule(job_id=ids)
    def a_hash_vanishes(self, job_id: str) -> None:
        if self.db.delete(f"job:{job_id}"):
            self.vanished.add(job_id)
            self.unseen.add(job_id)
            self.results.pop(job_id, None)
            self.fences.pop(job_id, None)

    @rule(
        job_id=st.one_of(ids, st.sampled_from(["stranger", "text"])),
        index=st.sampled_from([LEASES, DELAYED, *(name + ":open" for name in LISTS)]),
        score=st.sampled_from([PAST, -5, FUTURE]),
    )
    def a_stranger_plants_an_id(self, job_id: str, index: str, score: int) -> None:
        if job_id == "text":
            self.db.set("job:text", "not a hash")
        if job_id in self.before.ids(index):
            return  # that would only move it
        self.db.zadd(index, {job_id: score})
        self.planted.add((index, job_id))

    # The invariants -------------------------------------------------------------------------------------------------

    @invariant()
    def all_is_in_order(self) -> None:
        self.before = Picture(self.db)
        self._each_job_is_in_one_place(self.before)
        self._windows_are_counted_and_full_where_somebody_is_parked(self.before)
        self._what_is_done_stays_done_and_fences_only_grow(self.before)
        self._the_wire_says_what_is(self.before)

    def _each_job_is_in_one_place(self, now: Picture) -> None:
        indexes = {"run": LEASES, "delayed": DELAYED, "dead": DEAD, **{name: name + ":open" for name in LISTS}}
        self.planted = {(index, i) for index, i in self.planted if i in now.ids(index)}
        for place, index in indexes.items():
            there = {job_id for job_id in now.jobs if now.at(job_id) == place}
            listed = set(now.ids(index))
            excused = {job_id for key, job_id in self.planted if key == index}
            excused |= self.unseen if place in LISTS else self.vanished
            assert there <= listed, f"at = {place}, but not in {index}: {there - listed}"
            assert listed - there <= excused, f"in {index}, but at is another: {listed - there - excused}"
        parked = Counter(i for name in LISTS for _, ids in now.parked(name) for i in ids)
        for job_id, times in parked.items():
            assert job_id in self.vanished or (now.at(job_id), times) == ("parked", 1), f"{job_id} parked {times} times"
        for job_id in now.jobs:
            if now.at(job_id) == "parked":
                key = "{list}:parked:{user}".format(**now.jobs[job_id])
                assert job_id in now.keys.get(key, []), f"{job_id} is parked nowhere"

    def _windows_are_counted_and_full_where_somebody_is_parked(self, now: Picture) -> None:
        for name in LISTS:
            owners = now.keys.get(name + ":owner", {})
            listed = set(now.ids(name + ":open"))
            assert set(owners) <= listed
            assert listed - set(owners) <= {i for index, i in self.planted if index == name + ":open"}
            counted = {user: int(count) for user, count in now.keys.get(name + ":window", {}).items()}
            assert counted == dict(Counter(owners.values())), f"{name}:window"
            for user, ids in now.parked(name):
                assert counted.get(user, 0) >= WINDOW, f"{ids} of {user} are parked beside a free window"
        for name in LISTS:
            parked = sum(len(ids) for _, ids in now.parked(name))
            assert int(now.keys.get(f"{name}:parked") or 0) == parked, "the counter of parked jobs"

    def _what_is_done_stays_done_and_fences_only_grow(self, now: Picture) -> None:
        for job_id, job in now.jobs.items():
            fence = int(job.get("run", 0))
            assert fence >= self.fences[job_id], f"{job_id}'s fence went down"
            self.fences[job_id] = fence
            assert 0 <= int(job.get("attempts", 0)) <= 3
            if job_id in self.touched:
                continue
            if job.get("at") == "done":
                assert self.results.setdefault(job_id, job["result"]) == job["result"], f"{job_id} was done twice"
            else:
                assert job_id not in self.results, f"{job_id} was done and is not any more"
            if job.get("at") == "dead":
                assert job["error"]

    def _the_wire_says_what_is(self, now: Picture) -> None:
        words = {"run": "processing", "done": "completed", "dead": "failed"}
        for job_id in set(now.jobs) & self.accepted - self.touched:
            if (place := now.at(job_id)) and place != "deleted":
                status = self.queue.status(job_id) or {}
                assert status["status"] == words.get(place, "queued"), f"{job_id} is at {place}"

    # The ledger -----------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self._drain()
        finally:
            self.db.close()

    def _drain(self) -> None:
        """Clean workers take what is left; then each accepted job is over and nothing stands in any index."""
        self.queue.resume()
        for job_id in list(self.late_hashes):
            self.write_late_hash(job_id)
        for _ in range(10 * len(self.accepted) + 20):
            for index in (LEASES, DELAYED):
                for member in self.db.zrange(index, 0, -1):
                    self._pass(index, str(member))
            self.queue.look_after()
            while pointer := self._pop():
                job = self.queue._claim(pointer.source, pointer.raw)
                if job:
                    assert self.queue.finish(job, json.dumps({"run": job.run}))
            if not self.db.exists(*LISTS, LEASES, DELAYED, *(name + ":open" for name in LISTS)):
                break
        nothing_left(self.db)
        assert {int(str(self.db.get(f"{name}:parked") or 0)) for name in LISTS} == {0}
        for job_id in self.accepted - self.vanished - self.forgotten:
            if job_id in self.touched and not self.db.hexists(f"job:{job_id}", "at"):
                continue  # pushed by somebody else, taken by somebody else: no promise of ours
            self.db.hset(f"job:{job_id}", "createdAt", PAST)  # old enough to be looked for
            status = self.queue.status(job_id) or {}
            note(f"{job_id}: {status}")
            assert status["status"] in ("completed", "failed"), f"{job_id} is lost: {status}"
            assert status["status"] == "completed" or status["error"], f"{job_id} died without a reason"


def test_no_interleaving_breaks_an_invariant_or_loses_a_job(tmp_path: Path) -> None:
    server = OwnRedis(tmp_path / "redis")

    class OnThisRedis(QueueMachine):
        url = server.url

    try:
        run_state_machine_as_test(OnThisRedis, settings=SETTINGS)
    finally:
        server.kill()
