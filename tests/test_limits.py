"""Limits: of a user, in the enqueue script; of a job's polls, in the process. By who asks, never by an address."""

import time
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from api import Polls
from records import Records
from tests.redis_tools import watched
from tests.support import running_api, wait_until

TEXT = b"Water is life. " * 40


@pytest.fixture
def start(records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FlaskClient]]:
    """Starts an API with these variables; its client."""
    apps = []

    def begin(**variables: str) -> FlaskClient:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        apps.append(running_api())
        return apps[-1].__enter__().test_client()

    yield begin
    for app in apps:
        app.__exit__(None, None, None)


def upload(client: FlaskClient, user: str = "ann", **headers: str) -> Any:
    form = {"file": (BytesIO(TEXT), "water.txt"), "userId": user}
    return client.post("/api/upload-document-async", data=form, headers=headers)


@pytest.mark.parametrize(
    ("variable", "limit", "name", "window"),
    [("MAX_UPLOADS_PER_MINUTE", 2, "uploads", 60), ("MAX_BYTES_PER_DAY", 2 * len(TEXT), "bytes", 86400)],
)
def test_a19_a_user_who_uploads_too_often_or_too_much_is_429_with_its_limits_and_others_go_on(
    start: Callable[..., FlaskClient], records: Records, variable: str, limit: int, name: str, window: int
) -> None:
    client = start(**{variable: str(limit)})
    assert [upload(client).status_code for _ in range(2)] == [200, 200]
    before = records._database.jobs.count_documents({})
    for _ in range(2):  # refused by Redis, then by the process
        refused = upload(client)
        assert (refused.status_code, refused.json["code"]) == (429, f"too_many_{name}")
        assert 0 < int(refused.headers["Retry-After"]) <= window
        assert refused.headers["RateLimit-Policy"] == f'"{name}";q={limit};w={window}'
        assert refused.headers["RateLimit"].startswith(f'"{name}";r=0;t=')
    assert records._database.jobs.count_documents({}) == before
    assert upload(client, "bob").status_code == 200


def test_a_minute_that_is_over_lets_a_user_upload_again(start: Callable[..., FlaskClient], db: "redis.Redis") -> None:
    client = start(MAX_UPLOADS_PER_MINUTE="1")
    assert upload(client).status_code == 200
    assert 0 < db.pttl("document_queue:uploads:ann") <= 60_000
    db.pexpire("document_queue:uploads:ann", 1)  # the minute's end
    wait_until(lambda: not db.exists("document_queue:uploads:ann"), 5, "the end of the minute")
    assert upload(client).status_code == 200


def test_a_refused_user_costs_no_redis_command_until_the_limits_end(
    start: Callable[..., FlaskClient], redis_url: str
) -> None:
    client = start(MAX_UPLOADS_PER_MINUTE="1")
    upload(client)
    assert upload(client).status_code == 429
    with watched(redis_url) as monitor:
        assert [upload(client).status_code for _ in range(20)] == [429] * 20
    assert monitor.sent == []


def test_a21_no_address_is_counted_and_a_forged_one_changes_nothing(start: Callable[..., FlaskClient]) -> None:
    client = start(MAX_UPLOADS_PER_MINUTE="1")
    assert upload(client, X_Forwarded_For="10.0.0.1").status_code == 200
    assert upload(client, X_Forwarded_For="10.0.0.2", X_Real_IP="10.0.0.3").status_code == 429
    assert upload(client, "bob", X_Forwarded_For="10.0.0.1").status_code == 200


def test_polls_faster_than_allowed_are_429_for_this_job_and_who_asks_only(start: Callable[..., FlaskClient]) -> None:
    client = start(POLLS_PER_SECOND="2")
    job_id, other = upload(client).json["jobId"], upload(client).json["jobId"]
    codes = [client.get(f"/api/job-status/{job_id}").status_code for _ in range(20)]
    assert codes[:4] == [200] * 4
    assert 429 in codes
    assert client.get(f"/api/job-status/{other}").status_code == 200
    refused = client.get(f"/api/job-status/{job_id}")
    if refused.status_code == 429:
        assert (refused.headers["Retry-After"], (refused.json or {})["code"]) == ("2", "too_many_polls")


def test_two_polls_a_second_are_always_answered_and_the_memory_for_it_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    polls = Polls(2)
    for _ in range(100):
        assert polls.allows((None, "a"))
        now += 0.5
    for n in range(20_000):
        polls.allows((None, str(n)))
    assert len(polls._left) <= 10_001
