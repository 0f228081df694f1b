"""A forked process for code that may crash, hang or eat memory, under limits of its own.

What runs there says what it finds message by message, so that what was said before a crash is kept. It keeps no
document from using the network or reading files: it is about a reader's death, not about one that was taken over.
"""

import ctypes
import faulthandler
import gc
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

Send = Callable[..., None]  # one message, of whatever JSON can carry

_OUT_OF_MEMORY, _BUG = 3, 4  # exit codes


class Ending(Enum):
    """How a sandbox ended."""

    DONE = "done"
    CRASHED = "crashed"
    TIME = "out of time"
    MEMORY = "out of memory"
    OUTPUT = "said too much"


@dataclass(frozen=True)
class Limits:
    """seconds: by the clock, of all. patience: seconds between two messages. megabytes: of address space, beyond what
    the caller has. output: bytes that may be said."""

    seconds: float
    patience: float
    megabytes: int = 512
    output: int = 64 << 20


def run(work: Callable[[Send], None], on_message: Callable[[list[Any]], None], limits: Limits) -> Ending:
    """Call `work(send)` in a fork; each `send(...)` there is a call of `on_message([...])` here.

    An exception of `work` is a bug and raised here as RuntimeError, MemoryError apart. What `on_message` raises ends
    the fork and goes on.
    """
    ours, theirs = os.pipe()
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python warns of threads that a fork does not have. The only ones that this process may have are OpenBLAS',
        # which idle and hold nothing that a reader needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(ours)
        _be_child(work, theirs, parent, limits)
    os.close(theirs)
    over = False
    try:
        ending = _listen(ours, on_message, limits)
        over = ending is None
    finally:
        os.close(ours)
        if not over:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if ending:
        return ending
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        return Ending.TIME
    return {0: Ending.DONE, _OUT_OF_MEMORY: Ending.MEMORY}.get(code, Ending.CRASHED)


def _listen(pipe: int, on_message: Callable[[list[Any]], None], limits: Limits) -> Ending | None:
    """Pass on what is said until a limit is reached; None when the other end was closed."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    ends = time.monotonic() + limits.seconds
    heard = time.monotonic()
    said, parts = 0, []
    while True:
        wait = min(ends, heard + limits.patience) - time.monotonic()
        if wait <= 0:
            return Ending.TIME
        if not poll.poll(wait * 1000):
            continue
        data = os.read(pipe, 1 << 18)
        if not data:
            return None
        said += len(data)
        if said > limits.output:
            return Ending.OUTPUT
        parts.append(data)
        if b"\n" not in data:
            continue
        *messages, rest = b"".join(parts).split(b"\n")
        parts = [rest]
        for text in messages:
            try:
                message = json.loads(text)
            except ValueError:
                return Ending.CRASHED
            if message[0] == "bug":
                raise RuntimeError(message[1])
            on_message(message)
        heard = time.monotonic()


def _be_child(work: Callable[[Send], None], pipe: int, parent: int, limits: Limits) -> NoReturn:
    def send(*message: Any) -> None:
        data = memoryview(json.dumps(message).encode() + b"\n")
        while data:
            data = data[os.write(pipe, data) :]

    code = _BUG
    try:
        _confine(parent, limits)
        work(send)
        code = 0
    except MemoryError:
        code = _OUT_OF_MEMORY
    except Exception:  # noqa: BLE001  raised again on the other side
        send("bug", traceback.format_exc())
    finally:
        os._exit(code)


def _confine(parent: int, limits: Limits) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died before that
            os._exit(_BUG)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    faulthandler.disable()  # a crash is expected here and no news, and so is what libraries warn of
    warnings.simplefilter("ignore")
    gc.freeze()  # or a collection would touch, and so copy, all that is shared with the parent
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, int(limits.seconds) + 1)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + (limits.megabytes << 20))


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, hard))
