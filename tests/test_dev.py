"""dev.py on real processes: what it starts, starts again, ends, and says."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import stat
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import requests

import dev
from servers import NICE, S3_VARIABLES, Process, Stack, Trouble, end, port_row, reserve_ports
from tests.support import (
    ROOT,
    Service,
    command_line,
    descendants,
    find_free_port,
    patience,
    running_dev,
    start_dev,
    start_service,
    wait_said,
    wait_until,
    without_servers,
)

SAMPLE = (ROOT / "samples" / "how-a-city-drinks.txt").read_text()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that is left as it was found: whatever a test kills is up again at its end."""
    service = start_service(tmp_path_factory.mktemp("stack") / "data")
    yield service
    service.stop()


def dev_run(*arguments: str | Path, output: Path) -> tuple[int, str]:
    """`dev.py run` to its end: exit code and what it said."""
    return start_dev(*arguments, output=output).wait(120), output.read_text()


def upload(url: str, text: str, name: str = "city.txt") -> str:
    answer = requests.post(
        f"{url}/api/upload-document-async", files={"file": (name, text)}, data={"userId": uuid.uuid4().hex}, timeout=30
    )
    return str(answer.json()["jobId"])


def status(url: str, job: str) -> dict[str, str]:
    answer: dict[str, str] = requests.get(f"{url}/api/job-status/{job}", timeout=10).json()
    return answer


def completed(url: str, job: str) -> bool:
    answer = status(url, job)
    assert answer["status"] != "failed", answer
    return answer["status"] == "completed"


def alive(processes: dict[int, str]) -> dict[int, str]:
    return {pid: command for pid, command in processes.items() if command and command_line(pid) == command}


def one(service: Service, part: str) -> int:
    """The process of dev.py's own children that has this in its command line."""
    found = {pid: command for pid, command in descendants(service.process.pid).items() if part in command}
    assert found, part
    return min(found)


# Starting and ending --------------------------------------------------------------------------------------------------


