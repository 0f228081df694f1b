"""Records in MongoDB at scale: which shards a query asks, how long records are kept, which schema they have, and how
many connections a process holds. The local stand-in has no shards: what can be seen is what each query names.
"""

import contextlib
import inspect
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

import storage
from records import SCHEMA, WEEK, Records
from storage import Storage
from tests.queue_tools import make_queue, payload, take
from tests.support import running_api, wait_until
from tests.test_auth import SECRET, bearer, token
from tests.test_outages import Mongo

TEXT = b"Water is life. " * 40
DONE = {"flashcards": [{"id": "1", "word": "aquifer"}]}


class Asked(CommandListener):
    """The filters, and what was inserted, of all that a client asked MongoDB."""

    def __init__(self) -> None:
        self.filters: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        told: Any = event.command
        match event.command_name:
            case "find":
                self.filters.append(told["filter"])
            case "insert":
                self.filters += told["documents"]
            case "update":
                assert not any(one.get("upsert") for one in told["updates"]), "which would have to name the user"
                self.filters += [one["q"] for one in told["updates"]]
            case "delete":
                self.filters += [one["q"] for one in told["deletes"]]
            case name:
                assert name in ("createIndexes", "dropIndexes", "listIndexes", "ping", "getMore", "endSessions"), name

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Of no interest."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Of no interest."""

    def crossing(self) -> list[dict[str, Any]]:
        """Those that name no user, so that every shard has to be asked."""
        return [one for one in self.filters if not isinstance(one.get("userId"), str)]


def listen(records: Records) -> Asked:
    """What is asked of MongoDB from now on."""
    asked = Asked()
    records._mongo.close()
    records._mongo = pymongo.MongoClient(os.environ["MONGODB_URI"], event_listeners=[asked])
    records._database = records._mongo.get_default_database()
    return asked


ASK: dict[str, Callable[[Records, str | None], object]] = {
    "prepare": lambda records, user: records.prepare(),
    "create_job": lambda records, user: records.create_job(payload("a"), {"digest": "d"}, 1),
    "set_status": lambda records, user: records.set_status("a", "ann", "queued", 2),
    "record": lambda records, user: records.record("a", user),
    "save_result": lambda records, user: records.save_result("a", "ann", DONE),
    "same_result": lambda records, user: records.same_result("ann", "d"),
    "result": lambda records, user: records.result("a", user),
    "status": lambda records, user: records.status("a", user),
    "jobs": lambda records, user: records.jobs("ann", 5, (1, "a")),
    "owner": lambda records, user: records.owner("a"),
    "job_ids": lambda records, user: records.job_ids("ann", 5),
    "fail_job": lambda records, user: records.fail_job("a", "ann", "It broke."),
    "reopen_jobs": lambda records, user: records.reopen_jobs(["a"], user),
    "waiting_jobs": lambda records, user: list(records.waiting_jobs(-60, 600)),
    "sweep": lambda records, user: list(records.sweep(3600)),
    "forget": lambda records, user: records.forget("ann", ["a"]),
    "delete_job": lambda records, user: records.delete_job("a", "ann"),
    "ping": lambda records, user: records.ping(),
    "examine": lambda records, user: records.examine(),
}


@pytest.mark.parametrize("user", ["ann", None])
def test_a_query_names_its_user_and_only_those_that_say_so_cross_shards(
    files: Storage, records: Records, user: str | None
) -> None:
    asking = {name for name in vars(Records) if not name.startswith("_")
              and "_mongo_errors()" in inspect.getsource(getattr(Records, name))}  # fmt: skip
    assert asking == set(ASK), "a query that this test does not know"
    records._keep = WEEK
    past = {"userId": "ann", "createdAt": 1, "savedAt": 1, "file": files.result_key("ann", "long")}
    records._database.jobs.insert_one({**past, "_id": "ended", "status": "failed", "endedAt": 1})
    records._database.jobs.insert_one({**past, "_id": "begun", "status": "uploading"})
    records._database.results.insert_one({**past, "_id": "long"})
    asked, crossing = listen(records), {}
    for name, ask in ASK.items():
        asked.filters.clear()
        told = ask(records, user)
        if name == "sweep":
            assert told == ["ended", "begun", "long"]
        crossing[name] = asked.crossing()
    for name, filters in crossing.items():
        said = getattr(Records, name).__doc__ or ""
        optional = "Crosses shards without a user." in said
        assert bool(filters) == ("Crosses shards." in said or (optional and user is None)), name
        if optional:
            assert all("_id" in one for one in filters), "only for a job that is asked for by its id"


