"""Files and records: the S3 (or R2) bucket, the MongoDB database, and the download of a job's document.

It knows nothing of Redis or of what a document says. Sizes are bytes, times seconds. What went wrong is one of three:
`Unavailable` (the bucket or MongoDB is away, or the disk is full: nobody's file can be had), `Transient` (this file
cannot be had now) and `Refused` (it never will be; the text is a sentence for the person who uploaded it).
"""

import contextlib
import datetime
import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote, urlsplit

import boto3
import bson
import pymongo
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pymongo.collection import Collection as Records
from pymongo.errors import ConfigurationError, DuplicateKeyError, OperationFailure, PyMongoError

import outbound
from outbound import Refused, Transient

MAX_FILE = 50 * 1024 * 1024
SHORT_LINK = 900  # seconds, for links that people are given
LINK_SECONDS = 7 * 86400  # the longest that S3 and R2 sign for: a link has to outlive any backlog
FETCH_SECONDS = 600
WEEK = 7 * 86400
MAX_RECORD = 12 << 20  # bytes of BSON, of which MongoDB takes 16 MB: a longer result is a file in the bucket

# What a record looks like. The number is raised when code of an earlier one would misread it, and not for a new field.
# Code meets a later one in a rolling deployment, or after one was taken back: it does not read it, and leaves it alone.
SCHEMA = 1
OURS = {"_id", "userId", "schema", "savedAt", "keptSince"}  # of a result's fields, those that are no part of it
READABLE = {"schema": {"$not": {"$gt": SCHEMA}}}  # those from before there were numbers as well

TOO_LARGE = "File too large (max 50MB)"
GONE = "The uploaded file is no longer there. Please upload it again."

_INDEXES: tuple[tuple[str, list[tuple[str, int]], dict[str, Any]], ...] = (
    ("jobs", [("status", 1), ("createdAt", 1)], {}),
    ("jobs", [("userId", 1), ("createdAt", -1), ("_id", -1)], {}),
    ("jobs", [("options.digest", 1)], {"sparse": True}),
    ("jobs", [("swept", 1), ("endedAt", 1)], {}),
    ("results", [("userId", 1)], {}),
    ("results", [("file", 1)], {"sparse": True}),
)

BadAddress = (ConfigurationError, ValueError)  # what building a Storage raises for an address that cannot be read


class Unavailable(Exception):
    """MongoDB or the bucket is away, or the disk is full: whatever needs it has to wait."""


class Forbidden(Exception):
    """A file's server wants other credentials than the link has."""


