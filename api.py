"""The HTTP API: an upload becomes a job, a jobId is asked how far it is, and the page is served.

    gunicorn "api:create_app()"

Nothing is processed here. An upload is spooled to disk by Flask while it comes in, checked, sent on to the bucket,
written down in MongoDB and put in line, in this order: a jobId is answered only for what is durable. Every error is
JSON: `error`, a sentence; `code`, a word that stays the same; `requestId`. openapi.json describes all of it.
"""

import json
import math
import os
import re
import threading
import time
import traceback
import uuid
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from flask import Flask, Request, Response, g, request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import (
    BadRequest,
    Conflict,
    Gone,
    HTTPException,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
    TooManyRequests,
    UnsupportedMediaType,
)

import queue_lib
import storage
from auth import Auth, is_name
from monitoring import log
from queue_lib import PRIORITIES, Queue
from storage import MAX_FILE, TOO_LARGE, Storage

MAX_BODY = 60 * 1024 * 1024  # up to here a body is read to its end, so that the client sees the sentence of its 400
LOOK_AFTER = 20  # seconds: somebody has to promote and repair when only a foreign worker drains the queue
READY_WITHIN = 2  # seconds
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
FIELDS = {"userId", "priority", "maxPhrases", "maxWords", "knownWords", "minCefr"}
AWAY = "Docdeck is busy or being repaired and could not take this. Please try again in a few seconds."


