"""The fleet: how many loops of the worker this machine runs, and that they run.

Each loop is a process of its own. One that dies is started again; SIGTERM is handed on to all; one that is too many is
sent RETIRE, which lets it finish its document first, so that no job notices that loops go. A fleet of a fixed size asks
nothing of anybody; another one asks Redis once in 15 seconds, and when Redis is away it stays as it is.

It knows its own machine only: with several of them, each grows for the same backlog. There /metrics has the same
signal for whoever counts machines.
"""

import ctypes
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import FrameType

import queue_lib
from monitoring import log
from queue_lib import Queue, Stats

RETIRE = signal.SIGUSR1  # to a loop: take no more jobs, and go when the one in hand is done
LOOK = 15  # seconds between two looks at the queue: 240 commands an hour
QUIET = 120  # seconds in which not all loops were needed, before one goes
SHARE = 4  # waiting jobs that are worth a loop
LATE = 10  # seconds for which the first in line may wait before one loop more is wanted
LOOP_MB = 180  # what a loop has without a document, most of it its forkserver's: 169 MB (see test_fleet.py)
SPARE = 0.1  # of a loop: so much more memory than it may need has to be there before it is started, or it came and went
CGROUPS = (  # of both versions: where they are, and their files for the limit, what is used, and the cache in that
    ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


# How many -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """So many loops, and since when not all of them have been needed, in seconds of any clock."""

    loops: int
    since: float


def wanted(stats: Stats, busy: int) -> int:
    """How many loops the work is worth: one for each of the `busy` jobs in hand, one for every four that wait, and one
    when the first in line has waited for ten seconds, however few they are: then the documents before it are long.
    """
    if stats.places["paused"]:
        return busy
    waiting = sum(int(line["waiting"]) for line in stats.lines.values())
    return busy + waiting // SHARE + any(line["oldest"] >= LATE for line in stats.lines.values())


def decide(
    now: float, size: Size, wanted: int, room: float, *, least: int, most: int, leaving: int = 0, quiet: float = QUIET
) -> Size:
    """The size that a fleet should have now: at once as many as are wanted, down one at a time.

    room: for how many loops there is memory, with a fraction; only `least`, the operator's own word, is above it.
    leaving: loops that were sent away and are busy yet. quiet: seconds in which not all loops were needed before one
    goes, and before the next one does.
    """
    loops = size.loops
    if loops > max(least, room):
        loops -= 1
    elif wanted > loops:
        loops = max(loops, int(min(wanted, most - leaving, room - SPARE - leaving)))
    elif wanted < loops and now - size.since >= quiet:
        loops = max(least, loops - 1)
    return Size(loops, now if loops != size.loops or wanted >= loops else size.since)


# Memory ---------------------------------------------------------------------------------------------------------------


def free_memory(root: Path = Path("/")) -> float:
    """MB that may still be taken: by the machine's own word, or a container's limit where that is nearer.

    Infinite where neither is told, as everywhere but on Linux. root: where /proc and /sys are.
    """
    found, groups = [math.inf], set[PurePosixPath]()
    with suppress(OSError):
        available = re.search(r"^MemAvailable:\s+(\d+) kB", (root / "proc/meminfo").read_text(), re.MULTILINE)
        found += [int(available[1]) / 1024] if available else []
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "" or "memory" in controllers.split(","):
                groups |= {PurePosixPath(path), *PurePosixPath(path).parents}  # the limit of each holds for us
    for mount, limit, usage, cache in CGROUPS:
        for group in groups:
            folder = root / mount / str(group).lstrip("/")
            with suppress(OSError, ValueError):  # another version's, or without a limit: "max"
                most, used = (int((folder / name).read_text()) for name in (limit, usage))
                cached = re.search(rf"^{cache} (\d+)", (folder / "memory.stat").read_text(), re.MULTILINE)
                found.append((most - used + (int(cached[1]) if cached else 0)) / (1 << 20))
    return min(found)


def memory_of(pid: int) -> float:
    """MB that a process and all below it have taken for themselves; 0 where there is no /proc."""
    below = defaultdict[int, list[int]](list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            below[int(stat.read_text().rpartition(")")[2].split()[1])].append(int(stat.parent.name))
    family = [pid]
    for each in family:
        family += below[each]
    return sum(map(_own_memory, family))


def _own_memory(pid: int) -> float:
    """A child shares much with its forkserver: that counts once. A loop lets nobody look, and shares nothing."""
    for name, field in (("smaps_rollup", "Pss_Anon"), ("status", "RssAnon")):
        with suppress(OSError):
            told = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/{name}").read_text(), re.MULTILINE)
            if told:
                return int(told[1]) / 1024
    return 0


# The fleet ------------------------------------------------------------------------------------------------------------


def name_of(pid: int) -> str:
    """What the loop in a process is called in the queue."""
    return f"{socket.gethostname()}-{pid}"


def die_with_parent() -> None:
    """Linux: no orphan goes on computing when the worker was killed with -9 (elsewhere its next message fails)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG


class Fleet:
    """Loops, from `least` to `most` of them, each started by a command.

    queue: what a fleet that grows is sized by; without one it has `least` loops. megabytes: what the document of a
    loop may take. look: seconds between two looks at the queue. quiet: as in `decide`.
    """

    def __init__(
        self,
        command: Sequence[str],
        least: int,
        most: int,
        queue: Queue | None = None,
        *,
        megabytes: int = 0,
        look: float = LOOK,
        quiet: float = QUIET,
    ) -> None:
        self.command, self.least, self.most, self.queue = command, least, most, queue
        self.megabytes, self.look, self.quiet = megabytes, look, quiet
        self.size = Size(least, time.monotonic())
        self.loops: list[subprocess.Popen[bytes]] = []
        self.retired: list[subprocess.Popen[bytes]] = []  # they go when their document is done
        self.busy: set[str] = set()  # names of loops that had a document when they were last seen
        self.blind = False
        self.stopping = threading.Event()

    def run(self) -> int:
        """Until SIGTERM or SIGINT; the exit code. A loop that ends with code 1 has said what is wrong with the
        configuration, and ends all.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        looked, misconfigured = -math.inf, False
        while not self.stopping.is_set() and not misconfigured:
            misconfigured = any(loop.poll() == 1 for loop in self.loops)
            self._reap()
            if self.queue and time.monotonic() - looked >= self.look:
                self._resize(self.queue)
                looked = time.monotonic()
            if not misconfigured:
                self._match()
            self.stopping.wait(min(1, self.look))
        self._terminate()
        for loop in (*self.loops, *self.retired):
            loop.wait()
        return int(misconfigured)

    def _told_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping.set()
        self._terminate()

    def _terminate(self) -> None:
        for loop in (*self.loops, *self.retired):
            loop.terminate()

    def _reap(self) -> None:
        """Forget who has ended. The first process of a container is given the orphans too: forkservers of loops."""
        self.loops = [loop for loop in self.loops if loop.poll() is None]
        self.retired = [loop for loop in self.retired if loop.poll() is None]
        if sys.platform == "linux":
            ours = {loop.pid for loop in (*self.loops, *self.retired)}
            look = os.WEXITED | os.WNOHANG | os.WNOWAIT
            with suppress(ChildProcessError):
                while (dead := os.waitid(os.P_ALL, 0, look)) and dead.si_pid not in ours:
                    os.waitpid(dead.si_pid, 0)

    def _resize(self, queue: Queue) -> None:
        """Look at the queue and at the memory, and decide."""
        try:
            stats = queue.stats()
        except (queue_lib.Unavailable, RuntimeError) as error:  # the second: a stranger's key under one of our names
            if not self.blind:
                log("the fleet stays as it is: the queue cannot be seen", "warning", cause=str(error))
            self.blind, self.size = True, replace(self.size, since=time.monotonic())  # what is unseen is not quiet
            return
        if self.blind:
            log("the fleet sees the queue again")
            self.blind = False
        self.busy = {worker["id"] for worker in stats.workers if worker.get("job")}
        want = wanted(stats, sum(name_of(loop.pid) in self.busy for loop in self.loops))
        room = (free_memory() + memory_of(os.getpid())) / (self.megabytes + LOOP_MB)
        before, bounds = self.size.loops, {"least": self.least, "most": self.most, "leaving": len(self.retired)}
        self.size = decide(time.monotonic(), self.size, want, room, quiet=self.quiet, **bounds)
        if self.size.loops != before:
            log("the fleet changes its size", loops=self.size.loops, before=before, wanted=want, room=round(room, 1))

    def _match(self) -> None:
        """Start what is missing, and send away what is too many: who waits, or else who came last."""
        while len(self.loops) < self.size.loops and not self.stopping.is_set():
            self.loops.append(subprocess.Popen(self.command, preexec_fn=die_with_parent))
        while len(self.loops) > self.size.loops:
            waiting = [loop for loop in self.loops if name_of(loop.pid) not in self.busy]
            loop = (waiting or self.loops)[-1]
            self.loops.remove(loop)
            self.retired.append(loop)
            loop.send_signal(RETIRE)
