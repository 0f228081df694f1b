"""Records: what MongoDB holds of jobs and their results, in which schema, by which indexes and for how long.

It knows nothing of Redis. Times are seconds, but for milliseconds in a record. A long result and each upload are files
in the bucket, which go with their records. Where MongoDB is away it raises storage.py's `Unavailable`.
"""

import contextlib
import datetime
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import bson
import pymongo
from pymongo.collection import Collection
from pymongo.cursor import Cursor
from pymongo.errors import ConfigurationError, DuplicateKeyError, OperationFailure, PyMongoError

from storage import Refused, Storage, Transient, Unavailable

WEEK = 7 * 86400
MOST_SWEPT, REFUSED = 3000, 20  # of a kind in an hour: a minute's work, while a worker may do 2,400 documents
MAX_RECORD = 12 << 20  # bytes of BSON, of which MongoDB takes 16 MB: a longer result is a file in the bucket

# What a record looks like. The number is raised when code of an earlier one would misread it, and not for a new field.
# Code meets a later one in a rolling deployment, or after one was taken back: it does not read it, and leaves it alone.
SCHEMA = 1
OURS = {"_id", "userId", "schema", "savedAt", "keptSince"}  # of a result's fields, those that are no part of it
READABLE = {"schema": {"$not": {"$gt": SCHEMA}}}  # those from before there were numbers as well

_INDEXES: tuple[tuple[str, list[tuple[str, int]], dict[str, Any]], ...] = (
    ("jobs", [("status", 1), ("createdAt", 1)], {}),
    ("jobs", [("userId", 1), ("createdAt", -1), ("_id", -1)], {}),
    ("jobs", [("options.digest", 1)], {"sparse": True}),
    ("jobs", [("swept", 1), ("endedAt", 1)], {}),
    ("results", [("userId", 1)], {}),
    ("results", [("file", 1)], {"sparse": True}),
)

BadAddress = (ConfigurationError, ValueError)  # what building Storage or Records raises for one that cannot be read


