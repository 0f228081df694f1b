"""Fixtures for every test: the servers that `python3 dev.py test` has started, and a whole stack.

`servers`, `redis_url` and `mongo_uri` share one Redis, one MongoDB and one bucket, without API or worker, and are
emptied. `service` is a stack with servers of its own, so that a test that empties the shared ones does not disturb it.
"""

import contextlib
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from storage import Storage
from tests.support import Service, find_free_port, start_service, wait_until
from tests.worker_tools import IdleWorker, Start, watched_idle_worker, worker_log, worker_process

VARIABLES = ("UPSTASH_REDIS_URL", "MONGODB_URI", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="session")
def servers() -> dict[str, str]:
    """The variables that lead to the shared servers; they stand in the environment as well."""
    if any(name not in os.environ for name in VARIABLES):
        pytest.fail("These tests need servers: run `python3 dev.py test`, which starts them.", pytrace=False)
    return {name: os.environ[name] for name in (*VARIABLES, "AWS_REGION", "S3_BUCKET")}


@pytest.fixture
def redis_url(servers: dict[str, str]) -> str:
    """The shared Redis, empty."""
    url = servers["UPSTASH_REDIS_URL"]
    with redis.Redis.from_url(url) as connection:
        connection.flushall()
    return url


@pytest.fixture
def mongo_uri(servers: dict[str, str]) -> str:
    """The shared MongoDB, with the name of a database that is new."""
    return f"{servers['MONGODB_URI'].rpartition('/')[0]}/test-{uuid.uuid4().hex}"


@pytest.fixture
def db(redis_url: str) -> Iterator["redis.Redis"]:
    """A plain client of the shared Redis, emptied."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        yield connection


@pytest.fixture
def files(servers: dict[str, str], mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """The shared bucket and a new database, which the environment names as well."""
    monkeypatch.setenv("MONGODB_URI", mongo_uri)
    with contextlib.closing(Storage.from_env()) as files:
        yield files


@pytest.fixture
def start_worker(files: Storage, redis_url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker of worker_tools in tmp_path and waits until it is up; all are killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(**arguments: Any) -> subprocess.Popen[str]:
        started.append(worker_process(tmp_path, **arguments))
        wait_until(lambda: worker_log(tmp_path).count("worker started") == len(started), 20, "the worker's start")
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def free_port() -> int:
    """A port of this machine that nobody listens on."""
    return find_free_port()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A stack of its own: servers, API, one worker."""
    stack = start_service(tmp_path_factory.mktemp("service") / "data")
    yield stack
    stack.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What watches the idle worker comes last: the other tests fill its time."""
    items.sort(key=lambda item: "idle_worker" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session", autouse=True)
def begin_early(request: pytest.FixtureRequest) -> None:
    """The idle worker starts with the first test, if any test of this run asks for it."""
    if any("idle_worker" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("idle_worker")


@pytest.fixture(scope="session")
def idle_worker(servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdleWorker]:
    """worker.py itself with its real times, in front of a Redis of its own that is five milliseconds away."""
    with watched_idle_worker(tmp_path_factory.mktemp("idle")) as idle:
        yield idle
