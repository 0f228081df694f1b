"""The doctor: each of its findings, provoked on real servers that are as bad as the finding says.

Redis is set up wrongly by its own commands, MongoDB has users. The bucket is in test_doctor_bucket.py.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis

import dev
import doctor
from pipeline import pronunciation
from records import Records
from servers import URLS, leashed, mongodb_answers, mongodb_command
from storage import Storage
from tests.doctor_tools import SECRET, Set, odd_bucket, told
from tests.redis_tools import OwnRedis, Proxy
from tests.support import ROOT, find_free_port, patience, wait_until

# The environment ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", doctor.NUMBERS)
def test_a_number_that_is_none_is_named(set_env: Set, name: str) -> None:
    set_env(**{name: "many"})
    assert f"CHANGE {name} is not a whole number" in told(doctor.settings())
    assert name not in os.environ


SETTINGS = [
    ({"PORT": "0"}, "CHANGE PORT is not a whole number of at least 1"),
    ({"MAX_ATTEMPTS": ""}, "CHANGE MAX_ATTEMPTS is not a whole number"),
    ({"S3_BUCKET": None}, "CHANGE Not set, and needed: S3_BUCKET."),
    ({"MONGODB_URI": "cluster.mongodb.net"}, "CHANGE MONGODB_URI is not a mongodb:// or mongodb+srv:// address"),
    ({"S3_BUCKET": "https://docdeck"}, "CHANGE S3_BUCKET is not the name of a bucket"),
    ({"AWS_ENDPOINT_URL_S3": "https://r2.example/docdeck"}, "CHANGE AWS_ENDPOINT_URL_S3 is not an address without"),
    ({"FILES_CDN_URL": "files.example"}, "CHANGE FILES_CDN_URL is not an address"),
    ({"CORS_ORIGINS": "https://app.example/"}, "CHANGE CORS_ORIGINS is not origins without a path"),
    ({"SENTRY_DSN": "key@sentry"}, "CHANGE SENTRY_DSN is not a DSN"),
    ({"OPEN_ACCESS": "yes"}, "CHANGE OPEN_ACCESS is not 0 or 1"),
    ({"S3_BUCKET": '"docdeck"'}, "CHANGE S3_BUCKET has blanks or quotes around its value"),
    ({"AWS_REGION": "auto\n"}, "CHANGE AWS_REGION has blanks or quotes around its value"),
    ({"UPSTASH_REDIS_REST_URL": "x", "UPSTASH_REDIS_URL": None}, "LOOK UPSTASH_REDIS_REST_URL is set, and is nothing"),
    ({"AWS_ENDPOINT_URL": "x", "AWS_ENDPOINT_URL_S3": None}, "is AWS_ENDPOINT_URL_S3 meant?"),
    ({}, "OK The variables are well-formed."),
]


@pytest.mark.parametrize(("variables", "sentence"), SETTINGS)
def test_a_variable_that_is_wrong_is_named(set_env: Set, variables: dict[str, str | None], sentence: str) -> None:
    set_env(**variables)
    assert sentence in told(doctor.settings())


ACCESS = [
    ({}, "LOOK Anybody may see and upload everything"),
    ({"AUTH_SECRET": SECRET}, "OK Nobody is let in without a token."),
    ({"AUTH_SECRET": "short"}, "CHANGE AUTH_SECRET is too short"),
    ({"ADMIN_TOKEN": "short", "WEBHOOK_SECRET": "short"}, "CHANGE WEBHOOK_SECRET is too short"),
    ({"ADMIN_TOKEN": "short"}, "CHANGE ADMIN_TOKEN is too short"),
    ({"API_KEYS": "a-key"}, "CHANGE API_KEYS holds SHA-256 sums, not keys"),
    ({"RAILWAY_PROJECT_ID": "x"}, "CHANGE Set AUTH_SECRET or API_KEYS, or OPEN_ACCESS=1"),
]


@pytest.mark.parametrize(("variables", "sentence"), ACCESS)
def test_who_is_let_in_is_said(set_env: Set, variables: dict[str, str | None], sentence: str) -> None:
    set_env(**variables)
    assert sentence in told(doctor.access())


MACHINE = [
    ({"JOB_MEMORY_MB": "100000000"}, "give the service more, start fewer workers or lower JOB_MEMORY_MB."),
    ({"VI_DICTIONARY": "/nowhere"}, "CHANGE VI_DICTIONARY names no file that is here"),
    ({"RAILWAY_PROJECT_ID": "x"}, "CHANGE Railway leaves a process 0 seconds to end"),
    ({"RAILWAY_PROJECT_ID": "x", "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "60"}, "OK Railway leaves"),
    ({}, "OK eSpeak NG speaks."),
]


@pytest.mark.parametrize(("variables", "sentence"), MACHINE)
def test_what_the_machine_lacks_is_said(set_env: Set, variables: dict[str, str | None], sentence: str) -> None:
    set_env(**variables)
    assert sentence in told(doctor.machine(1))


def test_more_workers_than_memory_and_disk_are_there_for_and_another_python_are_said() -> None:
    findings = told(doctor.machine(100_000_000, (3, 14)))
    assert re.search(r"CHANGE Working on 100000000 at a time can take \d+ MB of memory", findings)
    assert re.search(r"CHANGE Their downloads can take 5000000000 MB of .*, and only \d+ MB are free", findings)
    assert "LOOK This is Python 3.14" in findings


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("espeakng_loader", "tesserocr"):
        monkeypatch.setitem(sys.modules, package, None)
    pronunciation._espeak.cache_clear()
    pronunciation._speak.cache_clear()
    findings = told(doctor.machine(1))
    assert "CHANGE eSpeak NG does not speak, and every document fails: install requirements.txt anew" in findings
    assert "LOOK Scans cannot be read: that takes requirements-ocr.txt" in findings


# Redis ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path / "redis")
    yield server
    server.kill()


SOMEBODY = "ACL SETUSER ann on >word-of-ann +@all"
SETUPS = [
    ("", "PING", "OK Redis runs the queue's scripts and writes."),
    ("", "CONFIG SET appendonly no", "CHANGE Redis forgets jobs when it is killed, as AOF is off: set appendonly yes."),
    ("", "CONFIG SET maxmemory-policy allkeys-lru", "CHANGE A full Redis drops jobs, by allkeys-lru"),
    ("", "CONFIG SET maxmemory 1", "CHANGE Redis refuses what the queue does: command not allowed when used memory"),
    ("", "CONFIG SET requirepass word", "CHANGE Redis refuses the user or password in UPSTASH_REDIS_URL"),
    (":wrong-word@", "CONFIG SET requirepass word", "CHANGE Redis refuses the user or password in UPSTASH_REDIS_URL"),
    ("", "REPLICAOF 127.0.0.1 1", "CHANGE This Redis is a replica"),
    ("ann:word-of-ann@", f"{SOMEBODY} ~*", "OK Redis runs the queue's scripts and writes."),
    ("ann:word-of-ann@", f"{SOMEBODY} ~* -zadd -brpop", "CHANGE Redis denies this user BRPOP, ZADD: allow"),
    ("ann:word-of-ann@", f"{SOMEBODY} ~job:*", "CHANGE Redis denies this user BRPOP, DECR"),
    ("ann:word-of-ann@", f"{SOMEBODY} ~* -@scripting", "CHANGE Redis refuses what the queue does: "),
    ("ann:word-of-ann@", f"{SOMEBODY} ~* -info", "LOOK This Redis does not tell how it keeps data"),
    ("ann:word-of-ann@", f"{SOMEBODY} ~* -time", "CHANGE Redis does not answer (User ann has no permissions"),
]


@pytest.mark.parametrize(("login", "command", "sentence"), SETUPS)
def test_a_redis_that_is_set_up_wrongly_is_told_from_one_that_is_right(
    set_env: Set, own_redis: OwnRedis, login: str, command: str, sentence: str
) -> None:
    own_redis.client.execute_command(*command.split())
    set_env(UPSTASH_REDIS_URL=own_redis.url.replace("//", f"//{login}"))
    findings = told(doctor.queue())
    assert sentence in findings
    assert ("CHANGE" in findings) == sentence.startswith("CHANGE")
    if "requirepass" not in command:
        assert own_redis.client.keys("*") == []


ADDRESSES = [
    ({"UPSTASH_REDIS_URL": None}, "CHANGE Set UPSTASH_REDIS_URL (or REDIS_URL)"),
    ({"UPSTASH_REDIS_URL": "https://name.upstash.io"}, "CHANGE UPSTASH_REDIS_URL holds Upstash's REST address"),
    ({"UPSTASH_REDIS_URL": "redis://:pass/word@host:6379"}, "CHANGE UPSTASH_REDIS_URL cannot be read"),
    ({"UPSTASH_REDIS_URL": "redis://127.0.0.1:{free}"}, "CHANGE Redis does not answer (Error 111"),
    ({"UPSTASH_REDIS_URL": "rediss://127.0.0.1:{redis}"}, "CHANGE Redis does not answer ("),
]


@pytest.mark.parametrize(("variables", "sentence"), ADDRESSES)
def test_an_address_that_leads_to_no_redis_is_told(
    set_env: Set, own_redis: OwnRedis, free_port: int, variables: dict[str, str | None], sentence: str
) -> None:
    set_env(**{n: v and v.format(free=free_port, redis=own_redis.port) for n, v in variables.items()})
    assert sentence in told(doctor.queue())


def test_a_password_that_would_cross_the_internet_unencrypted_is_told(set_env: Set) -> None:
    set_env(UPSTASH_REDIS_URL="redis://:word@9.9.9.9:6379")
    assert "without TLS" in next(doctor.queue())[1]  # before it would be sent
    assert not doctor.is_public("redis://127.0.0.1:6379")


def test_servers_that_are_far_away_are_told(set_env: Set, files: Storage, redis_url: str, mongo_uri: str) -> None:
    with contextlib.closing(Proxy(redis_url, 0.15)) as far, contextlib.closing(Proxy(mongo_uri, 0.15)) as farther:
        set_env(UPSTASH_REDIS_URL=far.url, MONGODB_URI=through(farther, mongo_uri))
        assert re.search(r"CHANGE Redis takes 1\d\d ms for an answer", told(doctor.queue()))
        with contextlib.closing(Records.from_env(files)) as records:
            assert re.search(r"CHANGE MongoDB takes 1\d\d ms for an answer", told(doctor.database(records)))


def through(proxy: Proxy, mongo_uri: str) -> str:
    """MongoDB's address behind a proxy, which it would else pass by, as it says where it is."""
    return f"mongodb://{proxy.url.split('/')[2]}/{mongo_uri.rpartition('/')[2]}?directConnection=true"