def test_two_instances_at_once_do_not_disturb_each_other_and_leave_no_process(tmp_path: Path) -> None:
    ports = [find_free_port(), find_free_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    outputs, folders = [tmp_path / "a.out", tmp_path / "b.out"], [tmp_path / "a", tmp_path / "b"]
    with contextlib.ExitStack() as ends:
        both = [
            ends.enter_context(running_dev("--port", str(port), "--data", folder, "--workers", "2", output=output))
            for port, folder, output in zip(ports, folders, outputs, strict=True)
        ]
        for process, output in zip(both, outputs, strict=True):
            wait_said(process, output)
            assert output.read_text().count("\n") == 1
        jobs = [upload(url, SAMPLE) for url in urls]
        for url, job, other in zip(urls, jobs, reversed(jobs), strict=True):
            wait_until(lambda url=url, job=job: completed(url, job), 60, "the cards")  # type: ignore[misc]
            assert status(url, other)["error"] == "Job not found"

        for process, number, folder, url in zip(both, (signal.SIGINT, signal.SIGTERM), folders, urls, strict=True):
            upload(url, SAMPLE * 20)  # so that there is something to end
            started = descendants(process.pid)
            assert sum("worker.py" in command for command in started.values()) == 2
            before = time.monotonic()
            process.send_signal(number)
            assert process.wait(20) == 0
            assert time.monotonic() - before < patience(10)
            assert alive(started) == {}
            assert not (folder / "env").exists()
            if process is both[0]:
                assert requests.get(f"{urls[1]}/readyz", timeout=10).status_code == 200


def test_what_was_queued_goes_on_at_the_next_start_which_is_ready_within_10_seconds(tmp_path: Path) -> None:
    with start_service(tmp_path / "data") as first:
        jobs = [upload(first.url, SAMPLE * copies) for copies in (20, 1, 1)]
        wait_until(lambda: status(first.url, jobs[0])["status"] == "processing", 20, "the first job's start")
    with start_service(tmp_path / "data") as second:
        assert second.seconds < patience(10)
        assert second.env == first.env, "links in queued jobs would lead nowhere"
        for job in jobs:
            wait_until(lambda job=job: completed(second.url, job), 60, "the cards")  # type: ignore[misc]


def test_kill_9_of_dev_py_leaves_no_process_and_nothing_in_the_way_of_the_next_start(tmp_path: Path) -> None:
    with start_service(tmp_path / "data") as first:
        job = upload(first.url, SAMPLE * 20)
        wait_until(lambda: status(first.url, job)["status"] == "processing", 20, "the job's start")
        started = descendants(first.process.pid)
        assert any("forkserver" in command for command in started.values())
        first.process.kill()
        first.process.wait()
        wait_until(lambda: not alive(started), 5, "the end of all processes")
    with start_service(tmp_path / "data", port=int(first.url.rpartition(":")[2])) as second:
        assert second.seconds < patience(10)
        assert second.env == first.env
        assert status(second.url, job)["status"] in ("queued", "processing", "completed")


# Starting again -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["worker.py", "gunicorn"])
def test_a_process_that_is_killed_is_started_again_within_2_seconds(stack: Service, part: str) -> None:
    victim = one(stack, part)
    killed = time.monotonic()
    os.kill(victim, signal.SIGKILL)

    def replaced() -> bool:
        others = descendants(stack.process.pid)
        return victim not in others and any(part in command for command in others.values())

    wait_until(replaced, 5, "its successor")
    assert time.monotonic() - killed < patience(2)
    job = upload(stack.url, SAMPLE)
    wait_until(lambda: completed(stack.url, job), 60, "the cards")


def test_a_redis_that_is_killed_is_back_within_2_seconds_with_all_it_acknowledged(stack: Service) -> None:
    with redis.Redis.from_url(stack.env["UPSTASH_REDIS_URL"]) as connection:
        connection.set("acknowledged", "yes")
        killed = time.monotonic()
        os.kill(one(stack, "valkey-server"), signal.SIGKILL)

        def answer() -> object:
            with contextlib.suppress(redis.ConnectionError):
                return connection.get("acknowledged")
            return None

        assert wait_until(answer, 5, "its answer") == b"yes"
        assert time.monotonic() - killed < patience(2)


def test_a_process_that_dies_again_and_again_is_started_once_a_second_and_said_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Stack(tmp_path / "data") as stack:
        process = Process("flapping", ["/bin/sh", "-c", "echo up; exit 3"], tmp_path / "log", dict(os.environ))
        stack._service.append(process)
        stack.pause(3.5)
    assert 3 <= (tmp_path / "log").read_text().count("up") <= 4
    assert capfd.readouterr().err.count("flapping ended with code 3") == 1


def test_a_worker_and_what_it_starts_stand_back_behind_the_rest_also_when_it_is_started_again(stack: Service) -> None:
    os.kill(one(stack, "worker.py"), signal.SIGKILL)
    job = upload(stack.url, SAMPLE * 20)
    wait_until(lambda: status(stack.url, job)["status"] == "processing", 60, "the job's start")
    worker, own = one(stack, "worker.py"), os.getpriority(os.PRIO_PROCESS, 0)
    working = {worker, *descendants(worker)}
    assert len(working) >= 3, "the worker, its forkserver and the document's process"
    kinds = 1 + Path("/proc/self/autogroup").exists()
    assert {niceness(pid) for pid in working} == {(min(19, own + NICE), NICE)[:kinds]}
    assert {niceness(pid) for pid in descendants(stack.process.pid).keys() - working} == {(own, 0)[:kinds]}
    wait_until(lambda: completed(stack.url, job), 60, "the cards")


def niceness(pid: int) -> tuple[int, ...]:
    """Of a process, and, where the kernel has that, of its session."""
    sessions = [file.read_text() for file in [Path(f"/proc/{pid}/autogroup")] if file.exists()]
    return os.getpriority(os.PRIO_PROCESS, pid), *[int(session.split()[-1]) for session in sessions]


def test_what_a_process_started_ends_with_it(tmp_path: Path) -> None:
    process = Process("parent", ["/bin/sh", "-c", "sleep 300 & echo $!; wait"], tmp_path / "log", dict(os.environ))
    child = int(wait_until(process.output, 5, "the child's number"))
    end([process], 5)
    wait_until(lambda: command_line(child) == "", 5, "the child's end")


# Files ----------------------------------------------------------------------------------------------------------------


def test_files_go_through_the_running_instance_and_a_bad_one_does_not_stop_the_others(
    stack: Service, tmp_path: Path
) -> None:
    good, empty, last = tmp_path / "good.txt", tmp_path / "empty.txt", tmp_path / 'la"st ü.txt'
    good.write_text(SAMPLE)
    empty.touch()
    last.write_text(SAMPLE)
    port = stack.url.rpartition(":")[2]
    files = (good, empty, tmp_path / "missing.txt", last)
    code, said = dev_run(*files, "--port", port, output=tmp_path / "out")
    assert code == 1
    assert "Docdeck is ready" not in said
    assert "\nempty.txt: The file is empty.\n" in said
    assert "\nmissing.txt: No such file or directory.\n" in said
    assert "%  queued\n" in said
    assert "100%  " in said
    for path in (good, last):
        cards = json.loads((tmp_path / f"{path.name}.flashcards.json").read_text("utf-8"))["flashcards"]
        table = said[said.index(f"{len(cards)} flashcards in {path}") :].splitlines()
        assert table[1].split()[0] == "word"
        assert table[2].startswith(cards[0]["word"])
    assert not (tmp_path / "empty.txt.flashcards.json").exists()


def test_a_file_needs_no_instance_and_leaves_none(tmp_path: Path) -> None:
    document, port, data = tmp_path / "city.txt", find_free_port(), tmp_path / "data"
    document.write_text(SAMPLE)
    process = start_dev(
        document, "--port", str(port), "--data", data, "--out", tmp_path / "decks", output=tmp_path / "out"
    )
    started: dict[int, str] = {}
    deadline = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < deadline:
        # One that ended between two looks has no command line left.
        started |= {pid: command for pid, command in descendants(process.pid).items() if command}
        time.sleep(0.1)
    assert process.wait(0) == 0, (tmp_path / "out").read_text()
    assert len(json.loads((tmp_path / "decks" / "city.txt.flashcards.json").read_text())["flashcards"]) >= 40
    assert any("worker.py" in command for command in started.values())
    assert alive(started) == {}


def test_with_keep_it_goes_on_serving_when_the_files_are_done(tmp_path: Path) -> None:
    document, port = tmp_path / "city.txt", find_free_port()
    document.write_text(SAMPLE)
    output = tmp_path / "out"
    with running_dev(
        document, "--keep", "--port", str(port), "--data", tmp_path / "data", output=output
    ) as process:
        wait_said(process, output, "flashcards in", 90)
        assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=10).status_code == 200
        process.terminate()
        assert process.wait(20) == 0


