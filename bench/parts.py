"""The whole service on this machine, for bench/: started as `dev.py run` starts it, and what each part of it takes.

A part is a process group: a server, the API, a worker with its documents' children. Linux only.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from servers import URLS, Stack, listen

TICKS = os.sysconf("SC_CLK_TCK")
NICE = 19  # of the workers, as far back as it goes: the machine has nothing else to do that would starve them


@contextlib.contextmanager
def running(folder: Path, workers: int) -> Iterator[tuple[Stack, str, dict[str, int]]]:
    """A stack of its own whatever the environment names, its URL, and the parts: name to process group."""
    for name in sum(URLS.values(), ()):
        os.environ.pop(name, None)
    listener = listen(0)
    with Stack(folder) as stack:
        stack.start_servers()
        stack.start_service(listener, workers)
        parts = {process.name: process.popen.pid for process in stack._processes()}
        for process in stack._processes():
            if process.name.startswith("worker"):
                process.stand_back(NICE)
        yield stack, f"http://127.0.0.1:{listener.getsockname()[1]}", parts


def taken(parts: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Of each part the megabytes that it has, what it shares divided by the sharers, and its CPU seconds so far."""
    names = {group: name for name, group in parts.items()}
    told = dict.fromkeys(parts, (0.0, 0.0))
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it may have just ended
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if name := names.get(int(fields[2])):
                share = int((process / "smaps_rollup").read_text().partition("\nPss:")[2].split()[0]) / 1024
                cpu = sum(map(int, fields[11:15])) / TICKS  # its own, and of its children that have ended
                told[name] = told[name][0] + share, told[name][1] + cpu
    return told
