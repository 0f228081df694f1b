"""Who is who: tokens, keys and the operator, over every route that there is."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import jwt
import pytest
from flask import Flask

import api
from auth import OPEN_PATHS
from records import Records
from tests.support import running_api

SECRET = "canary-auth-secret-" + "s" * 32
KEY = "canary-api-key"


def token(user: str = "ann", secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + 600, **claims}, secret, algorithm)


def bearer(told: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {told}", "X-Request-Id": "the-same"}


@pytest.fixture
def app(records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setenv("AUTH_SECRET", SECRET)
    monkeypatch.setenv("API_KEYS", hashlib.sha256(KEY.encode()).hexdigest())
    monkeypatch.setenv("ADMIN_TOKEN", "canary-admin-token")
    with running_api() as app:
        yield app


def upload(app: Flask, told: str, **fields: str) -> Any:
    form: dict[str, Any] = {"file": (BytesIO(b"Water is life. " * 40), "water.txt"), **fields}
    return app.test_client().post("/api/upload-document-async", data=form, headers=bearer(told))


def every_route(app: Flask, job_id: str = "unknown") -> list[tuple[str, str]]:
    """Each method and path that the API has, with an id where it takes one."""
    found = []
    for rule in app.url_map.iter_rules():
        path = rule.rule
        for name in rule.arguments:
            path = path.replace(f"<path:{name}>", job_id).replace(f"<{name}>", job_id)
        found += [(method, path) for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]
    return found


WRONG = {
    "nothing": {},
    "another scheme": {"Authorization": f"Basic {KEY}"},
    "a wrong key": bearer("canary-api-kex"),
    "another secret": bearer(token(secret="x" * 40)),
    "no signature": bearer(jwt.encode({"sub": "ann", "exp": 9999999999}, "", "none")),
    "an empty secret": bearer(token(secret=" " * 32)),
    "another algorithm": bearer(token(secret=SECRET * 2, algorithm="HS512")),
    "expired": bearer(token(exp=int(time.time()) - 60)),
    "no end": bearer(jwt.encode({"sub": "ann"}, SECRET, "HS256")),
    "a strange user": bearer(token("a\nb")),
    "the sum of a key": bearer(hashlib.sha256(KEY.encode()).hexdigest()),
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
def test_a1_every_route_but_the_open_ones_is_401_without_a_good_token(app: Flask, headers: dict[str, str]) -> None:
    closed = 0
    for method, path in every_route(app):
        query = {"token": token(), "key": KEY, "access_token": token()}
        with app.test_client().open(path, method=method, headers=headers, query_string=query) as answer:
            if not OPEN_PATHS.fullmatch(path):
                closed += 1
                assert (answer.status_code, (answer.json or {}).get("code")) == (401, "unauthorized"), (method, path)
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            else:
                assert answer.status_code != 401, path
    assert closed >= 2


def test_a2_the_job_of_another_user_is_byte_for_byte_an_unknown_one_on_every_route(app: Flask) -> None:
    job_id = upload(app, token("ann")).json["jobId"]
    client, asked = app.test_client(), 0
    for method, path in every_route(app, job_id):
        if job_id not in path or path.startswith("/static"):
            continue
        unknown = client.open(path.replace(job_id, "0" * 36), method=method, headers=bearer(token("bob")))
        others = client.open(path, method=method, headers=bearer(token("bob")))
        assert (others.status_code, others.data) == (unknown.status_code, unknown.data), (method, path)
        assert others.status_code in (403, 404), (method, path)
        asked += 1
    assert asked
    mine = client.get(f"/api/job-status/{job_id}", headers=bearer(token("ann")))
    assert (mine.status_code, (mine.json or {})["status"]) == (200, "queued")


def test_the_user_is_the_tokens_and_another_one_in_the_form_is_403(app: Flask) -> None:
    assert upload(app, token("ann")).status_code == 200
    assert upload(app, token("ann"), userId="ann").status_code == 200
    refused = upload(app, token("ann"), userId="bob")
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")


def test_a_servers_key_acts_for_any_user_that_it_names(app: Flask) -> None:
    job_id = upload(app, KEY, userId="bob").json["jobId"]
    assert upload(app, KEY).status_code == 400
    client = app.test_client()
    assert client.get(f"/api/job-status/{job_id}", headers=bearer(KEY)).status_code == 200
    assert client.get(f"/api/job-status/{job_id}", headers=bearer(token("bob"))).status_code == 200


def test_with_keys_alone_no_token_is_good(
    records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEYS", hashlib.sha256(KEY.encode()).hexdigest())
    header, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (
        {"alg": "HS256", "typ": "JWT"}, {"sub": "ann", "exp": 9999999999},
    ))  # fmt: skip
    signature = base64.urlsafe_b64encode(hmac.digest(b"", header + b"." + body, "sha256")).rstrip(b"=")
    forged = b".".join([header, body, signature]).decode()
    with running_api() as app:
        client = app.test_client()
        assert client.get("/api/jobs", headers=bearer(forged)).status_code == 401
        assert client.get("/api/jobs?userId=ann", headers=bearer(KEY)).status_code == 200


def test_a1_the_sum_of_nothing_among_the_keys_lets_nobody_in(
    records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEYS", hashlib.sha256(b"").hexdigest())
    with running_api() as app:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Basic x"}):
            assert app.test_client().get("/api/jobs?userId=ann", headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/metrics", "/admin/figures", "/admin/x"])
def test_the_operators_pages_take_the_admin_token_and_no_users(app: Flask, path: str) -> None:
    client = app.test_client()
    for told in (token(), KEY, ""):
        assert client.get(path, headers=bearer(told)).status_code == 401
    assert client.get(path, headers=bearer("canary-admin-token")).status_code != 401


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RAILWAY_PROJECT_ID": "p"}, "OPEN_ACCESS=1"),
        ({"AUTH_SECRET": "short"}, "at least 32 characters"),
        ({"API_KEYS": "a-key-and-no-sum"}, "sha256sum"),
    ],
)
def test_a_setting_that_protects_nothing_ends_the_start_with_a_sentence(
    records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=words):
        api.create_app()
    if "RAILWAY_PROJECT_ID" in variables:
        monkeypatch.setenv("OPEN_ACCESS", "1")
        with running_api() as app:
            assert app.test_client().get("/healthz").status_code == 200