# One sentence ---------------------------------------------------------------------------------------------------------


def test_a_port_that_a_stranger_has_gets_a_sentence_that_names_the_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(5)
        port = stranger.getsockname()[1]
        code, said = dev_run("--port", str(port), "--data", tmp_path / "data", output=tmp_path / "out")
    assert code == 1
    assert said == f"Port {port} cannot be used (Address already in use): choose another with --port.\n"


def test_a_second_start_on_the_same_port_or_folder_gets_a_sentence(stack: Service, tmp_path: Path) -> None:
    code, said = dev_run("--port", stack.url.rpartition(":")[2], "--data", tmp_path / "x", output=tmp_path / "out")
    assert (code, said) == (1, f"Docdeck already runs at {stack.url}: choose another port with --port.\n")
    code, said = dev_run("--port", str(find_free_port()), "--data", stack.data, output=tmp_path / "out")
    assert code == 1
    assert said == f"Another dev.py is using {stack.data}: stop it, or name another folder with --data.\n"


@pytest.mark.parametrize("version", [(3, 10, 1), (3, 14, 0)])
def test_a_python_without_wheels_gets_a_sentence_that_names_the_variables(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int]
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    names = "UPSTASH_REDIS_URL, MONGODB_URI, AWS_ENDPOINT_URL_S3, .*S3_BUCKET"
    with pytest.raises(Trouble, match=rf"needs Python 3\.11, 3\.12 or 3\.13, not 3\.\d+: .*set {names}"):
        dev.install("requirements.txt", "requirements-local.txt")


