"""An upload becomes a job: through the API, or past it with a signed address that a big file is PUT to.

In this order, so that a jobId is answered only for what is durable: the file in the bucket, the record in MongoDB, the
job in line. Of a document whose result is there already, that job is the answer at once.
"""

import contextlib
import hashlib
import threading
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from flask import Request, g
from werkzeug.exceptions import (
    BadRequest,
    Conflict,
    NotFound,
    ServiceUnavailable,
    UnsupportedMediaType,
)

import queue_lib
import storage
from forms import (
    JOB_ID,
    NO_DOCUMENT,
    OPTIONS,
    Closed,
    checked_file,
    checked_key,
    checked_options,
    checked_priority,
    checked_sha256,
    checked_size,
    checked_user,
    checked_webhook,
    clean_name,
    coded,
    digest_of,
    fields_of,
    looks_like_a_document,
)
from monitoring import log
from queue_lib import Queue
from records import Records
from storage import MAX_FILE, TOO_LARGE, Storage
from webhooks import Hooks

# Of a process' 96 threads: a slow client holds one for minutes, a burst for a moment, and the others go on answering.
AT_ONCE, IN_LINE = 24, 64
SENDING = 8  # of them to the bucket at once: one after the other is done sooner than all side by side
PATIENCE = 20  # seconds in line for a place; whoever falls silent has lost his by then


