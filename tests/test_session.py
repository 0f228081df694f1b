"""README's curl session, as it is printed there, on the whole service; and secrets that nobody may ever see."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from records import Records
from tests.support import ROOT, Service, need, start_service, wait_until
from tests.test_auth import bearer, token

README = (ROOT / "README.md").read_text()
CANARIES = {
    "AUTH_SECRET": "canary-auth-secret-" + "a" * 32,
    "ADMIN_TOKEN": "canary-admin-token",
    "WEBHOOK_SECRET": "canary-webhook-secret-" + "w" * 32,
}


def session() -> list[tuple[str, str]]:
    """The commands of README's session and the answers that it shows."""
    text = README.partition("\n## The API\n")[2].partition("\n| route |")[0]
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    return [(line, lines[n + 1]) for n, line in enumerate(lines) if line.startswith("curl ")]


def names_of(shown: str) -> set[str]:
    """The names of an answer in README, in which … stands for what differs."""
    return set(re.findall(r'"(\w+)":', shown))


def test_readmes_curl_session_gives_what_it_shows(service: Service) -> None:
    need("curl", "curl")
    commands = session()
    assert len(commands) >= 7
    variables = {"api": service.url, "job": ""}
    for command, shown in commands:
        if "/result" in command or "/jobs?" in command:
            wait_until(
                lambda: requests.get(f"{service.url}/api/job-status/{variables['job']}", timeout=5).json()["status"]
                == "completed",
                60,
                "the cards",
            )
        ran = subprocess.run(
            ["/bin/sh", "-c", command], cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        if not shown.startswith("{"):
            assert ran.stdout == shown
            continue
        told: Any = json.loads(ran.stdout)
        flat = json.dumps(told)
        missing = {name for name in names_of(shown) if f'"{name}":' not in flat}
        assert not missing, f"{command} does not show {missing}: {ran.stdout[:300]}"
        if "/api/upload-document-async" in command:
            variables["job"] = told["jobId"]
            assert list(told) == ["jobId", "status", "message"]


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A whole stack with every secret set, in a folder of its own."""
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    with start_service(tmp_path / "data") as stack:
        yield stack


def test_a17_no_secret_is_in_any_log_response_or_record(
    guarded: Service, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [guarded.env["AWS_SECRET_ACCESS_KEY"]]
    mine = token(secret=CANARIES["AUTH_SECRET"])
    secrets = [*CANARIES.values(), *keys, mine]
    answers = []

    def ask(method: str, path: str, **settings: Any) -> requests.Response:
        answers.append(requests.request(method, guarded.url + path, timeout=30, **settings))
        return answers[-1]

    document = (ROOT / "samples" / "how-a-city-drinks.txt").read_bytes()
    form: dict[str, Any] = {"files": {"file": ("a\r\nb.txt", document)}}
    job_id = ask("POST", "/api/upload-document-async", headers=bearer(mine), **form).json()["jobId"]
    path = f"/api/job-status/{job_id}"
    wait_until(lambda: ask("GET", path, headers=bearer(mine)).json()["status"] == "completed", 60, "the cards")
    for headers in (bearer(mine), bearer(CANARIES["ADMIN_TOKEN"]), bearer("wrong"), {}):
        for asked in ("/", "/nowhere", "/metrics", "/admin", "/readyz", "/openapi.json", "/api/jobs", path, "/env"):
            ask("GET", asked, headers=headers)
        ask("POST", "/api/upload-document-async", headers=headers, data=b"\0", params={"token": mine})
    said = "".join(path.read_text(errors="replace") for path in (guarded.data / "logs").glob("w*.log"))
    assert said.count('"job queued"') == 1
    said += guarded.output.read_text() + "".join(a.text + json.dumps(dict(a.headers)) for a in answers)
    with redis.Redis.from_url(guarded.env["UPSTASH_REDIS_URL"], decode_responses=True) as db:
        for key in db.scan_iter("*"):
            said += str(db.dump(key) if db.type(key) != "hash" else db.hgetall(key))
    monkeypatch.setenv("MONGODB_URI", guarded.env["MONGODB_URI"])
    own = Records.from_env(records.files)
    said += "".join(str(one) for kind in (own._database.jobs, own._database.results) for one in kind.find())
    own.close()
    for secret in secrets:
        assert secret not in said
    for line in (guarded.data / "logs" / "web.log").read_text().splitlines():
        json.loads(line)  # a name with a line's end in it makes no line of its own