def test_a_clock_that_is_wrong_is_told_by_each_server(
    set_env: Set, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 600)
    findings = told(doctor.look(1))
    for server in ("Redis", "MongoDB", "the bucket"):
        assert re.search(f"CHANGE This clock is (599|600) seconds behind that of {server}: let NTP set it", findings)


# MongoDB --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locked_mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MongoDB by itself that wants to know who is there: its address, without login."""
    folder, port = tmp_path_factory.mktemp("mongodb"), find_free_port()

    def start(*options: str) -> subprocess.Popen[bytes]:
        command = leashed([*mongodb_command(folder, port), *options])
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: mongodb_answers(port), 20, "MongoDB")
        return process

    process = start()
    with pymongo.MongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{port}") as client:
        for role in ("read", "readWrite"):
            client.admin.command("createUser", role, pwd=f"word-of-{role}", roles=[{"role": role, "db": "docdeck"}])
    process.terminate()
    process.wait(20)
    process = start("--auth", "--standalone")
    yield f"mongodb://127.0.0.1:{port}/docdeck?authSource=admin"
    process.kill()
    process.wait()


RECORDS = [
    ("readWrite:word-of-readWrite@", "OK MongoDB can be written to."),
    ("readWrite:word-of-readWrite@", "LOOK This MongoDB is no replica set"),
    ("readWrite:word-of-readWrite@", "CHANGE MongoDB lacks indexes, which a worker makes at its start"),
    ("read:word-of-read@", "CHANGE MongoDB does not let this user write (not authorized"),
    ("read:wrong-word@", "CHANGE MongoDB refuses the user or password in MONGODB_URI"),
    ("", "CHANGE MongoDB does not let this user write ("),
]