def test_a_service_that_cannot_start_is_told_by_the_end_of_its_log(servers: dict[str, str], tmp_path: Path) -> None:
    env = {**os.environ, "UPSTASH_REDIS_URL": "https://x.upstash.io"}
    process = start_dev("--port", str(find_free_port()), "--data", tmp_path / "data", output=tmp_path / "out", env=env)
    assert process.wait(60) == 1
    said = (tmp_path / "out").read_text()
    assert "needs the TCP one" in said
    assert said.endswith("did not start: the end of its log is above.\n")


# Servers, ports, packages ---------------------------------------------------------------------------------------------


def test_servers_that_the_environment_names_are_not_started(servers: dict[str, str], tmp_path: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "out"
    env = {**without_servers(), **servers}
    with running_dev("--port", str(find_free_port()), "--data", data, output=output, env=env) as process:
        wait_said(process, output)
        commands = " ".join(descendants(process.pid).values())
    assert "worker.py" in commands
    assert not any(name in commands for name in ("weed", "secantus", "valkey"))


def test_keys_and_addresses_are_for_the_owner_only(stack: Service) -> None:
    assert stat.S_IMODE(stack.data.stat().st_mode) == 0o700
    for name in ("env", "s3.json"):
        assert stat.S_IMODE((stack.data / name).stat().st_mode) == 0o600
    names = {"UPSTASH_REDIS_URL", "MONGODB_URI", "AWS_ENDPOINT_URL_S3", *S3_VARIABLES}
    assert set(stack.env) == names


def test_the_api_is_reached_from_this_machine_only(stack: Service) -> None:
    port = int(stack.url.rpartition(":")[2])
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [fields[1] for fields in table if fields[3] == "0A" and fields[1].endswith(f":{port:04X}")]
    assert listening == [f"0100007F:{port:04X}"]


def test_a_row_of_ports_belongs_to_one_instance_and_is_found_again(tmp_path: Path) -> None:
    guard, first = reserve_ports(tmp_path / "a")
    (tmp_path / "b").write_text(str(first))
    other, second = reserve_ports(tmp_path / "b")
    assert not set(port_row(first)) & set(port_row(second))
    other.close()
    guard.close()
    again, third = reserve_ports(tmp_path / "a")
    again.close()
    assert third == first


def test_what_is_half_installed_is_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev, "HERE", tmp_path)
    monkeypatch.setattr(dev, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(dev, "BIN", tmp_path / ".venv" / "bin")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# nothing\n")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "warm.py").write_text("open('tables', 'a').write('built ')\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = Path(sys.executable).resolve()  # what follows is a .venv whose making was cut off: no pip yet
    (tmp_path / ".venv" / "bin" / "python").symlink_to(python)
    cfg = f"home = {python.parent}\ninclude-system-site-packages = false\n"
    (tmp_path / ".venv" / "pyvenv.cfg").write_text(cfg)
    dev.install("requirements.txt")
    assert (tmp_path / ".venv" / "bin" / "pip").exists()
    dev.install("requirements.txt")
    said = capfd.readouterr().err
    assert said.count("Making .venv") == said.count("Installing") == 1
    assert (tmp_path / "tables").read_text() == "built "  # the lookup tables, once, with what they are made of

    requirements.write_text("./there-is-no-such-package\n")
    for _ in range(2):
        with pytest.raises(Trouble, match=r"requirements\.txt could not be installed"):
            dev.install("requirements.txt")
    requirements.write_text("# nothing\n")
    dev.install("requirements.txt")
    assert capfd.readouterr().err.count("Installing") == 3


def test_of_two_installations_at_once_the_second_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "HERE", tmp_path)
    (tmp_path / "requirements.txt").touch()
    held = []

    def venv_works(_: Path) -> bool:
        with (tmp_path / "requirements.txt").open() as second, pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.append(True)
        return True

    monkeypatch.setattr(dev, "venv_works", venv_works)
    dev.install()
    assert held == [True]