class Storage:
    """One bucket and one database. Safe to share between threads; build it after a fork, never before.

    pool: connections to each. answer: seconds that MongoDB has for an answer. silence: seconds for which the bucket may
    say nothing; one that takes in ten files of 50 MB at once is silent for a while. keep: seconds after its end for
    which a job's record and result are kept; None for ever.

    MongoDB may be sharded by a hash of userId: a query that names the user asks one shard, and one that cannot is said
    to cross them all. A job's `_id` is unique by itself, as an index sees to it among the records of one user only.
    """

    def __init__(
        self,
        bucket: str,
        mongodb_uri: str,
        *,
        endpoint: str | None = None,
        pool: int = 10,
        answer: float = 10,
        silence: float = 20,
        keep: int | None = None,
    ) -> None:
        self.bucket, self._allowed = bucket, outbound.allowed_hosts()
        self._cdn = os.environ.get("FILES_CDN_URL", "")
        self._endpoint, self._keep = endpoint, keep
        # R2 refuses the checksum trailers that boto3 sends by default, and knows one region. TLS guards what is sent:
        # signing its bytes as well would read each file once more.
        config = Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint else "auto", "payload_signing_enabled": False},
            connect_timeout=min(answer, 3),
            read_timeout=silence,
            retries={"mode": "standard", "total_max_attempts": 3},
            max_pool_connections=pool,
        )
        region = os.environ.get("AWS_REGION") or "auto"
        self._s3 = boto3.client("s3", region_name=region, endpoint_url=endpoint, config=config)
        self._mongo: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            mongodb_uri, timeoutMS=int(answer * 1000), maxPoolSize=pool, connect=False
        )  # not yet: with mongodb+srv it would ask the DNS here, and an outage of that must not end a process
        self._database = self._mongo.get_default_database("docdeck")

    @classmethod
    def from_env(cls, **settings: Any) -> "Storage":
        """The bucket and database that the environment names; exits with a sentence where it names none."""
        missing = [name for name in ("S3_BUCKET", "MONGODB_URI") if not os.environ.get(name)]
        if missing:
            raise SystemExit(f"Set {' and '.join(missing)}: README.md has the table of variables.")
        keep = int(os.environ.get("RESULT_TTL") or 0) or None
        others = max(float(os.environ.get("JOB_TTL") or WEEK), float(os.environ.get("FILE_TTL") or WEEK))
        if keep is not None and not others <= keep < 1 << 31:
            raise SystemExit("RESULT_TTL must not be less than JOB_TTL or FILE_TTL (604800 each, if not set).")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3")
        return cls(os.environ["S3_BUCKET"], os.environ["MONGODB_URI"], endpoint=endpoint, keep=keep, **settings)

    def close(self) -> None:
        """Give the connections back."""
        self._mongo.close()
        self._s3.close()

    # Files ----------------------------------------------------------------------------------------------------------

    def put(self, file: IO[bytes], size: int, user: str, job_id: str) -> str:
        """Store an open file under a key of our own making; returns the key. A file name never becomes part of it."""
        key = self.upload_key(user, job_id)
        # S3's own word for a file of no named kind: without it SeaweedFS would compress what looks like text.
        told = {"ContentLength": size, "ContentType": "binary/octet-stream"}
        with _s3_errors():
            self._s3.put_object(Bucket=self.bucket, Key=key, Body=file, **told)
        return key

    @staticmethod
    def upload_key(user: str, job_id: str) -> str:
        """Where the upload of a user's job is."""
        return f"documents/{quote(user, safe='')}/{job_id}"

    @staticmethod
    def result_key(user: str, job_id: str) -> str:
        """Where the result of a user's job is, if MongoDB does not take it."""
        return f"results/{quote(user, safe='')}/{job_id}"

    def _put_once(self, key: str, body: bytes) -> bool:
        """Store a file unless there is one; whether it was stored."""
        with _s3_errors():
            try:
                self._s3.put_object(Bucket=self.bucket, Key=key, Body=body, IfNoneMatch="*")
            except ClientError as error:
                if error.response["Error"]["Code"] != "PreconditionFailed":
                    raise
                return False
        return True

    def link(self, key: str) -> str:
        """An address that anybody can GET for seven days, so that a worker without our credentials can, too."""
        return self._s3.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=LINK_SECONDS
        )

    def has(self, key: str) -> bool:
        """Whether a file is there."""
        with contextlib.suppress(Refused), _s3_errors():
            self._s3.head_object(Bucket=self.bucket, Key=key)
            return True
        return False

    def person_link(self, key: str, name: str) -> str:
        """An address for a browser: for fifteen minutes, always a download, through the CDN if there is one."""
        shown = {
            "ResponseContentDisposition": f"attachment; filename=\"document\"; filename*=UTF-8''{quote(name, safe='')}",
            "ResponseContentType": "application/octet-stream",
        }
        url = self._s3.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key, **shown}, ExpiresIn=SHORT_LINK
        )
        if not self._cdn:
            return url
        there = urlsplit(self._cdn)  # which passes path and query on to the bucket, under the bucket's own name
        return urlsplit(url)._replace(scheme=there.scheme, netloc=there.netloc).geturl()

    def upload_link(self, key: str, size: int) -> str:
        """An address to which anybody can PUT just so many bytes within fifteen minutes."""
        wanted = {"Bucket": self.bucket, "Key": key, "ContentLength": size}  # signed: another size is refused
        return self._s3.generate_presigned_url("put_object", Params=wanted, ExpiresIn=SHORT_LINK)

    def upload_origin(self) -> str:
        """The origin of those addresses, which a page has to be allowed to speak to; known without credentials."""
        any_keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
        region, config = self._s3.meta.region_name, self._s3.meta.config
        client = boto3.client("s3", region_name=region, endpoint_url=self._endpoint, config=config, **any_keys)
        there = urlsplit(client.generate_presigned_url("put_object", Params={"Bucket": self.bucket, "Key": "any"}))
        return f"{there.scheme}://{there.netloc}"

    def look_at(self, key: str) -> tuple[int, bytes]:
        """A file's size and its first bytes. Raises `Refused` if it is not there."""
        with _s3_errors():
            size = self._s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"]
            with contextlib.closing(
                self._s3.get_object(Bucket=self.bucket, Key=key, Range="bytes=0-1023")["Body"]
            ) as body:
                return size, body.read(1024)

    def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""
        with _s3_errors():
            self._s3.delete_object(Bucket=self.bucket, Key=key)

    def key_of(self, url: str) -> str | None:
        """The key of an address in our own bucket, signed or not, in path or host style; None for any other."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        host, path = parts.hostname or "", unquote(parts.path).lstrip("/")
        ours = urlsplit(self._endpoint).hostname if self._endpoint else None
        amazon = re.fullmatch(r"(?:(.+)\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com", host)
        if host == ours or (amazon and not amazon[1]):
            bucket, _, key = path.partition("/")
        elif (ours and host == f"{self.bucket}.{ours}") or (amazon and amazon[1] == self.bucket):
            bucket, key = self.bucket, path
        else:
            return None
        return key if key and bucket == self.bucket else None

    def fetch(self, url: str, target: Path, given_up: Callable[[], bool]) -> None:
        """Download a job's document; `given_up` is asked all the time, and ends it.

        Our own bucket is read with a link of our own making: the job's may have expired, or name a private bucket.
        Anybody else's server is visited as outbound.py allows.
        Raises `Refused` for what is not there or too large, `Transient` and `Unavailable` for what may work later.
        """
        key = self.key_of(url)
        try:
            if key:
                download(self.link(key), target, given_up, outbound.EVERYWHERE)
            else:
                download(url, target, given_up, self._allowed)
        except Forbidden as error:
            if key:
                self.ping_files()  # Unavailable if our keys are wrong, or the clock is; else it is this one key
                raise Transient(str(error)) from error
            raise Refused(f"The file could not be downloaded: {error}.") from error
        except Transient:
            if key:
                self.ping_files()  # Unavailable if the bucket itself is away; else it is this one file
            raise

    # Records --------------------------------------------------------------------------------------------------------

    def create_job(
        self,
        payload: Mapping[str, Any],
        options: Mapping[str, str],
        size: int,
        key: str = "",
        status: str = "queued",
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
        return [{"jobId": job["_id"], **{n: job[n] for n in names if n in job}} for job in records]

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
            self.delete(self.upload_key(user, job_id))
            self.delete(self.result_key(user, job_id))
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
            record = {**saved, "file": self.result_key(user, job_id)}  # which MongoDB must not forget: `sweep` does
            new = self._put_once(record["file"], json.dumps(result, ensure_ascii=False).encode())
        with _mongo_errors():
            try:
                self._database.results.insert_one(record)
            except DuplicateKeyError:
                new = False
            self._close(job_id, user, {"status": "completed"})
        return new

    def fail_job(self, job_id: str, user: str, reason: str) -> None:
        """Write down that a job ended without a result."""
        with _mongo_errors():
            self._close(job_id, user, {"status": "failed", "error": reason})

    def prepare(self) -> None:
        """Make the indexes; those that are there are left as they are, but for that of RESULT_TTL, which follows it."""
        with _mongo_errors():
            for collection, keys, options in _INDEXES:
                self._database[collection].create_index(keys, **options)
            for kind in (self._database.jobs, self._database.results):
                self._expire(kind)

    def _expire(self, kind: Records[dict[str, Any]]) -> None:
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

        Gives each job's id when that is done. Crosses shards.
        """
        now, jobs = _milliseconds(), self._database.jobs
        ended = {"swept": None, "endedAt": {"$lt": now - int(older_than * 1000)}, **READABLE}
        begun = {"status": "uploading", "createdAt": {"$lt": now - 86_400_000}, **READABLE}
        with _mongo_errors():
            for query in (ended, begun):
                for job in list(jobs.find(query, {"userId": 1, "endedAt": 1}).limit(1000)):
                    self.delete(self.upload_key(job["userId"], job["_id"]))
                    whose = _whose(job["_id"], job["userId"])
                    if query is ended:
                        jobs.update_one(whose, {"$set": {"swept": True, "keptSince": _date(job["endedAt"])}})
                    else:
                        jobs.delete_one({**whose, "status": "uploading"})
                    yield job["_id"]
            if self._keep is not None:
                old = {"file": {"$gt": ""}, "savedAt": {"$lt": now - self._keep * 1000}, **READABLE}
                for result in list(self._database.results.find(old, {"userId": 1}).limit(1000)):
                    self.forget(result["userId"], [result["_id"]])
                    yield result["_id"]

    def _close(self, job_id: str, user: str, end: dict[str, str]) -> None:
        # Without an upsert: a job that was pushed by somebody else has no record, and needs none.
        # A job that is completed stays so: a run that lost its job may not know.
        record = {**_whose(job_id, user), "status": {"$ne": "completed"}}
        self._database.jobs.update_one(record, {"$set": {**end, "endedAt": _milliseconds()}})

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
        with contextlib.suppress(Refused), _s3_errors():  # its job is being deleted just now: first goes the file
            return str(self._s3.get_object(Bucket=self.bucket, Key=saved["file"])["Body"].read(), "utf-8")
        return None

    # Readiness ------------------------------------------------------------------------------------------------------

    def ping_records(self) -> None:
        """Raises `Unavailable` unless MongoDB answers within two seconds."""
        with _mongo_errors(), pymongo.timeout(2):
            self._database.command("ping")

    def ping_files(self) -> None:
        """Raises `Unavailable` unless the bucket is there and takes our keys."""
        try:
            self._s3.head_bucket(Bucket=self.bucket)
        except (ClientError, BotoCoreError) as error:
            raise Unavailable(f"the bucket cannot be used: {type(error).__name__}: {error}") from error

    # For doctor.py --------------------------------------------------------------------------------------------------

    def examine_records(self) -> dict[str, Any]:
        """What there is to know of MongoDB, which is left as it was. Raises `Unavailable`, with its cause.

        seconds: the quickest of five answers. ahead: seconds by which this machine's clock is before its own.
        replicated: whether a write can be retried. acknowledged: whether a write is waited for. lacking: indexes, by
        their collection and fields. trouble: what it says to a write, "" if it did it.
        """
        with _mongo_errors():
            hello, took = self._database.command("hello"), []
            ahead = time.time() - hello["localTime"].replace(tzinfo=UTC).timestamp()
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

    def attempt(self, what: str, key: str) -> tuple[str, str, float]:
        """Try to "write" a small file, "write with a checksum" or "delete" it.

        Gives the code and the text of the error, "" and "" if it worked; and by how many seconds our clock is ahead.
        """
        file: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        try:
            if what == "delete":
                answer = self._s3.delete_object(**file)
            else:
                checksum = {"ChecksumAlgorithm": "CRC32"} if what == "write with a checksum" else {}
                answer = self._s3.put_object(**file, Body=b"docdeck", **checksum)
        except ClientError as error:
            answer = error.response
        except BotoCoreError as error:
            return type(error).__name__, str(error), 0
        said, date = answer.get("Error", {}), answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        ahead = time.time() - parsedate_to_datetime(date).timestamp() if date else 0
        return said.get("Code", ""), said.get("Message", ""), ahead


