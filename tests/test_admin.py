"""The dashboard's routes: who may, what they change, and what a page costs with a million jobs behind it."""

import json
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from auth import COOKIE, Auth
from queue_lib import NORMAL, Queue
from records import Records
from tests.queue_tools import payload, take
from tests.redis_tools import OwnRedis, watched
from tests.support import running_api, wait_until

TOKEN = "canary-admin-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
CHANGES = ("pause", "resume", "cancel", "delete", "requeue", "logout")
MOST_COMMANDS, MOST_SECONDS = 20, 0.1
A_MILLION = 1_000_000

# Done jobs as finish leaves them, so many in one command that it takes well under a second, and an hour's counters.
FILL = """
for n = ARGV[1], ARGV[2] do
  local id = 'done-' .. n
  redis.call('HSET', 'job:' .. id, 'at', 'done', 'status', 'completed', 'user', 'user' .. n % 1000, 'list', ARGV[3],
    'payload', '{"jobId":"' .. id .. '","fileName":"' .. id .. '.pdf"}', 'createdAt', ARGV[4], 'attempts', 1,
    'result', '{"flashcards":[]}')
  if n > 990000 then redis.call('ZADD', ARGV[3] .. ':done', ARGV[4] - (1000000 - n), id) end
end
"""


@pytest.fixture
def app(records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setenv("ADMIN_TOKEN", TOKEN)
    with running_api() as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """One that has logged in as a browser does."""
    client = app.test_client()
    assert client.post("/admin/login", data={"token": TOKEN}).status_code == 303
    return client


def change(client: FlaskClient, verb: str, **told: Any) -> Any:
    return client.post(f"/admin/{verb}", json=told, headers={"Sec-Fetch-Site": "same-origin"})


def upload(client: FlaskClient, user: str = "ann", name: str = "water.txt") -> str:
    form = {"file": (BytesIO(b"Water is life. " * 40), name), "userId": user}
    return str((client.post("/api/upload-document-async", data=form).json or {})["jobId"])


def listed(client: FlaskClient, place: str, **asked: Any) -> list[str]:
    answer = client.get("/admin/jobs", query_string={"place": place, **asked}).json or {}
    return [job["jobId"] for job in answer["jobs"]]


# Who may ----------------------------------------------------------------------------------------------------------


def test_a16_without_an_admin_token_there_is_no_dashboard_and_no_metrics(records: Records, redis_url: str) -> None:
    with running_api() as app:
        for rule in app.url_map.iter_rules():
            if rule.endpoint.startswith("admin."):
                method = "POST" if "POST" in (rule.methods or ()) else "GET"
                assert app.test_client().open(rule.rule, method=method).status_code == 404, rule.rule


def test_a16_a_short_token_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", "admin")
    with pytest.raises(SystemExit, match="at least 16 characters"):
        Auth.from_env()


def test_a16_nothing_is_shown_or_changed_without_the_token_or_a_session_that_it_signed(app: Flask) -> None:
    client, now = app.test_client(), int(time.time())
    good = Auth("", frozenset(), TOKEN).session(TOKEN) or ""
    ends, _, signature = good.partition(".")
    stale = f"{now - 1}.{Auth('', frozenset(), TOKEN)._signed(str(now - 1))}"
    other = Auth("", frozenset(), TOKEN + "x").session(TOKEN + "x") or ""
    for cookie in ("", ".", "x.y", f"{int(ends) + 9}.{signature}", f"{ends}.", stale, other, "é.é"):
        client.set_cookie(COOKIE, cookie, path="/admin")
        for path in ("figures", "jobs", "job?id=x"):
            assert client.get(f"/admin/{path}").status_code == 401, cookie
        for verb in CHANGES:
            assert client.post(f"/admin/{verb}", json={}).status_code == 401, cookie
        assert client.get("/metrics").status_code == 401
    assert client.post("/admin/login", data={"token": "wrong"}).status_code == 403
    client.set_cookie(COOKIE, good, path="/admin")
    assert client.get("/admin/figures").status_code == 200
    assert app.test_client().get("/admin/figures", headers=BEARER).status_code == 200


@pytest.mark.parametrize("https", [True, False])
def test_a16_the_session_is_a_cookie_that_no_script_and_no_other_site_has(app: Flask, https: bool) -> None:
    forwarded = {"X-Forwarded-Proto": "https"} if https else {}
    answer = app.test_client().post("/admin/login", data={"token": TOKEN}, headers=forwarded)
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/admin"} <= set(cookie.split("; "))
    assert ("Secure" in cookie) == https
    assert TOKEN not in cookie


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "none")]
    + [{"Origin": origin} for origin in ("https://evil.test", "null", "http://localhost:81", "http://evil.localhost")],
)
def test_a16_a_change_from_another_site_is_refused_though_the_browser_sends_the_cookie(
    client: FlaskClient, queue: Queue, headers: dict[str, str]
) -> None:
    for verb in CHANGES:
        assert client.post(f"/admin/{verb}", json={"job": "x"}, headers=headers).status_code == 403, verb
    assert client.post("/admin/login", data={"token": TOKEN}, headers=headers).status_code == 403
    assert queue.stats().places["paused"] == 0
    assert client.post("/admin/pause", headers={"Origin": "http://localhost"}).status_code == 200
    assert queue.stats().places["paused"] == 1


