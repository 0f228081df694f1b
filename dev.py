"""Everything that runs on a developer's machine: `.venv`, the local servers, the service, its tests and the bench.

    python3 dev.py run                 Redis, MongoDB and S3 on this machine, the API and a worker, until Ctrl-C
    python3 dev.py run a.pdf b.docx    the same, and the flashcards of these files
    python3 dev.py test [-k queue]     ruff, mypy and pytest on servers of their own
    python3 dev.py doctor              whether the variables, servers and settings of this place are right: doctor.py
    python3 dev.py bench --quick       how fast all this is beside others, which get a `.venv-bench` of their own

It needs the standard library only, and none of the service's modules: servers.py starts the stack, and files go through
the HTTP API as anybody's would. Nothing but the doctor is of use in production. In reading order: packages, files, the
commands.
"""

from __future__ import annotations  # so that older Pythons get as far as the sentence that names the right one

import argparse
import contextlib
import hashlib
import http.client
import importlib.util
import json
import os
import secrets
import select
import shutil
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

from servers import BIN, HERE, URLS, VENV, Stack, Stopped, Trouble, get, leashed, listen, missing_servers, note

OWN_SERVERS = (
    "set UPSTASH_REDIS_URL, MONGODB_URI, AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and S3_BUCKET "
    "to use servers of your own instead of local ones"
)


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
