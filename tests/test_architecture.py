"""docs/architecture.md against the code: each arrow of a job's way is gone by a real job, each import is an arrow."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from queue_lib import Job, Queue
from tests.queue_tools import LEASE, at, make_queue, payload, take, without_looks
from tests.redis_tools import OwnRedis
from tests.support import ROOT, wait_until
from tests.test_docs import MAY_IMPORT, imported

PAGE = (ROOT / "docs" / "architecture.md").read_text()
WAY, ROOMS = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
LUA = (ROOT / "queue_lib.lua").read_text()
ARROWS = [
    (before, verb, after)
    for before, after, verbs in re.findall(r"^ +(\S+) --> (\w+): (.+)$", WAY, re.MULTILINE)
    for verb in verbs.split(", ")
]
TABLE = {cells[1].strip("` "): cells for cells in (line.split("|") for line in PAGE.splitlines() if line[:3] == "| `")}
WRITES = {
    *("HSET", "HDEL", "HSETNX", "HINCRBY", "ZADD", "ZREM", "LPUSH", "RPUSH", "RPOP", "LREM"),
    *("INCR", "DECR", "DECRBY", "SET", "DEL"),
}
FOR_OPERATORS = re.compile(r"document_queue:(stats.*|users:.*|done|dead:.*|group.*|workers)")


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path_factory.mktemp("redis") / "data")
    yield server
    server.kill()


def bring(queue: Queue, state: str) -> Job | None:
    """Bring the job "a" to a state; what a worker has of it."""
    if state == "[*]":
        return None
    if state == "parked":
        queue.enqueue(payload("b"))  # there is room for one in the line
    queue.enqueue(payload("a"))
    job = take(queue) if state in ("run", "delayed", "done", "dead") else None
    if job and state == "delayed":
        queue.retry(job, "a reason", LEASE)
    if job and state == "done":
        queue.finish(job, "{}")
    if job and state == "dead":
        queue.bury(job, "a reason")
    return job


def act(queue: Queue, job: Job | None, before: str, verb: str, after: str) -> None:
    """Have the verb said of the job "a"."""
    if verb == "enqueue":
        queue.enqueue(payload("a"))
    elif verb in ("claim", "promote"):
        take(queue)
    elif verb in ("cancel", "requeue"):
        getattr(queue, verb)("a")
    elif verb == "forget":
        queue.forget(["a"])
    elif verb == "look_after":
        wait_until(lambda: queue.look_after() and queue.whereabouts(["a"]) != [before], 10, "the next state")
    else:
        assert job
        more: dict[str, list[Any]] = {"finish": ["{}"], "retry": ["a reason", 60], "bury": ["a reason"]}
        getattr(queue, verb)(job, *more.get(verb, []))


@pytest.mark.parametrize("verb", sorted({verb for _, verb, _ in ARROWS}))
def test_a_verb_takes_a_job_along_its_arrows_and_writes_the_keys_of_the_table(own_redis: OwnRedis, verb: str) -> None:
    written, db = set[str](), own_redis.client
    for before, _, after in (arrow for arrow in ARROWS if arrow[1] == verb):
        db.flushall()
        last = after == "dead" and verb in ("retry", "look_after")
        queue = make_queue(own_redis.url, window=1, max_attempts=1 if last else 3)
        job = bring(queue, before)
        if after == "parked":
            queue.enqueue(payload("b"))
        assert state(db) == before
        without_looks(queue)
        with db.monitor() as monitor:
            act(queue, job, before, verb, after)
            db.echo("enough")
            written |= keys_written(monitor)
        assert state(db) == after
    if verb in TABLE:
        assert written == set(re.findall(r"`([^`]+)`", TABLE[verb][3]))


def state(db: "redis.Redis") -> str:
    """Where the job "a" is, as the picture calls it."""
    return (at(db, "a") or "[*]").replace("document_queue", "line")


def keys_written(monitor: "redis.client.Monitor") -> set[str]:
    """The keys that scripts have written since, as the table calls them, without what is only shown to operators."""
    written = set[str]()
    for entry in monitor.listen():
        words = entry["command"].split()
        if words[0] == "ECHO":
            return written
        if entry["client_type"] == "lua" and words[0] in WRITES and not FOR_OPERATORS.fullmatch(words[1]):
            key = re.sub(r"^document_queue(?=$|:(open|owner|window|parked))", "L", words[1])
            key = re.sub(r"^(job|worker):.*", r"\1:{id}", key)
            written.add(re.sub(r"^L:parked:.*", "L:parked:{user}", key))
    raise AssertionError("the monitor ended")


def test_the_states_the_verbs_and_the_keys_of_the_page_are_those_of_the_queue() -> None:
    states = {state for before, _, after in ARROWS for state in (before, after)}
    assert states - {"[*]", "line"} == set(re.findall(r"save\(job, 'at', '(\w+)'", LUA))
    verbs = {verb for _, verb, _ in ARROWS}
    assert verbs - {"promote"} == TABLE.keys()
    assert TABLE.keys() <= set(re.findall(r"^(?:function verbs\.|give_up\(')(\w+)", LUA, re.MULTILINE))
    head = (ROOT / "queue_lib.py").read_text().partition('"""\n\n')[0]
    for verb, cells in TABLE.items():
        for key in re.findall(r"`([^`]+)`", cells[3]):
            assert key == "L" or re.search(rf"^    {re.escape(key)}[, ]", head, re.MULTILINE), (verb, key)
        for file in re.findall(r"`(\w+\.py)`", cells[2]):
            said = {"claim": '"claim"', "look_after": r"\.(look_after|beat)\("}.get(verb, rf"queue\.{verb}\w*\(")
            assert re.search(said, (ROOT / file).read_text()), (verb, file)


def test_the_arrows_between_the_rooms_are_the_imports_that_there_are() -> None:
    drawn = set()
    for room, others in re.findall(r"^ +(\w+)(?:\[.*\])? --> (.+)$", ROOMS, re.MULTILINE):
        drawn |= {("gunicorn.conf" if room == "gunicorn" else room, other) for other in others.split(" & ")}
    rooms = [room for room in MAY_IMPORT if room != "pipeline"]
    assert drawn == {(room, other) for room in rooms for other in imported(f"{room}.py")}


def test_readme_leads_to_the_page() -> None:
    assert "(docs/architecture.md)" in (ROOT / "README.md").read_text()
    assert all((ROOT / Path(name)).exists() for name in re.findall(r"`([\w/]+\.\w+)`", PAGE))
