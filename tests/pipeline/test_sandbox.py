"""What happens in a sandbox stays there: a crash, a hang and a hunger end it, and what was said before is kept."""

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.sandbox import Ending, Limits, Send, run


def outcome(work: Any, **limits: Any) -> tuple[Ending, list[list[Any]]]:
    heard: list[list[Any]] = []
    ending = run(work, heard.append, Limits(**{"seconds": 10.0, "patience": 10.0, **limits}))
    return ending, heard


def say_then(act: Any) -> Any:
    def work(send: Send) -> None:
        send("page", 1, "half a character: \ud800")
        act()

    return work


def loop() -> None:
    while True:
        pass


def sleep() -> None:
    signal.pause()


def eat() -> None:
    hoard = []
    while True:
        hoard.append(bytearray(1 << 20))


def segfault() -> None:
    ctypes.string_at(0)


def exhaust_c() -> None:
    """As C++ does it that finds no memory: an abort and not an exception."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    while libc.malloc(64 << 20):
        pass
    libc.abort()


def children() -> set[str]:
    """Of this process: those that run and those that nobody has waited for."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


@pytest.mark.parametrize(
    ("act", "ending"),
    [
        (lambda: None, Ending.DONE),
        (os.abort, Ending.CRASHED),
        (segfault, Ending.CRASHED),
        (lambda: os._exit(0x11), Ending.CRASHED),
        (exhaust_c, Ending.CRASHED),
        (eat, Ending.MEMORY),
    ],
)
def test_an_end_is_told_and_what_was_said_before_is_kept(act: Any, ending: Ending) -> None:
    assert outcome(say_then(act), megabytes=256) == (ending, [["page", 1, "half a character: \ud800"]])


def test_what_hangs_is_ended_when_patience_is(capfd: pytest.CaptureFixture[str]) -> None:
    for act in (loop, sleep):
        started = time.monotonic()
        ending, heard = outcome(say_then(act), patience=0.3)
        assert (ending, len(heard)) == (Ending.TIME, 1)
        assert time.monotonic() - started < 3
    assert capfd.readouterr() == ("", "")


def test_what_talks_for_ever_is_ended_by_the_clock_or_by_what_it_said() -> None:
    def work(send: Send) -> None:
        while True:
            send("x" * 1000)

    assert outcome(work, seconds=0.5, output=1 << 40)[0] is Ending.TIME
    assert outcome(work, output=1 << 20)[0] is Ending.OUTPUT


def test_a_listener_that_has_heard_enough_ends_it() -> None:
    class Enough(Exception):
        pass

    def hear(message: list[Any]) -> None:
        raise Enough

    before = set(os.listdir("/proc/self/fd")), children()
    with pytest.raises(Enough):
        run(say_then(loop), hear, Limits(10, 10))
    assert (set(os.listdir("/proc/self/fd")), children()) == before


def test_a_bug_is_raised_with_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        outcome(say_then(lambda: 1 // 0))


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    middle = os.fork()
    if middle == 0:

        def work(send: Send) -> None:
            send(os.getpid())
            loop()

        def hear(message: list[Any]) -> None:
            (tmp_path / "new").write_text(str(message[0]))
            (tmp_path / "new").rename(told)

        run(work, hear, Limits(60, 60))
        os._exit(0)
    deadline = time.monotonic() + 10
    while not told.exists():
        assert time.monotonic() < deadline
    os.kill(middle, signal.SIGKILL)
    os.waitpid(middle, 0)
    stat = Path(f"/proc/{told.read_text()}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