def test_a16_no_other_page_can_frame_the_dashboard_and_no_foreign_script_runs_in_it(app: Flask) -> None:
    for path in ("/admin", "/admin/figures"):
        with app.test_client().get(path, headers=BEARER) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert answer.headers["Cache-Control"] == "no-store"
        for rule in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'"):
            assert rule in policy
        assert "unsafe" not in policy


# Lists and changes ------------------------------------------------------------------------------------------------


def test_jobs_are_found_by_place_user_error_group_and_time(client: FlaskClient, queue: Queue) -> None:
    ann, bob, waiting = upload(client), upload(client, "bob"), upload(client, "cid")
    queue.bury(take(queue), "It is empty.")
    then = time.time()
    wait_until(lambda: time.time() > then + 0.002, 1, "another millisecond of Redis' clock")
    queue.bury(take(queue), "It is locked.")
    assert listed(client, "dead") == [bob, ann]
    assert listed(client, "dead", user="ann") == [ann]
    groups = {group["title"]: group["id"] for group in (client.get("/admin/figures").json or {})["groups"]}
    assert listed(client, "dead", group=groups["It is locked."]) == [bob]
    assert listed(client, "dead", group=groups["It is locked."], user="ann") == []
    now = int(time.time() * 1000)
    assert listed(client, "dead", since=now - 60_000, until=now + 1000) == [bob, ann]
    assert listed(client, "dead", since=now + 60_000) == listed(client, "dead", until=now - 60_000) == []
    assert listed(client, "waiting") == [waiting]
    assert listed(client, "all", user="bob") == [bob]
    job = take(queue)
    assert listed(client, "running") == [job.id] == [waiting]
    queue.retry(job, "it broke", delay=100)
    assert listed(client, "delayed") == [waiting]
    assert client.get("/admin/jobs?place=nowhere").status_code == 400
    assert client.get("/admin/jobs?place=dead&since=x").status_code == 400


def test_of_one_user_all_records_are_listed_page_by_page(client: FlaskClient, records: Records) -> None:
    for n in range(60):
        records.create_job({**payload(f"a{n:02}"), "fileName": "x"}, {}, 1)
    first = client.get("/admin/jobs?place=all&user=ann").json or {}
    second = client.get("/admin/jobs", query_string={"place": "all", "user": "ann", "skip": first["next"]}).json or {}
    told = [job["jobId"] for job in first["jobs"] + second["jobs"]]
    assert (sorted(told), len(first["jobs"]), second["next"]) == ([f"a{n:02}" for n in range(60)], 50, -1)


def test_a_job_is_shown_with_its_history_its_cause_and_its_payload(client: FlaskClient, queue: Queue) -> None:
    job_id = upload(client, name="<b>.txt")
    queue.retry(take(queue), "Traceback (most recent call last):\nZeroDivisionError", delay=100)
    told = client.get("/admin/job", query_string={"id": job_id}).json or {}
    assert told["redis"]["cause"].startswith("Traceback")
    assert [line[1] for line in told["redis"]["history"]] == ["queued", "started", "failed"]
    assert json.loads(told["redis"]["payload"])["fileName"] == told["record"]["fileName"] == "<b>.txt"
    assert "X-Amz-Signature" not in json.dumps(told), "whoever has the link has the document"
    assert client.get("/admin/job?id=nobody").status_code == 404


def test_jobs_are_cancelled_deleted_and_requeued_one_by_one(
    client: FlaskClient, queue: Queue, records: Records
) -> None:
    first, second = upload(client), upload(client)
    assert change(client, "cancel", job=first).status_code == 200
    assert (queue.status(first) or {})["error"] == "Cancelled"
    assert change(client, "cancel", job=first).status_code == 409
    assert change(client, "delete", job=first).status_code == 200
    assert records.record(first) is None
    job = take(queue)
    queue.bury(job, "It is empty.")
    records.fail_job(second, "ann", "It is empty.")
    assert change(client, "requeue", job=second).json["queued"] == 1
    assert (records.record(second) or {})["status"] == "queued"
    assert change(client, "requeue", job=second).json["queued"] == 0
    assert take(queue).id == second
    assert change(client, "delete", job="nobody").status_code == 404
    assert client.post("/admin/requeue", data=b"[]", headers=BEARER).status_code == 400


