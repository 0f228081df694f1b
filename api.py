"""The HTTP API: an upload becomes a job, a jobId is asked how far it is, and the page is served.

    gunicorn "api:create_app()"

Nothing is processed here. An upload is spooled to disk by Flask while it comes in, checked, sent on to the bucket,
written down in MongoDB and put in line, in this order: a jobId is answered only for what is durable. Every error is
JSON: `error`, a sentence; `code`, a word that stays the same; `requestId`. openapi.json describes all of it.
"""

import functools
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
from urllib.parse import quote

from flask import Flask, Response, g, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import (
    BadRequest,
    Conflict,
    Gone,
    HTTPException,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
    TooManyRequests,
)

import admin
import exports
import monitoring
import queue_lib
import storage
from auth import Auth
from forms import (
    JOB_ID,
    Polls,
    checked_cursor,
    checked_most,
    checked_user,
    coded,
    job_not_found,
)
from monitoring import log
from queue_lib import Queue
from records import Records
from storage import TOO_LARGE, Storage
from uploads import Uploads
from webhooks import Hooks

MAX_BODY = 60 * 1024 * 1024  # up to here a body is read to its end, so that the client sees the sentence of its 400
LOOK_AFTER = 20  # seconds: somebody has to promote and repair when only a foreign worker drains the queue
READY_WITHIN = 2  # seconds
REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
POLICY = (  # what the page may do: its own parts and nothing else, whatever a document or a result has in it
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' {bucket}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
AWAY = "Docdeck is busy or being repaired and could not take this. Please try again in a few seconds."


def create_app() -> Flask:
    """The Flask app with its clients, from the environment."""
    monitoring.start_reporting()
    app = Flask(__name__, static_folder="web", static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]
    origins = [origin.strip() for origin in os.environ.get("CORS_ORIGINS", "").split(",") if origin.strip()]
    auth, hooks = Auth.from_env(), Hooks.from_env()
    queue, files, ended = Queue.from_env(answer=0.9), Storage.from_env(pool=40, connect=1.8), threading.Event()
    records = Records.from_env(files, pool=40, answer=1.8)
    uploads, policy = Uploads(queue, files, records, hooks), POLICY.format(bucket=files.upload_origin())
    app.extensions.update(queue=queue, storage=files, records=records, ended=ended)

    @app.post("/api/upload-document-async")
    def upload_document() -> dict[str, str]:
        with uploads.place():
            return uploads.submit(request)

    @app.post("/api/uploads")
    def begin_upload() -> tuple[dict[str, Any], int]:
        with uploads.place():
            return uploads.begin(request)

    @app.post("/api/uploads/<job_id>/complete")
    def complete_upload(job_id: str) -> dict[str, str]:
        return uploads.complete(job_id)

    @app.get("/api/webhook-secret")
    def webhook_secret() -> dict[str, str]:
        if not hooks:
            raise NotFound("This service sends no webhooks.")
        return {"secret": hooks.secret_of(checked_user(request.args.get("userId", "")))}

    @app.get("/")
    def page() -> Response:
        return app.send_static_file("index.html")

    @app.get("/openapi.json")
    def openapi() -> Response:
        return app.send_static_file("openapi.json")

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok", "service": "docdeck"}

    @functools.lru_cache(maxsize=1)
    def asked_in(second: int) -> dict[str, str]:
        return readiness(queue, files, records)  # once a second: anybody may ask, and it costs three servers something

    @app.get("/readyz")
    def readyz() -> Any:
        parts = asked_in(int(time.monotonic()))
        ready = all(answer == "ok" for answer in parts.values())
        return {"status": "ok" if ready else "unavailable", **parts}, 200 if ready else 503

    @app.before_request
    def who_asks() -> None:
        request.environ.pop("HTTP_IF_MATCH", None)  # Werkzeug would answer a read with 412, and none of our JSON
        given = request.headers.get("X-Railway-Request-Id") or request.headers.get("X-Request-Id") or ""
        g.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        g.caller = auth.caller(request)

    @app.after_request
    def never_sniffed(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Content-Security-Policy", policy)  # the dashboard has one of its own
        response.headers["X-Request-Id"] = g.request_id
        if request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        if origins:
            allow_origin(response, origins)
        return response

    @app.teardown_request
    def drop_upload(error: BaseException | None) -> None:
        request.close()  # the spooled file goes now, not when the garbage is collected

    app.register_blueprint(admin.dashboard(queue, records, auth))
    register_jobs(app, queue, files, records)
    register_errors(app)
    threading.Thread(target=look_after, args=(queue, ended), daemon=True).start()
    return app


def allow_origin(response: Response, origins: list[str]) -> None:
    """CORS: what a browser has to be told before a page of another origin may ask, or read an answer. No cookies."""
    response.vary.add("Origin")
    if request.headers.get("Origin") not in origins:
        return
    response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
    response.headers["Access-Control-Expose-Headers"] = "ETag, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Idempotency-Key, If-None-Match"
        response.headers["Access-Control-Max-Age"] = "600"


def register_jobs(app: Flask, queue: Queue, files: Storage, records: Records) -> None:
    """The routes of jobs that are there already."""

    polls = Polls(float(os.environ.get("POLLS_PER_SECOND") or 5))

    def caller() -> str | None:
        """Whose jobs are asked for, if that is known."""
        return g.caller.acts_for(request.args.get("userId", "")) or None

    def known(job_id: str) -> dict[str, Any]:
        """A job of the caller's as the wire shows it; of others and unknown ones the same is asked, and answered."""
        status = None
        if JOB_ID.fullmatch(job_id):
            status = queue.status(job_id, caller()) or records.status(job_id, caller())
        if status is None:
            raise job_not_found()
        untold = status["status"] == "completed" and "result" not in status  # too long for Redis, or never there
        if untold and (result := records.result(job_id, caller())):
            status["result"] = result
        return status

    @app.get("/api/job-status/<path:job_id>")
    def job_status(job_id: str) -> Any:
        if not polls.allows((g.caller.user, job_id[:64])):
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
        found = records.jobs(user, most + 1, before)
        places = queue.whereabouts([job["jobId"] for job in found if job["status"] == "queued"])
        told = {"run": "processing", "done": "completed", "dead": "failed"}
        for job in found:
            if job["status"] == "queued":  # the record hears of the end only
                job["status"] = told.get(places.pop(0), "queued")
        last = found[most - 1] if len(found) > most else None
        return {"jobs": found[:most], "cursor": f"{last['createdAt']}.{last['jobId']}" if last else None}

    def result_of(job_id: str) -> str:
        status = known(job_id)
        if "result" not in status:
            raise coded(Conflict(f"The job has no result: it is {status['status']}."), "no_result")
        return str(status["result"])

    @app.get("/api/jobs/<job_id>/result")
    def job_result(job_id: str) -> Response:
        response = Response(result_of(job_id), mimetype="application/json")
        response.headers["Content-Disposition"] = f'attachment; filename="{job_id}.json"'
        return response

    @app.get("/api/jobs/<job_id>/deck.<kind>")
    def job_deck(job_id: str, kind: str) -> Response:
        if kind not in exports.KINDS:
            raise coded(NotFound(f"A deck is one of {', '.join(exports.KINDS)}."), "unknown_deck")
        result = json.loads(result_of(job_id))
        body, mime = exports.deck(kind, result)
        name = quote(exports.file_name(str(result.get("document_title")), kind), safe="")
        response = Response(body, content_type=mime)
        response.headers["Content-Disposition"] = f"attachment; filename=\"deck.{kind}\"; filename*=UTF-8''{name}"
        return response

    @app.get("/api/jobs/<job_id>/file")
    def job_file(job_id: str) -> dict[str, Any]:
        known(job_id)
        record = records.record(job_id, caller())
        if record is None or not files.has(key := files.upload_key(record["userId"], job_id)):
            raise coded(Gone(storage.GONE), "file_gone")
        return {"url": files.person_link(key, record["fileName"]), "expiresIn": storage.SHORT_LINK}

    @app.post("/api/jobs/<job_id>/cancel")
    def cancel_job(job_id: str) -> dict[str, str]:
        status, outcome = known(job_id), queue.cancel(job_id)
        user = caller() or records.owner(job_id)
        if outcome == "unknown" and user is not None and status["status"] == "queued":
            outcome = "cancelled"  # Redis forgot it, and its record would bring it back
        if outcome not in ("cancelled", "cancelling"):
            raise coded(Conflict("The job is over already."), "job_over")
        if outcome == "cancelled" and user is not None:  # one that runs is written off by its worker
            records.fail_job(job_id, user, "Cancelled")
            files.delete(files.upload_key(user, job_id))
        return {"jobId": job_id, "status": outcome}

    @app.post("/api/jobs/<job_id>/retry")
    def retry_job(job_id: str) -> dict[str, str]:
        status = known(job_id)
        user = caller() or records.owner(job_id)
        if status["status"] != "failed" or queue.whereabouts([job_id]) != ["dead"]:
            raise coded(Conflict("Only a job that has failed can be tried again, within a few days."), "job_not_failed")
        if user is None or not files.has(files.upload_key(user, job_id)):
            raise coded(Gone(storage.GONE), "file_gone")
        queue.ration(user, 0)  # it is work like an upload
        records.reopen_jobs([job_id], user)  # first: should we die here, a worker writes the failure down again
        queue.requeue(job_id)
        return {"jobId": job_id, "status": "queued"}

    @app.delete("/api/jobs/<job_id>")
    def delete_job(job_id: str) -> tuple[str, int]:
        was_open = known(job_id)["status"] not in ("completed", "failed")
        user = caller() or records.owner(job_id)
        queue.forget([job_id])
        if user is not None:
            records.forget(user, [job_id])
        if was_open:  # else its end was said
            then = "nothing: its user wants it no more"
            log("job deleted", job_id=job_id, user_id=user, request_id=g.request_id, next=then)
        return "", 204

    @app.delete("/api/users/<path:user>")
    def delete_user(user: str) -> tuple[str, int]:
        user, count = checked_user(user), 0
        while job_ids := records.job_ids(user, 500):
            queue.forget(job_ids)
            records.forget(user, job_ids)
            count += len(job_ids)
        log("user deleted", user_id=user, jobs=count, request_id=g.request_id)
        return "", 204


def readiness(queue: Queue, files: Storage, records: Records) -> dict[str, str]:
    """Each part that the service needs: "ok", or why not."""
    pool = ThreadPoolExecutor(3)
    parts = {"redis": queue.ping, "mongodb": records.ping, "storage": files.ping}
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

    @app.errorhandler(ParseException)
    def broken(error: ParseException) -> Response:
        return http_error(BadRequest("The body's chunks are none."))  # which gunicorn finds out while they are read

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