def create_app() -> Flask:
    """The Flask app with its clients, from the environment."""
    app = Flask(__name__, static_folder="web", static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]
    auth, closed = Auth.from_env(), Closed()
    queue, files, ended = Queue.from_env(answer=0.9), Storage.from_env(pool=40, answer=1.8), threading.Event()
    app.extensions.update(queue=queue, storage=files, ended=ended)

    @app.post("/api/upload-document-async")
    def upload_document() -> dict[str, str]:
        job_id = submit(request, queue, files, closed)
        return {"jobId": job_id, "status": "queued", "message": "Document queued for processing"}

    @app.get("/")
    def page() -> Response:
        return app.send_static_file("index.html")

    @app.get("/openapi.json")
    def openapi() -> Response:
        return app.send_static_file("openapi.json")

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok", "service": "docdeck"}

    @app.get("/readyz")
    def readyz() -> Any:
        parts = readiness(queue, files)
        ready = all(answer == "ok" for answer in parts.values())
        return {"status": "ok" if ready else "unavailable", **parts}, 200 if ready else 503

    @app.before_request
    def who_asks() -> None:
        given = request.headers.get("X-Railway-Request-Id") or request.headers.get("X-Request-Id") or ""
        g.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        g.caller = auth.caller(request)

    @app.after_request
    def never_sniffed(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Request-Id"] = g.request_id
        if request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.teardown_request
    def drop_upload(error: BaseException | None) -> None:
        request.close()  # the spooled file goes now, not when the garbage is collected

    register_jobs(app, queue, files)
    register_errors(app)
    threading.Thread(target=look_after, args=(queue, ended), daemon=True).start()
    return app


class Polls:
    """How often a job may be asked for in this process: `rate` times a second, and twice as often for a moment.

    By job and by who asks: users share addresses, and nobody uses up another's share.
    """

    def __init__(self, rate: float) -> None:
        self._rate, self._lock = rate, threading.Lock()
        self._left: dict[tuple[str | None, str], tuple[float, float]] = {}

    def allows(self, poll: tuple[str | None, str]) -> bool:
        """Whether this one may be answered; it counts if so."""
        now = time.monotonic()
        with self._lock:
            left, when = self._left.pop(poll, (2 * self._rate, now))
            left = min(2 * self._rate, left + (now - when) * self._rate)
            self._left[poll] = (left - 1 if left >= 1 else left, now)
            if len(self._left) > 10_000:
                del self._left[next(iter(self._left))]  # the one that was asked for longest ago
        return left >= 1


class Closed:
    """Users whose limit was just met: in this process they are refused before their file costs anything."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, queue_lib.TooMany]] = {}

    def close(self, user: str, error: queue_lib.TooMany) -> None:
        """Refuse a user for as long as nothing can have changed; his open jobs may end at any time."""
        if error.window:
            if len(self._until) > 10_000:
                self._until.clear()
            self._until[user] = (time.monotonic() + error.seconds, error)

    def check(self, user: str) -> None:
        """Raises what was raised before, with what is left of its time."""
        until, error = self._until.get(user, (0, None))
        error_seconds = until - time.monotonic()
        if error is not None and error_seconds > 0:
            raise queue_lib.TooMany(str(error), error.name, error.most, error.window, error_seconds)


def register_jobs(app: Flask, queue: Queue, files: Storage) -> None:
    """The routes of jobs that are there already."""

    polls = Polls(float(os.environ.get("POLLS_PER_SECOND", "5")))

    def known(job_id: str) -> dict[str, Any]:
        """A job of the caller's as the wire shows it; of others and unknown ones the same is asked, and answered."""
        status = None
        if JOB_ID.fullmatch(job_id):
            whose = g.caller.acts_for(request.args.get("userId", "")) or None
            status = queue.status(job_id, whose) or files.status(job_id, whose)
        if status is None:
            raise job_not_found()
        return status

    @app.get("/api/job-status/<path:job_id>")
    def job_status(job_id: str) -> Any:
        if not polls.allows((g.caller.user, job_id)):
            raise coded(TooManyRequests("Ask for a job every two seconds.", retry_after=2), "too_many_polls")
        status = known(job_id)
        response = Response(app.json.dumps(status), mimetype="application/json")
        response.add_etag()
        response.headers["Cache-Control"] = "private, no-cache"  # kept, and asked for each time: a 304 is short
        if status["status"] in ("queued", "processing"):
            response.headers["Retry-After"] = "2"
        return response.make_conditional(request)

    @app.get("/api/jobs")
    def jobs() -> dict[str, Any]:
        user, most, before = checked_user(request.args.get("userId", "")), checked_most(), checked_cursor()
        found = files.jobs(user, most + 1, before)
        places = queue.whereabouts([job["jobId"] for job in found if job["status"] == "queued"])
        told = {"run": "processing", "done": "completed", "dead": "failed"}
        for job in found:
            if job["status"] == "queued":  # the record hears of the end only
                job["status"] = told.get(places.pop(0), "queued")
        last = found[most - 1] if len(found) > most else None
        return {"jobs": found[:most], "cursor": f"{last['createdAt']}.{last['jobId']}" if last else None}

    @app.get("/api/jobs/<job_id>/result")
    def job_result(job_id: str) -> Response:
        status = known(job_id)
        if status["status"] != "completed":
            raise coded(Conflict(f"The job has no result: it is {status['status']}."), "no_result")
        response = Response(status["result"], mimetype="application/json")
        response.headers["Content-Disposition"] = f'attachment; filename="{job_id}.json"'
        return response

    @app.post("/api/jobs/<job_id>/cancel")
    def cancel_job(job_id: str) -> dict[str, str]:
        known(job_id)
        outcome = queue.cancel(job_id)
        if outcome not in ("cancelled", "cancelling"):
            raise coded(Conflict("The job is over already."), "job_over")
        if outcome == "cancelled":  # one that runs is written off by its worker
            user = files.owner(job_id)
            if user is not None:
                files.fail_job(job_id, user, "Cancelled")
                files.delete(files.upload_key(user, job_id))
        return {"jobId": job_id, "status": outcome}

    @app.post("/api/jobs/<job_id>/retry")
    def retry_job(job_id: str) -> dict[str, str]:
        status = known(job_id)
        user = files.owner(job_id)
        if status["status"] != "failed" or queue.whereabouts([job_id]) != ["dead"]:
            raise coded(Conflict("Only a job that has failed can be tried again, within a few days."), "job_not_failed")
        if user is None or not files.has(files.upload_key(user, job_id)):
            raise coded(Gone(storage.GONE), "file_gone")
        files.reopen_job(job_id)  # first: should we die here, a worker writes the failure down again
        queue.requeue(job_id)
        return {"jobId": job_id, "status": "queued"}

    @app.delete("/api/jobs/<job_id>")
    def delete_job(job_id: str) -> tuple[str, int]:
        known(job_id)
        user = files.owner(job_id)
        queue.forget([job_id])
        if user is not None:
            files.forget(user, [job_id])
        log("job deleted", job_id=job_id, user_id=user, request_id=g.request_id)
        return "", 204

    @app.delete("/api/users/<path:user>")
    def delete_user(user: str) -> tuple[str, int]:
        user, count = checked_user(user), 0
        while job_ids := files.job_ids(user, 500):
            queue.forget(job_ids)
            files.forget(user, job_ids)
            count += len(job_ids)
        log("user deleted", user_id=user, jobs=count, request_id=g.request_id)
        return "", 204


def submit(upload: Request, queue: Queue, files: Storage, closed: Closed) -> str:
    """Check an upload, make it durable, put it in line; returns the jobId. Leaves nothing behind when it cannot."""
    if upload.mimetype not in ("multipart/form-data", "application/x-www-form-urlencoded", ""):
        raise UnsupportedMediaType("Send the document as a form: multipart/form-data.")
    if unknown := sorted(map(str, {*upload.form, *upload.files} - FIELDS - {"file"})):  # a part may have no name
        raise BadRequest(f"Unknown field: {unknown[0][:40]!r}.")  # a misspelt wish is heard of, nothing smuggled in
    file, size = checked_file(upload)
    user = checked_user(upload.form.get("userId", ""))
    closed.check(user)
    options, priority = checked_options(upload), checked_priority(upload)
    idempotency_key = checked_key(upload)
    job_id = str(uuid.uuid4())
    key = files.put(file.stream, size, user, job_id)
    name = clean_name(file.filename or "document")
    payload: dict[str, Any] = {"jobId": job_id, "userId": user, "fileUrl": files.link(key), "fileName": name}
    if priority is not None:
        payload["priority"] = priority
    try:
        files.create_job(payload, options, size, idempotency_key)
    except storage.Unavailable:
        withdraw(files, key)
        raise
    try:
        # Redis may have put the job in line although its answer was lost. So an outage here withdraws nothing: what
        # did not get into the line is enqueued from its record by a worker.
        accepted = queue.enqueue(payload, options, idempotency_key, size)
    except queue_lib.Full as error:
        if isinstance(error, queue_lib.TooMany):
            closed.close(user, error)
        withdraw(files, key, job_id)
        raise
    if accepted.job_id != job_id:
        withdraw(files, key, job_id)
    else:
        log("job queued", job_id=job_id, user_id=user, bytes=size)
    return accepted.job_id


def withdraw(files: Storage, key: str, job_id: str | None = None) -> None:
    """Nobody has been given this jobId: its file, and its record if it was written, are of no use."""
    try:
        files.delete(key)
        if job_id is not None:
            files.delete_job(job_id)
    except (storage.Unavailable, storage.Transient) as error:
        log("an upload without a job was left behind", "warning", job_id=job_id, key=key, error=str(error))


def checked_file(upload: Request) -> tuple[FileStorage, int]:
    """The one document of a form and its size in bytes."""
    file = upload.files.get("file")
    if file is None:
        raise BadRequest('No file: send the document as the form field "file".')
    size = file.stream.seek(0, 2)
    file.stream.seek(0)
    if size > MAX_FILE:
        raise BadRequest(TOO_LARGE)
    if size == 0:
        raise BadRequest("The file is empty.")
    return file, size


def checked_user(named: str) -> str:
    """The user that a request is about: the token's, or the one that it names where no token is."""
    user = g.caller.acts_for(named.strip())
    if not user:
        raise BadRequest('No userId: send it as the field "userId".')
    if not is_name(user):
        raise BadRequest("The userId must be at most 200 printable characters, and neither . nor ..")
    return user


def checked_most() -> int:
    """How many jobs of a list are wanted."""
    told = request.args.get("limit", "50")
    if not re.fullmatch(r"[0-9]{1,3}", told) or not 1 <= int(told) <= 100:
        raise BadRequest("limit must be a number from 1 to 100.")
    return int(told)


def checked_cursor() -> tuple[int, str] | None:
    """Where a list goes on: the `cursor` of the page before."""
    cursor = request.args.get("cursor")
    if cursor is None:
        return None
    created, _, job_id = cursor.partition(".")
    if not re.fullmatch(r"[0-9]{1,15}", created) or not JOB_ID.fullmatch(job_id):
        raise BadRequest("The cursor is none that this service gave.")
    return int(created), job_id


def checked_options(upload: Request) -> dict[str, str]:
    """The optional fields of a form, as they will stand in the job's hash."""
    options = {}
    for name, most in (("maxPhrases", 200), ("maxWords", 200)):
        value = upload.form.get(name, "").strip()
        if value:
            if not re.fullmatch(r"[0-9]{1,3}", value) or int(value) > most:
                raise BadRequest(f"{name} must be a number from 0 to {most}.")
            options[name] = str(int(value))
    known = upload.form.get("knownWords", "").strip()
    if known:
        options["knownWords"] = known
    level = upload.form.get("minCefr", "").strip().upper()
    if level:
        if level not in ("A1", "A2", "B1", "B2", "C1", "C2"):
            raise BadRequest("minCefr must be A1, A2, B1, B2, C1 or C2.")
        options["minCefr"] = level
    return options


def checked_priority(upload: Request) -> int | None:
    """2, 1 or 0, as the specification has it, or None where nothing was said."""
    value = upload.form.get("priority", "").strip().lower()
    if not value:
        return None
    named = {**PRIORITIES, **{str(number): number for number in PRIORITIES.values()}}
    if value not in named:
        raise BadRequest("priority must be high, normal or low (or 2, 1 or 0).")
    return named[value]


def checked_key(upload: Request) -> str:
    """The Idempotency-Key of a request, "" for none."""
    key = upload.headers.get("Idempotency-Key", "").strip()
    if len(key) > 255 or not key.isprintable():
        raise BadRequest("The Idempotency-Key must be at most 255 printable characters.")
    return key


def clean_name(name: str) -> str:
    """What people called their file: shown, never used as a path."""
    name = re.split(r"[/\\]", name)[-1]
    return "".join(c for c in name if c.isprintable()).strip()[:255] or "document"


def readiness(queue: Queue, files: Storage) -> dict[str, str]:
    """Each part that the service needs: "ok", or why not."""
    pool = ThreadPoolExecutor(3)
    parts = {"redis": queue.ping, "mongodb": files.ping_records, "storage": files.ping_files}
    asked: dict[str, Future[None]] = {name: pool.submit(ping) for name, ping in parts.items()}
    wait(asked.values(), READY_WITHIN)
    pool.shutdown(wait=False)
    return {name: answer_of(future) for name, future in asked.items()}


def answer_of(future: Future[None]) -> str:
    """What became of a ping."""
    if not future.done():
        return f"no answer within {READY_WITHIN} seconds"
    error = future.exception()
    return "ok" if error is None else type(error).__name__


def look_after(queue: Queue, ended: threading.Event) -> None:
    """In a thread, until it is ended: what every worker does as well. An outage of Redis is said once, and its end."""
    away_since: float | None = None
    while not ended.is_set():
        try:
            queue.look_after()
        except queue_lib.Unavailable as error:
            if away_since is None:
                away_since = time.monotonic()
                log("redis is away", "error", error=str(error))
        except Exception:  # noqa: BLE001  a bug of ours, said; without this thread nothing would be looked after
            log("a bug in the API's care for the queue", "error", cause=traceback.format_exc())
        else:
            if away_since is not None:
                log("redis is back", seconds=round(time.monotonic() - away_since, 1))
            away_since = None
        ended.wait(LOOK_AFTER)


def job_not_found() -> HTTPException:
    """The one answer for an id that nobody knows, one that nobody may know, and one that cannot be."""
    return coded(NotFound("Job not found"), "job_not_found")


def coded(error: HTTPException, code: str) -> HTTPException:
    """The same error with a code of its own; without one, it is HTTP's name of it."""
    error.word = code  # type: ignore[attr-defined]
    return error


def register_errors(app: Flask) -> None:
    """Every error as JSON: a sentence, a code, the request's id; nothing of what went on inside."""
    app.logger.disabled = True  # it writes tracebacks to stderr; ours are log lines

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        sentence = error.description or error.name
        code = getattr(error, "word", error.name.lower().replace(" ", "_"))
        if isinstance(error, RequestEntityTooLarge):
            whole = request.content_length is None or request.content_length > MAX_BODY
            sentence = TOO_LARGE if whole else "A field of the form is too long, or it has too many parts."
        bug = getattr(error, "original_exception", None)
        if bug is not None:
            cause = "".join(traceback.format_exception(bug))
            log("a bug in the API", "error", path=request.path, request_id=g.request_id, cause=cause)
        response = error.get_response()
        response.data = json.dumps({"error": sentence, "code": code, "requestId": g.request_id})
        response.content_type = "application/json"
        return response  # type: ignore[return-value]

    @app.errorhandler(queue_lib.Full)
    def full(error: queue_lib.Full) -> Response:
        if isinstance(error, queue_lib.TooMany):
            wait = max(1, math.ceil(error.seconds))
            response = http_error(coded(TooManyRequests(str(error), retry_after=wait), f"too_many_{error.name}"))
            window = f";w={error.window}" if error.window else ""
            response.headers["RateLimit-Policy"] = f'"{error.name}";q={error.most}{window}'
            response.headers["RateLimit"] = f'"{error.name}";r=0;t={wait}'
            return response
        return http_error(coded(ServiceUnavailable(str(error), retry_after=60), "queue_full"))

    def away(error: Exception) -> Response:
        log("a request could not be served", "error", path=request.path, request_id=g.request_id, error=str(error))
        return http_error(ServiceUnavailable(AWAY, retry_after=5))

    for kind in (storage.Unavailable, storage.Transient, queue_lib.Unavailable):
        app.register_error_handler(kind, away)