def test_all_jobs_of_a_filter_are_requeued_but_what_its_user_cancelled(client: FlaskClient, queue: Queue) -> None:
    for n in range(250):
        queue.enqueue(payload(f"a{n}"))
        queue.bury(take(queue), "It is empty.")
    queue.enqueue(payload("cancelled"))
    queue.cancel("cancelled")
    queue.enqueue(payload("b", "bob"))
    queue.bury(take(queue), "It is empty.")
    told: dict[str, Any] = {"more": True}
    queued = 0
    while told["more"]:
        told = change(client, "requeue", user="ann").json
        queued += told["queued"]
    assert queued == 250
    assert sorted(listed(client, "dead")) == ["b", "cancelled"]


def test_a_pause_holds_the_queue_and_is_seen(client: FlaskClient, queue: Queue) -> None:
    change(client, "pause")
    upload(client)
    queue.look_after()
    assert queue.take() is None
    assert (client.get("/admin/figures").json or {})["places"]["paused"] == 1
    change(client, "resume")
    assert take(queue).user == "ann"


# What it costs ----------------------------------------------------------------------------------------------------


def test_a_page_costs_few_commands_and_a_tenth_of_a_second_with_a_million_finished_jobs(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = OwnRedis(tmp_path / "redis")
    monkeypatch.setenv("UPSTASH_REDIS_URL", server.url)
    monkeypatch.setenv("ADMIN_TOKEN", TOKEN)
    fill(server.client)
    filled = server.client.info("cpu")["used_cpu_user"]  # Redis' own time: other tests run beside this one
    assert server.client.dbsize() > A_MILLION
    with running_api() as app:
        client = app.test_client()
        paths = ["/admin/figures", *(f"/admin/jobs?place={place}" for place in ("waiting", "done", "dead"))]
        paths += ["/admin/jobs?place=done&user=user7", "/admin/job?id=done-5", "/metrics"]
        for path in paths:
            assert client.get(path, headers=BEARER).status_code == 200  # the first one sends the scripts
        with watched(server.url) as monitor:
            for path in paths:
                seconds(client, path)
        sent = [command.verb or command.name for command in monitor.sent if command.verb != "look_after"]
        times = {path: min(seconds(client, path) for _ in range(5)) for path in paths}  # other tests run as well
        told = client.get("/admin/jobs?place=done&user=user7", headers=BEARER).json or {}
    server.kill()
    assert [job["jobId"] for job in told["jobs"]] == ["done-999007", "done-998007"], "of the latest two thousand"
    print(f"\nfilled in {filled:.1f} s; {len(sent)} commands for {len(paths)} pages; ms: ", end="")
    print({path: round(1000 * took, 1) for path, took in times.items()})
    assert len(sent) <= len(paths) < MOST_COMMANDS
    assert max(times.values()) < MOST_SECONDS
    assert filled < 15


def seconds(client: FlaskClient, path: str) -> float:
    before = time.monotonic()
    assert client.get(path, headers=BEARER).status_code == 200
    return time.monotonic() - before


def fill(db: "redis.Redis") -> None:
    """A million finished jobs, and all hours of the charts full; quickly, so without a file."""
    db.config_set("appendonly", "no")
    db.config_set("save", "")
    now = int(time.time())
    script = db.register_script(FILL)
    for start in range(1, A_MILLION, 20_000):
        script(args=[start, start + 19_999, NORMAL, now * 1000])
    counted: dict[Any, Any] = {"queued": 41_000, "started": 42_000, "ended:completed": 40_000, "ended:refused": 1_000}
    counted["commands"] = 300_000
    for name in ("wait", "memory", *(f"stage:{n}" for n in range(16))):
        counted |= {f"{name}|{bucket}": 4_000 for bucket in range(10)} | {f"{name}|sum": 10**7}
    for hour in range(now // 3600 - 25, now // 3600 + 1):
        db.hset(f"{NORMAL}:stats:{hour}", mapping=counted)
    db.hset(f"{NORMAL}:stats", mapping={name: number * 24 for name, number in counted.items()})
    for n in range(60):
        db.zadd(f"{NORMAL}:groups", {f"group{n}": now * 1000})
        title = f"Error {n} in pipeline/merge.py, collapse"
        db.hset(f"{NORMAL}:group:group{n}", items=["title", title, "times", 5, "first", 1, "last", 2, "job", "x"])
    db.zadd(f"{NORMAL}:users:{now // 86400}", {f"user{n}": n for n in range(10_000)})