def test_a_user_with_a_token_makes_no_query_that_crosses_shards_in_all_of_a_jobs_life(
    records: Records, redis_url: str, db: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH_SECRET", SECRET)
    queue = make_queue(redis_url)
    with running_api() as app, app.test_client() as client:
        asked = listen(app.extensions["records"])

        def ask(method: str, path: str, **sent: Any) -> Any:
            return client.open(path, method=method, headers=bearer(token()), **sent)

        def upload() -> str:
            form = {"file": (BytesIO(TEXT), "water.txt")}
            return str(ask("POST", "/api/upload-document-async", data=form).json["jobId"])

        broken, done = upload(), upload()
        assert queue.bury(take(queue), "It broke.")
        records.fail_job(broken, "ann", "It broke.")
        assert ask("POST", f"/api/jobs/{broken}/retry").status_code == 200
        records.save_result(done, "ann", DONE)
        assert queue.finish(take(queue), "{}")
        assert ask("POST", f"/api/jobs/{broken}/cancel").status_code == 200
        assert ask("GET", f"/api/jobs/{done}/file").status_code == 200
        begun = ask("POST", "/api/uploads", json={"fileName": "w.txt", "size": 9}).json["uploadId"]
        assert ask("POST", f"/api/uploads/{begun}/complete").status_code == 409
        db.flushall()
        assert ask("GET", f"/api/job-status/{done}").json["status"] == "completed"
        assert len(ask("GET", "/api/jobs").json["jobs"]) == 2
        assert ask("DELETE", f"/api/jobs/{done}").status_code == 204
        assert ask("DELETE", "/api/users/ann").status_code == 204
        assert len(asked.filters) > 20
        assert asked.crossing() == []


# How long records are kept --------------------------------------------------------------------------------------------


def prune(records: Records) -> None:
    """SecantusDB looks once a minute what its TTL indexes say, and at once when it is asked to."""
    records._mongo.admin.command("secantusAdmin.pruneTtl")


def kept_for(records: Records) -> list[int | None]:
    """What the TTL indexes of jobs and results say."""
    kinds = (records._database.jobs, records._database.results)
    return [kind.index_information().get("keptSince_1", {}).get("expireAfterSeconds") for kind in kinds]


def test_the_indexes_are_made_once_and_follow_result_ttl_however_many_look_at_the_same_time(
    files: Storage, records: Records, mongo_uri: str
) -> None:
    def prepare(keep: int | None) -> None:
        with closing(Records(mongo_uri, files, keep=keep)) as own:
            for _ in range(3):
                own.prepare()

    names = None
    for keep in (None, WEEK, WEEK, 2 * WEEK, WEEK + 1, None):
        threads = [threading.Thread(target=prepare, args=[keep]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert kept_for(records) == [keep, keep]
        others = {*records._database.jobs.index_information(), *records._database.results.index_information()}
        names = names or others
        assert others - {"keptSince_1"} == names
    assert {"userId_1_createdAt_-1__id_-1", "status_1_createdAt_1", "swept_1_endedAt_1", "file_1"} < (names or set())


@pytest.fixture
def keeping(records: Records, mongo_uri: str) -> Iterator[Records]:
    """The same database, its records kept for a second."""
    with closing(Records(mongo_uri, records.files, keep=1)) as keeping:
        keeping.prepare()
        yield keeping


def ended_with_upload(records: Records, job_id: str) -> str:
    """A completed job of an hour ago; the key of its upload."""
    records.create_job(payload(job_id), {"digest": job_id}, len(TEXT))
    key = records.files.put(BytesIO(TEXT), len(TEXT), "ann", job_id)
    records.save_result(job_id, "ann", DONE)
    records._database.jobs.update_one({"_id": job_id}, {"$set": {"endedAt": int(time.time() * 1000) - 3_600_000}})
    return key


def test_a_job_and_its_result_are_deleted_by_mongodb_but_never_before_its_upload(keeping: Records) -> None:
    key = ended_with_upload(keeping, "a")
    keeping.create_job(payload("waiting"), {}, 1)

    def expired() -> bool:
        prune(keeping)
        return keeping.result("a") is None

    wait_until(expired, 10, "the end of the result")
    assert keeping.record("a") is not None, "or nobody would find the upload"
    assert keeping.status("a") is None, "it is completed, and there is no result of it any more"
    assert keeping.same_result("ann", "a") is None
    assert list(keeping.sweep(60)) == ["a"]
    assert not keeping.files.has(key)
    prune(keeping)
    assert keeping.record("a") is None
    assert keeping.record("waiting") is not None


def test_without_result_ttl_nothing_is_ever_deleted(records: Records) -> None:
    records.prepare()
    ended_with_upload(records, "a")
    assert list(records.sweep(60)) == ["a"]
    prune(records)
    assert records.status("a") is not None
    assert records.record("a") is not None


def test_a_failed_job_that_is_tried_again_is_kept_from_its_new_end_on(keeping: Records) -> None:
    keeping.create_job(payload("a"), {}, 1)
    keeping.fail_job("a", "ann", "It broke.")
    keeping._database.jobs.update_one({"_id": "a"}, {"$set": {"endedAt": 1}})
    assert list(keeping.sweep(60)) == ["a"]
    keeping.reopen_jobs(["a"])
    prune(keeping)
    assert (keeping.record("a") or {})["status"] == "queued"
    keeping.fail_job("a", "ann", "It broke.")
    keeping._database.jobs.update_one({"_id": "a"}, {"$set": {"endedAt": 1}})
    assert list(keeping.sweep(60)) == ["a"], "its upload came back with it"


@pytest.mark.parametrize(("keep", "others"), [("604799", {}), ("604801", {"JOB_TTL": "604802"}), ("2147483648", {})])
def test_a_result_ttl_that_cannot_be_kept_is_refused_at_the_start(
    files: Storage, monkeypatch: pytest.MonkeyPatch, keep: str, others: dict[str, str]
) -> None:
    for name, value in {**others, "RESULT_TTL": keep}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="RESULT_TTL"):
        Records.from_env(files)
    monkeypatch.setenv("RESULT_TTL", "31536000")
    with closing(Records.from_env(files)) as accepted:
        assert accepted._keep == 31_536_000


# Which schema they have -----------------------------------------------------------------------------------------------


def test_records_carry_their_schema_and_those_from_before_there_was_one_are_read(records: Records) -> None:
    ended_with_upload(records, "a")
    for kind in (records._database.jobs, records._database.results):
        assert (kind.find_one() or {})["schema"] == SCHEMA
        kind.update_one({}, {"$unset": {"schema": 1, "keptSince": 1}})
    assert (records.status("a") or {})["status"] == "completed"
    assert [job["jobId"] for job in records.jobs("ann", 5)] == ["a"]
    assert list(records.sweep(60)) == ["a"]


def test_a_record_of_a_later_schema_is_neither_read_nor_touched_and_is_503(
    files: Storage, records: Records, redis_url: str
) -> None:
    key = ended_with_upload(records, "a")
    records.create_job(payload("b"), {}, 1)
    for kind in (records._database.jobs, records._database.results):
        kind.update_many({}, {"$set": {"schema": SCHEMA + 1}})
    for read in (records.record, records.status, records.result):
        with pytest.raises(storage.Unavailable, match=f"schema {SCHEMA + 1}"):
            read("a")
    assert list(records.waiting_jobs(-60, 600)) == [], "those who know it enqueue it"
    assert list(records.sweep(60)) == []
    assert files.has(key)
    with running_api() as app, app.test_client() as client:
        for path in ("/api/job-status/a", "/api/jobs?userId=ann"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


# How many connections a process holds ---------------------------------------------------------------------------------


def connections(port: int) -> int:
    """Of this machine's established connections, those to a port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(line[2].partition(":")[2], 16) == port and line[3] == "01" for line in lines)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux tells of connections in /proc")
@pytest.mark.parametrize("pool", [2, 10])
def test_a_process_holds_as_many_connections_to_mongodb_as_its_pool_has_and_two_that_watch(
    files: Storage, tmp_path: Path, pool: int
) -> None:
    server, most = Mongo(tmp_path / "mongodb"), 0  # its own: nobody else is connected to it
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        own = stack.enter_context(closing(Records(server.uri, files, pool=pool)))
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                own.record("nobody")

        threads = [threading.Thread(target=ask) for _ in range(40)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: connections(server.port) >= pool + 2, 20, "the connections")
            for _ in range(50):
                most = max(most, connections(server.port))
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert most == pool + 2