class Uploads:
    """What takes documents in, for all threads of one process."""

    def __init__(self, queue: Queue, files: Storage, records: Records, hooks: Hooks) -> None:
        self.queue, self.files, self.records, self.hooks = queue, files, records, hooks
        self.places, self.line = threading.BoundedSemaphore(AT_ONCE), threading.BoundedSemaphore(AT_ONCE + IN_LINE)
        self.sending = threading.BoundedSemaphore(SENDING)
        self.closed = Closed()
        self.version = pipeline_version()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Around whatever reads a body: a burst stands in line, unread. Who finds it full or waits long is refused."""
        with held(self.line, 0), held(self.places, PATIENCE):
            yield

    def submit(self, upload: Request) -> dict[str, str]:
        """A form with a document; the specification's answer. Leaves nothing behind when it cannot take it."""
        if upload.mimetype == "application/json":
            raise UnsupportedMediaType("Send the document as a form: multipart/form-data.")
        fields = fields_of(upload, OPTIONS | {"file"})
        file, size = checked_file(upload)
        payload, options = self._job(fields, file.filename or "")
        idempotency_key, job_id, user = checked_key(upload), payload["jobId"], payload["userId"]
        sha256 = hashlib.file_digest(file.stream, "sha256").hexdigest()  # type: ignore[arg-type]
        file.stream.seek(0)
        if done := self._done_before(user, sha256, options):
            return done
        with held(self.sending, PATIENCE):
            key = self.files.put(file.stream, size, user, job_id)
        try:
            self.records.create_job(payload, options, size, idempotency_key)
        except storage.Unavailable:
            self.withdraw(key)
            raise
        try:
            # Redis may have put the job in line although its answer was lost. So an outage here withdraws nothing: what
            # did not get into the line is enqueued from its record by a worker.
            taken = self.queue.enqueue(payload, options, idempotency_key, size)
        except queue_lib.Full as error:
            self.closed.close(user, error)
            self.withdraw(key, payload)
            raise
        if taken.job_id != job_id:
            self.withdraw(key, payload)
        else:
            log("job queued", job_id=job_id, user_id=user, request_id=g.request_id, bytes=size)
        return answer(taken.job_id)

    def begin(self, sent: Request) -> tuple[dict[str, Any], int]:
        """A file that is to come: where to PUT it; or the job that has its result, if its SHA-256 is told and known."""
        fields = fields_of(sent, OPTIONS | {"fileName", "size", "sha256"})
        size, sha256 = checked_size(fields), checked_sha256(fields)
        payload, options = self._job(fields, fields.get("fileName", ""))
        job_id, user = payload["jobId"], payload["userId"]
        if sha256 and (done := self._done_before(user, sha256, options)):
            return done, 200
        try:
            self.queue.ration(user, size)  # now: a file that is never completed is kept for a day as well
        except queue_lib.TooMany as error:
            self.closed.close(user, error)
            raise
        self.records.create_job(payload, options, size, status="uploading")
        url = self.files.upload_link(self.files.upload_key(user, job_id), size)
        return {"uploadId": job_id, "method": "PUT", "url": url, "expiresIn": storage.SHORT_LINK}, 201

    def complete(self, job_id: str) -> dict[str, str]:
        """The file is there, it is said: what it is is looked at, then its job is in line. Twice is as once."""
        record = self.records.record(job_id, g.caller.user) if JOB_ID.fullmatch(job_id) else None
        if record is None:
            raise coded(NotFound("Upload not found"), "upload_not_found")
        if record["status"] == "uploading":
            self._complete(job_id, record)
        return answer(job_id)

    def _complete(self, job_id: str, record: dict[str, Any]) -> None:
        user = record["userId"]
        key = self.files.upload_key(user, job_id)
        try:
            size, head = self.files.look_at(key)
        except storage.Refused:
            raise coded(Conflict("The file is not there yet: PUT it first."), "not_uploaded") from None
        if size > MAX_FILE or not looks_like_a_document(head):
            self.withdraw(key, record["payload"])
            raise BadRequest(TOO_LARGE if size > MAX_FILE else NO_DOCUMENT)
        self.records.set_status(job_id, user, "queued", size)  # first: should we die here, a worker enqueues it
        try:
            taken = self.queue.enqueue(record["payload"], record["options"])
        except queue_lib.Full:
            self.records.set_status(job_id, user, "uploading", size)
            raise
        if taken.new:
            log("job queued", job_id=job_id, user_id=user, request_id=g.request_id, bytes=size)

    def _job(self, fields: dict[str, str], name: str) -> tuple[dict[str, Any], dict[str, str]]:
        """The payload and the options of a job that is to be, for a user who may have one."""
        user, job_id = checked_user(fields.get("userId", "")), str(uuid.uuid4())
        self.closed.check(user)
        link = self.files.link(self.files.upload_key(user, job_id))
        payload: dict[str, Any] = {"jobId": job_id, "userId": user, "fileUrl": link, "fileName": clean_name(name)}
        options, priority = checked_options(fields) | checked_webhook(fields, self.hooks), checked_priority(fields)
        if priority is not None:
            payload["priority"] = priority
        return payload, options

    def _done_before(self, user: str, sha256: str, options: dict[str, str]) -> dict[str, str] | None:
        """The answer for a document whose result is there; else its digest is one of the options from now on."""
        digest = options["digest"] = digest_of(user, sha256, self.version, options)
        if "webhookUrl" in options:  # which waits for an event of its own
            return None
        job_id = self.queue.recall(digest) or self.records.same_result(user, digest)
        if job_id is None:
            return None
        return {"jobId": job_id, "status": "completed", "message": "This document is done already"}

    def withdraw(self, key: str, payload: dict[str, Any] | None = None) -> None:
        """Nobody has been given this jobId: its file, and its record if it was written, are of no use."""
        try:
            self.files.delete(key)
            if payload is not None:
                self.records.delete_job(payload["jobId"], payload["userId"])
        except (storage.Unavailable, storage.Transient) as error:
            log("an upload without a job was left behind", "warning", key=key, error=str(error))


@contextlib.contextmanager
def held(places: threading.Semaphore, seconds: float) -> Iterator[None]:
    """One of the places, waited for so long."""
    if not places.acquire(timeout=seconds):
        raise ServiceUnavailable("Many documents are coming in. Please try again in a few seconds.", retry_after=5)
    try:
        yield
    finally:
        places.release()


def answer(job_id: str) -> dict[str, str]:
    """The specification's answer to an upload."""
    return {"jobId": job_id, "status": "queued", "message": "Document queued for processing"}


@cache
def pipeline_version() -> str:
    """A fingerprint of the pipeline's files: another code may give another result. It is read, not imported."""
    sums = hashlib.sha256()
    for path in sorted(Path(__file__).with_name("pipeline").rglob("*.*")):
        if path.suffix in (".py", ".npz"):
            sums.update(path.name.encode() + path.read_bytes())
    return sums.hexdigest()
