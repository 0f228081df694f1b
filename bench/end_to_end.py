"""From an upload to its cards, through everything: API, bucket, queue, worker, pipeline, record.

A stack of this machine's own (servers.Stack) with a worker for each core, and beside it the same work done in the
request that uploads, as it is where there is no queue: gunicorn with a process for each core. Linux only.
"""

import contextlib
import itertools
import json
import os
import re
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import pypdf
import requests
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject, NumberObject

import servers

WORDS_PER_MB = 2_000  # so that 50 MB have 100,000 words, the most that the specification speaks of
GATEWAY = 60  # seconds after which the specification calls a request timed out
PAGES_PER_MB = 5
TINY = 100  # words of a document in which there is nothing to do but what there is for each


@dataclass(frozen=True)
class Row:
    """Documents of so many MB (0: TINY words), of so many users at once: seconds of the median one and the last."""

    megabytes: int
    users: int
    median: float
    last: float
    sync_median: float
    sync_last: float
    sync_late: int  # answers that took longer than GATEWAY, or never came

    @property
    def name(self) -> str:
        """What a reader calls it."""
        size = f"{self.megabytes} MB" if self.megabytes else f"{TINY} words"
        return f"{size}, {self.users} user{'s' * (self.users > 1)}"

    @property
    def per_hour(self) -> float:
        """Documents per hour and core."""
        return self.users / self.last * 3600 / (os.cpu_count() or 1)


def measure(plan: Sequence[tuple[int, int]], rounds: int, text: str) -> list[Row]:
    """A row for each (megabytes, users). text: what the documents' words are taken from.

    One user's are medians of so many rounds, both sides in turn; many users are many already.
    """
    rows = []
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="dd-") as folder, contextlib.ExitStack() as running:
        home = Path(folder)
        listener = servers.listen(0)
        queued = listener.getsockname()[1]
        stack = running.enter_context(servers.Stack(home / "stack"))
        stack.start_servers()
        stack.start_service(listener, cores)
        direct = running.enter_context(synchronous_server(home, cores))
        for megabytes, users in plan:
            path = document(home, megabytes, text)
            ours, theirs = list[list[float]](), list[list[float]]()
            for _ in range(rounds if users == 1 else 1):
                ours.append(at_once(users, partial(through_queue, queued, path)))
                theirs.append(at_once(users, partial(synchronous, direct, path)))
            rows.append(row(megabytes, users, ours, theirs))
    return rows


def row(megabytes: int, users: int, ours: list[list[float]], theirs: list[list[float]]) -> Row:
    """The figures of some rounds."""
    medians = [statistics.median(map(statistics.median, side)) for side in (ours, theirs)]
    lasts = [statistics.median(map(max, side)) for side in (ours, theirs)]
    late = max(sum(seconds > GATEWAY for seconds in each) for each in theirs)
    return Row(megabytes, users, medians[0], lasts[0], medians[1], lasts[1], late)


def at_once(users: int, work: Callable[[str], float]) -> list[float]:
    """Seconds of each of so many users who begin at the same time."""
    with ThreadPoolExecutor(users) as pool:
        return list(pool.map(work, [uuid.uuid4().hex for _ in range(users)]))


def through_queue(port: int, path: Path, user: str) -> float:
    """Seconds from the upload's first byte until its cards are here; asked for as the page asks, every two seconds,
    but for the first five seconds, in which it is five times a second."""
    begun = time.monotonic()
    api = f"http://127.0.0.1:{port}/api"
    with path.open("rb") as file:
        sent = {"file": (path.name, file), "userId": (None, user)}
        job = answer(requests.post(f"{api}/upload-document-async", files=sent, timeout=600))["jobId"]
    while True:
        told = answer(requests.get(f"{api}/job-status/{job}", timeout=60))
        if told["status"] == "failed":
            raise RuntimeError(told["error"])
        if told["status"] == "completed":
            assert json.loads(told["result"])["flashcards"]
            return time.monotonic() - begun
        time.sleep(0.2 if time.monotonic() - begun < 5 else 2)


def synchronous(port: int, path: Path, _: str) -> float:
    """Seconds from the upload's first byte until the answer with the cards, however long it takes."""
    begun = time.monotonic()
    with path.open("rb") as file:
        assert answer(requests.post(f"http://127.0.0.1:{port}/", files={"file": (path.name, file)}, timeout=7200))
    return time.monotonic() - begun


def answer(response: requests.Response) -> Any:
    """What an API said; raises unless it said yes."""
    response.raise_for_status()
    return response.json()


@contextlib.contextmanager
def synchronous_server(home: Path, processes: int) -> Iterator[int]:
    """The port of a server that makes the cards in the request itself."""
    listener = servers.listen(0)
    options = f"--bind fd://{listener.fileno()} --workers {processes} --timeout 7200 --preload --log-level warning"
    command = [str(servers.BIN / "gunicorn"), *options.split(), "--config", os.devnull, "synchronous:app"]
    env = os.environ | {"PYTHONPATH": f"{servers.HERE / 'bench'}", "OPENBLAS_NUM_THREADS": "1"}
    server = servers.Process("synchronous", command, home / "synchronous.log", env, listener.fileno())
    port = listener.getsockname()[1]
    try:
        while servers.get(port, "/")[0] != 405:  # it knows POST only
            if server.popen.poll() is not None:
                raise RuntimeError(server.output()[-2000:])
            time.sleep(0.1)
        yield port
    finally:
        servers.end([server], 4)
        listener.close()


def document(home: Path, megabytes: int, text: str) -> Path:
    """A PDF, or a text of TINY words."""
    if megabytes:
        return make_pdf(home / f"{megabytes}.pdf", megabytes, text)
    (home / "tiny.txt").write_text(" ".join(text.split()[:TINY]))
    return home / "tiny.txt"


def make_pdf(path: Path, megabytes: int, text: str) -> Path:
    """A PDF of so many MB, WORDS_PER_MB words and PAGES_PER_MB pictures that cannot be compressed in each."""
    if path.exists():
        return path
    words = itertools.cycle(re.findall(r"[!-~]+", text.replace("(", "").replace(")", "").replace("\\", "")))
    writer = pypdf.PdfWriter()
    font = DictionaryObject(names(Type="Font", Subtype="Type1", BaseFont="Helvetica"))
    fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
    for _ in range(megabytes * PAGES_PER_MB):
        page = writer.add_blank_page(595, 842)
        lines = [" ".join(itertools.islice(words, 10)) for _ in range(WORDS_PER_MB // PAGES_PER_MB // 10)]
        content, picture = DecodedStreamObject(), DecodedStreamObject()
        shown = " T* ".join(f"({line}) Tj" for line in lines)
        content.set_data(f"BT /F1 11 Tf 14 TL 50 780 Td {shown} ET q 400 0 0 200 50 20 cm /Im Do Q".encode())
        picture.set_data(os.urandom((1 << 20) // PAGES_PER_MB - 4096))
        picture.update(names(Type="XObject", Subtype="Image", ColorSpace="DeviceGray"))
        for key, size in {"Width": 400, "Height": 512, "BitsPerComponent": 8}.items():
            picture[NameObject("/" + key)] = NumberObject(size)
        pictures = DictionaryObject({NameObject("/Im"): writer._add_object(picture)})
        page[NameObject("/Contents")] = writer._add_object(content)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): fonts, NameObject("/XObject"): pictures}
        )
    writer.write(path)
    return path


def names(**pairs: str) -> dict[NameObject, NameObject]:
    """Names of a PDF dictionary."""
    return {NameObject("/" + key): NameObject("/" + value) for key, value in pairs.items()}
