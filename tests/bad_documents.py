"""Documents that go wrong in the pipeline's child: a job's file name says how.

`run_pipeline` stands in for the worker's own in tests/run_worker.py and hands on to it, so that limits, signals and
answers are the real ones; only the reading of such a document is replaced by what a bad one might make of it.
"""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import worker
from pipeline import CompletePipeline12Stages


def parent_of(pid: int) -> int:
    """The process that started another, from /proc."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def raises() -> None:
    raise ZeroDivisionError("a bug of ours")


def tells_the_text() -> None:
    raise ValueError("canary-of-a-documents-text")


def ends_without_a_word() -> NoReturn:
    os._exit(0)


def leaves() -> NoReturn:
    sys.exit(3)


def reads_at_null() -> None:
    ctypes.string_at(0)


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hangs() -> None:
    threading.Event().wait()


def spins() -> NoReturn:
    while True:
        pass


def eats_memory() -> None:
    eaten = [bytearray(64 << 20) for _ in range(64)]  # 4 GB, untouched: the machine itself gives none
    del eaten


def kills_its_worker() -> None:
    os.kill(parent_of(os.getppid()), signal.SIGKILL)
    hangs()


FATES: dict[str, Callable[[], None]] = {
    fate.__name__: fate
    for fate in (
        raises, tells_the_text, ends_without_a_word, leaves, reads_at_null, is_killed, hangs, spins, eats_memory,
        kills_its_worker,
    )
}  # fmt: skip


def run_pipeline(
    pipe: Connection,
    path: str,
    job_id: str,
    title: str,
    options: dict[str, str],
    limits: worker.Limits,
    vi_dictionary: str | None = None,
) -> None:
    """The worker's, but for a file that has the name of a fate."""
    words = {"says_half": b'["done", "', "says_nonsense": b"7\n"}.get(title, b"")
    if words or title in FATES:

        def process_file(*_: Any, **__: Any) -> None:
            os.write(pipe.fileno(), words)
            FATES.get(title, hangs)()

        CompletePipeline12Stages.process_file = process_file  # type: ignore[method-assign,assignment]
    worker.run_pipeline(pipe, path, job_id, title, options, limits, vi_dictionary)