class Records:
    """One database. Safe to share between threads; build it after a fork, never before.

    files: the bucket. pool: connections. answer: seconds that MongoDB has for one. keep: seconds after its end for
    which a job's record and result are kept; None for ever.

    MongoDB may be sharded by a hash of userId: a query that names the user asks one shard, and one that cannot is said
    to cross them all. A job's `_id` is unique by itself, as an index sees to it among the records of one user only.
    """

    def __init__(
        self, mongodb_uri: str, files: Storage, *, pool: int = 10, answer: float = 10, keep: int | None = None
    ) -> None:
        self.files, self._keep = files, keep
        self._mongo: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            mongodb_uri, timeoutMS=int(answer * 1000), maxPoolSize=pool, connect=False
        )  # not yet: with mongodb+srv it would ask the DNS here, and an outage of that must not end a process
        self._database = self._mongo.get_default_database("docdeck")

    @classmethod
    def from_env(cls, files: Storage, **settings: Any) -> "Records":
        """The database that the environment names; exits with a sentence where it names none."""
        if not os.environ.get("MONGODB_URI"):
            raise SystemExit("Set MONGODB_URI: README.md has the table of variables.")
        keep = int(os.environ.get("RESULT_TTL") or 0) or None
        others = max(float(os.environ.get("JOB_TTL") or WEEK), float(os.environ.get("FILE_TTL") or WEEK))
        if keep is not None and not others <= keep < 1 << 31:
            raise SystemExit("RESULT_TTL must not be less than JOB_TTL or FILE_TTL (604800 each, if not set).")
        return cls(os.environ["MONGODB_URI"], files, keep=keep, **settings)

    def close(self) -> None:
        """Give the connections back."""
        self._mongo.close()

    def create_job(
        self, payload: Mapping[str, Any], options: Mapping[str, str], size: int, key: str = "", status: str = "queued"
    ) -> None:
        """Write the record of a job, with all that it takes to enqueue it again. status: or "uploading"."""
        record = {
            "_id": payload["jobId"],
            "userId": payload["userId"],
            "schema": SCHEMA,
            "fileName": payload["fileName"],
            "size": size,
            "status": status,
            "createdAt": _milliseconds(),
            "payload": dict(payload),
            "options": dict(options),
            "key": key,
        }
        with _mongo_errors():
            self._database.jobs.insert_one(record)

    def record(self, job_id: str, user: str | None = None) -> dict[str, Any] | None:
        """What `create_job` wrote; None if it is unknown, or not the user's. Crosses shards without a user."""
        with _mongo_errors():
            return _readable(self._database.jobs.find_one(_whose(job_id, user)))

    def same_result(self, user: str, digest: str) -> str | None:
        """The completed job of a user's whose document and options had this digest."""
        whose = {"options.digest": digest, "userId": user, "status": "completed"}
        with _mongo_errors():
            found = self._database.jobs.find_one(whose, {"_id": 1})
            there = found and self._database.results.find_one({"_id": found["_id"], "userId": user}, {"_id": 1})
        return str(there["_id"]) if there else None

    def set_status(self, job_id: str, user: str, status: str, size: int) -> None:
        """A job's upload is there, and may be enqueued; or not yet, after all."""
        with _mongo_errors():
            self._database.jobs.update_one(_whose(job_id, user), {"$set": {"status": status, "size": size}})

    def delete_job(self, job_id: str, user: str) -> None:
        """Forget a job that was never enqueued."""
        with _mongo_errors():
            self._database.jobs.delete_one(_whose(job_id, user))

    def status(self, job_id: str, user: str | None = None) -> dict[str, Any] | None:
        """What `Queue.status` says, for when Redis has forgotten a job; None for an unknown one, or not the user's.

        None as well for a job whose result is no longer kept. Crosses shards without a user.
        """
        whose = _whose(job_id, user)
        with _mongo_errors():
            record = _readable(self._database.jobs.find_one({**whose, "status": {"$ne": "uploading"}})) or {}
            saved = self._database.results.find_one(whose)
        created = record.get("createdAt") or (saved or {}).get("savedAt")
        if (result := self._text(saved)) is not None:
            return {"status": "completed", "progress": "100", "stage": "done", "createdAt": created, "result": result}
        if created is None or record.get("status") not in ("queued", "failed"):
            return None
        if record["status"] == "failed":
            return {"status": "failed", "progress": "0", "createdAt": created, "error": record["error"]}
        return {"status": "queued", "progress": "0", "stage": "queued", "createdAt": created}

    def jobs(self, user: str, most: int, before: tuple[int, str] | None = None) -> list[dict[str, Any]]:
        """The newest records of a user: jobId, fileName, size, status, createdAt, error. before: the last one seen."""
        query: dict[str, Any] = {"userId": user, "status": {"$ne": "uploading"}}
        if before is not None:
            created, job_id = before
            query["$or"] = [{"createdAt": {"$lt": created}}, {"createdAt": created, "_id": {"$lt": job_id}}]
        names = ("fileName", "size", "status", "createdAt", "endedAt", "error")
        fields = dict.fromkeys((*names, "schema"), 1)
        with _mongo_errors():
            found = self._database.jobs.find(query, fields).sort([("createdAt", -1), ("_id", -1)]).limit(most)
            records = [_readable(record) or {} for record in found]
        return [{"jobId": job["_id"], **{n: job[n] for n in names if job.get(n) is not None}} for job in records]

    def owner(self, job_id: str) -> str | None:
        """Whose a job is, by its record or its result. Crosses shards."""
        with _mongo_errors():
            for kind in (self._database.jobs, self._database.results):
                if found := kind.find_one({"_id": job_id}, {"userId": 1}):
                    return str(found["userId"])
        return None

    def job_ids(self, user: str, most: int) -> list[str]:
        """Some of the ids under which there is anything of a user's."""
        with _mongo_errors():
            for kind in (self._database.jobs, self._database.results):
                if found := [found["_id"] for found in kind.find({"userId": user}, {"_id": 1}).limit(most)]:
                    return found
        return []

    def reopen_jobs(self, job_ids: Sequence[str], user: str | None = None) -> None:
        """Jobs that failed are tried again. Crosses shards without a user."""
        with _mongo_errors():
            failed = {**_whose({"$in": list(job_ids)}, user), "status": "failed"}
            gone = dict.fromkeys(("error", "endedAt", "swept", "keptSince"), 1)
            self._database.jobs.update_many(failed, {"$set": {"status": "queued"}, "$unset": gone})

    def forget(self, user: str, job_ids: Sequence[str]) -> None:
        """Delete the uploads, results and records of jobs: the records last, so that it can be done again."""
        for job_id in job_ids:
            self.files.delete(self.files.upload_key(user, job_id))
            self.files.delete(self.files.result_key(user, job_id))
        with _mongo_errors():
            for kind in (self._database.results, self._database.jobs):
                kind.delete_many({"_id": {"$in": list(job_ids)}, "userId": user})

    def save_result(self, job_id: str, user: str, result: Mapping[str, Any]) -> bool:
        """Save a job's result once; False if one was saved already, by an earlier run: then that one stands.

        One that MongoDB does not take goes into the bucket, before its record: no record is without its file.
        """
        now, new = _milliseconds(), True
        saved = {"_id": job_id, "userId": user, "schema": SCHEMA, "savedAt": now}
        record: dict[str, Any] = {**result, **saved, "keptSince": _date(now)}
        if len(bson.encode(record)) > MAX_RECORD:
            record = {**saved, "file": self.files.result_key(user, job_id)}  # which `sweep` forgets, not MongoDB
            new = self.files.put_once(record["file"], json.dumps(result, ensure_ascii=False).encode())
        with _mongo_errors():
            try:
                self._database.results.insert_one(record)
            except DuplicateKeyError:
                new = False
            self._close(job_id, user, "completed")
        return new

    def fail_job(self, job_id: str, user: str, reason: str) -> None:
        """Write down that a job ended without a result."""
        with _mongo_errors():
            self._close(job_id, user, "failed", reason)

    def prepare(self) -> None:
        """Make the indexes; those that are there are left as they are, but for that of RESULT_TTL, which follows it."""
        with _mongo_errors():
            for collection, keys, options in _INDEXES:
                self._database[collection].create_index(keys, **options)
            for kind in (self._database.jobs, self._database.results):
                self._expire(kind)

    def _expire(self, kind: Collection[dict[str, Any]]) -> None:
        """The index by which MongoDB deletes records. Made anew, as Atlas' readWrite may not change one (collMod)."""
        there = kind.index_information().get("keptSince_1")
        if there is not None and there.get("expireAfterSeconds") != self._keep:
            try:
                kind.drop_index("keptSince_1")
            except OperationFailure as error:
                if error.code != 27:  # IndexNotFound: another process was quicker
                    raise
        if self._keep is not None:
            kind.create_index("keptSince", expireAfterSeconds=self._keep)

    def waiting_jobs(self, older_than: float, younger_than: float) -> Iterator[dict[str, Any]]:
        """The records that say "queued", of an age between the two: `_id`, `userId`, `payload`, `options`, `key`.

        Crosses shards.
        """
        now = _milliseconds()
        ages = {"$lt": now - int(older_than * 1000), "$gt": now - int(younger_than * 1000)}
        fields = {"userId": 1, "payload": 1, "options": 1, "key": 1}
        with _mongo_errors():
            yield from self._database.jobs.find({"status": "queued", "createdAt": ages, **READABLE}, fields)

    def sweep(self, older_than: float) -> Iterator[str]:
        """Delete the uploads of jobs that ended so many seconds ago, and what was begun a day ago and never completed;
        and results in the bucket that are to be kept no longer. MongoDB deletes a record when its upload is gone.

        Gives each job's id when that is done, and "" for what cannot be deleted: after REFUSED of a kind, the rest is
        left to the next time. Crosses shards.
        """
        now, jobs = _milliseconds(), self._database.jobs
        ended = {"swept": None, "endedAt": {"$lt": now - int(older_than * 1000)}, **READABLE}
        begun = {"status": "uploading", "createdAt": {"$lt": now - 86_400_000}, **READABLE}
        with _mongo_errors():
            for query in (ended, begun):
                yield from self._each(jobs.find(query, {"userId": 1, "endedAt": 1}), self._delete_upload)
            if self._keep is not None:
                old = {"file": {"$gt": ""}, "savedAt": {"$lt": now - self._keep * 1000}, **READABLE}
                found = self._database.results.find(old, {"userId": 1})
                yield from self._each(found, lambda result: self.forget(result["userId"], [result["_id"]]))

    def _each(self, found: Cursor[dict[str, Any]], delete: Callable[[dict[str, Any]], None]) -> Iterator[str]:
        refused = 0
        for record in list(found.limit(MOST_SWEPT)):
            try:
                delete(record)
            except Transient:
                refused += 1
                yield ""
            else:
                yield record["_id"]
            if refused == REFUSED:
                return

    def _delete_upload(self, job: dict[str, Any]) -> None:
        self.files.delete(self.files.upload_key(job["userId"], job["_id"]))
        whose = _whose(job["_id"], job["userId"])
        if "endedAt" in job:
            gone = {"swept": True, "keptSince": _date(job["endedAt"])}
            self._database.jobs.update_one(whose, {"$set": gone})
        else:
            self._database.jobs.delete_one({**whose, "status": "uploading"})

    def _close(self, job_id: str, user: str, status: str, error: str | None = None) -> None:
        # Without an upsert: a job that was pushed by somebody else has no record, and needs none.
        # A job that is completed stays so: a run that lost its job may not know.
        record = {**_whose(job_id, user), "status": {"$ne": "completed"}}
        end = {"status": status, "error": error, "endedAt": _milliseconds()}
        self._database.jobs.update_one(record, {"$set": end})

    def result(self, job_id: str, user: str | None = None) -> str | None:
        """The saved result of a job as JSON; None if there is none. Crosses shards without a user."""
        with _mongo_errors():
            return self._text(self._database.results.find_one(_whose(job_id, user)))

    def _text(self, saved: dict[str, Any] | None) -> str | None:
        """The result that a record holds, or names."""
        if (saved := _readable(saved)) is None:
            return None
        if "file" not in saved:
            return json.dumps({name: told for name, told in saved.items() if name not in OURS}, ensure_ascii=False)
        with contextlib.suppress(Refused):  # its job is being deleted just now: first goes the file
            return str(self.files.read(saved["file"]), "utf-8")
        return None

    def ping(self) -> None:
        """Raises `Unavailable` unless MongoDB answers within two seconds."""
        with _mongo_errors(), pymongo.timeout(2):
            self._database.command("ping")

    def examine(self) -> dict[str, Any]:
        """What there is to know of MongoDB, which is left as it was. Raises `Unavailable`, with its cause.

        seconds: the quickest of five answers. ahead: seconds by which this machine's clock is before its own.
        replicated: whether a write can be retried. acknowledged: whether a write is waited for. lacking: indexes, by
        their collection and fields. trouble: what it says to a write, "" if it did it.
        """
        with _mongo_errors():
            hello, took = self._database.command("hello"), []
            ahead = time.time() - hello["localTime"].replace(tzinfo=datetime.UTC).timestamp()
            for _ in range(5):
                began = time.monotonic()
                self._database.command("ping")
                took.append(time.monotonic() - began)
            trouble, lacking = "", []
            try:
                # In a collection of its own: other eyes are on each record of the jobs'.
                self._database.doctor.insert_one({"userId": ""})
                there = {name: self._database[name].index_information() for name, *_ in _INDEXES}
                keys = {name: [index["key"] for index in found.values()] for name, found in there.items()}
                lacking = [f"{name} {dict(wanted)}" for name, wanted, _ in _INDEXES if wanted not in keys[name]]
            except OperationFailure as error:
                trouble = str((error.details or {}).get("errmsg", error))
            finally:
                with contextlib.suppress(OperationFailure):
                    self._database.drop_collection("doctor")
        replicated = "setName" in hello or hello.get("msg") == "isdbgrid"
        facts = {"seconds": min(took), "ahead": ahead, "replicated": replicated, "lacking": lacking}
        return facts | {"trouble": trouble, "acknowledged": self._database.write_concern.acknowledged}


@contextlib.contextmanager
def _mongo_errors() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise Unavailable(f"MongoDB does not answer: {type(error).__name__}") from error


def _whose(job_id: str | Mapping[str, Any], user: str | None) -> dict[str, Any]:
    """The filter of a job's record. With its user, one shard is asked."""
    return {"_id": job_id} if user is None else {"_id": job_id, "userId": user}


def _readable(record: dict[str, Any] | None) -> dict[str, Any] | None:
    """A record, unless it has another shape than this code knows."""
    if record is not None and record.get("schema", 0) > SCHEMA:
        raise Unavailable(f"a record has schema {record['schema']}: it needs a later version than this one, {SCHEMA}")
    return record


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _date(milliseconds: int) -> datetime.datetime:
    """A moment as MongoDB's indexes that delete want it."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
