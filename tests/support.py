"""What several tests need and no fixture is: waiting with a deadline, and a whole stack of their own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from flask import Flask

import api
from records import Records
from servers import S3_VARIABLES, URLS, leashed

os.environ.setdefault("ALLOWED_FILE_HOSTS", "127.0.0.1")  # where the tests' own file servers are
os.environ.setdefault("POLLS_PER_SECOND", "1000")  # tests wait for what they ask for, and hardly between two looks
ROOT = Path(__file__).parent.parent
T = TypeVar("T")


def patience(seconds: float) -> float:
    """How long something may take that takes at most so many seconds by itself: thrice that among other tests."""
    return seconds * (3 if "PYTEST_XDIST_WORKER" in os.environ else 1)


def wait_until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """Wait until a condition holds; what it then gives. Fails after so many seconds, naming what did not come."""
    deadline = time.monotonic() + patience(seconds)
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come within {seconds} seconds")
        time.sleep(0.02)
    return value


def find_free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def need(program: str, package: str) -> str:
    """The path of a program, e.g. need("chromium", "chromium"). Without it: skipped on a laptop, failed in CI."""
    path = shutil.which(program)
    if path:
        return path
    sentence = f"{program} is missing: install the Debian package {package}"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


def without_servers() -> dict[str, str]:
    """This environment as it is on a machine where nothing is set, so that dev.py starts servers of its own."""
    ours = {*sum(URLS.values(), ()), *S3_VARIABLES}
    return {name: value for name, value in os.environ.items() if name not in ours}


def start_dev(*arguments: str | Path, output: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """`python dev.py run ARGUMENTS`, what it says in a file; it dies with this process. env: where no server is set."""
    command = leashed([sys.executable, str(ROOT / "dev.py"), "run", *map(str, arguments)])
    with output.open("wb") as out:
        return subprocess.Popen(command, env=env or without_servers(), stdout=out, stderr=subprocess.STDOUT)


@contextlib.contextmanager
def running_dev(
    *arguments: str | Path, output: Path, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`start_dev`, and its end, whatever becomes of the test."""
    process = start_dev(*arguments, output=output, env=env)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def wait_said(
    process: subprocess.Popen[bytes], output: Path, text: str = "Docdeck is ready", seconds: float = 60
) -> None:
    """Wait until a process says something; fails, with what it said instead, if it ends or takes too long."""
    deadline = time.monotonic() + seconds
    while text not in output.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{text!r} was not said within {seconds} seconds, but:\n{output.read_text()}")
        time.sleep(0.02)


def descendants(pid: int) -> dict[int, str]:
    """The processes below a process: pid to command line, from /proc. Zombies do not count."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            children.setdefault(int(parent), []).append(int(stat.parent.name))
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found[child] = command_line(child)
            waiting.append(child)
    return found


def command_line(pid: int) -> str:
    """A process' command line; "" if there is no such process, or only what a parent has not yet asked for."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def make_collections(records: Records) -> None:
    """Those of a new database, as SecantusDB hangs for good when an insert and an index make one at once."""
    for name in ("jobs", "results"):
        records._database.create_collection(name)


@contextlib.contextmanager
def running_api() -> Iterator[Flask]:
    """The API of this environment without a server around it; at the end its thread and its connections go."""
    app = api.create_app()
    try:
        yield app
    finally:
        app.extensions["ended"].set()
        app.extensions["records"].close()
        app.extensions["storage"].close()


@dataclass
class Service:
    """A whole stack of its own: servers, API and workers, as `dev.py run` starts them.

    url: of the API. data: its folder, with logs/. env: the variables that lead to its servers. process: dev.py's.
    output: what dev.py said. seconds: how long its start took.
    """

    url: str
    data: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes]
    output: Path
    seconds: float

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Stop it by a signal; how many seconds that took."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - started


def start_service(data: Path, *arguments: str, port: int = 0) -> Service:
    """A stack that is ready, on a free port if none is named."""
    port = port or find_free_port()
    output = data.with_suffix(".out")
    started = time.monotonic()
    process = start_dev("--port", str(port), "--data", data, *arguments, output=output)
    wait_said(process, output)
    seconds = time.monotonic() - started
    env = dict(line.split("=", 1) for line in (data / "env").read_text().splitlines())
    return Service(f"http://127.0.0.1:{port}", data, env, process, output, seconds)