def download(url: str, target: Path, given_up: Callable[[], bool], allowed: Collection[str]) -> None:
    """GET a document into a file, at most MAX_FILE bytes in FETCH_SECONDS. allowed: as `outbound.opened` takes it."""
    try:
        with (
            outbound.opened(url, "The job's fileUrl", allowed, FETCH_SECONDS) as answer,
            target.open("wb") as out,
        ):
            _check_status(answer.status)
            if (answer.length or 0) > MAX_FILE:
                raise Refused(TOO_LARGE)
            for piece in answer.pieces:
                if given_up():
                    return
                out.write(piece)
                if out.tell() > MAX_FILE:
                    raise Refused(TOO_LARGE)
    except OSError as error:  # a full disk is this machine's fault, not the file's
        raise Unavailable(f"a download could not be written to disk: {error.strerror}") from error


def _check_status(code: int) -> None:
    if code in (404, 410):
        raise Refused(GONE)
    if code in (401, 403):
        raise Forbidden(f"its server answered {code}")
    if code in (408, 425, 429) or code >= 500:
        raise Transient(f"the file's server answered {code}")
    if code != 200:
        raise Refused(f"The file could not be downloaded: its server answered {code}.")


@contextlib.contextmanager
def _s3_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("NoSuchKey", "404"):
            raise Refused(GONE) from None
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) >= 500 or code == "SlowDown":
            raise Unavailable(f"the bucket answered {code}") from error
        raise Transient(f"the bucket answered {code}") from error
    except BotoCoreError as error:
        raise Unavailable(f"the bucket does not answer: {type(error).__name__}") from error


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
