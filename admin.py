"""The operators' dashboard: what the queue does and has done, its jobs and errors, and what can be done about them.

Its figures are counters that the queue's scripts keep and its lists are indexes with an end: a page costs a few Redis
commands, however many jobs there have been. The page itself is web/admin.html, which holds nothing of anybody's; all
that it shows comes from the routes here, which auth.py opens to the ADMIN_TOKEN alone.
"""

import json
import re
import time
from typing import Any

from flask import Blueprint, Response, current_app, g, request
from werkzeug.exceptions import BadRequest, Forbidden, NotFound

import metrics
from auth import COOKIE, SESSION, Auth
from monitoring import log
from queue_lib import Queue, Stats
from records import Records

HOURS = 25  # of which the first may be cut off: since midnight in UTC, and a day for the charts
MOST = 50  # rows of a list, groups, users
AT_ONCE = 200  # jobs of a filter that one command starts anew
PLACES = ("waiting", "running", "delayed", "dead", "done")
PRICE = 0.2 / 100_000  # dollars for a command: Upstash, pay as you go
SIGNED = re.compile(r"(https?://[^\s\"?]+)\?[^\s\"\\]*")  # whoever has such a link has the document
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'"
CSP += "; form-action 'self'; frame-ancestors 'none'"


def dashboard(queue: Queue, records: Records, auth: Auth) -> Blueprint:
    """The routes under /admin, and /metrics."""
    pages = Blueprint("admin", __name__)

    @pages.after_request
    def closed(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = CSP
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response

    @pages.get("/metrics")
    def scrape() -> Response:
        return Response(metrics.exposition(queue.stats()), content_type="text/plain; version=0.0.4; charset=utf-8")

    @pages.get("/admin")
    def page() -> Response:
        return current_app.send_static_file("admin.html")

    @pages.post("/admin/login")
    def login() -> tuple[dict[str, str], int]:
        session = auth.session(request.form.get("token", ""))
        if session is None:
            log("a login as operator failed", "warning", request_id=g.request_id)
            raise Forbidden("That is not the ADMIN_TOKEN.")
        response = current_app.make_response(("", 303, {"Location": "/admin"}))
        secure = request.headers.get("X-Forwarded-Proto", request.scheme) == "https"
        response.set_cookie(
            COOKIE, session, max_age=SESSION, path="/admin", httponly=True, samesite="Strict", secure=secure
        )
        return response  # type: ignore[return-value]

    @pages.post("/admin/logout")
    def logout() -> Response:
        response = current_app.make_response(("", 204))
        response.delete_cookie(COOKIE, path="/admin")
        return response

    @pages.get("/admin/figures")
    def figures() -> dict[str, Any]:
        return shown(queue.stats(HOURS, MOST))

    @pages.get("/admin/jobs")
    def jobs() -> dict[str, Any]:
        place, user = request.args.get("place", "waiting"), request.args.get("user", "")
        if place == "all":  # of one user, the records say everything, also what Redis has forgotten
            return records_of(user, *request.args.get("skip", "").partition(".")[::2])
        found, more = queue.jobs(checked_place(place), **filters(request.args), skip=number("skip"), most=MOST)
        return {"jobs": found, "next": more}

    def records_of(user: str, created: str, last: str) -> dict[str, Any]:
        found = records.jobs(user, MOST + 1, (int(created), last) if last and created.isdecimal() else None)
        more = found[MOST:] and f"{found[MOST - 1]['createdAt']}.{found[MOST - 1]['jobId']}"
        for job, place in zip(found, queue.whereabouts([job["jobId"] for job in found]), strict=True):
            job.update(at=place, user=user)
        return {"jobs": found[:MOST], "next": more or -1}

    @pages.get("/admin/job")
    def job() -> Response:
        job_id = request.args.get("id", "")
        found, record = queue.details(job_id), records.record(job_id)
        if found is None and record is None:
            raise NotFound("There is no such job.")
        told = json.dumps({"jobId": job_id, "redis": found, "record": record}, default=str)
        return Response(re.sub(SIGNED, r"\1?…", told), mimetype="application/json")

    @pages.post("/admin/pause", defaults={"verb": "pause"})
    @pages.post("/admin/resume", defaults={"verb": "resume"})
    def turn(verb: str) -> dict[str, str]:
        queue.pause() if verb == "pause" else queue.resume()
        return told(verb)

    @pages.post("/admin/cancel", defaults={"verb": "cancel"})
    @pages.post("/admin/delete", defaults={"verb": "delete"})
    def end(verb: str) -> dict[str, str]:
        current_app.view_functions[f"{verb}_job"](job_id=wish().get("job", ""))  # as its user does it
        return told(verb, job_id=wish()["job"])

    @pages.post("/admin/requeue")
    def requeue() -> dict[str, Any]:
        wanted = wish()
        if "job" in wanted:
            queued, more = anew([str(wanted["job"])]), False
        else:
            after, job_ids = 0, list[str]()
            while after != -1 and not job_ids:
                found, after = queue.jobs("dead", **filters(wanted), skip=after, most=AT_ONCE)
                job_ids = [job["jobId"] for job in found if job["cancel"] is None and job["user"] is not None]
            queued = anew(job_ids)
            more = queued > 0 and after != -1
        return {**told("requeue", jobs=queued), "queued": queued, "more": more}

    def anew(job_ids: list[str]) -> int:
        records.reopen_jobs(job_ids)  # first: should we die here, a worker writes the failures down again
        return queue.requeue(*job_ids) if job_ids else 0

    return pages


def told(verb: str, **what: Any) -> dict[str, str]:
    """A change, in the log and for the page."""
    log("an operator changed something", verb=verb, request_id=g.request_id, **what)
    return {"status": "done"}


def wish() -> dict[str, Any]:
    """The JSON of a change."""
    sent = request.get_json(silent=True)
    if not isinstance(sent, dict):
        raise BadRequest("Send a JSON object.")
    return sent


def filters(asked: Any) -> dict[str, Any]:
    """What a list is narrowed to."""
    since, until = number("since", asked), number("until", asked) or 1 << 52
    return {
        "user": str(asked.get("user", "")), "group": str(asked.get("group", "")), "between": (since, until)
    }  # fmt: skip


def number(name: str, asked: Any = None) -> int:
    """A whole number of a request, 0 where there is none."""
    given = str((request.args if asked is None else asked).get(name) or "0")
    if not given.isdecimal() or len(given) > 15:
        raise BadRequest(f"{name} is a whole number.")
    return int(given)


def checked_place(place: str) -> str:
    """Where jobs can be."""
    if place not in PLACES:
        raise BadRequest(f"place is one of {', '.join(PLACES)}, or all for one user.")
    return place


def shown(stats: Stats) -> dict[str, Any]:
    """The figures as the page draws them: times in seconds, percentiles by the hour."""
    midnight = time.gmtime(stats.now)
    today = stats.now - midnight.tm_hour * 3600 - midnight.tm_min * 60 - midnight.tm_sec
    commands = sum(counted.get("commands", 0) for at, counted in stats.hours.items() if at >= int(today))
    stages = metrics.stages_of(stats.totals)
    return {
        "now": stats.now,
        "places": stats.places,
        "lines": stats.lines,
        "workers": stats.workers,
        "groups": stats.groups,
        "users": stats.users,
        "limits": stats.limits,
        "commands": {"today": commands, "dollars": round(commands * PRICE, 4)},
        "hours": [hour_of(at, counted, stages) for at, counted in sorted(stats.hours.items())[-24:]],
    }


def hour_of(at: int, counted: dict[str, int], stages: list[str]) -> dict[str, Any]:
    """One hour of the charts."""
    return {
        "at": at,
        "queued": counted.get("queued", 0),
        "ended": {name: counted[f"ended:{name}"] for name in metrics.OUTCOMES if f"ended:{name}" in counted},
        "commands": counted.get("commands", 0),
        "wait": spread(counted, "wait"),
        "stages": {stage: spread(counted, f"stage:{stage}") for stage in stages},
    }


def spread(counted: dict[str, int], name: str) -> list[float | None]:
    """The median and the 95th percentile, in seconds."""
    counts = metrics.histogram(counted, name)
    values = [metrics.quantile(counts, share) for share in (0.5, 0.95)]
    return [None if value is None else round(value / 1000, 3) for value in values]
