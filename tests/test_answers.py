"""What the API answers: openapi.json against the routes, every error in JSON, and any input without a 5xx."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from records import Records
from tests.redis_tools import watched
from tests.support import ROOT, running_api

METHODS = {"GET", "POST", "PUT", "DELETE"}


@pytest.fixture
def app(records: Records, redis_url: str) -> Iterator[Flask]:
    with running_api() as app:
        yield app


def is_error(answer: Any) -> bool:
    """Whether an answer is JSON with a sentence, a code and the id of the request that its header has, and no more."""
    told = answer.get_json()
    assert re.fullmatch("[a-z_]+", told["code"]), told
    return set(told) == {"error", "code", "requestId"} and told["requestId"] == answer.headers["X-Request-Id"]


def test_openapi_describes_every_route_and_no_other(app: Flask) -> None:
    with app.test_client().get("/openapi.json") as answer:
        described = answer.json
    assert described is not None
    assert described["openapi"].startswith("3.1")
    listed = {f"{word.upper()} {path}" for path, words in described["paths"].items() for word in words} - {
        f"PARAMETERS {path}" for path in described["paths"]
    }
    routes = set()
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("admin."):
            continue  # the operators' are for their own page, and for Prometheus
        path = re.sub(r"<(?:path:)?job_id>", "{jobId}", rule.rule).replace("<kind>", "{kind}")
        path = path.replace("<path:user>", "{userId}")
        routes |= {f"{method} {path}" for method in (rule.methods or set()) & METHODS}
    assert listed == routes - {"GET /static/<path:filename>"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/job-status/unknown", 404, "job_not_found"),
        ("PUT", "/api/job-status/unknown", 405, "method_not_allowed"),
        ("GET", "/static/../api.py", 404, "not_found"),
    ],
)
def test_every_refusal_is_json_with_a_code_and_the_requests_id(
    app: Flask, method: str, path: str, status: int, code: str
) -> None:
    answer = app.test_client().open(path, method=method)
    assert (answer.status_code, (answer.json or {})["code"]) == (status, code)
    assert is_error(answer)


def test_a_bug_of_ours_is_a_500_in_json_that_tells_nothing_and_a_line_in_the_log(
    app: Flask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(app.extensions["queue"], "status", lambda *_: 1 / 0)
    answer = app.test_client().get("/api/job-status/x", headers={"X-Railway-Request-Id": "abc-1"})
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (500, "abc-1")
    assert is_error(answer)
    assert "ZeroDivision" not in answer.text
    out, err = capsys.readouterr()
    (line,) = (json.loads(line) for line in out.splitlines())
    assert (line["message"], line["request_id"]) == ("a bug in the API", "abc-1")
    assert "ZeroDivisionError" in line["cause"]
    assert err == ""


def test_a18_a_request_id_that_could_forge_a_log_line_is_not_taken_over(app: Flask) -> None:
    answer = app.test_client().get("/healthz", headers={"X-Request-Id": "a b{}"})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])


def test_a6_another_content_type_is_415_and_another_method_405(app: Flask) -> None:
    client = app.test_client()
    answer = client.post("/api/upload-document-async", json={"userId": "ann"})
    assert answer.status_code == 415
    assert is_error(answer)
    assert client.delete("/api/upload-document-async").status_code == 405


@pytest.mark.parametrize(("name", "files"), [("userId", 1), ("maxWords", 1), ("", 2)])
def test_a3_a_field_or_a_file_that_is_there_twice_is_refused(app: Flask, name: str, files: int) -> None:
    fields = [("userId", "ann"), ("maxWords", "1")] + ([(name, "2")] if name else [])
    documents = [("file", ("a.txt", b"Water is life."))] * files
    form = requests.Request("POST", "http://x", data=fields, files=documents).prepare()
    sent = {"data": form.body, "content_type": form.headers["Content-Type"]}
    answer = app.test_client().post("/api/upload-document-async", **sent)
    assert (answer.status_code, is_error(answer)) == (400, True)
    assert "twice" in (answer.json or {})["error"]


def test_a_condition_that_only_writes_have_changes_no_answer(app: Flask) -> None:
    for path in ("/api/job-status/x", "/static/app.js"):
        with app.test_client().get(path, headers={"If-Match": '"x"'}) as answer:
            assert answer.status_code in (200, 404)


def test_a19_readyz_asks_the_servers_once_a_second_however_often_it_is_asked(app: Flask, redis_url: str) -> None:
    client = app.test_client()
    assert client.get("/readyz").status_code == 200
    began = time.monotonic()
    with watched(redis_url) as monitor:
        for _ in range(50):
            client.get("/readyz")
    assert len(monitor.sent) <= 1 + time.monotonic() - began + 1


def test_a4_known_words_have_a_limit_since_they_stay_in_redis_with_the_job(app: Flask) -> None:
    form = {"file": ((ROOT / "README.md").open("rb"), "a.txt"), "userId": "ann", "knownWords": "a," * 40_000}
    answer = app.test_client().post("/api/upload-document-async", data=form)
    assert (answer.status_code, (answer.json or {})["code"]) == (400, "bad_request")


@pytest.mark.parametrize("field", ["owner", "status", "attempts", "s3_key", "payload", "jobId", "run"])
def test_a3_a_field_that_no_form_has_is_refused_by_its_name(app: Flask, field: str) -> None:
    form = {"file": ((ROOT / "README.md").open("rb"), "a.txt"), "userId": "ann", field: "x"}
    answer = app.test_client().post("/api/upload-document-async", data=form)
    assert answer.status_code == 400
    assert field in (answer.json or {})["error"]


def test_a4_too_many_parts_and_too_long_a_field_are_413(app: Flask) -> None:
    client = app.test_client()
    for fields in ({f"f{n}": "x" for n in range(1001)}, {"userId": "x" * 600_000}):
        form = requests.Request("POST", "http://x", data=fields, files={"file": ("a.txt", b"x")}).prepare()
        sent = {"data": form.body, "content_type": form.headers["Content-Type"]}
        answer = client.post("/api/upload-document-async", **sent)
        assert answer.status_code == 413
        assert is_error(answer)


def test_a26_no_page_shows_the_environment_and_nothing_runs_in_debug(app: Flask) -> None:
    assert not app.debug
    assert not app.testing
    assert not app.config["PROPAGATE_EXCEPTIONS"]
    paths = [rule.rule for rule in app.url_map.iter_rules()]
    assert not [path for path in paths if any(word in path for word in ("env", "debug", "config", "console"))]


@pytest.mark.filterwarnings("default")  # schemathesis' own parts
def test_nothing_that_openapi_allows_or_forbids_is_answered_with_a_5xx(app: Flask) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    tried = []
    for operation in (found.ok() for found in schema.get_all_operations()):  # type: ignore[union-attr]
        for mode in schemathesis.GenerationMode:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=8,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def attack(case: Any) -> None:
                answer = case.call()
                tried.append(answer.status_code)
                assert answer.status_code < 500, (case.as_curl_command(), answer.content)
                if answer.status_code >= 400:
                    assert {"error", "code", "requestId"} == set(answer.json())

            with contextlib.suppress(Unsatisfiable):  # a route that takes nothing can be given nothing wrong
                attack()
    assert len(tried) > 100
    assert 200 in tried