@pytest.mark.parametrize(("login", "sentence"), RECORDS)
def test_a_mongodb_that_does_not_let_us_work_is_told(
    set_env: Set, files: Storage, locked_mongodb: str, login: str, sentence: str
) -> None:
    set_env(MONGODB_URI=locked_mongodb.replace("//", f"//{login}"))
    with contextlib.closing(Records.from_env(files, answer=5)) as records:
        assert sentence in told(doctor.database(records))


def test_a_mongodb_that_nobody_waits_for_and_one_that_is_not_there_are_told(
    set_env: Set, files: Storage, records: Records, mongo_uri: str, free_port: int
) -> None:
    records.prepare()
    assert "CHANGE" not in told(doctor.database(records))
    with contextlib.closing(Records(f"{mongo_uri}?w=0", files)) as careless:
        assert "CHANGE MongoDB is not waited for" in told(doctor.database(careless))
    with contextlib.closing(Records(f"mongodb://127.0.0.1:{free_port}", files, answer=1)) as nobody:
        findings = told(doctor.database(nobody))
    assert "CHANGE MongoDB does not answer (ServerSelectionTimeoutError: 127.0.0.1:" in findings
    set_env(MONGODB_URI="mongodb://ann:p@ss:word@host/docdeck")
    assert "CHANGE MONGODB_URI or AWS_ENDPOINT_URL_S3 cannot be read" in told(doctor.look(1))


