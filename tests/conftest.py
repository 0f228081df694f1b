"""Fixtures for every test: Redis, MongoDB and S3 of this process's own, and a whole stack.

`servers`, `redis_url` and `mongo_uri` share one Redis, one MongoDB and one bucket, without API or worker; Redis is
emptied for each test. `service` is a stack with servers of its own, so that a test that empties the shared ones does
not disturb it.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from queue_lib import Queue
from records import Records
from servers import URLS, Stack
from storage import Storage
from tests.doctor_tools import set_env  # noqa: F401
from tests.page_tools import browser, cards, deck, errors, open_page, page, sample_job  # noqa: F401
from tests.queue_tools import make_queue
from tests.support import Service, find_free_port, make_collections, running_api, start_service, wait_until
from tests.worker_tools import Start, worker_log, worker_process


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """The variables that lead to the shared servers; they stand in the environment as well."""
    for name in sum(URLS.values(), ()):
        os.environ.pop(name, None)  # tests empty what they are given: they get servers of their own
    with tempfile.TemporaryDirectory(prefix="docdeck-test-") as folder, Stack(Path(folder)) as stack:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C is pytest's
        stack.start_servers()
        os.environ.update(stack.env)
        yield stack.env


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
def files(servers: dict[str, str]) -> Iterator[Storage]:
    """The shared bucket."""
    with contextlib.closing(Storage.from_env()) as files:
        yield files


@pytest.fixture
def records(files: Storage, mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    """A new database, which the environment names as well."""
    monkeypatch.setenv("MONGODB_URI", mongo_uri)
    with contextlib.closing(Records.from_env(files)) as records:
        make_collections(records)
        yield records


@pytest.fixture
def queue(redis_url: str) -> Queue:
    """A queue with short times in the shared Redis."""
    return make_queue(redis_url)


@pytest.fixture
def client(records: Records, redis_url: str) -> Iterator[FlaskClient]:
    """One of an API of this process's own."""
    with running_api() as app, app.test_client() as client:
        yield client


@pytest.fixture
def start_worker(records: Records, redis_url: str, tmp_path: Path) -> Iterator[Start]:
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
    """The longest files come first, so that pytest-xdist's processes end together."""
    first = (
        *("test_crash", "test_hostile", "test_outages", "test_worker", "test_cost", "test_slow", "test_dev"),
        *("test_network", "test_monitoring", "test_dashboard", "test_session", "test_spec_page", "test_child"),
        "test_doctor",
    )
    items.sort(key=lambda item: first.index(item.path.stem) if item.path.stem in first else len(first))