# As a whole -----------------------------------------------------------------------------------------------------------


def start_doctor(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "dev.py"), "doctor", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def test_dev_py_starts_it_with_a_python_that_has_the_packages_and_the_servers_that_are_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda *told: started.append(told))
    monkeypatch.setattr(dev, "HERE", tmp_path)
    monkeypatch.setattr(dev, "VENV", tmp_path / ".venv")  # as in the image: there is none
    for name in sum(URLS.values(), ()):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".docdeck").mkdir()
    (tmp_path / ".docdeck" / "env").write_text("MONGODB_URI=mongodb://127.0.0.1:1/docdeck?w=1\n")
    dev.doctor(["--workers", "2"])
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")
    dev.doctor([])
    (python, command, env), (*_, other) = started
    assert (python, command) == (sys.executable, [sys.executable, str(tmp_path / "doctor.py"), "--workers", "2"])
    assert env["MONGODB_URI"] == "mongodb://127.0.0.1:1/docdeck?w=1"
    assert "MONGODB_URI" not in other


def things_in(records: Records) -> list[Any]:
    """All that is in the bucket, the database and Redis."""
    with redis.Redis.from_url(os.environ["UPSTASH_REDIS_URL"]) as db:
        objects = records.files._s3.list_objects_v2(Bucket=records.files.bucket).get("Contents", [])
        return [*(found["Key"] for found in objects), *records._database.list_collection_names(), *db.keys("*")]


def test_a_place_that_is_right_is_told_so_and_left_as_it_was(
    set_env: Set, records: Records, redis_url: str, mongo_uri: str
) -> None:
    records.prepare()
    set_env(AUTH_SECRET=SECRET, CORS_ORIGINS="https://app.example", MONGODB_URI=mongo_uri)
    before = things_in(records)
    process = start_doctor("--workers", "2")
    output, _ = process.communicate(timeout=patience(60))
    assert "CHANGE" not in output
    assert output.endswith("Nothing has to be changed.\n")
    assert "Working on 2 at a time" in output
    assert process.returncode == 0
    assert things_in(records) == before


def test_no_secret_is_printed_whatever_is_wrong(set_env: Set, own_redis: OwnRedis) -> None:
    own_redis.client.config_set("requirepass", "word")
    with odd_bucket("tells the key") as url:
        set_env(
            AWS_ENDPOINT_URL_S3=url, AWS_ACCESS_KEY_ID="secret-id", AWS_SECRET_ACCESS_KEY="secret-key",
            UPSTASH_REDIS_URL=own_redis.url.replace("//", "//:secret%2Dword@"), ADMIN_TOKEN="secret",
            MONGODB_URI="mongodb://ann:secret-word@secret-word:1/x", WEBHOOK_SECRET="secret",
        )  # fmt: skip
        process = start_doctor()
        output, _ = process.communicate(timeout=patience(60))
    assert "Credential=***" in output  # the bucket told it
    assert "MongoDB does not answer" in output
    assert "secret-" not in output
    assert process.returncode == 1


@pytest.mark.parametrize("place", ["redis", "mongodb", "bucket"])
def test_a_doctor_that_is_interrupted_leaves_nothing_behind(
    set_env: Set, records: Records, redis_url: str, mongo_uri: str, place: str
) -> None:
    records.prepare()
    before = things_in(records)
    with contextlib.closing(Proxy(redis_url if place == "redis" else mongo_uri, 0.3)) as slow:
        if place == "redis":
            set_env(UPSTASH_REDIS_URL=slow.url, MONGODB_URI=mongo_uri)
        if place == "mongodb":
            set_env(MONGODB_URI=through(slow, mongo_uri))
        if place == "bucket":
            slow.silent.set()  # in the middle of its visit the doctor waits for the CDN
            set_env(FILES_CDN_URL=slow.url.replace("redis", "http").removesuffix("/0"), MONGODB_URI=mongo_uri)
        process = start_doctor()
        set_env(UPSTASH_REDIS_URL=redis_url)
        wait_until(lambda: things_in(records) != before, 30, "what the doctor writes")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=patience(30))
    assert process.returncode == 130, output
    assert things_in(records) == before
